package fragment

import (
	"context"
	"strconv"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/center"
)

// Whole is the most content, in bytes, of a delivery that is encoded as a whole, so
// that all who are told the same share it. A larger one is encoded for each, piece by
// piece as it is sent.
const Whole = 64 << 10

// Size is about how large a delivery gets, in bytes.
func Size(d *center.Delivery, sort Sort) int64 {
	const each = 256 // of what is told of a config beside its content
	size := int64(len(d.Changes)) * each
	for i := range d.Changes {
		if r := d.Changes[i].Release; r != nil && sort != ChangeOnly {
			size += r.Size
		}
	}
	return size
}

// AppendKey appends what tells a delivery from every other: who reads the same
// under it is sent the same. Releases never change, and no version is used twice;
// the change set is in it for envs that were deleted and made again.
func AppendKey(b []byte, d *center.Delivery, sort Sort) []byte {
	b = append(b, byte(sort), flag(d.Reset)|flag(d.Current)<<1)
	b = append(append(b, d.Revision...), 0)
	for i := range d.Changes {
		change := &d.Changes[i]
		p := change.Path
		for _, name := range [...]string{p.Tenant, p.App, p.Env, p.Name} {
			b = append(append(b, name...), '/')
		}
		if r := change.Release; r != nil {
			b = strconv.AppendInt(b, r.Version, 10)
			b = append(append(append(b, ' '), r.ChangeSet...), 0)
		}
	}
	return b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Output is where deliveries are put together.
type Output interface {
	// Text appends texts.
	Text(parts ...string)
	// Append appends bytes, which it may go on to hold.
	Append(b []byte)
}

// Buffer is an Output that holds everything.
type Buffer []byte

// Text implements Output.
func (b *Buffer) Text(parts ...string) {
	for _, s := range parts {
		*b = append(*b, s...)
	}
}

// Append implements Output.
func (b *Buffer) Append(p []byte) { *b = append(*b, p...) }

// WriteChanges writes the changes of a delivery as a JSON array. load has the
// contents.
func (c *Cache) WriteChanges(ctx context.Context, out Output, d *center.Delivery, sort Sort, load Loader) error {
	out.Text("[")
	for i := range d.Changes {
		if i > 0 {
			out.Text(",")
		}
		change := &d.Changes[i]
		if change.Release == nil {
			out.Append(AppendDeleted(nil, change.Path))
			continue
		}
		b, err := c.Get(ctx, change.Release, sort, load)
		if err != nil {
			return err
		}
		out.Append(b)
	}
	out.Text("]")
	return nil
}

// Shared holds what many were sent alike lately, so that it is encoded once. It is
// safe for concurrent use.
type Shared[V any] struct {
	cache *otter.Cache[string, V]
}

// NewShared makes one of so many bytes. weigh returns how many a value takes.
func NewShared[V any](memory int64, weigh func(V) int) (*Shared[V], error) {
	cache, err := otter.New(&otter.Options[string, V]{
		MaximumWeight: uint64(memory),
		Weigher:       func(key string, v V) uint32 { return uint32(weigh(v) + len(key)) },
	})
	if err != nil {
		return nil, err
	}
	return &Shared[V]{cache: cache}, nil
}

// Get returns what is under the key, and makes it if there is nothing; others wait
// for the one that makes it. An error is not remembered.
func (s *Shared[V]) Get(ctx context.Context, key []byte, create func() (V, error)) (V, error) {
	name := string(key)
	if v, found := s.cache.GetIfPresent(name); found {
		return v, nil
	}
	return s.cache.Get(context.WithoutCancel(ctx), name, otter.LoaderFunc[string, V](
		func(context.Context, string) (V, error) { return create() }))
}

// Len returns about how many values there are.
func (s *Shared[V]) Len() int { return s.cache.EstimatedSize() }

var _ Output = (*Buffer)(nil)
