package graphql

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	gql "github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// eventType is the media type of Server-Sent Events.
const eventType = "text/event-stream"

// wantsEvents reports whether the answer may be Server-Sent Events, by the protocol
// of the npm package graphql-sse, in which each operation is a request of its own.
func wantsEvents(r *http.Request) bool { return accepts(r, eventType) }

// wantsJSON reports whether the answer may be one in JSON, too. Some clients say so
// with whatever they ask for.
func wantsJSON(r *http.Request) bool {
	return accepts(r, jsonType) || accepts(r, responseType) || accepts(r, "*/*")
}

func accepts(r *http.Request, media string) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), media)
}

// eventStreams are the requests that are answered by events.
type eventStreams struct {
	most     int
	observer protocol.Observer
	draining <-chan struct{}
	stop     chan struct{} // closed by close

	gate    sync.Mutex // over open, and the order of entering and closing
	open    int
	closed  bool
	running sync.WaitGroup
}

func newEventStreams(most int, host protocol.Host) *eventStreams {
	return &eventStreams{most: most, observer: host.Observer, draining: host.Draining, stop: make(chan struct{})}
}

// close ends all of them and waits for them, at most until ctx ends.
func (e *eventStreams) close(ctx context.Context) error {
	e.gate.Lock()
	if !e.closed {
		e.closed = true
		close(e.stop)
	}
	e.gate.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter takes one of the places that there are.
func (e *eventStreams) enter() error {
	const op = "config.watch"
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.isEnding() {
		return config.Errorf(config.Unavailable, op, "", "this node is shutting down; try another")
	}
	if e.open >= e.most {
		return config.Errorf(config.Unavailable, op, "", "this node has %d streams of events open, which is the most (max_connections); try another", e.open)
	}
	e.open++
	e.running.Add(1)
	e.observer.ObserveStreams(Name, 1)
	return nil
}

func (e *eventStreams) isEnding() bool {
	select {
	case <-e.draining:
		return true
	case <-e.stop:
		return true
	default:
		return false
	}
}

func (e *eventStreams) leave() {
	e.gate.Lock()
	e.open--
	e.gate.Unlock()
	e.observer.ObserveStreams(Name, -1)
	e.running.Done()
}

// serveEvents answers a request by events, unless it has one answer and the client
// takes that as JSON.
func (t *transport) serveEvents(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	ctx, o, err := t.api.ask(r.Context(), w, r)
	e := &eventStream{transport: t, w: w, r: r.WithContext(ctx), control: http.NewResponseController(w), wake: make(chan struct{}, 1)}
	switch {
	case err != nil:
		t.api.observe("-", err, started)
		if wantsJSON(r) {
			t.api.fail(w, r, err)
			return
		}
		e.refuse(err)
	case o.isSubscription():
		err = e.subscribe(o)
		t.api.observe("Subscription.watch", err, started)
		if err != nil {
			e.refuse(err)
			return
		}
		defer t.events.leave()
		defer e.stream.watch.Close()
		e.run()
	default:
		ctx, cancel := context.WithTimeout(ctx, t.api.settings.Timeout)
		defer cancel()
		answer := t.api.execute(ctx, o)
		if wantsJSON(r) {
			t.api.write(w, r, http.StatusOK, answer)
			return
		}
		e.begin()
		e.last(answer)
	}
}

// eventStream is one request that is answered by events. Its goroutine is the
// handler's own: a slow client holds up nobody else, and what it has not taken in yet
// is conflated by the watch.
type eventStream struct {
	transport *transport
	stream    stream
	w         http.ResponseWriter
	r         *http.Request
	control   *http.ResponseController
	wake      chan struct{} // has room for one: to be woken twice is to be woken
	sent      time.Time     // when something was last written
	extended  time.Time     // when the deadline of writes was last moved
	err       error         // of the first write that failed
	bytes     int
}

// refuse answers what cannot be done: what is wrong with the operation by an event,
// as the protocol wants it, and all else as any other request.
func (e *eventStream) refuse(err error) {
	switch config.KindOf(err) {
	case config.Unavailable, config.Throttled, config.Timeout, config.Canceled, config.Unauthenticated:
		e.transport.api.fail(e.w, e.r, err)
		return
	}
	if status := statusOf(e.r, err); auth.FromContext(e.r.Context()).Anonymous() || status == http.StatusMethodNotAllowed || status == http.StatusUnsupportedMediaType {
		e.transport.api.fail(e.w, e.r, err)
		return
	}
	e.begin()
	e.last(e.transport.api.refuse(e.r.Context(), err))
}

// begin says what kind of answer it is, and how long to wait before reconnecting: a
// different time each, so that after a restart not all come at once.
func (e *eventStream) begin() {
	h := e.w.Header()
	h.Set("Content-Type", eventType)
	h.Set("X-Accel-Buffering", "no") // proxies would hold events back
	// The deadlines that the server sets are for requests that end.
	_ = e.control.SetReadDeadline(time.Time{})
	e.w.WriteHeader(http.StatusOK)
	e.Text("retry: ", strconv.FormatInt(e.transport.hub.Retry().Milliseconds(), 10), "\n\n")
}

// last sends an answer behind which there are no more.
func (e *eventStream) last(answer *gql.Response) {
	e.Text("event: next\ndata: ")
	e.Append(encode(answer))
	// Browsers pass an event on only if it has data.
	e.Text("\n\nevent: complete\ndata: \n\n")
	e.flush()
}

// subscribe takes a place and begins the subscription. A client that reconnects by
// itself repeats its request, and tells the last event that it had.
func (e *eventStream) subscribe(o *operation) error {
	if err := e.transport.events.enter(); err != nil {
		return err
	}
	var err error
	e.stream, err = e.transport.openStream(e.r.Context(), o, config.Token(e.r.Header.Get("Last-Event-ID")), e.notify)
	if err != nil {
		e.transport.events.leave()
	}
	return err
}

// notify is called from the view's loop.
func (e *eventStream) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run sends what is new until the client goes away, the server shuts down, or the
// right to watch is withdrawn.
func (e *eventStream) run() {
	interval := e.transport.api.settings.PingInterval
	heartbeat := time.NewTimer(interval)
	defer heartbeat.Stop()
	e.begin()
	for e.flush() && e.pass() {
		select {
		case <-e.wake:
		case <-heartbeat.C:
			if !e.isProven() {
				return
			}
			quiet := time.Since(e.sent) // whatever was sent since is as good as a beat
			if quiet >= interval {
				e.Text(": heartbeat\n\n")
				quiet = 0
			}
			heartbeat.Reset(interval - quiet)
		case <-e.r.Context().Done():
			return
		case <-e.transport.events.draining:
			e.bye()
			return
		case <-e.transport.events.stop:
			e.bye()
			return
		}
	}
}

// bye ends the stream without completing it, from which clients learn that they
// should come back.
func (e *eventStream) bye() {
	e.Text(": ", e.transport.goodbye(), "\n\n")
	e.flush()
}

// pass sends everything that is new. It is false if the stream is at its end.
func (e *eventStream) pass() bool {
	for {
		started := time.Now()
		h, more, err := e.transport.next(&e.stream)
		if err == nil && !more {
			return true
		}
		e.bytes = 0
		if err == nil {
			err = e.send(&h)
		}
		if err != nil {
			if e.bytes > 0 {
				// The event has no end yet, so clients drop what they have of it, come back,
				// and go on from the one before.
				e.transport.api.log.ErrorContext(e.r.Context(), "watch cut short", "error", err)
				return false
			}
			e.last(e.transport.api.refuse(e.r.Context(), err))
			return false
		}
		e.transport.api.observer.ObserveDelivery(Name, e.bytes, time.Since(started))
		if h.stale == nil || !e.flush() {
			return e.flush()
		}
	}
}

// send writes one event.
func (e *eventStream) send(h *happening) error {
	r, s := e.transport.renderer, &e.stream
	if s.plan.isLarge(h) {
		e.open(h)
		if err := r.write(s.plan, h, s.watch.Content, e); err != nil {
			return err
		}
	} else {
		answer, err := r.answer(s.plan, h, s.watch.Content)
		if err != nil {
			return err
		}
		e.open(h)
		b := answer.Bytes()
		e.Append(b[:len(b)-1]) // without what ends a message over WebSocket
	}
	e.Text("\n\n")
	return nil
}

func (e *eventStream) open(h *happening) {
	e.Text("event: next\nid: ", string(h.Revision), "\ndata: ")
}

// isProven looks whether the token that the stream was opened with is still good, and
// tells the client if it is not. Rights, and a password that it was opened with, are
// looked at by the watch: with every delivery, and after each heartbeat.
func (e *eventStream) isProven() bool {
	ctx := e.r.Context()
	if auth.FromContext(ctx).TokenID == "" {
		return true
	}
	given, err := caller.Credentials(e.r.Header, auth.RequestFrom(ctx).Address)
	if err == nil {
		_, err = e.transport.api.auth.Authenticate(ctx, given)
	}
	if isRefusal(err) {
		e.last(e.transport.api.refuse(ctx, err))
		return false
	}
	return true
}

// Text implements output.
func (e *eventStream) Text(parts ...string) {
	for _, s := range parts {
		if e.err == nil {
			e.extend()
			_, e.err = io.WriteString(e.w, s)
			e.bytes += len(s)
		}
	}
}

// Append implements output.
func (e *eventStream) Append(b []byte) {
	if e.err == nil {
		e.extend()
		_, e.err = e.w.Write(b) //nolint:gosec // it is JSON, in a stream of events
		e.bytes += len(b)
	}
}

// Failed implements output.
func (e *eventStream) Failed() bool { return e.err != nil }

// flush pushes out what was written; false if the client is gone.
func (e *eventStream) flush() bool {
	if e.err == nil {
		e.extend()
		e.err = e.control.Flush()
	}
	return e.err == nil
}

// extend moves the deadline of writes, which only sheds the dead and so need not be
// exact.
func (e *eventStream) extend() {
	now := time.Now()
	e.sent = now
	if timeout := e.transport.api.settings.WriteTimeout; now.Sub(e.extended) >= timeout/4 {
		e.extended = now
		_ = e.control.SetWriteDeadline(now.Add(timeout)) // not every connection has deadlines
	}
}

var _ output = (*eventStream)(nil)
