package ws

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// wheelSlots is in how many portions a ping interval is divided, so that the
// pings of all connections do not go out at once.
const wheelSlots = 16

// wheel visits every connection once in each turn. It is in the place of a timer
// for each.
type wheel struct {
	tick  time.Duration
	turn  atomic.Uint32
	last  atomic.Uint32 // of the slots, who was given a connection last
	slots [wheelSlots]slot
}

type slot struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newWheel(interval time.Duration) *wheel {
	w := &wheel{tick: max(interval/wheelSlots, time.Millisecond)}
	for i := range w.slots {
		w.slots[i].conns = map[*conn]struct{}{}
	}
	return w
}

// add puts a connection on the wheel.
func (w *wheel) add(c *conn) {
	c.slot = uint8(w.last.Add(1) % wheelSlots)
	c.heard.Store(w.turn.Load())
	s := &w.slots[c.slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (w *wheel) remove(c *conn) {
	s := &w.slots[c.slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// all calls fn with every connection.
func (w *wheel) all(fn func(*conn)) {
	for i := range w.slots {
		for _, c := range w.slots[i].list() {
			fn(c)
		}
	}
}

func (s *slot) list() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// run visits the connections until ctx ends. visit must not block.
func (w *wheel) run(ctx context.Context, visit func(c *conn, turn uint32)) {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for i := 0; ; i = (i + 1) % wheelSlots {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if i == 0 {
			w.turn.Add(1)
		}
		turn := w.turn.Load()
		for _, c := range w.slots[i].list() {
			visit(c, turn)
		}
	}
}
