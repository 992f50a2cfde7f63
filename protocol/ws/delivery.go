package ws

import (
	"context"
	"strconv"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// frames holds the messages that subscribers were sent lately, so that what many
// are told alike is encoded, and compressed, once.
type frames struct {
	cache *otter.Cache[string, *frame]
}

func newFrames(memory int64) (*frames, error) {
	cache, err := otter.New(&otter.Options[string, *frame]{
		MaximumWeight: uint64(memory),
		// Once for the frame, and once for what it is compressed to.
		Weigher: func(key string, f *frame) uint32 { return uint32(2*len(f.plain) + len(key) + 256) },
	})
	if err != nil {
		return nil, err
	}
	return &frames{cache: cache}, nil
}

// appendKey appends what tells a delivery from every other: who reads the same
// under it is sent the same. Releases never change, and no version is used twice;
// the change set is in it for envs that were deleted and made again.
func (s *subscription) appendKey(b []byte, d center.Delivery) []byte {
	b = append(b, byte(s.sort), flag(d.Reset)|flag(d.Current)<<1)
	b = append(append(b, s.id...), 0)
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

// frame returns the message of a delivery, as all are sent it who are told the same.
func (g *gateway) frame(s *subscription, d center.Delivery) (*frame, error) {
	var scratch [256]byte
	key := string(s.appendKey(scratch[:0], d))
	if f, found := g.frames.cache.GetIfPresent(key); found {
		return f, nil
	}
	return g.frames.cache.Get(g.life, key, otter.LoaderFunc[string, *frame](
		func(context.Context, string) (*frame, error) {
			var b buffer
			if err := g.write(s, d, &b); err != nil {
				return nil, err
			}
			return newFrame(b), nil
		}))
}

// output is where messages are put together.
type output interface {
	text(parts ...string)
	append(b []byte)
}

// buffer is a message that is held as a whole.
type buffer []byte

func (b *buffer) text(parts ...string) {
	for _, s := range parts {
		*b = append(*b, s...)
	}
}

func (b *buffer) append(p []byte) { *b = append(*b, p...) }

// write puts a delivery together: what changed, or that there is nothing to catch
// up with.
func (g *gateway) write(s *subscription, d center.Delivery, out output) error {
	opening := `{"type":"changes","id":`
	if !d.Reset && len(d.Changes) == 0 {
		opening = `{"type":"current","id":`
	}
	out.text(opening)
	out.append(encode(s.id))
	out.text(`,"revision":"`, string(d.Revision), `"`)
	if !d.Reset && len(d.Changes) == 0 {
		out.text(`}`)
		return nil
	}
	if d.Reset {
		out.text(`,"reset":true`)
	}
	if d.Current {
		out.text(`,"current":true`)
	}
	out.text(`,"changes":[`)
	for i := range d.Changes {
		if i > 0 {
			out.text(",")
		}
		change := &d.Changes[i]
		if change.Release == nil {
			out.append(fragment.AppendDeleted(nil, change.Path))
			continue
		}
		b, err := g.fragments.Get(g.life, change.Release, s.sort, s.watch.Content)
		if err != nil {
			return err
		}
		out.append(b)
	}
	out.text(`]}`)
	return nil
}

var (
	_ output = (*buffer)(nil)
	_ output = (*chunks)(nil)
)
