package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// WatchRequest says what to watch.
type WatchRequest struct {
	// Patterns name configs, envs ("acme/checkout/prod") or shapes
	// ("acme/checkout/prod/app-*").
	Patterns []string
	// After is the Revision of the last Event that was dealt with; "" begins
	// with a snapshot of everything.
	After config.Token
	// NoContent leaves the contents out of the changes.
	NoContent bool
	// OnRetry, if set, is told of each disconnect and of the wait before the
	// next attempt.
	OnRetry func(err error, wait time.Duration)
	// OnStale, if set, is told when the node that the watch is on is cut off from
	// the others, with for how long it has been, and with 0 once it no longer is.
	// What it delivers meanwhile is old news. A reconnect begins with 0.
	OnStale func(stale time.Duration)
}

// Event is what one revision changed of what is watched.
type Event struct {
	// Revision is where to resume after this Event. It is opaque.
	Revision config.Token
	// Reset says to forget what was known: what is still served comes again, in
	// this Event and those up to the next that is Current.
	Reset bool
	// Current says that everything up to Revision has been delivered.
	Current bool
	// Partial says that the revision is not complete yet: who needs whole states
	// waits for the next Event that is not. After it one cannot resume.
	Partial bool
	Changes []Change
}

// Change is one config as it is served now.
type Change struct {
	Path    config.Path `json:"path"`
	Version int64       `json:"version,omitempty"`
	Format  string      `json:"format,omitempty"`
	Digest  string      `json:"digest,omitempty"` // lower-case hex SHA-256 of the content
	Size    int64       `json:"size,omitempty"`   // bytes
	Time    time.Time   `json:"time,omitzero"`
	// Deleted says that nothing is served at the path any more.
	Deleted bool   `json:"deleted,omitempty"`
	Content []byte `json:"-"`
}

// errStopped says that the consumer of a sequence wants no more.
var errStopped = errors.New("stopped")

// Watch yields what changes, in order, for as long as the loop runs and ctx
// lives. It reconnects by itself, with a jittered and growing wait, and resumes
// where it was, so that no final state is missed. The sequence ends after an
// error: one that trying again cannot mend (denied, invalid, not found …), or
// that of ctx.
func (c *Client) Watch(ctx context.Context, r WatchRequest) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watcher{c: c, r: r, after: r.After}
		for {
			err := w.connect(ctx, yield)
			if errors.Is(err, errStopped) {
				return
			}
			if ctx.Err() != nil {
				yield(Event{}, config.AsError(context.Cause(ctx)))
				return
			}
			wait, again := w.again(err)
			if !again {
				yield(Event{}, err)
				return
			}
			if r.OnRetry != nil {
				r.OnRetry(err, wait)
			}
			if sleep(ctx, wait) != nil {
				yield(Event{}, config.AsError(context.Cause(ctx)))
				return
			}
		}
	}
}

// watcher is the state of one Watch across connections.
type watcher struct {
	c     *Client
	r     WatchRequest
	after config.Token
	reset bool // the next event must say Reset: the place to resume at was lost
	stale bool // OnStale was told so
	tries int  // since the last event
	hint  time.Duration
}

// again says how long to wait after a connection ended with err.
func (w *watcher) again(err error) (time.Duration, bool) {
	switch {
	case config.KindOf(err) == config.Compacted && w.after != "":
		w.after, w.reset = "", true
		return 0, true
	case passing(err):
		wait := max(backoff(w.tries), w.hint)
		w.tries++
		return laterThan(err, wait), true
	}
	return 0, false
}

func (w *watcher) connect(ctx context.Context, yield func(Event, error) bool) error {
	s, err := w.c.open(ctx, w.request(), w.c.timeout, w.c.heartbeat)
	if err != nil {
		return err
	}
	defer s.close()
	if err = w.read(s, yield); elsewhere(err) {
		w.c.leave(s.at) // whatever ails it may not ail another
	}
	return err
}

// read yields what a stream brings until it ends, which is always an error.
func (w *watcher) read(s *stream, yield func(Event, error) bool) error {
	w.tellStale(0)
	if kind, _, _ := mime.ParseMediaType(s.Header.Get("Content-Type")); kind != "text/event-stream" {
		return config.Errorf(config.Unsupported, "watch", "", "the server, or a proxy before it, answered with %q instead of a stream of events", kind)
	}
	events := newSSEReader(s, maxAnswer)
	events.lastID = string(w.after)
	for {
		m, err := events.next()
		w.hint = min(events.retry, backoffMost)
		if errors.Is(err, io.EOF) {
			return config.Errorf(config.Unavailable, "watch", "", "the server closed the stream")
		}
		if err != nil {
			return err
		}
		// Only an id says where to resume: an event without one is a part of
		// something that is not complete yet.
		if err := w.deliver(m, !events.hasID, yield); err != nil {
			return err
		}
		w.after = config.Token(events.lastID)
	}
}

func (w *watcher) request() request {
	query := url.Values{"path": w.r.Patterns}
	if w.after != "" {
		query.Set("after", string(w.after))
	}
	if w.r.NoContent {
		query.Set("content", "false")
	}
	header := http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"identity"}, "Cache-Control": {"no-cache"}}
	return request{method: http.MethodGet, path: "/v1/watch", query: query, header: header}
}

// deliver decodes one event and yields it.
func (w *watcher) deliver(m message, partial bool, yield func(Event, error) bool) error {
	switch m.event {
	case "changes", "current":
	case "stale":
		var s struct {
			Seconds float64 `json:"seconds"`
		}
		if err := json.Unmarshal([]byte(m.data), &s); err != nil {
			return badEvent(err)
		}
		w.tellStale(time.Duration(s.Seconds * float64(time.Second)))
		return nil
	case "bye":
		return config.Errorf(config.Unavailable, "watch", "", "the server is going away")
	case "error":
		var p problem
		if err := json.Unmarshal([]byte(m.data), &p); err != nil {
			return badEvent(err)
		}
		return p.error(0, http.Header{})
	default:
		return nil // of a later server
	}
	event, err := decodeEvent([]byte(m.data))
	if err != nil {
		return err
	}
	event.Current = event.Current || m.event == "current"
	event.Reset = event.Reset || w.reset
	event.Partial = partial && !event.Current
	w.reset, w.tries = false, 0
	if !yield(event, nil) {
		return errStopped
	}
	return nil
}

// tellStale tells of a change, and of nothing else.
func (w *watcher) tellStale(stale time.Duration) {
	if w.r.OnStale != nil && (stale > 0 || w.stale) {
		w.r.OnStale(stale)
	}
	w.stale = stale > 0
}

func decodeEvent(data []byte) (Event, error) {
	var wire struct {
		Revision config.Token `json:"revision"`
		Reset    bool         `json:"reset"`
		Current  bool         `json:"current"`
		Changes  []wireChange `json:"changes"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return Event{}, badEvent(err)
	}
	event := Event{Revision: wire.Revision, Reset: wire.Reset, Current: wire.Current}
	for _, w := range wire.Changes {
		event.Changes = append(event.Changes, w.change())
	}
	return event, nil
}

func badEvent(err error) error {
	return config.Errorf(config.Unsupported, "watch", "", "an event that this client cannot read: %w", err)
}
