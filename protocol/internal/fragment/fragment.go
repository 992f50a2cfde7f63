// Package fragment holds releases as protocols tell of them: as JSON objects,
// unless a protocol has a form of its own. What thousands are told about one
// release is encoded once and shared by all of them.
package fragment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// Cache holds encoded releases. It is safe for concurrent use.
type Cache struct {
	cache  *otter.Cache[key, []byte]
	encode Encoder
}

// Encoder writes down what a fragment of the sort tells of a release. load has
// its content.
type Encoder func(ctx context.Context, r *config.Release, sort Sort, load Loader) ([]byte, error)

// Sort says what a fragment tells of its release.
type Sort uint8

// The sorts of fragment.
const (
	ChangeOnly     Sort = iota // what a watcher wants to know, a Change
	ChangeContent              // and the content
	ReleaseContent             // everything, and the content: a Release
)

// key names a fragment. Releases never change, and no version is used twice; the
// change set is in it for envs that were deleted and made again.
type key struct {
	path      config.Path
	version   int64
	changeSet string
	sort      Sort
}

// NewCache makes a cache of so many bytes for fragments in JSON.
func NewCache(memory int64) (*Cache, error) { return NewCacheOf(memory, encode) }

// NewCacheOf makes a cache of so many bytes for fragments in another form.
func NewCacheOf(memory int64, encode Encoder) (*Cache, error) {
	cache, err := otter.New(&otter.Options[key, []byte]{
		MaximumWeight: uint64(memory),
		Weigher:       func(_ key, v []byte) uint32 { return uint32(len(v) + 256) },
	})
	if err != nil {
		return nil, err
	}
	return &Cache{cache: cache, encode: encode}, nil
}

// Loader fetches a release's content.
type Loader func(context.Context, *config.Release) ([]byte, error)

// Get returns the fragment of a release, which must not be modified.
func (c *Cache) Get(ctx context.Context, release *config.Release, sort Sort, load Loader) ([]byte, error) {
	k := key{release.Path, release.Version, release.ChangeSet, sort}
	if b, found := c.cache.GetIfPresent(k); found {
		return b, nil
	}
	// Others wait for the one that encodes, so its caller's going away must not
	// stop it.
	return c.cache.Get(context.WithoutCancel(ctx), k, otter.LoaderFunc[key, []byte](
		func(ctx context.Context, _ key) ([]byte, error) {
			return c.encode(ctx, release, sort, load)
		}))
}

// Change is what a watcher is told of one config.
type Change struct {
	Path    config.Path `json:"path" example:"acme/checkout/prod/application.yaml"`
	Version int64       `json:"version,omitempty"`
	Format  string      `json:"format,omitempty"`
	Digest  string      `json:"digest,omitempty" doc:"SHA-256 of the content, in hex"`
	Size    int64       `json:"size" doc:"bytes"`
	Time    time.Time   `json:"time,omitzero" doc:"when it was released"`
	Content
	Deleted bool `json:"deleted,omitempty" doc:"it is served no longer; nothing else is told of it"`
}

// Release is a release with its content.
type Release struct {
	config.Release
	Content
}

func encode(ctx context.Context, r *config.Release, sort Sort, load Loader) ([]byte, error) {
	var content Content
	if sort != ChangeOnly {
		b, err := load(ctx, r)
		if err != nil {
			return nil, err
		}
		content = ContentOf(b)
	}
	var noun any
	if sort == ReleaseContent {
		noun = Release{Release: *r, Content: content}
	} else {
		noun = Change{
			Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest,
			Size: r.Size, Time: r.Time, Content: content,
		}
	}
	return bytes.TrimSuffix(strictjson.Encode(noun), []byte("\n")), nil
}

// AppendDeleted appends the fragment of a config that is served no longer.
func AppendDeleted(b []byte, path config.Path) []byte {
	b = append(b, `{"path":"`...)
	b = append(b, path.String()...) // a valid path needs no escapes
	return append(b, `","deleted":true}`...)
}

// Fingerprint is a digest over what a client is served of an env, in the order
// of names, and its size in bytes.
func Fingerprint(releases []*config.Release) (digest string, size int64) {
	sum := sha256.New()
	for _, r := range releases {
		fmt.Fprintf(sum, "%s %d %s %s\n", r.Path.Name, r.Version, r.Format, r.Digest)
		size += r.Size
	}
	return hex.EncodeToString(sum.Sum(nil)), size
}
