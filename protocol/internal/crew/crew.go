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
// told of one change are not fifty thousand stacks. Whoever is held up by a client
// that takes nothing in is relieved, so that nobody else waits for that client; the
// crew grows by those held up, and shrinks again.
type Crew struct {
	hands    int           // how many work at a time, those held up not counted
	patience time.Duration // a job that takes longer is taken for held up

	mu       sync.Mutex
	queue    []Job // from head on
	head     int
	working  map[*hand]struct{}
	heldUp   int
	watching bool
	group    sync.WaitGroup
}

// hand is one goroutine of the crew. The crew's lock guards it.
type hand struct {
	since  time.Time // when it began with what it does
	heldUp bool
}

// New makes a crew of so many hands, in which who takes longer than patience for a
// job counts as held up. It rests until there is a job.
func New(hands int, patience time.Duration) *Crew {
	return &Crew{hands: hands, patience: patience, working: map[*hand]struct{}{}}
}

// Add has a job done soon. It does not block.
func (c *Crew) Add(j Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, j)
	if len(c.working)-c.heldUp < c.hands {
		c.hire()
		return
	}
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

func (c *Crew) hire() {
	h := &hand{since: time.Now()}
	c.working[h] = struct{}{}
	c.group.Go(func() {
		for j := c.next(h); j != nil; j = c.next(h) {
			j.Work()
		}
	})
}

// next takes the next job off the queue. It is nil when the hand should go: there
// is nothing to do, or others do what it was kept from.
func (c *Crew) next(h *hand) Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	relieved := h.heldUp
	if relieved {
		h.heldUp = false
		c.heldUp--
	}
	if c.waiting() == 0 || relieved && len(c.working)-c.heldUp > c.hands {
		delete(c.working, h)
		return nil
	}
	j := c.queue[c.head]
	c.queue[c.head] = nil
	if c.head++; c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
		if cap(c.queue) > 1<<12 {
			c.queue = nil
		}
	}
	h.since = time.Now()
	return j
}

func (c *Crew) waiting() int { return len(c.queue) - c.head }

// watch looks after the crew while jobs wait.
func (c *Crew) watch() {
	ticker := time.NewTicker(c.patience)
	defer ticker.Stop()
	for range ticker.C {
		if !c.relieve(time.Now()) {
			return
		}
	}
}

// relieve hires for those who are held up, and twice as many, since who comes
// next may be held up as well. It is false once no job waits.
func (c *Crew) relieve(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting() == 0 {
		c.watching = false
		return false
	}
	missing := 0
	for h := range c.working {
		if !h.heldUp && now.Sub(h.since) >= c.patience {
			h.heldUp = true
			c.heldUp++
			missing++
		}
	}
	for range min(2*missing, c.waiting()) {
		c.hire()
	}
	return true
}
