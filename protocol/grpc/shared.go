package grpc

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// serveHTTP serves a call that came to the HTTP port.
func (a *api) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if a.stopped.Load() { // the library would say nothing
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(int(codes.Unavailable)))
		h.Set("Grpc-Message", "this node is shutting down; try another")
		return
	}
	demand := &demand{body: r.Body}
	demand.changed.L = &demand.mu
	r = r.WithContext(context.WithValue(r.Context(), demandKey{}, demand))
	r.Body = demand
	a.shared.ServeHTTP(&patient{ResponseWriter: w, control: http.NewResponseController(w), patience: a.settings.StreamWriteTimeout}, r)
}

// patient gives up a client of the HTTP port that takes in nothing for long.
type patient struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	extended time.Time // when the deadline of writes was last moved
}

// Write implements http.ResponseWriter.
func (p *patient) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (p *patient) Flush() {
	p.extend()
	// A client that is gone is noticed by who writes next.
	_ = p.control.Flush()
}

// extend moves the deadline of writes, which only sheds the dead and so need not
// be exact.
func (p *patient) extend() {
	if now := time.Now(); now.Sub(p.extended) > p.patience/8 {
		p.extended = now
		_ = p.control.SetWriteDeadline(now.Add(p.patience)) // not every connection has deadlines
	}
}

// demand is the body of a call that came to the HTTP port. It is read while the
// call waits for a message, and not before: the library would take in whatever
// comes, at any rate, and keep it.
type demand struct {
	body io.ReadCloser

	mu      sync.Mutex
	changed sync.Cond
	wanted  bool
	closed  bool
}

type demandKey struct{}

// wantMore says that a message is waited for, until the function that it returns
// is called. On the own port, where the library does so by itself, it does
// nothing.
func wantMore(ctx context.Context) (enough func()) {
	d, ok := ctx.Value(demandKey{}).(*demand)
	if !ok {
		return func() {}
	}
	d.set(func() { d.wanted = true })
	return func() { d.set(func() { d.wanted = false }) }
}

func (d *demand) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	d.changed.Broadcast()
}

// Read implements io.Reader.
func (d *demand) Read(b []byte) (int, error) {
	d.mu.Lock()
	for !d.wanted && !d.closed {
		d.changed.Wait()
	}
	d.mu.Unlock()
	return d.body.Read(b)
}

// Close implements io.Closer.
func (d *demand) Close() error {
	d.set(func() { d.closed = true })
	return d.body.Close()
}
