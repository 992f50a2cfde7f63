package crew

import "sync/atomic"

// Tasks are what is to be done for one connection, as bits. The zero Tasks are none.
type Tasks struct {
	set    atomic.Uint32
	queued atomic.Bool // the crew has the job, or does it
}

// Add notes tasks and has the crew do the job, unless it has it already. It does not
// block.
func (t *Tasks) Add(tasks uint32, c *Crew, j Job) {
	t.set.Or(tasks)
	if t.queued.CompareAndSwap(false, true) {
		c.Add(j)
	}
}

// Do is the job's work: it has the tasks performed that were noted. What is noted
// meanwhile the crew does when it has done what others wait for.
func (t *Tasks) Do(c *Crew, j Job, perform func(tasks uint32)) {
	perform(t.set.Swap(0))
	t.queued.Store(false)
	if t.set.Load() != 0 && t.queued.CompareAndSwap(false, true) {
		c.Add(j)
	}
}

// Hold keeps the job from the crew until Release, whatever tasks are added.
func (t *Tasks) Hold() { t.queued.Store(true) }

// Release ends Hold, and has the crew do the job.
func (t *Tasks) Release(tasks uint32, c *Crew, j Job) {
	t.set.Or(tasks)
	c.Add(j)
}

// Waiting reports whether the crew has the job, or does it.
func (t *Tasks) Waiting() bool { return t.queued.Load() }
