// Package crew does the work of many connections with few goroutines: a Crew
// sends for all of them, and a Wheel visits each in turn. So an idle connection has
// neither a goroutine for writing nor a timer. The package knows nothing of what
// is sent.
package crew

import (
	"sync"
	"time"
)

// Job is something that a Crew does, once for each time that it is added: mostly a
// connection that has something to send.
type Job interface{ Work() }

// Crew is the few goroutines that work for all connections: fifty thousand that are
// told of one change are not fifty thousand stacks. Who is held up by a client that
// takes nothing in is relieved, so that nobody else waits for that client; the crew
// grows by about those who are held up, and shrinks again.
type Crew struct {
	hands    int           // how many work at a time if nobody is held up
	patience time.Duration // a job that takes longer was held up

	mu       sync.Mutex
	queue    []Job // from head on
	head     int
	working  map[*hand]struct{}
	places   int // how many may work; hands, and more while some are held up
	done     int // jobs, since the watch last looked
	watching bool
	group    sync.WaitGroup
}

// hand is one goroutine of the crew.
type hand struct{ since time.Time } // when it began with what it does; the crew's lock guards it

// New makes a crew of so many hands, in which who takes longer than patience for a
// job counts as held up. It rests until there is a job.
func New(hands int, patience time.Duration) *Crew {
	return &Crew{hands: hands, patience: patience, places: hands, working: map[*hand]struct{}{}}
}

// Add has a job done soon. It does not block.
func (c *Crew) Add(j Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, j)
	if len(c.working) < c.places {
		c.hire()
		return
	}
	c.lookAfter()
}

// lookAfter has it watched that what waits is begun. The lock is held.
func (c *Crew) lookAfter() {
	if !c.watching {
		c.watching = true
		c.group.Go(c.watch)
	}
}

// Wait returns when everything is done that was added before.
func (c *Crew) Wait() { c.group.Wait() }

// Busy returns how many hands have been at one job for longer than d.
func (c *Crew) Busy(d time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := 0
	for h := range c.working {
		if time.Since(h.since) > d {
			all++
		}
	}
	return all
}

// hire takes on one more hand. The lock is held.
func (c *Crew) hire() {
	h := &hand{since: time.Now()}
	c.working[h] = struct{}{}
	c.group.Go(func() {
		for j := c.next(h, false); j != nil; j = c.next(h, true) {
			j.Work()
		}
	})
}

// next returns what a hand does next, or nil if it is not needed any more. worked
// says that it has done a job.
func (c *Crew) next(h *hand, worked bool) Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if worked {
		c.done++
		if c.places > c.hands && now.Sub(h.since) >= c.patience {
			c.places-- // which somebody else was given in its stead
		}
	}
	if c.waiting() == 0 || len(c.working) > c.places {
		delete(c.working, h)
		if c.waiting() > 0 {
			c.lookAfter()
		}
		// Those who still work may all be held up; more places than that needs are
		// left of a time when it was not clear who was.
		c.places = min(c.places, len(c.working)+c.hands)
		return nil
	}
	j := c.queue[c.head]
	c.queue[c.head] = nil
	if c.head++; c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
		if cap(c.queue) > 1<<12 { // it was for everybody at once
			c.queue = nil
		}
	}
	h.since = now
	return j
}

// waiting is how many jobs nobody has begun. The lock is held.
func (c *Crew) waiting() int { return len(c.queue) - c.head }

// watch looks after those who are held up, while there is work that waits.
func (c *Crew) watch() {
	ticker := time.NewTicker(c.patience)
	defer ticker.Stop()
	more := c.hands
	for range ticker.C {
		if more = c.relieve(more); more == 0 {
			return
		}
	}
}

// relieve takes on more hands if too little was done since it was last called for
// none to be held up: who they are need not be known. It returns how many it would
// take on the next time, twice as many if it has, or 0 if nothing waits. So those
// that wait behind many who are held up do not wait long, and a crew that goes on,
// however slowly on a machine that is busy, stays small.
func (c *Crew) relieve(more int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.done
	c.done = 0
	switch {
	case c.waiting() == 0:
		c.watching = false
		return 0
	case done >= c.hands:
		return c.hands
	}
	for range min(more, c.waiting()) {
		c.places++
		c.hire()
	}
	return 2 * more
}
