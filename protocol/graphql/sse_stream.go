package graphql

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	gql "github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// eventStream is what the client of one request is told by events, whatever carries
// them. What a slow client has not taken in yet is conflated by the watch. It belongs
// to one goroutine at a time.
type eventStream struct {
	stream
	transport *transport
	ctx       context.Context  // who the client is, for as long as the stream lasts
	token     auth.Credentials // with which the stream was opened, if it was a token or a certificate
	carrier   carrier
	bytes     int   // written since it was last looked at
	err       error // of the first write that failed; nothing is written after it
}

// carrier takes events to a client. What is written may be held back until Flush.
type carrier interface {
	io.Writer
	Flush() error
}

// identify remembers who asks for a stream.
func (e *eventStream) identify(r *http.Request) error {
	given, err := caller.Credentials(r, auth.RequestFrom(r.Context()).Address)
	if err != nil || auth.FromContext(r.Context()).TokenID == "" && given.Said() {
		return err
	}
	given.Token = config.NewSecret(strings.Clone(given.Token.Reveal())) // without the request around it
	e.token = given
	return nil
}

// hello tells the client how long to wait before it reconnects: a different time
// each, so that after a restart not all come at once.
func (e *eventStream) hello() {
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

// bye ends the stream without completing it, from which clients learn that they
// should come back.
func (e *eventStream) bye() {
	e.Text(": ", e.transport.goodbye(), "\n\n")
	e.flush()
}

// beat sends a comment, by which both ends know that the stream lives.
func (e *eventStream) beat() { e.Text(": heartbeat\n\n") }

// isProven looks whether the token or certificate that the stream was opened with is
// still good, and tells the client if it is not. Rights, and a password that it was opened with, are
// looked at by the watch: with every delivery, and after each heartbeat.
func (e *eventStream) isProven() bool {
	if e.token.Empty() {
		return true
	}
	_, err := e.transport.api.auth.Authenticate(e.ctx, e.token)
	if isRefusal(err) {
		e.last(e.transport.api.refuse(e.ctx, err))
		return false
	}
	return true
}

// pass sends everything that is new. It is false if the stream is at its end.
func (e *eventStream) pass() bool {
	for {
		started := time.Now()
		h, more, err := e.transport.next(&e.stream)
		if err == nil && !more {
			return e.flush()
		}
		e.bytes = 0
		if err == nil {
			err = e.send(&h)
		}
		switch {
		case err != nil && e.bytes > 0:
			// The event has no end yet, so clients drop what they have of it, come back,
			// and go on from the one before.
			e.transport.api.log.ErrorContext(e.ctx, "watch cut short", "request_id", auth.RequestFrom(e.ctx).ID, "error", err)
			return false
		case err != nil:
			e.last(e.transport.api.refuse(e.ctx, err))
			return false
		}
		alive := e.flush()
		e.transport.api.observer.ObserveDelivery(Name, e.bytes, time.Since(started))
		if h.stale == nil || !alive {
			return alive
		}
	}
}

// send writes one event.
func (e *eventStream) send(h *happening) error {
	r := e.transport.renderer
	if e.plan.isLarge(h) {
		e.open(h)
		if err := r.write(e.plan, h, e.watch.Content, e); err != nil {
			return err
		}
	} else {
		answer, err := r.answer(e.plan, h, e.watch.Content)
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

// Text implements output.
func (e *eventStream) Text(parts ...string) {
	for _, s := range parts {
		if e.err == nil {
			_, e.err = io.WriteString(e.carrier, s)
			e.bytes += len(s)
		}
	}
}

// Append implements output.
func (e *eventStream) Append(b []byte) {
	if e.err == nil {
		_, e.err = e.carrier.Write(b)
		e.bytes += len(b)
	}
}

// Failed implements output.
func (e *eventStream) Failed() bool { return e.err != nil }

// flush pushes out what was written; false if the client is gone.
func (e *eventStream) flush() bool {
	if e.err == nil {
		e.err = e.carrier.Flush()
	}
	return e.err == nil
}

var _ output = (*eventStream)(nil)
