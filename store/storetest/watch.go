package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Watching tests that a watch delivers every revision once, whole and in order.
func Watching(t *testing.T, open Factory) {
	t.Run("what a batch holds", batchContents(open))
	t.Run("prefix", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		f.commit(put("a", "no"))
		in := f.commit(put("a0", "no"), put("a/2", "yes"), put("b", "no"), put("a/1", "yes"))
		f.commit(put("A/", "no"), put("b/", "no"))
		last := f.commit(del("a/2"))
		want := []store.Batch{
			{Revision: in, Events: []store.Event{
				{Entry: store.Entry{Key: "a/2", Value: []byte("yes"), Revision: in, Created: in}},
				{Entry: store.Entry{Key: "a/1", Value: []byte("yes"), Revision: in, Created: in}},
			}},
			{Revision: last, Events: []store.Event{{Entry: store.Entry{Key: "a/2", Revision: last}, Deleted: true}}},
		}
		if diff := cmp.Diff(want, f.watchUntil("a/", before, last), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
	t.Run("live", func(t *testing.T) {
		f := start(t, open)
		var want, got []int64
		want = append(want, f.commit(put("k", "0")))
		for batch, err := range f.Watch(f.ctx, "k", want[0]-1) {
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			if len(batch.Events) == 0 {
				continue
			}
			got = append(got, batch.Revision)
			if len(got) == 20 {
				break
			}
			want = append(want, f.commit(put("k", fmt.Sprint(len(got)))))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("revisions (-want +got):\n%s", diff)
		}
	})
	t.Run("while writers run", whileWritersRun(open))
	t.Run("resume anywhere", resumeAnywhere(open))
	t.Run("from the future", func(t *testing.T) {
		f := start(t, open)
		now := f.now()
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			batches, err := follow(ctx, f.Store, "", now+3, now+4)
			if err == nil && (len(batches) != 1 || batches[0].Revision <= now+3) {
				err = fmt.Errorf("watch after %d yielded %+v", now+3, batches)
			}
			got <- err
		}()
		for done := false; !done; {
			f.commit(put("k", "x"))
			select {
			case err := <-got:
				if done = true; err != nil {
					t.Error(err)
				}
			default:
				done = f.now() > now+3
			}
		}
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		default:
		}
	})
	t.Run("negative revision", func(t *testing.T) {
		f := start(t, open)
		_, err := follow(f.ctx, f.Store, "", -1, 1)
		wantKind(t, config.Invalid, err)
	})
}

// batchContents compares the events of every sort of write.
func batchContents(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		first := f.commit(put("b", "1"), put("a", "1"))
		second := f.commit(put("a", "2"), del("b"), put("c", ""), del("never"))
		third := f.commit(put("b", "3"))
		want := []store.Batch{
			{Revision: first, Events: []store.Event{
				{Entry: store.Entry{Key: "b", Value: []byte("1"), Revision: first, Created: first}},
				{Entry: store.Entry{Key: "a", Value: []byte("1"), Revision: first, Created: first}},
			}},
			{Revision: second, Events: []store.Event{
				{Entry: store.Entry{Key: "a", Value: []byte("2"), Revision: second, Created: first}},
				{Entry: store.Entry{Key: "b", Revision: second}, Deleted: true},
				{Entry: store.Entry{Key: "c", Revision: second, Created: second}},
			}},
			{Revision: third, Events: []store.Event{
				{Entry: store.Entry{Key: "b", Value: []byte("3"), Revision: third, Created: third}},
			}},
		}
		if diff := cmp.Diff(want, f.watchUntil("", before, third), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	}
}

// whileWritersRun starts watches before and in the midst of a storm of writes;
// all must see what one who comes after it sees.
func whileWritersRun(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		const writers, each = 6, 40
		f := start(t, open)
		before := f.now()
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		type outcome struct {
			name    string
			batches []store.Batch
			err     error
		}
		marker := "w/end"
		results := make(chan outcome, 4)
		watch := func(name string) {
			batches, err := untilKey(ctx, f.Store, "w/", before, marker)
			results <- outcome{name, batches, err}
		}
		go watch("early 1")
		go watch("early 2")
		f.parallel(writers, func(w int) error {
			for i := range each {
				if w == 0 && i == each/2 {
					go watch("midway")
				}
				_, err := f.Commit(f.ctx, store.Txn{Writes: []store.Write{
					put(fmt.Sprintf("w/%d", w), fmt.Sprint(i)), put(fmt.Sprintf("w/%d/%d", w, i), ""), put("other", "x"),
				}})
				if err != nil {
					return err
				}
			}
			return nil
		})
		last := f.commit(put(marker, ""))
		want := f.watchUntil("w/", before, last)
		checkStorm(t, want, writers, each)
		for range 3 {
			got := <-results
			if got.err != nil {
				t.Fatalf("%s: %v", got.name, got.err)
			}
			if diff := cmp.Diff(want, got.batches, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s differs from a later watch (-want +got):\n%s", got.name, diff)
			}
		}
	}
}

