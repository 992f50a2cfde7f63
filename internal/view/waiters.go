package view

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// waiters are those who wait for a revision, in its order, so that a new one
// costs nothing for those whose turn it is not.
type waiters struct {
	count atomic.Int64
	mu    sync.Mutex
	list  []*waiter
}

type waiter struct {
	revision int64
	fn       func()
}

// add has fn called once, when the revision is reached. The caller looks at the
// snapshot again afterwards: it may have been reached meanwhile.
func (ws *waiters) add(revision int64, fn func()) *waiter {
	w := &waiter{revision: revision, fn: fn}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list = slices.Insert(ws.list, ws.after(revision), w)
	ws.count.Store(int64(len(ws.list)))
	return w
}

// remove forgets a waiter, if it is still waiting.
func (ws *waiters) remove(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i := ws.after(w.revision) - 1; i >= 0 && ws.list[i].revision == w.revision; i-- {
		if ws.list[i] == w {
			ws.list = slices.Delete(ws.list, i, i+1)
			ws.count.Store(int64(len(ws.list)))
			return
		}
	}
}

// reach calls those who wait for the revision or an earlier one.
func (ws *waiters) reach(revision int64) {
	if ws.count.Load() == 0 {
		return // who adds itself from now on sees the snapshot
	}
	ws.mu.Lock()
	n := ws.after(revision)
	woken := slices.Clone(ws.list[:n])
	ws.list = slices.Delete(ws.list, 0, n)
	ws.count.Store(int64(len(ws.list)))
	ws.mu.Unlock()
	for _, w := range woken {
		w.fn()
	}
}

// after returns the index of the first waiter for a later revision.
func (ws *waiters) after(revision int64) int {
	i, _ := slices.BinarySearchFunc(ws.list, revision, func(w *waiter, r int64) int {
		if w.revision == r {
			return -1
		}
		return cmp.Compare(w.revision, r)
	})
	return i
}
