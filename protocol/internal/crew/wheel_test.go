package crew

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type member struct {
	Seat
	visits []uint32
}

// Every member is visited once in each turn, and not all at once.
func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, interval = 40, 16 * time.Second
		w := NewWheel[*member](interval)
		all := make([]*member, members)
		for i := range all {
			all[i] = &member{}
			w.Add(all[i])
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		visited, most := map[time.Duration]int{}, 0
		began := time.Now()
		running.Go(func() {
			w.Run(ctx, func(m *member, turn uint32) {
				m.visits = append(m.visits, turn)
				at := time.Since(began)
				visited[at]++
				most = max(most, visited[at])
			})
		})
		<-time.After(3*interval + time.Millisecond)
		cancel()
		running.Wait()
		for i, m := range all {
			if !slices.Equal(m.visits, []uint32{1, 2, 3}) {
				t.Errorf("%d: want a visit in each turn, got %v", i, m.visits)
			}
		}
		if want := members/wheelSlots + 1; most > want {
			t.Errorf("want at most %d at once, got %d", want, most)
		}
	})
}

func TestWheelForgets(t *testing.T) {
	w := NewWheel[*member](time.Second)
	stays, goes := &member{}, &member{}
	w.Add(stays)
	w.Add(goes)
	w.Remove(goes)
	var left []*member
	w.All(func(m *member) { left = append(left, m) })
	if len(left) != 1 || left[0] != stays {
		t.Errorf("got %v", left)
	}
}

func TestSilence(t *testing.T) {
	m := &member{}
	m.Hear(5)
	if got := m.Silent(8); got != 3 {
		t.Errorf("want three turns, got %d", got)
	}
	m.Hear(^uint32(0))
	if got := m.Silent(1); got != 2 {
		t.Errorf("want two turns, got %d", got)
	}
}

// worker notes what it was told to do.
type worker struct {
	tasks Tasks
	crew  *Crew
	busy  atomic.Bool
	done  atomic.Uint32
	runs  atomic.Int32
	hold  chan struct{}
	odd   atomic.Bool // it was done twice at a time
}

func (w *worker) Work() {
	w.tasks.Do(w.crew, w, func(tasks uint32) {
		if !w.busy.CompareAndSwap(false, true) {
			w.odd.Store(true)
		}
		w.runs.Add(1)
		w.done.Or(tasks)
		if w.hold != nil {
			<-w.hold
		}
		w.busy.Store(false)
	})
}

// Tasks are all done, by one at a time, and those that wait together at once.
func TestTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &worker{crew: New(4, time.Hour), hold: make(chan struct{})}
		w.tasks.Hold()
		w.tasks.Add(1, w.crew, w)
		synctest.Wait()
		if w.runs.Load() != 0 {
			t.Error("it was not held")
		}
		w.tasks.Release(2, w.crew, w)
		synctest.Wait()
		for range 100 {
			w.tasks.Add(4, w.crew, w)
			w.tasks.Add(8, w.crew, w)
		}
		if !w.tasks.Waiting() {
			t.Error("want it at work")
		}
		close(w.hold)
		w.crew.Wait()
		if w.done.Load() != 15 || w.runs.Load() != 2 || w.odd.Load() || w.tasks.Waiting() {
			t.Errorf("want everything done in two runs, got %b in %d", w.done.Load(), w.runs.Load())
		}
	})
}

func TestTasksOfMany(t *testing.T) {
	c := New(4, time.Millisecond)
	w := &worker{crew: c}
	var adding sync.WaitGroup
	for i := range 32 {
		adding.Go(func() {
			for range 100 {
				w.tasks.Add(1<<i, c, w)
			}
		})
	}
	adding.Wait()
	c.Wait()
	if w.done.Load() != ^uint32(0) || w.odd.Load() {
		t.Errorf("got %b", w.done.Load())
	}
}
