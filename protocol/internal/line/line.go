// Package line takes connections over from net/http, for streams that outlast a
// request by hours: then nothing of the request is held, neither its buffers nor a
// goroutine with the stack of a handler.
package line

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Line is a connection that was taken over. Every write to it has a deadline.
type Line struct {
	net.Conn
	timeout  time.Duration
	extended atomic.Int64 // when the deadline of writes was last moved, in ns since 1970
}

// linger is how long a client may take to close its side once this one is closed.
const linger = time.Second

// Able reports whether a request's connection can be taken over: not that of HTTP/2,
// which many requests share, nor one on which a body comes.
func Able(w http.ResponseWriter, r *http.Request) bool {
	_, able := w.(http.Hijacker)
	return able && r.ProtoMajor == 1 && r.ProtoMinor == 1 && (r.Body == nil || r.Body == http.NoBody)
}

// Take takes over the connection of a request for which Able holds and to which
// nothing was answered. A write fails if the client takes nothing in for the timeout.
//
// The line is nil if the client has sent something behind its request, which would
// be lost: then the connection is closed.
func Take(w http.ResponseWriter, timeout time.Duration) (*Line, error) {
	hijacker, able := w.(http.Hijacker)
	if !able {
		return nil, config.Errorf(config.Internal, "connect", "", "the connection cannot be taken over")
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return nil, &config.Error{Op: "connect", Kind: config.Internal, Err: err}
	}
	if buffered.Reader.Buffered() > 0 {
		_ = conn.Close()
		return nil, nil
	}
	return &Line{Conn: conn, timeout: timeout}, nil
}

// Write implements net.Conn. It moves the deadline of writes, which only sheds the
// dead and so need not be exact: to move it for every write would cost more than
// it is worth.
func (l *Line) Write(p []byte) (int, error) {
	if now := time.Now(); now.UnixNano()-l.extended.Load() > int64(l.timeout/4) {
		l.extended.Store(now.UnixNano())
		_ = l.SetWriteDeadline(now.Add(l.timeout)) // what is wrong with the connection, the write tells
	}
	return l.Conn.Write(p)
}

// Lifted notes that somebody else has lifted the deadline of writes.
func (l *Line) Lifted() { l.extended.Store(0) }

// Close implements net.Conn. What was written last the client has yet to read: a
// connection with unread data in it would be reset, and that lost. So only this side
// is closed; Drain then reads what comes for a while.
func (l *Line) Close() error {
	_ = l.SetReadDeadline(time.Now().Add(linger)) // of a connection that is gone, reading fails as well
	if half, able := l.Conn.(interface{ CloseWrite() error }); able {
		return half.CloseWrite()
	}
	return nil
}

// Drain reads what still comes of a client that was told to go, until the deadline
// that Close has set.
func (l *Line) Drain() {
	const most = 1 << 20                      // bytes
	_, _ = io.CopyN(io.Discard, l.Conn, most) // whatever it is, nobody wants it
}

// Abort ends the connection at once.
func (l *Line) Abort() {
	below := l.Conn
	if secure, ok := below.(*tls.Conn); ok {
		below = secure.NetConn() // without a good-bye, for which it might wait
	}
	_ = below.Close() // it is over either way
}

var _ net.Conn = (*Line)(nil)
