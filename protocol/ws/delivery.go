package ws

import (
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// frame returns the message of a delivery, as all are sent it who are told the same.
func (g *gateway) frame(s *subscription, d *center.Delivery) (*socket.Frame, error) {
	var scratch [256]byte
	key := append(append(scratch[:0], s.id...), 0)
	return g.frames.Get(g.hub.Life(), fragment.AppendKey(key, d, s.sort), func() (*socket.Frame, error) {
		var b fragment.Buffer
		if err := g.write(s, d, &b); err != nil {
			return nil, err
		}
		return socket.NewFrame(b), nil
	})
}

// write puts a delivery together: what changed, or that there is nothing to catch
// up with.
func (g *gateway) write(s *subscription, d *center.Delivery, out fragment.Output) error {
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
	out.Text(`,"changes":`)
	if err := g.fragments.WriteChanges(g.hub.Life(), out, d, s.sort, s.watch.Content); err != nil {
		return err
	}
	out.Text(`}`)
	return nil
}

var _ fragment.Output = (*socket.Chunks)(nil)
