package rest

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// stream sends Server-Sent Events until the client goes away, the server shuts
// down, or the right to watch is withdrawn. Its goroutine is the handler's own:
// a slow client holds up nobody else, and what it has not taken in yet is
// conflated by the watch.
func (s *watching) stream() error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies would hold events back
	if s.r.Method == http.MethodHead {
		return nil
	}
	s.w.WriteHeader(http.StatusOK)
	s.api.observe("config.watch", ok, s.opened)
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

// pass sends everything that is new, in one event, and behind a snapshot, or the
// first that there is after resuming, the one that says so. It is false if the
// stream is at its end.
func (s *watching) pass() (alive bool) {
	if !s.tellStale() {
		return false
	}
	started := time.Now()
	d, more, err := s.watch.Next()
	if err != nil {
		s.sendError(err)
		return false
	}
	if !more {
		return true
	}
	out := s.output()
	revision := string(d.Revision)
	if d.Reset || len(d.Changes) > 0 {
		out.text("event: changes\nid: ", revision, "\ndata: ")
		if err := s.delivery(out, d, ""); err != nil {
			// The event has no end yet, so clients drop what they have of it. They
			// come back, and go on from the last one.
			s.api.log.ErrorContext(s.r.Context(), "watch cut short", "error", err)
			out.release()
			return false
		}
		out.text("\n\n")
	}
	if d.Current {
		out.text("event: current\nid: ", revision, "\ndata: {\"revision\":\"", revision, "\"}\n\n")
	}
	alive, n := s.finish(out)
	s.api.observer.ObserveDelivery(Name, int(n), time.Since(started))
	return alive
}

// hello tells the client how long to wait before it reconnects, a different
// time each, so that after a restart they do not all come at once.
func (s *watching) hello(out *output) {
	retry := s.api.settings.StreamRetry.Milliseconds()
	retry += rand.Int64N(retry + 1) //nolint:gosec // spreads load, guards nothing
	out.text("retry: ", strconv.FormatInt(retry, 10), "\n\n")
}

func goodbye(out *output) { out.text("event: bye\ndata: {\"reason\":\"shutdown\"}\n\n") }

// isProven looks whether the token that the stream was opened with is still good,
// and tells the client if it is not. Rights, and a password that it was opened with,
// are looked at by Next: with every delivery, and after each beat.
func (s *watching) isProven() bool {
	if auth.FromContext(s.r.Context()).TokenID == "" {
		return true
	}
	given, err := caller.Credentials(s.r.Header, auth.RequestFrom(s.r.Context()).Address)
	if err == nil {
		_, err = s.api.auth.Authenticate(s.r.Context(), given)
	}
	if kind := config.KindOf(err); err != nil && (kind == config.Unauthenticated || kind == config.Denied) {
		s.sendError(err)
		return false
	}
	return true
}

// beat sends a comment, by which both ends know that the stream lives.
func (s *watching) beat() bool {
	return s.send(func(out *output) { out.text(": heartbeat\n\n") })
}

func (s *watching) sendError(err error) {
	p := s.api.report(http.Header{}, s.r, err)
	body := bytes.TrimSuffix(strictjson.Encode(p), []byte("\n"))
	s.send(func(out *output) { out.text("event: error\ndata: ", string(body), "\n\n") })
}

// send writes one small event; false if the client is gone.
func (s *watching) send(event func(*output)) bool {
	out := s.output()
	event(out)
	alive, _ := s.finish(out)
	return alive
}

// finish writes what is left of an event and pushes it out, in one write where
// it fits.
func (s *watching) finish(out *output) (alive bool, bytes int64) {
	defer out.release()
	out.flush()
	if out.err != nil {
		return false, out.bytes
	}
	return s.control.Flush() == nil, out.bytes
}
