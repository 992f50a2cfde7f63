package storetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/store"
)

// Compaction tests what is left and what is refused after history was dropped.
// A store that is not a store.Compacter fails it.
func Compaction(t *testing.T, open Factory) {
	t.Run("reads", func(t *testing.T) {
		f := start(t, open)
		first := f.commit(put("a", "1"), put("b", "1"), put("c", "1"))
		second := f.commit(put("a", "2"), del("c"))
		third := f.commit(put("a", "3"))
		present := f.query(store.Query{Prefix: true})
		f.compact(second)
		_, err := f.Range(f.ctx, store.Query{Key: "a", Revision: first})
		wantIs(t, store.ErrCompacted, err)
		for rev, want := range map[int64]string{second: "2", third: "3"} {
			page := f.query(store.Query{Key: "a", Revision: rev})
			if len(page.Entries) != 1 || string(page.Entries[0].Value) != want {
				t.Errorf("a as of %d is %+v, want %q", rev, page.Entries, want)
			}
		}
		if diff := cmp.Diff(present.Entries, f.query(store.Query{Prefix: true}).Entries); diff != "" {
			t.Errorf("compaction changed the present (-want +got):\n%s", diff)
		}
	})
	t.Run("watches", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		var revs []int64
		for i := range 10 {
			revs = append(revs, f.commit(put("k", fmt.Sprint(i))))
		}
		all := f.watchUntil("k", before, revs[9])
		f.compact(revs[5])
		for _, after := range []int64{before, revs[0], revs[5] - 2} {
			_, err := follow(f.ctx, f.Store, "k", after, revs[9])
			wantIs(t, store.ErrCompacted, err)
		}
		for i := 5; i < 9; i++ {
			if diff := cmp.Diff(all[i+1:], f.watchUntil("k", revs[i], revs[9]), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("watch after %d (-want +got):\n%s", revs[i], diff)
			}
		}
	})
	t.Run("during a watch", duringWatch(open))
	t.Run("twice and to the present", func(t *testing.T) {
		f := start(t, open)
		f.commit(put("a", "1"))
		last := f.commit(put("a", "2"))
		f.compact(last)
		f.compact(last)
		if e, ok := f.get("a"); !ok || string(e.Value) != "2" {
			t.Errorf("after compacting to the present a is %+v", e)
		}
		next := f.commit(put("b", "1"))
		if got := f.watchUntil("", last, next); len(got) != 1 {
			t.Errorf("watch from the compacted present yielded %+v", got)
		}
	})
}

// duringWatch compacts up to what a live watch has delivered: it goes on.
// Resuming behind that is refused, and a Range with a new watch takes its place.
func duringWatch(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		const total = 12
		var got []string
		pos := f.commit(put("k", "0"))
		for batch, err := range f.Watch(f.ctx, "k", before) {
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			if len(batch.Events) == 0 {
				continue
			}
			pos = batch.Revision
			got = append(got, string(batch.Events[0].Value))
			if len(got) == total {
				break
			}
			f.compact(pos)
			f.commit(put("k", fmt.Sprint(len(got))))
		}
		var want []string
		for i := range total {
			want = append(want, fmt.Sprint(i))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("values (-want +got):\n%s", diff)
		}
		_, err := follow(f.ctx, f.Store, "k", before, pos)
		wantIs(t, store.ErrCompacted, err)

		page := f.query(store.Query{Key: "k", Prefix: true})
		last := f.commit(put("k", "after"))
		if batches := f.watchUntil("k", page.Revision, last); len(batches) != 1 || batches[0].Revision != last {
			t.Errorf("watch after the new range yielded %+v", batches)
		}
	}
}

func (f *fixture) compact(revision int64) {
	f.Helper()
	c, ok := f.Store.(store.Compacter)
	if !ok {
		f.Fatalf("%T is no store.Compacter", f.Store)
	}
	if err := c.Compact(f.ctx, revision); err != nil {
		f.Fatalf("compact %d: %v", revision, err)
	}
}
