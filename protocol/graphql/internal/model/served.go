package model

import (
	"context"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Loader fetches the content of a release.
type Loader func(context.Context, *config.Release) ([]byte, error)

// ServedRelease is a release as a client is served it. It must hold nothing that is
// not the same for all who are served it.
type ServedRelease struct {
	release *config.Release
	load    Loader // nil: no content is wanted

	once    sync.Once
	content []byte
	err     error
}

// NewServedRelease makes one of a release; load is nil where no content is wanted.
func NewServedRelease(r *config.Release, load Loader) *ServedRelease {
	return &ServedRelease{release: r, load: load}
}

// Path returns the config's.
func (r *ServedRelease) Path() config.Path { return r.release.Path }

// Version returns the release's.
func (r *ServedRelease) Version() int64 { return r.release.Version }

// Format returns the name of the content's format.
func (r *ServedRelease) Format() string { return r.release.Format }

// Digest returns the SHA-256 of the content, in hexadecimal.
func (r *ServedRelease) Digest() string { return r.release.Digest }

// Size returns the length of the content, in bytes.
func (r *ServedRelease) Size() int64 { return r.release.Size }

// Time returns when it was released.
func (r *ServedRelease) Time() time.Time { return r.release.Time }

// Content returns the content if it is wanted, and is text. It is fetched when it
// is first asked for: whoever does not select it does not pay for it.
func (r *ServedRelease) Content(ctx context.Context) (*string, error) {
	b, err := r.bytes(ctx)
	if b == nil || err != nil {
		return nil, err
	}
	return TextOf(ctx, b)
}

// ContentBase64 returns the content if it is wanted.
func (r *ServedRelease) ContentBase64(ctx context.Context) ([]byte, error) {
	b, err := r.bytes(ctx)
	if b == nil || err != nil {
		return nil, err
	}
	return BytesOf(ctx, b)
}

// bytes returns the content; nil where none is wanted.
func (r *ServedRelease) bytes(ctx context.Context) ([]byte, error) {
	if r.load == nil {
		return nil, nil
	}
	r.once.Do(func() {
		r.content, r.err = r.load(ctx, r.release)
		r.content = NotNil(r.content)
	})
	return r.content, r.err
}

// Reading is what a client is served of one config.
type Reading struct {
	Release   *ServedRelease
	Revision  config.Token
	Unchanged bool
	Stale     *time.Duration
}

// EnvReading is what a client is served of an env.
type EnvReading struct {
	Releases  []*ServedRelease
	Revision  config.Token
	Digest    string
	Unchanged bool
	Stale     *time.Duration
}

// WatchEvent is something that a watch tells. Nothing in it or below may depend on
// who is told: one rendering is shared by all watches with the same selection.
type WatchEvent struct {
	Revision config.Token
	Reset    bool
	Current  bool
	// Stale is for how many seconds the node has been cut off; nil if there is
	// nothing new about that.
	Stale   *int
	Changes []Change
}

// Change is what is served of one config from now on.
type Change struct {
	Path config.Path
	// Release is nil if nothing is served any more.
	Release *ServedRelease
}

// Deleted reports whether nothing is served any more.
func (c Change) Deleted() bool { return c.Release == nil }
