package crew

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// wheelSlots is in how many portions a turn is divided, so that the heartbeats of
// all connections do not go out at once.
const wheelSlots = 16

// Wheel visits every member once in each turn. It is in the place of a timer for
// each.
type Wheel[M Member] struct {
	tick  time.Duration
	turn  atomic.Uint32
	last  atomic.Uint32 // of the slots, who was given a member last
	slots [wheelSlots]slot[M]
}

// Member is what a wheel visits: something that has a Seat embedded.
type Member interface {
	comparable
	seat() *Seat
}

// Seat is a member's place on a wheel, to be embedded.
type Seat struct {
	heard atomic.Uint32 // the turn in which the client was last heard
	slot  uint8
}

func (s *Seat) seat() *Seat { return s }

// Hear notes that the member's client was heard in a turn.
func (s *Seat) Hear(turn uint32) { s.heard.Store(turn) }

// Silent returns for how many turns the member's client has not been heard.
func (s *Seat) Silent(turn uint32) uint32 { return turn - s.heard.Load() }

type slot[M Member] struct {
	mu      sync.Mutex
	members map[M]struct{}
}

// NewWheel makes a wheel that turns once in the interval.
func NewWheel[M Member](interval time.Duration) *Wheel[M] {
	w := &Wheel[M]{tick: max(interval/wheelSlots, time.Millisecond)}
	for i := range w.slots {
		w.slots[i].members = map[M]struct{}{}
	}
	return w
}

// Turn returns how often the wheel has turned.
func (w *Wheel[M]) Turn() uint32 { return w.turn.Load() }

// Add puts a member on the wheel, whose client counts as heard.
func (w *Wheel[M]) Add(m M) {
	seat := m.seat()
	seat.slot = uint8(w.last.Add(1) % wheelSlots)
	seat.Hear(w.Turn())
	s := &w.slots[seat.slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[m] = struct{}{}
}

// Remove takes a member off the wheel.
func (w *Wheel[M]) Remove(m M) {
	s := &w.slots[m.seat().slot]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, m)
}

// All calls fn with every member.
func (w *Wheel[M]) All(fn func(M)) {
	for i := range w.slots {
		for _, m := range w.slots[i].list() {
			fn(m)
		}
	}
}

func (s *slot[M]) list() []M {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]M, 0, len(s.members))
	for m := range s.members {
		all = append(all, m)
	}
	return all
}

// Run visits the members until ctx ends. visit must not block.
func (w *Wheel[M]) Run(ctx context.Context, visit func(m M, turn uint32)) {
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
		turn := w.Turn()
		for _, m := range w.slots[i].list() {
			visit(m, turn)
		}
	}
}
