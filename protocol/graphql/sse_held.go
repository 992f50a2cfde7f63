package graphql

import (
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// held is a stream that the goroutine of its handler carries: over HTTP/2, where many
// requests share a connection, that is the only one that can. A slow client holds up
// nobody else.
type held struct {
	eventStream
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController
	wake     chan struct{} // has room for one: to be woken twice is to be woken
	sent     time.Time     // when something was last sent
	extended time.Time     // when the deadline of writes was last moved; zero: there is none
}

func (t *transport) newHeld(w http.ResponseWriter, r *http.Request) *held {
	e := &held{w: w, r: r, control: http.NewResponseController(w), wake: make(chan struct{}, 1)}
	e.transport, e.ctx, e.carrier = t, r.Context(), e
	return e
}

// begin says what kind of answer it is.
func (e *held) begin() {
	line.EventHeaders(e.w.Header())
	// The deadlines that the server sets are for requests that end.
	_ = e.control.SetReadDeadline(time.Time{})
	e.w.WriteHeader(http.StatusOK)
	e.hello()
}

// notify is called from the view's loop.
func (e *held) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run sends what is new until the client goes away, the server shuts down, or the
// right to watch is withdrawn.
func (e *held) run() {
	interval := e.transport.api.settings.PingInterval
	heartbeat := time.NewTimer(interval)
	defer heartbeat.Stop()
	e.begin()
	e.err = e.identify(e.r)
	for e.flush() && e.pass() {
		select {
		case <-e.wake:
		case <-heartbeat.C:
			if !e.isProven() {
				return
			}
			quiet := time.Since(e.sent) // whatever was sent since is as good as a beat
			if quiet >= interval {
				e.beat()
				quiet = 0
			}
			heartbeat.Reset(interval - quiet)
		case <-e.r.Context().Done():
			return
		case <-e.transport.events.ending:
			e.bye()
			return
		}
	}
}

// Write implements carrier.
func (e *held) Write(b []byte) (int, error) {
	e.limit()
	return e.w.Write(b)
}

// Flush implements carrier. It lifts the deadline of writes: over HTTP/2 a stream
// that is idle when it passes would be reset.
func (e *held) Flush() error {
	e.limit()
	err := e.control.Flush()
	e.extended, e.sent = time.Time{}, time.Now()
	_ = e.control.SetWriteDeadline(time.Time{})
	return err
}

// limit moves the deadline of writes, by which the client must have taken something
// in. It only sheds the dead and so need not be exact.
func (e *held) limit() {
	timeout := e.transport.api.settings.WriteTimeout
	if now := time.Now(); now.Sub(e.extended) >= timeout/4 {
		e.extended = now
		_ = e.control.SetWriteDeadline(now.Add(timeout)) // not every connection has deadlines
	}
}

var _ carrier = (*held)(nil)
