package rest

import (
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// held is a stream that the goroutine of its handler carries: over HTTP/2, where
// many requests share a connection, that is the only one that can. A slow client
// holds up nobody else.
type held struct {
	stream
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	wake    chan struct{} // has room for one: to be woken twice is to be woken
	sent    time.Time     // when something was last written
	// extended is when the deadline of writes was last moved.
	extended time.Time
}

// notify is called from the view's loop.
func (s *held) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// serve sends events until the client goes away, the server shuts down, or the
// right to watch is withdrawn.
func (s *held) serve() error {
	line.EventHeaders(s.w.Header())
	if s.r.Method == http.MethodHead {
		return nil
	}
	s.w.WriteHeader(http.StatusOK)
	if !s.send(s.hello) {
		return nil
	}
	heartbeat := time.NewTimer(s.api.settings.Heartbeat)
	defer heartbeat.Stop()
	for s.pass() {
		select {
		case <-s.wake:
		case <-heartbeat.C:
			if !s.isProven() {
				return nil
			}
			// Whatever was sent since is as good as a beat. To move the timer each time
			// would cost more than to look here.
			quiet := time.Since(s.sent)
			if quiet >= s.api.settings.Heartbeat {
				if !s.beat() {
					return nil
				}
				quiet = 0
			}
			heartbeat.Reset(s.api.settings.Heartbeat - quiet)
		case <-s.r.Context().Done():
			return nil
		case <-s.api.ending:
			s.send(goodbye)
			return nil
		}
	}
	return nil
}

// output implements carrier: it gives up on a client that takes in nothing.
func (s *held) output() *output {
	out := s.api.output(s.w)
	out.before = s.extend
	return out
}

// share implements carrier.
func (s *held) share(e bulletin) (int, error) {
	s.extend()
	return s.w.Write(e.text)
}

// flush implements carrier.
func (s *held) flush() error { return s.control.Flush() }

// extend moves the deadline of writes, which only sheds the dead and so need
// not be exact: to move it for every event was an eighth of a delivery's cost.
func (s *held) extend() {
	now := time.Now()
	s.sent = now
	if now.Sub(s.extended) < s.api.settings.StreamWriteTimeout/4 {
		return
	}
	s.extended = now
	_ = s.control.SetWriteDeadline(now.Add(s.api.settings.StreamWriteTimeout)) // not every connection has deadlines
}

var _ carrier = (*held)(nil)
