package rest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// stream is what the client of one watch is told by Server-Sent Events, whatever
// carries them. What a slow client has not taken in yet is conflated by the watch.
// It belongs to one goroutine at a time.
type stream struct {
	api     *api
	ctx     context.Context // who the client is, for as long as the stream lasts
	watch   *center.Watch
	sort    fragment.Sort
	stale   bool             // the client was told that this node is cut off
	token   auth.Credentials // with which the stream was opened, if it was a token or a certificate
	carrier carrier
}

// carrier takes events to a client. Its calls must not overlap.
type carrier interface {
	// output lends an output for events that only this client is sent.
	output() *output
	// share writes events that many clients are sent.
	share(e bulletin) (sent int, err error)
	// flush pushes out what was written.
	flush() error
}

// bulletin is what many streams are sent alike: the text, and the chunk that it is
// over HTTP/1.1.
type bulletin struct{ text, chunk []byte }

// weight is how much memory it takes, in bytes.
func (e bulletin) weight() int { return len(e.chunk) + 256 }

// identify remembers who asks for a stream.
func (s *stream) identify(r *http.Request) error {
	id := auth.FromContext(r.Context())
	given, err := caller.Credentials(r, auth.RequestFrom(r.Context()).Address)
	if id.TokenID != "" || !given.Said() {
		s.token = given
	}
	return err
}

// pass sends everything that is new, in one event, and behind a snapshot, or the
// first that there is after resuming, the one that says so. It is false if the
// stream is at its end.
func (s *stream) pass() (alive bool) {
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
	alive, sent := s.tell(&d)
	s.api.observer.ObserveDelivery(Name, int(sent), time.Since(started))
	return alive
}

// tell sends a delivery: encoded once for all who are told the same, or piece by
// piece if it is large.
func (s *stream) tell(d *center.Delivery) (alive bool, sent int64) {
	if fragment.Size(d, s.sort) > fragment.Whole {
		out := s.carrier.output()
		if err := s.write(out, d); err != nil {
			// The event has no end yet, so clients drop what they have of it. They
			// come back, and go on from the last one.
			s.cutShort(err)
			out.release()
			return false, 0
		}
		return s.finish(out)
	}
	var scratch [256]byte
	e, err := s.api.events.Get(s.ctx, fragment.AppendKey(scratch[:0], d, s.sort), func() (bulletin, error) {
		b := make(fragment.Buffer, chunkHead)
		if err := s.write(&b, d); err != nil {
			return bulletin{}, err
		}
		n := len(b) - chunkHead
		b.Text("\r\n")
		return bulletin{text: b[chunkHead:][:n], chunk: closeChunk(b, n)}, nil
	})
	if err != nil {
		s.cutShort(err)
		return false, 0
	}
	n, err := s.carrier.share(e)
	return err == nil && s.carrier.flush() == nil, int64(n)
}

func (s *stream) cutShort(err error) {
	s.api.log.ErrorContext(s.ctx, "watch cut short", "request_id", auth.RequestFrom(s.ctx).ID, "error", err)
}

// write puts the events of a delivery together.
func (s *stream) write(out fragment.Output, d *center.Delivery) error {
	revision := string(d.Revision)
	if d.Reset || len(d.Changes) > 0 {
		out.Text("event: changes\nid: ", revision, "\ndata: ")
		if err := s.delivery(out, d, ""); err != nil {
			return err
		}
		out.Text("\n\n")
	}
	if d.Current {
		out.Text("event: current\nid: ", revision, "\ndata: {\"revision\":\"", revision, "\"}\n\n")
	}
	return nil
}

// delivery writes a delivery as a JSON object on one line.
func (s *stream) delivery(out fragment.Output, d *center.Delivery, extra string) error {
	out.Text(`{"revision":"`, string(d.Revision), `","reset":`, strconv.FormatBool(d.Reset), extra, `,"changes":`)
	if err := s.api.fragments.WriteChanges(s.ctx, out, d, s.sort, s.watch.Content); err != nil {
		return err
	}
	out.Text(`}`)
	return nil
}

// hello tells the client how long to wait before it reconnects, a different
// time each, so that after a restart they do not all come at once.
func (s *stream) hello(out *output) {
	retry := s.api.settings.StreamRetry.Milliseconds()
	retry += rand.Int64N(retry + 1) //nolint:gosec // spreads load, guards nothing
	out.Text("retry: ", strconv.FormatInt(retry, 10), "\n\n")
}

func goodbye(out *output) { out.Text("event: bye\ndata: {\"reason\":\"shutdown\"}\n\n") }

// beat sends a comment, by which both ends know that the stream lives.
func (s *stream) beat() bool {
	return s.send(func(out *output) { out.Text(": heartbeat\n\n") })
}

// isProven looks whether the token or certificate that the stream was opened with is
// still good, and tells the client if it is not. Rights, and a password that it was opened with,
// are looked at by Next: with every delivery, and after each beat.
func (s *stream) isProven() bool {
	if s.token.Empty() {
		return true
	}
	_, err := s.api.auth.Authenticate(s.ctx, s.token)
	if kind := config.KindOf(err); err != nil && (kind == config.Unauthenticated || kind == config.Denied) {
		s.sendError(err)
		return false
	}
	return true
}

func (s *stream) sendError(err error) {
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: watchPath}}).WithContext(s.ctx)
	p := s.api.report(http.Header{}, r, err)
	body := bytes.TrimSuffix(strictjson.Encode(p), []byte("\n"))
	s.send(func(out *output) { out.Text("event: error\ndata: ", string(body), "\n\n") })
}

// send writes one small event; false if the client is gone.
func (s *stream) send(event func(*output)) bool {
	out := s.carrier.output()
	event(out)
	alive, _ := s.finish(out)
	return alive
}

// finish writes what is left of an event and pushes it out, in one write where
// it fits.
func (s *stream) finish(out *output) (alive bool, bytes int64) {
	defer out.release()
	out.flush()
	if out.err != nil {
		return false, out.bytes
	}
	return s.carrier.flush() == nil, out.bytes
}
