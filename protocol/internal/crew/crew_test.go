package crew

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// task is a job that is held up until it is let go.
type task struct {
	done *atomic.Int32
	hold chan struct{} // nil: it is not
}

func (j *task) Work() {
	if j.hold != nil {
		<-j.hold
	}
	j.done.Add(1)
}

func TestCrewDoesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(4, time.Millisecond)
		var done atomic.Int32
		for range 10_000 {
			c.Add(&task{done: &done})
		}
		c.Wait()
		if got := done.Load(); got != 10_000 {
			t.Errorf("want all done, got %d", got)
		}
		if len(c.working) != 0 || c.waiting() != 0 || c.watching {
			t.Errorf("want it at rest, got %+v", c)
		}
	})
}

// Those who are held up are relieved, soon, and no more work than are needed.
func TestCrewRelievesThoseHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hands, slow, patience = 4, 100, 5 * time.Millisecond
		c := New(hands, patience)
		var done, held atomic.Int32
		hold := make(chan struct{})
		for range slow {
			c.Add(&task{done: &held, hold: hold})
		}
		for range 1000 {
			c.Add(&task{done: &done})
		}
		began := time.Now()
		for done.Load() < 1000 {
			<-time.After(patience)
		}
		if took := time.Since(began); took > 10*patience {
			t.Errorf("the others waited %s", took)
		}
		synctest.Wait()
		c.mu.Lock()
		if got := len(c.working); got > slow+2*slow {
			t.Errorf("%d hands for %d that are held up", got, slow)
		}
		c.mu.Unlock()
		close(hold)
		c.Wait()
		if got := held.Load(); got != slow || c.heldUp != 0 || len(c.working) != 0 {
			t.Errorf("want all done and nobody held up, got %d %+v", got, c)
		}
		c.Add(&task{done: &done}) // it starts again
		c.Wait()
		if got := done.Load(); got != 1001 {
			t.Errorf("want one more, got %d", got)
		}
	})
}
