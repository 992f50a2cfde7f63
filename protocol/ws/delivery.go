package ws

import (
	"context"
	"strconv"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// frames holds the messages that subscribers were sent lately, so that what many
// are told alike is encoded, and compressed, once.
type frames struct {
	cache *otter.Cache[string, *socket.Frame]
}

func newFrames(memory int64) (*frames, error) {
	cache, err := otter.New(&otter.Options[string, *socket.Frame]{
		MaximumWeight: uint64(memory),
		Weigher:       func(key string, f *socket.Frame) uint32 { return uint32(f.Weight() + len(key)) },
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
func (g *gateway) frame(s *subscription, d center.Delivery) (*socket.Frame, error) {
	var scratch [256]byte
	key := string(s.appendKey(scratch[:0], d))
	if f, found := g.frames.cache.GetIfPresent(key); found {
		return f, nil
	}
	return g.frames.cache.Get(g.hub.Life(), key, otter.LoaderFunc[string, *socket.Frame](
		func(context.Context, string) (*socket.Frame, error) {
			var b buffer
			if err := g.write(s, d, &b); err != nil {
				return nil, err
			}
			return socket.NewFrame(b), nil
		}))
}

// output is where messages are put together.
type output interface {
	Text(parts ...string)
	Append(b []byte)
}

// buffer is a message that is held as a whole.
type buffer []byte

// Text implements output.
func (b *buffer) Text(parts ...string) {
	for _, s := range parts {
		*b = append(*b, s...)
	}
}

// Append implements output.
func (b *buffer) Append(p []byte) { *b = append(*b, p...) }

// write puts a delivery together: what changed, or that there is nothing to catch
// up with.
func (g *gateway) write(s *subscription, d center.Delivery, out output) error {
	opening := `{"type":"changes","id":`
	if !d.Reset && len(d.Changes) == 0 {
		opening = `{"type":"current","id":`
	}
	out.Text(opening)
	out.Append(encode(s.id))
	out.Text(`,"revision":"`, string(d.Revision), `"`)
	if !d.Reset && len(d.Changes) == 0 {
		out.Text(`}`)
		return nil
	}
	if d.Reset {
		out.Text(`,"reset":true`)
	}
	if d.Current {
		out.Text(`,"current":true`)
	}
	out.Text(`,"changes":[`)
	for i := range d.Changes {
		if i > 0 {
			out.Text(",")
		}
		change := &d.Changes[i]
		if change.Release == nil {
			out.Append(fragment.AppendDeleted(nil, change.Path))
			continue
		}
		b, err := g.fragments.Get(g.hub.Life(), change.Release, s.sort, s.watch.Content)
		if err != nil {
			return err
		}
		out.Append(b)
	}
	out.Text(`]}`)
	return nil
}

var (
	_ output = (*buffer)(nil)
	_ output = (*socket.Chunks)(nil)
)
