package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Sink sends to one server, over one connection at a time. It starts no
// goroutine that outlives a call.
type Sink struct {
	settings Settings
	format   format
	tls      *tls.Config // nil: plain TCP

	mu     sync.Mutex // over all below
	conn   net.Conn   // nil while there is none
	last   []byte     // the frames of the last batch, which a dying connection may have lost
	closed bool
}

// Write sends the records.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	}
	encoded, bad := audit.Encode(records)
	var frames []byte
	for _, r := range encoded {
		frames = s.format.appendFrame(frames, r)
	}
	if len(frames) == 0 {
		return bad
	}
	if err := s.send(ctx, frames); err != nil {
		s.drop()
		if ctx.Err() != nil { // rather than the deadline that it was made
			err = ctx.Err()
		}
		return &config.Error{Op: "write", Kind: kindOf(err), Path: place, Err: err}
	}
	s.last = frames
	return bad
}

// kindOf is KindOf, but what the network says is Unavailable.
func kindOf(err error) config.ErrorKind {
	if kind := config.KindOf(err); kind != config.Internal {
		return kind
	}
	return config.Unavailable
}

// How long to listen for a peer that hangs up: with a new connection, on which a
// server of TLS 1.3 refuses a client's certificate only after the handshake, and
// with one that stood before.
const (
	settle = 200 * time.Millisecond
	glance = time.Millisecond
)

// send sends the frames, and before them, over a new connection, the last batch.
func (s *Sink) send(ctx context.Context, frames []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Timeout)
	defer cancel()
	if s.conn != nil && hungUp(s.conn, glance) != nil {
		s.drop()
	}
	texts := [][]byte{frames}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
		texts = [][]byte{s.last, frames}
	}
	conn := s.conn
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(farPast()) })
	defer stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, text := range texts {
		if _, err := conn.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// dial connects, with the handshake of TLS.
func (s *Sink) dial(ctx context.Context) error {
	var err error
	if s.tls != nil {
		s.conn, err = (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.settings.Address)
	} else {
		s.conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.settings.Address)
	}
	if err != nil {
		s.conn = nil
		return err
	}
	return hungUp(s.conn, settle)
}

// hungUp listens for a while and returns an error if the peer has closed the
// connection. What it says is of no interest: servers of syslog are silent.
func hungUp(conn net.Conn, wait time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, 64<<10)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the server hung up")
	}
	return err
}

// drop ends the connection without ceremony.
func (s *Sink) drop() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn = nil
}

// longestFarewell is how long Close waits for the server to have read everything.
const longestFarewell = 2 * time.Second

// Close says that nothing follows, waits for the server to hang up too, so that
// all that was sent is read, and ends the sink.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = hungUp(s.conn, min(longestFarewell, s.settings.Timeout))
	}
	s.drop()
	return nil
}

var _ audit.Sink = (*Sink)(nil)
