package graphql

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// renderer turns what watches tell into answers, once for all who select the same
// and are told the same. An answer is put together of the event without its changes,
// and of each change by itself, which those share who are told of it together with
// others: so a large one is never in memory as a whole.
type renderer struct {
	api     *api
	life    context.Context //nolint:containedctx // what is shared is not made for one request
	answers *otter.Cache[string, *socket.Shared]
	changes *otter.Cache[string, rendered]
}

// rendered is a change in JSON, once for each time that the changes are selected.
type rendered [][]byte

// wholeAnswer is the most content, in bytes, of an answer that is held as a whole,
// so that all share it.
const wholeAnswer = 64 << 10

func newRenderer(life context.Context, a *api) (*renderer, error) {
	r := &renderer{api: a, life: life}
	var err error
	if r.answers, err = otter.New(&otter.Options[string, *socket.Shared]{
		MaximumWeight: uint64(a.settings.Frames),
		Weigher:       func(key string, s *socket.Shared) uint32 { return uint32(s.Weight() + len(key)) },
	}); err != nil {
		return nil, err
	}
	r.changes, err = otter.New(&otter.Options[string, rendered]{
		MaximumWeight: uint64(a.settings.Fragments),
		Weigher: func(key string, all rendered) uint32 {
			weight := len(key) + 128
			for _, b := range all {
				weight += len(b) + 24
			}
			return uint32(weight)
		},
	})
	return r, err
}

// happening is what a stream tells at once: a delivery, or for how many seconds the
// node has been cut off.
type happening struct {
	center.Delivery
	stale *int
}

// isLarge reports whether an answer is too large to be held as a whole.
func (p *plan) isLarge(h *happening) bool {
	const each = 256 // of what is told of a change beside its content
	size := int64(len(h.Changes)) * each
	for i := range h.Changes {
		if r := h.Changes[i].Release; r != nil && p.content {
			size += r.Size
		}
	}
	return size > wholeAnswer
}

// appendKey appends what tells an answer from every other: who reads the same under
// it is sent the same.
func (p *plan) appendKey(b []byte, h *happening) []byte {
	b = append(b, p.hash[:]...)
	b = append(b, flag(p.content)|flag(h.Reset)<<1|flag(h.Current)<<2)
	if h.stale != nil {
		b = strconv.AppendInt(b, int64(*h.stale), 10)
	}
	b = append(append(append(b, 0), h.Revision...), 0)
	for i := range h.Changes {
		b = appendChange(b, h.Changes[i].Path, h.Changes[i].Release)
	}
	return b
}

// appendChange appends what tells a change from every other. Releases never change,
// and no version is used twice; the change set is in it for envs that were deleted
// and made again.
func appendChange(b []byte, p config.Path, r *config.Release) []byte {
	for _, name := range [...]string{p.Tenant, p.App, p.Env, p.Name} {
		b = append(append(b, name...), '/')
	}
	if r != nil {
		b = strconv.AppendInt(b, r.Version, 10)
		b = append(append(append(b, ' '), r.ChangeSet...), 0)
	}
	return b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// answer returns an answer that is held as a whole; behind it is the bracket that ends
// a message.
func (r *renderer) answer(p *plan, h *happening, load model.Loader) (*socket.Shared, error) {
	var scratch [320]byte
	key := string(p.appendKey(scratch[:0], h))
	if s, found := r.answers.GetIfPresent(key); found {
		return s, nil
	}
	return r.answers.Get(r.life, key, otter.LoaderFunc[string, *socket.Shared](
		func(context.Context, string) (*socket.Shared, error) {
			var b buffer
			if err := r.write(p, h, load, &b); err != nil {
				return nil, err
			}
			return socket.NewShared(append(b, '}')), nil
		}))
}

// output is where answers are put together.
type output interface {
	Text(parts ...string)
	Append(b []byte)
	// Failed reports whether nobody reads what comes.
	Failed() bool
}

// buffer is an answer that is held as a whole.
type buffer []byte

// Text implements output.
func (b *buffer) Text(parts ...string) {
	for _, s := range parts {
		*b = append(*b, s...)
	}
}

// Append implements output.
func (b *buffer) Append(p []byte) { *b = append(*b, p...) }

// Failed implements output.
func (*buffer) Failed() bool { return false }

// write puts an answer together.
func (r *renderer) write(p *plan, h *happening, load model.Loader, out output) error {
	o, err := r.planned(p)
	if err != nil {
		return err
	}
	bare, err := r.execute(o, &watchEvent{Revision: h.Revision, Reset: h.Reset, Current: h.Current, Stale: h.stale})
	if err != nil {
		return err
	}
	out.Text(`{"data":{"`, o.key, `":{`)
	list := 0
	for i, field := range o.fields {
		if i > 0 {
			out.Text(`,`)
		}
		out.Text(`"`, field.key, `":`)
		if !field.list {
			out.Append(bare[field.key])
			continue
		}
		if err := r.writeChanges(p, o, h, load, list, out); err != nil {
			return err
		}
		list++
	}
	out.Text(`}}}`)
	return nil
}

func (r *renderer) writeChanges(p *plan, o *planned, h *happening, load model.Loader, list int, out output) error {
	out.Text(`[`)
	for i := range h.Changes {
		if i > 0 {
			out.Text(`,`)
		}
		all, err := r.change(p, o, h.Changes[i].Path, h.Changes[i].Release, load)
		if err != nil {
			return err
		}
		if out.Append(all[list]); out.Failed() {
			break
		}
	}
	out.Text(`]`)
	return nil
}

// change renders one change; release is nil where nothing is served any more.
func (r *renderer) change(p *plan, o *planned, path config.Path, release *config.Release, load model.Loader) (rendered, error) {
	var scratch [320]byte
	key := string(appendChange(append(append(scratch[:0], p.hash[:]...), flag(p.content)), path, release))
	if all, found := r.changes.GetIfPresent(key); found {
		return all, nil
	}
	return r.changes.Get(r.life, key, otter.LoaderFunc[string, rendered](
		func(context.Context, string) (rendered, error) {
			told := model.Change{Path: path}
			if !p.content {
				load = nil
			}
			if release != nil {
				told.Release = model.NewServedRelease(release, load)
			}
			event, err := r.execute(o, &watchEvent{Changes: []model.Change{told}})
			if err != nil {
				return nil, err
			}
			var all rendered
			for _, field := range o.fields {
				if field.list {
					list := event[field.key]
					all = append(all, list[1:len(list)-1])
				}
			}
			return all, nil
		}))
}

// execute renders an event as the library does, and returns its fields.
func (r *renderer) execute(o *planned, e *watchEvent) (map[string]json.RawMessage, error) {
	answer := r.api.execute(withEvent(r.life, e), o.operation)
	if len(answer.Errors) > 0 {
		return nil, config.AsError(answer.Errors[0].Err)
	}
	var data map[string]map[string]json.RawMessage
	if err := json.Unmarshal(answer.Data, &data); err != nil {
		return nil, &config.Error{Op: "config.watch", Kind: config.Internal, Err: err}
	}
	return data[o.key], nil
}

var (
	_ output = (*buffer)(nil)
	_ output = (*socket.Chunks)(nil)
)
