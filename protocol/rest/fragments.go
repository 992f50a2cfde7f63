package rest

import (
	"bytes"
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/config"
)

// fragments holds releases encoded as JSON objects. What thousands of watchers
// are sent about one release is encoded once and shared by all of them.
type fragments struct {
	cache *otter.Cache[fragmentKey, []byte]
}

// fragmentSort says what a fragment tells of its release.
type fragmentSort uint8

const (
	changeOnly     fragmentSort = iota // what a watcher wants to know
	changeContent                      // and the content
	releaseContent                     // everything, and the content
)

// fragmentKey names a fragment. Releases never change, and no version is used
// twice; the change set is in it for envs that were deleted and made again.
type fragmentKey struct {
	path      config.Path
	version   int64
	changeSet string
	sort      fragmentSort
}

func newFragments(memory int64) (*fragments, error) {
	cache, err := otter.New(&otter.Options[fragmentKey, []byte]{
		MaximumWeight: uint64(memory),
		Weigher:       func(_ fragmentKey, v []byte) uint32 { return uint32(len(v) + 256) },
	})
	if err != nil {
		return nil, err
	}
	return &fragments{cache: cache}, nil
}

// loader fetches a release's content.
type loader func(context.Context, *config.Release) ([]byte, error)

// get returns the fragment of a release, which must not be modified.
func (f *fragments) get(ctx context.Context, release *config.Release, sort fragmentSort, load loader) ([]byte, error) {
	key := fragmentKey{release.Path, release.Version, release.ChangeSet, sort}
	if b, found := f.cache.GetIfPresent(key); found {
		return b, nil
	}
	// Others wait for the one that encodes, so its caller's going away must not
	// stop it.
	return f.cache.Get(context.WithoutCancel(ctx), key, otter.LoaderFunc[fragmentKey, []byte](
		func(ctx context.Context, _ fragmentKey) ([]byte, error) {
			return encodeFragment(ctx, release, sort, load)
		}))
}

// watchedChange is what a watcher is told of one config.
type watchedChange struct {
	Path    config.Path `json:"path" example:"acme/checkout/prod/application.yaml"`
	Version int64       `json:"version,omitempty"`
	Format  string      `json:"format,omitempty"`
	Digest  string      `json:"digest,omitempty" doc:"SHA-256 of the content, in hex"`
	Size    int64       `json:"size" doc:"bytes"`
	Time    time.Time   `json:"time,omitzero" doc:"when it was released"`
	Content
	Deleted bool `json:"deleted,omitempty" doc:"it is served no longer; nothing else is told of it"`
}

func encodeFragment(ctx context.Context, r *config.Release, sort fragmentSort, load loader) ([]byte, error) {
	var content Content
	if sort != changeOnly {
		b, err := load(ctx, r)
		if err != nil {
			return nil, err
		}
		content = contentOf(b)
	}
	var noun any
	if sort == releaseContent {
		noun = fullRelease{Release: *r, Content: content}
	} else {
		noun = watchedChange{
			Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest,
			Size: r.Size, Time: r.Time, Content: content,
		}
	}
	return bytes.TrimSuffix(encodeJSON(noun), []byte("\n")), nil
}

// appendDeleted appends the fragment of a config that is served no longer.
func appendDeleted(b []byte, path config.Path) []byte {
	b = append(b, `{"path":"`...)
	b = append(b, path.String()...) // a valid path needs no escapes
	return append(b, `","deleted":true}`...)
}
