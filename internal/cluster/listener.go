package cluster

import (
	"context"
	"net"
	"sync"
	"time"
)

// queue is a listener whose connections were accepted elsewhere.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn // unbuffered: what is put has been taken
	closed chan struct{}
	close  sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// put hands a connection over; false if nobody takes it.
func (q *queue) put(ctx context.Context, conn net.Conn) bool {
	select {
	case <-q.closed:
		return false
	default:
	}
	select {
	case q.conns <- conn:
		return true
	case <-q.closed:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case <-q.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.close.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }

// impatient is a connection on which nothing may be stuck for long that is sent.
type impatient struct{ net.Conn }

// Write implements net.Conn.
func (c impatient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// callers counts who has come in and has not said yet who it is, and who has
// said that it is nobody in particular.
type callers struct {
	mu        sync.Mutex
	halfOpen  int
	of        map[string]int      // half open, by host
	strangers map[string]struct{} // by address with port
}

// enter reports whether one more may come in.
func (c *callers) enter(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halfOpen >= maxHalfOpen || c.of[host] >= maxHalfOpenOfOne {
		return false
	}
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.halfOpen++
	c.of[host]++
	return true
}

func (c *callers) leave(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halfOpen--
	if c.of[host]--; c.of[host] == 0 {
		delete(c.of, host)
	}
}

// stranger reports whether one more may stay.
func (c *callers) stranger(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.strangers) >= maxStrangers {
		return false
	}
	if c.strangers == nil {
		c.strangers = map[string]struct{}{}
	}
	c.strangers[addr] = struct{}{}
	return true
}

func (c *callers) strangerLeft(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.strangers, addr)
}

// refusals counts callers that were turned away and says when to tell: at the
// first, and then once a minute while there are more.
type refusals struct {
	mu    sync.Mutex
	count int
	told  time.Time
}

func (r *refusals) add(now time.Time) (count int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if !r.told.IsZero() && now.Sub(r.told) < time.Minute {
		return r.count, false
	}
	count, r.count, r.told = r.count, 0, now
	return count, true
}
