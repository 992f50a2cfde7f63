// Package view is a node's in-memory picture of everything that is released,
// built from the store's log and nothing else, and the hub of subscriptions
// that hang on it.
//
// One loop applies the log, each revision as a whole, publishes an immutable
// Snapshot by swapping one pointer, and then wakes the subscribers of what
// changed. Readers take no lock. The package must not write to the store, know
// rights, or keep contents: these come through the cache.
package view

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Options are what a View is made of.
type Options struct {
	Store store.Store
	Cache cache.Cache  // nil means that every content is read from the store
	Log   *slog.Logger // nil means slog.Default()
}

// View is a node's picture of the store. All methods are safe for concurrent
// use, but for Tail and Run, which come first and once.
type View struct {
	store store.Store
	cache cache.Cache
	log   *slog.Logger

	snapshot atomic.Pointer[Snapshot]
	ready    chan struct{} // closed by Run after the first load
	stopped  chan struct{} // closed by Run at its end
	hub      hub
	waiters  waiters
	fetches  fetches
	applier  *applier // of the apply loop alone
	tails    []tail
	counters counters
}

// tail is a listener to some sections of the log.
type tail struct {
	sections []record.Section
	fn       func(reset bool, b store.Batch)
}

// counters are what the apply loop tells Stats.
type counters struct {
	corrupt, rebuilds, faults, graves atomic.Int64
	waiting, appliedAt, applyTime     atomic.Int64
	following                         atomic.Bool
}

// New makes a View that knows nothing until Run has loaded it.
func New(o Options) *View {
	v := &View{
		store: o.Store, cache: o.Cache, log: o.Log,
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	if v.log == nil {
		v.log = slog.Default()
	}
	v.applier = newApplier(v.log, &v.counters.corrupt)
	v.snapshot.Store(&Snapshot{})
	return v
}

// Tail has fn called by the apply loop with every revision that changes the
// sections, before the snapshot of that revision is published, so that what is
// built from it is never behind the snapshot. On the first load and on every
// rebuild fn is called with reset set and one Batch of all entries. Releases,
// contents and audit records are never loaded: they come as they happen only,
// and drafts are loaded without their values.
//
// Tail must be called before Run; fn must not block or call the View.
func (v *View) Tail(section []record.Section, fn func(reset bool, b store.Batch)) {
	v.tails = append(v.tails, tail{sections: section, fn: fn})
}

// Ready is closed when the first load is complete.
func (v *View) Ready() <-chan struct{} { return v.ready }

// Snapshot returns the current picture. It is never nil; before Ready it is
// empty.
func (v *View) Snapshot() *Snapshot { return v.snapshot.Load() }

// WaitFor returns once the current snapshot is at the revision or a later one.
// The errors: Timeout and Canceled by ctx; Unavailable once Run has returned.
func (v *View) WaitFor(ctx context.Context, revision int64) error {
	if v.Snapshot().Revision >= revision {
		return nil
	}
	reached := make(chan struct{})
	w := v.waiters.add(revision, func() { close(reached) })
	defer v.waiters.remove(w)
	// Whatever was published before the waiter was added is seen here, whatever
	// comes later wakes it.
	if v.Snapshot().Revision >= revision {
		return nil
	}
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return config.Errorf(config.KindOf(ctx.Err()), "wait", "", "this node is at revision %d and has not reached %d: %w",
			v.Snapshot().Revision, revision, ctx.Err())
	case <-v.stopped:
		return config.Errorf(config.Unavailable, "wait", "", "this node no longer follows the store; ask another one")
	}
}

// publish makes what the applier has the current snapshot, and wakes whom it
// concerns: everybody, or those who watch what changed.
func (v *View) publish(everybody bool) {
	snap := v.applier.take()
	v.snapshot.Store(snap)
	v.counters.appliedAt.Store(time.Now().UnixNano())
	v.counters.graves.Store(int64(len(v.applier.graves)))
	v.waiters.reach(snap.Revision)
	if everybody {
		v.hub.wakeAll()
	} else {
		v.hub.wake(v.applier.changed)
	}
	clear(v.applier.changed)
	v.applier.changed = v.applier.changed[:0]
}

// Stats is how the view is doing.
type Stats struct {
	Revision    int64
	Floor       int64 // the oldest position that can be resumed from without a snapshot
	Configs     int   // without deleted ones
	Graves      int   // purged configs that are remembered
	Subscribers int
	Rebuilds    int64 // loads after the first one
	Corrupt     int64 // records that could not be read
	Faults      int64 // times the log was lost
	Following   bool  // the log is being followed right now
	// Waiting is how many batches were received but not yet applied when the
	// last group was begun: how far the loop is behind.
	Waiting   int
	LastApply time.Time     // when the last group of batches was published; zero before the first
	ApplyTime time.Duration // how long that took, wake-ups included
}

// Stats returns how the view is doing.
func (v *View) Stats() Stats {
	snap, c := v.Snapshot(), &v.counters
	s := Stats{
		Revision: snap.Revision, Floor: snap.floor, Configs: snap.configs.size(),
		Graves: int(c.graves.Load()), Subscribers: v.hub.size(),
		Rebuilds: c.rebuilds.Load(), Corrupt: c.corrupt.Load(), Faults: c.faults.Load(),
		Following: c.following.Load(), Waiting: int(c.waiting.Load()), ApplyTime: time.Duration(c.applyTime.Load()),
	}
	if at := c.appliedAt.Load(); at != 0 {
		s.LastApply = time.Unix(0, at)
	}
	return s
}
