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
		if got := held.Load(); got != slow || c.places > 2*hands || len(c.working) != 0 {
			t.Errorf("want all done and nobody held up, got %d %+v", got, c)
		}
		c.Add(&task{done: &done}) // it starts again
		c.Wait()
		if got := done.Load(); got != 1001 {
			t.Errorf("want one more, got %d", got)
		}
	})
}

// Jobs that each wait for a moment, as a write does whose reader comes
// at once: nobody is held up, however many of them there are.
func TestCrewThatGoesOnStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hands, jobs, patience = 4, 10_000, 5 * time.Millisecond
		c := New(hands, patience)
		var done atomic.Int32
		most := 0
		for range jobs {
			c.Add(&pause{time.Millisecond, &done})
		}
		for done.Load() < jobs {
			<-time.After(patience)
			c.mu.Lock()
			most = max(most, len(c.working))
			c.mu.Unlock()
		}
		c.Wait()
		if most > 2*hands {
			t.Errorf("want about %d hands, there were %d", hands, most)
		}
	})
}

// Those who were slow for a while, all at once, leave nobody waiting behind them.
func TestCrewIsWholeAgainAfterItWasSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hands, patience = 4, 5 * time.Millisecond
		c := New(hands, patience)
		var done atomic.Int32
		hold := make(chan struct{})
		defer c.Wait()
		defer close(hold)
		for range 10 {
			c.Add(&task{done: &done, hold: hold})
		}
		for range 50 { // each as slow as one that is held up
			c.Add(&pause{2 * patience, &done})
		}
		for done.Load() < 50 {
			<-time.After(patience)
		}
		c.Add(&task{done: &done})
		<-time.After(100 * patience)
		synctest.Wait()
		if got := done.Load(); got != 51 {
			t.Errorf("want the last job done beside those that are held up, got %d of 51", got)
		}
	})
}

type pause struct {
	d    time.Duration
	done *atomic.Int32
}

func (p *pause) Work() {
	<-time.After(p.d)
	p.done.Add(1)
}
