package graphql

import (
	"context"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// stream is one subscription, however it is carried: a watch, and how what it tells
// is rendered. It belongs to one goroutine at a time.
type stream struct {
	plan  *plan
	watch *center.Watch
	stale bool // the client was told that the node is cut off
}

// openStream begins a subscription. after is where to resume, if the operation does
// not say; notify is called as center.Watch says.
func (t *transport) openStream(ctx context.Context, o *operation, after config.Token, notify func()) (s stream, err error) {
	asked, err := o.watch()
	if err != nil {
		return s, err
	}
	p, err := newPlan(o, asked.content)
	if err != nil {
		return s, err
	}
	if _, err := t.renderer.planned(p); err != nil {
		return s, err
	}
	if after == "" {
		after = asked.after
	}
	for i, text := range asked.patterns {
		asked.patterns[i] = strings.Clone(text) // which may be a piece of a large document
	}
	w, err := t.api.center.Watch(ctx, center.WatchRequest{
		Patterns: asked.patterns, Client: clientOf(ctx), After: after, Protocol: Name,
	}, notify)
	return stream{plan: p, watch: w}, err
}

// next returns what is new; ok is false if nothing is. An error ends the stream.
func (t *transport) next(s *stream) (h happening, ok bool, err error) {
	stale := t.api.center.Staleness()
	if (stale > 0) != s.stale {
		s.stale = stale > 0
		if s.plan.stale {
			seconds := int(stale / time.Second)
			h.stale, h.Revision = &seconds, s.watch.Revision()
			return h, true, nil
		}
	}
	h.Delivery, ok, err = s.watch.Next()
	return h, ok, err
}

// isRefusal reports whether an error means that the caller is no longer who may be
// here.
func isRefusal(err error) bool {
	kind := config.KindOf(err)
	return err != nil && (kind == config.Unauthenticated || kind == config.Denied)
}
