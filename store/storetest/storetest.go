// Package storetest is the conformance suite of store.Store. A driver's whole
// test is one call to Run with a factory; the tiers are exported so that a
// driver in the making can pass them one by one.
//
// The suite tests behaviour that any driver must show and knows none of them.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Factory opens a fresh, empty store. The suite closes it; what else the
// factory starts it must stop by itself in tb.Cleanup.
type Factory func(tb testing.TB) store.Store

// Run runs every tier, each subtest on a store of its own.
func Run(t *testing.T, open Factory) {
	tiers := []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"CRUD", CRUD},
		{"Queries", Queries},
		{"Transactions", Transactions},
		{"Contention", Contention},
		{"Watching", Watching},
		{"Compaction", Compaction},
		{"Bookmarks", Bookmarks},
		{"Values", Values},
		{"Elections", Elections},
		{"Lifecycle", Lifecycle},
		{"Linearizability", Linearizability},
	}
	for _, tier := range tiers {
		t.Run(tier.name, func(t *testing.T) { tier.run(t, open) })
	}
}

// patience ends a test that would wait for ever, and is far longer than any
// driver needs.
const patience = time.Minute

// fixture is a fresh store with a ctx that ends with the test.
type fixture struct {
	testing.TB
	store.Store
	ctx context.Context
}

func start(tb testing.TB, open Factory) *fixture {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	s := open(tb)
	tb.Cleanup(func() {
		cancel()
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return &fixture{TB: tb, Store: s, ctx: ctx}
}

// put is a write of a key; del of a key's deletion.
func put(key, value string) store.Write { return store.Write{Key: key, Value: []byte(value)} }
func del(key string) store.Write        { return store.Write{Key: key, Delete: true} }

// commit applies writes without conditions and returns their revision.
func (f *fixture) commit(writes ...store.Write) int64 {
	f.Helper()
	return f.mustCommit(store.Txn{Writes: writes})
}

// mustCommit commits what must succeed and returns its revision.
func (f *fixture) mustCommit(txn store.Txn) int64 {
	f.Helper()
	rev, err := f.Commit(f.ctx, txn)
	if err != nil {
		f.Fatalf("commit %v: %v", txn.Writes, err)
	}
	return rev
}

// query answers a query that must succeed.
func (f *fixture) query(q store.Query) store.Page {
	f.Helper()
	page, err := f.Range(f.ctx, q)
	if err != nil {
		f.Fatalf("range %+v: %v", q, err)
	}
	return page
}

// get returns one key's entry and whether it exists.
func (f *fixture) get(key string) (store.Entry, bool) {
	f.Helper()
	page := f.query(store.Query{Key: key})
	switch len(page.Entries) {
	case 0:
		return store.Entry{}, false
	case 1:
		return page.Entries[0], true
	default:
		f.Fatalf("range of the one key %q returned %d entries", key, len(page.Entries))
		return store.Entry{}, false
	}
}

// now returns the store's present revision.
func (f *fixture) now() int64 {
	f.Helper()
	return f.query(store.Query{Prefix: true, Limit: 1, KeysOnly: true}).Revision
}

// watchUntil returns the batches with events after a revision up to and with
// another, and fails if they break the promises of order.
func (f *fixture) watchUntil(prefix string, after, until int64) []store.Batch {
	f.Helper()
	got, err := follow(f.ctx, f.Store, prefix, after, until)
	if err != nil {
		f.Fatalf("watch %q after %d until %d: %v", prefix, after, until, err)
	}
	return got
}

// follow watches until a revision was delivered, checking each batch.
func follow(ctx context.Context, s store.Store, prefix string, after, until int64) ([]store.Batch, error) {
	if until <= after {
		return nil, nil
	}
	var got []store.Batch
	last := after
	for batch, err := range s.Watch(ctx, prefix, after) {
		if err != nil {
			return got, err
		}
		if batch.Revision <= last {
			return got, fmt.Errorf("revision %d came after %d", batch.Revision, last)
		}
		last = batch.Revision
		for _, ev := range batch.Events {
			if ev.Revision != batch.Revision {
				return got, fmt.Errorf("event of %q in batch %d has revision %d", ev.Key, batch.Revision, ev.Revision)
			}
		}
		if len(batch.Events) > 0 {
			got = append(got, batch)
		}
		if batch.Revision >= until {
			return got, nil
		}
	}
	return got, errors.New("the watch ended without an error")
}

// wantKind fails unless err is a *config.Error of the kind.
func wantKind(tb testing.TB, want config.ErrorKind, err error) {
	tb.Helper()
	var e *config.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error is %v (%T), want a *config.Error of kind %s", err, err, want)
	}
	if e.Kind != want {
		tb.Fatalf("error kind is %s, want %s: %v", e.Kind, want, err)
	}
}

// wantIs fails unless err is the target.
func wantIs(tb testing.TB, target, err error) {
	tb.Helper()
	if !errors.Is(err, target) {
		tb.Fatalf("error is %v, want one that is %q", err, target)
	}
	wantKind(tb, config.KindOf(target), err)
}
