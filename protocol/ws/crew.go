package ws

import (
	"sync"
	"time"
)

// job is a connection that has something to send.
type job interface{ work() }

// crew is the few goroutines that send for all connections. A connection has none
// of its own: fifty thousand that are told of one change are not fifty thousand
// stacks. Whoever is held up by a client that takes nothing in is relieved, so
// that nobody else waits for that client; the crew grows by those held up, and
// shrinks again.
type crew struct {
	hands    int           // how many work at a time, those held up not counted
	patience time.Duration // a job that takes longer is taken for held up

	mu       sync.Mutex
	queue    []job // from head on
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

func newCrew(hands int, patience time.Duration) *crew {
	return &crew{hands: hands, patience: patience, working: map[*hand]struct{}{}}
}

// add has a job done soon. It does not block.
func (c *crew) add(j job) {
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

// wait returns when everything is done that was added before.
func (c *crew) wait() { c.group.Wait() }

func (c *crew) hire() {
	h := &hand{since: time.Now()}
	c.working[h] = struct{}{}
	c.group.Go(func() {
		for j := c.next(h); j != nil; j = c.next(h) {
			j.work()
		}
	})
}

// next takes the next job off the queue. It is nil when the hand should go: there
// is nothing to do, or others do what it was kept from.
func (c *crew) next(h *hand) job {
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

func (c *crew) waiting() int { return len(c.queue) - c.head }

// watch looks after the crew while jobs wait.
func (c *crew) watch() {
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
func (c *crew) relieve(now time.Time) bool {
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
