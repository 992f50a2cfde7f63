package view

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Bounds of the time between two attempts to reach a store that fails.
const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// maxGroup is the most batches that are applied before a snapshot is published,
// and how many the reader of the log may be ahead. It bounds what they hold in
// memory; more would not make the loop faster.
const maxGroup = 64

// Run loads the view and follows the log until ctx ends; it then returns nil.
// It outlives compaction, by loading anew, and faults of the store, by trying
// again; the old snapshot is served meanwhile. It returns an error only if the
// store was closed under it, and only after everything that it started has
// stopped. Run can be called once.
func (v *View) Run(ctx context.Context) error {
	defer close(v.stopped)
	wait, loaded := minBackoff, false
	for {
		before := v.applier.work.Revision
		err := v.session(ctx, &loaded)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed):
			return config.Errorf(config.Unavailable, "follow", "", "the store was closed while the view still follows it: %w", err)
		case errors.Is(err, store.ErrCompacted):
			v.log.InfoContext(ctx, "the store no longer keeps the log from this node's revision on; loading anew", "revision", before)
			loaded = false
		default:
			v.counters.faults.Add(1)
			v.log.WarnContext(ctx, "the log of the store broke off; trying again", "revision", v.applier.work.Revision, "error", err)
		}
		if v.applier.work.Revision > before {
			wait = minBackoff
		}
		if !pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, maxBackoff)
	}
}

// pause waits for about d; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // spreading retries needs no secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session loads, if that is needed, and follows the log until it breaks off.
func (v *View) session(ctx context.Context, loaded *bool) error {
	if !*loaded {
		if err := v.load(ctx); err != nil {
			return err
		}
		*loaded = true
	}
	return v.follow(ctx)
}

// follow applies the log from the current revision on. What waits already is
// applied together: each revision still as a whole, but snapshots that nobody
// could have looked at for long are left out.
func (v *View) follow(ctx context.Context) error {
	v.counters.following.Store(true)
	defer v.counters.following.Store(false)
	batches := make(chan store.Batch, maxGroup)
	var broke error // the reader's, until it closes batches
	after := v.applier.work.Revision
	go func() {
		defer close(batches)
		broke = v.read(ctx, after, batches)
	}()
	for b := range batches {
		v.applyGroup(b, batches)
	}
	return broke
}

// read passes the log on until it ends.
func (v *View) read(ctx context.Context, after int64, to chan<- store.Batch) error {
	for b, err := range v.store.Watch(ctx, "", after) {
		if err != nil {
			return err
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return config.Errorf(config.Unavailable, "watch", "", "the store ended the watch without saying why")
}

// applyGroup applies a batch and those that wait behind it, then publishes.
func (v *View) applyGroup(b store.Batch, more <-chan store.Batch) {
	begun, waiting := time.Now(), len(more)
	v.apply(b)
	for range min(waiting, maxGroup-1) { // they are there already: this does not block
		v.apply(<-more)
	}
	v.publish(false)
	v.counters.waiting.Store(int64(waiting))
	v.counters.applyTime.Store(int64(time.Since(begun)))
}

// apply takes in one batch and tells the tails.
func (v *View) apply(b store.Batch) {
	if b.Revision <= v.applier.work.Revision {
		return
	}
	v.applier.apply(b)
	v.warm(b)
	for _, t := range v.tails {
		var events []store.Event
		for _, ev := range b.Events {
			if section, _ := record.Split(ev.Key); slices.Contains(t.sections, section) {
				events = append(events, ev)
			}
		}
		if len(events) > 0 {
			t.fn(false, store.Batch{Revision: b.Revision, Events: events})
		}
	}
}