// checkStorm checks that each writer's values come complete and in order, and
// its two writes in one batch.
func checkStorm(t *testing.T, batches []store.Batch, writers, each int) {
	t.Helper()
	next := make([]int, writers)
	for _, batch := range batches {
		keys := map[string]bool{}
		for _, ev := range batch.Events {
			keys[ev.Key] = true
		}
		for w := range writers {
			if !keys[fmt.Sprintf("w/%d", w)] {
				continue
			}
			if second := fmt.Sprintf("w/%d/%d", w, next[w]); !keys[second] {
				t.Errorf("revision %d: %q is missing from the batch of writer %d", batch.Revision, second, w)
			}
			next[w]++
		}
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d: %d of its %d commits were seen", w, n, each)
		}
	}
}

// untilKey follows a watch until a key was written.
func untilKey(ctx context.Context, s store.Store, prefix string, after int64, key string) ([]store.Batch, error) {
	var got []store.Batch
	last := after
	for batch, err := range s.Watch(ctx, prefix, after) {
		if err != nil {
			return got, err
		}
		if batch.Revision <= last {
			return got, fmt.Errorf("revision %d came after %d", batch.Revision, last)
		}
		if last = batch.Revision; len(batch.Events) == 0 {
			continue
		}
		got = append(got, batch)
		for _, ev := range batch.Events {
			if ev.Key == key {
				return got, nil
			}
		}
	}
	return got, fmt.Errorf("the watch ended before %q", key)
}

// resumeAnywhere breaks and resumes a watch at every revision there is.
func resumeAnywhere(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		var last int64
		for i := range 10 {
			last = f.commit(put(fmt.Sprintf("k/%d", i%4), fmt.Sprint(i)), put("k/x", fmt.Sprint(i)))
			if i%5 == 4 {
				last = f.commit(del("k/x"))
			}
		}
		all := f.watchUntil("k/", before, last)
		for after := before; after <= last; after++ {
			var want []store.Batch
			for _, batch := range all {
				if batch.Revision > after {
					want = append(want, batch)
				}
			}
			if diff := cmp.Diff(want, f.watchUntil("k/", after, last), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("resumed after %d (-want +got):\n%s", after, diff)
			}
		}
		// One batch at a time, each time a new watch.
		pos, got := before, []store.Batch(nil)
		for pos < last {
			for batch, err := range f.Watch(f.ctx, "k/", pos) {
				if err != nil {
					t.Fatalf("watch after %d: %v", pos, err)
				}
				if pos = batch.Revision; len(batch.Events) > 0 {
					got = append(got, batch)
				}
				break
			}
		}
		if diff := cmp.Diff(all, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("resumed after each batch (-want +got):\n%s", diff)
		}
	}
}

// Bookmarks tests that a watch always arrives at a revision that the store has
// shown, whoever made it.
func Bookmarks(t *testing.T, open Factory) {
	t.Run("a commit elsewhere", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		var last int64
		for i := range 5 {
			last = f.commit(put("elsewhere", fmt.Sprint(i)))
		}
		if got := f.watchUntil("here/", before, last); len(got) > 0 {
			t.Errorf("batches of another prefix: %+v", got)
		}
	})
	t.Run("while the watch is idle", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		target := before
		for batch, err := range f.Watch(f.ctx, "here/", before-1) {
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			if batch.Revision < target {
				continue
			}
			if target >= before+5 {
				break
			}
			target = f.commit(put("elsewhere", "x"))
		}
	})
	t.Run("the revision of a range", func(t *testing.T) {
		f := start(t, open)
		f.commit(put("a", "1"))
		f.watchUntil("", f.now()-1, f.now())
		f.watchUntil("nothing/", f.now()-1, f.now())
	})
	t.Run("deletes of nothing", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		last := f.commit(del("never"))
		if got := f.watchUntil("", before, last); len(got) > 0 {
			t.Errorf("deleting nothing yielded %+v", got)
		}
	})
}
