package center

import (
	"sync"
	"time"
)

// instances are the clients that speak to this node: the watches that are open
// and, in its register, everybody who says a name. None of it is ever stored.
//
// What there is to tell of a watch stands in the Watch itself, and what changes
// all the time is asked of it when somebody wants to know: an idle watch costs
// one entry of a map. There are never more than the protocols let in.
type instances struct {
	register
	mu   sync.Mutex
	open map[*Watch]struct{}
	// reports holds a token once something was reported since it was last taken.
	reports chan struct{}
}

func newInstances(l Limits) *instances {
	i := &instances{open: map[*Watch]struct{}{}, reports: make(chan struct{}, 1)}
	i.prepare(l)
	return i
}

// add enters a watch as of now.
func (i *instances) add(w *Watch, now time.Time) {
	w.since = i.stamp(now)
	w.named = i.opened(w)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open[w] = struct{}{}
}

func (i *instances) remove(w *Watch, now time.Time) {
	i.mu.Lock()
	_, there := i.open[w]
	delete(i.open, w)
	i.mu.Unlock()
	if there {
		i.closed(w, w.sub.Revision(), now)
	}
}

func (i *instances) size() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.open)
}

// list returns the watches that are open now.
func (i *instances) list() []*Watch {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]*Watch, 0, len(i.open))
	for w := range i.open {
		all = append(all, w)
	}
	return all
}

// wake notifies every watch.
func (i *instances) wake() {
	for _, w := range i.list() {
		w.notify()
	}
}

// reported returns a channel that holds a token once an instance has reported
// something new to this node since it was last received from. It is for one
// receiver, who then asks for what he wants to know.
func (i *instances) reported() <-chan struct{} { return i.reports }

func (i *instances) tellReported() {
	select {
	case i.reports <- struct{}{}:
	default: // he has not come for the last one yet
	}
}

// InstanceStats counts the instances of a node.
type InstanceStats struct {
	Remembered int    // that say a name
	Connected  int    // of them, with an open watch
	Lost       uint64 // since the start: not remembered, for there was no room
}

// InstanceStats counts the instances of this node. It acts for the node itself
// and asks no rights.
func (c *Center) InstanceStats() InstanceStats {
	total, idle := c.instances.total.Load(), c.instances.idle.Load()
	return InstanceStats{Remembered: int(total), Connected: int(max(0, total-idle)), Lost: c.instances.lost.Load()}
}
