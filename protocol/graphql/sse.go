package graphql

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// eventType is the media type of Server-Sent Events.
const eventType = line.EventType

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
	ending   chan struct{} // closed once all are to end
	begin    sync.Once

	gate    sync.Mutex // over open, and the order of entering and ending
	open    int
	running sync.WaitGroup

	// What those over HTTP/1.1 have in the place of goroutines and timers.
	crew    *crew.Crew
	wheel   *crew.Wheel[*parked]
	buffers sync.Pool // of *[eventBuffer]byte
	life    context.Context
	end     context.CancelFunc
	relay   sync.WaitGroup
}

func newEventStreams(s *Settings, host protocol.Host) *eventStreams {
	const patience = 5 * time.Millisecond
	e := &eventStreams{
		most: s.MaxConnections, observer: host.Observer, draining: host.Draining, ending: make(chan struct{}),
		// More hands than processors, since a hand also waits for what is not in memory.
		crew: crew.New(4*runtime.GOMAXPROCS(0), patience), wheel: crew.NewWheel[*parked](s.PingInterval),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.relay.Go(func() { e.wheel.Run(e.life, (*parked).visit) })
	e.relay.Go(func() {
		select {
		case <-e.draining:
			e.finish()
		case <-e.ending:
		}
	})
	return e
}

// finish has all of them say good-bye.
func (e *eventStreams) finish() {
	e.begin.Do(func() {
		e.gate.Lock() // who enters is either counted by now or refused
		close(e.ending)
		e.gate.Unlock()
		e.wheel.All(func(p *parked) { p.kick(tellBye) })
	})
}

// close ends all of them and waits for them. Those that are open when ctx ends are cut.
func (e *eventStreams) close(ctx context.Context) error {
	e.finish()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.running.Wait()
		e.crew.Wait()
		e.end()
		e.relay.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		e.wheel.All(func(p *parked) { p.line.Abort() })
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
	case <-e.ending:
		return true
	case <-e.draining:
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
	r = r.WithContext(ctx)
	switch {
	case err != nil:
		t.api.observe("-", err, started)
		if wantsJSON(r) {
			t.api.fail(w, r, err)
			return
		}
		t.refuseByEvent(w, r, err)
	case o.isSubscription():
		t.stream(w, r, o, started)
	default:
		ctx, cancel := context.WithTimeout(ctx, t.api.settings.Timeout)
		defer cancel()
		answer := t.api.execute(ctx, o)
		if wantsJSON(r) {
			t.api.write(w, r, http.StatusOK, answer)
			return
		}
		e := t.newHeld(w, r)
		e.begin()
		e.last(answer)
	}
}

// stream answers a subscription: with a connection that is taken over, if that can
// be, else by the handler's own goroutine.
func (t *transport) stream(w http.ResponseWriter, r *http.Request, o *operation, started time.Time) {
	err := t.events.enter()
	if err == nil && isParkable(w, r) {
		err = t.park(w, r, o)
		t.api.observe("Subscription.watch", err, started)
		if err != nil {
			t.events.leave()
			t.refuseByEvent(w, r, err)
		}
		return
	}
	var e *held
	if err == nil {
		defer t.events.leave()
		e = t.newHeld(w, r)
		e.stream, err = t.openStream(r.Context(), o, lastEvent(r), e.notify)
	}
	t.api.observe("Subscription.watch", err, started)
	if err != nil {
		t.refuseByEvent(w, r, err)
		return
	}
	defer e.watch.Close()
	e.run()
}

// lastEvent is where a client is that reconnects by itself: it repeats its request,
// and tells the last event that it had.
func lastEvent(r *http.Request) config.Token {
	return config.Token(strings.Clone(r.Header.Get("Last-Event-ID")))
}

// refuseByEvent answers what cannot be done: what is wrong with the operation by an
// event, as the protocol wants it, and all else as any other request.
func (t *transport) refuseByEvent(w http.ResponseWriter, r *http.Request, err error) {
	switch config.KindOf(err) {
	case config.Unavailable, config.Throttled, config.Timeout, config.Canceled, config.Unauthenticated:
		t.api.fail(w, r, err)
		return
	}
	status := statusOf(r, err)
	if auth.FromContext(r.Context()).Anonymous() || status == http.StatusMethodNotAllowed || status == http.StatusUnsupportedMediaType {
		t.api.fail(w, r, err)
		return
	}
	e := t.newHeld(w, r)
	e.begin()
	e.last(t.api.refuse(r.Context(), err))
}
