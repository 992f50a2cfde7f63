// Package inflight counts handlers that are under way, so that whoever ends a
// server can wait for them. It knows nothing of what they do.
package inflight

import (
	"sync/atomic"
	"time"
)

// Counter counts handlers. It costs each two atomic additions. Its methods may be
// called by any number at a time.
type Counter struct {
	count  atomic.Int64
	closed atomic.Bool
	idle   chan struct{} // takes a token when the count may have come to zero after closed
}

// New makes a Counter.
func New() *Counter { return &Counter{idle: make(chan struct{}, 1)} }

// Enter reports whether a handler may still begin. If so, it calls Leave at its end.
func (c *Counter) Enter() bool {
	c.count.Add(1)
	if !c.closed.Load() {
		return true
	}
	c.Leave()
	return false
}

// Leave notes the end of a handler.
func (c *Counter) Leave() {
	if c.count.Add(-1) == 0 && c.closed.Load() {
		select {
		case c.idle <- struct{}{}:
		default: // one token says it all
		}
	}
}

// Wait lets no further handler begin and waits for the others; false if that
// takes longer than the patience.
func (c *Counter) Wait(patience time.Duration) bool {
	c.closed.Store(true)
	over := time.NewTimer(patience)
	defer over.Stop()
	for c.count.Load() > 0 {
		select {
		case <-c.idle:
		case <-over.C:
			return false
		}
	}
	return true
}
