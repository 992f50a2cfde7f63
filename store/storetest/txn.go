package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Transactions tests conditions, atomicity and what is refused.
func Transactions(t *testing.T, open Factory) {
	t.Run("conditions", conditions(open))
	t.Run("all or nothing", func(t *testing.T) {
		f := start(t, open)
		rev := f.commit(put("a", "1"), put("gone", "1"))
		_, err := f.Commit(f.ctx, store.Txn{
			Conds:  []store.Cond{{Key: "a", Revision: rev}, {Key: "missing", Revision: 7}},
			Writes: []store.Write{put("a", "2"), put("new", "1"), del("gone")},
		})
		wantIs(t, store.ErrConflict, err)
		got := map[string]string{}
		for _, e := range f.query(store.Query{Prefix: true}).Entries {
			got[e.Key] = string(e.Value)
		}
		if diff := cmp.Diff(map[string]string{"a": "1", "gone": "1"}, got); diff != "" {
			t.Errorf("state after a conflict (-want +got):\n%s", diff)
		}
	})
	t.Run("one revision for all writes", func(t *testing.T) {
		f := start(t, open)
		f.commit(put("b", "old"), put("c", "old"))
		rev := f.commit(put("a", "1"), put("b", "1"), del("c"), put("d", "1"))
		for _, e := range f.query(store.Query{Prefix: true}).Entries {
			if e.Revision != rev {
				t.Errorf("%q has revision %d, want %d", e.Key, e.Revision, rev)
			}
		}
	})
	t.Run("once", func(t *testing.T) {
		f := start(t, open)
		txn := store.Txn{
			Conds:  []store.Cond{{Key: "a"}},
			Writes: []store.Write{put("a", "1"), put("id/1", "x")},
			Once:   "id/1",
		}
		first := f.mustCommit(txn)
		later := f.commit(put("a", "2"))
		// Its condition no longer holds, and its other writes must not be made again.
		if again := f.mustCommit(txn); again != first {
			t.Errorf("the second time its revision is %d, want that of the first, %d", again, first)
		}
		if e := f.query(store.Query{Key: "a"}).Entries; len(e) != 1 || string(e[0].Value) != "2" || e[0].Revision != later {
			t.Errorf("want what was written in between, got %v", e)
		}
		txn.Once, txn.Writes[1] = "id/2", put("id/2", "x")
		_, err := f.Commit(f.ctx, txn)
		wantIs(t, store.ErrConflict, err)
	})
	t.Run("once, many at a time", func(t *testing.T) {
		f := start(t, open)
		const txns, times = 20, 5
		revisions := make([][times]int64, txns)
		var committing sync.WaitGroup
		for i := range txns {
			for k := range times {
				committing.Go(func() {
					id := fmt.Sprint("id/", i)
					var err error
					revisions[i][k], err = f.Commit(f.ctx, store.Txn{
						Conds:  []store.Cond{{Key: fmt.Sprint("a/", i)}},
						Writes: []store.Write{put(fmt.Sprint("a/", i), "1"), put(id, "x")},
						Once:   id,
					})
					if err != nil {
						t.Errorf("commit %d for the %dth time: %v", i, k, err)
					}
				})
			}
		}
		committing.Wait()
		for i, got := range revisions {
			for _, revision := range got {
				if revision != got[0] {
					t.Errorf("commit %d has the revisions %v, want one and the same", i, got)
				}
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := start(t, open)
		for name, txn := range map[string]store.Txn{
			"no writes":         {},
			"conditions alone":  {Conds: []store.Cond{{Key: "a"}}},
			"a key twice":       {Writes: []store.Write{put("a", "1"), put("b", "1"), put("a", "2")}},
			"put and delete":    {Writes: []store.Write{put("a", "1"), del("a")}},
			"an empty key":      {Writes: []store.Write{put("", "1")}},
			"deleting no key":   {Writes: []store.Write{del("")}},
			"a key twice, last": {Writes: []store.Write{del("a"), del("a")}},
			"once, not written": {Writes: []store.Write{put("a", "1")}, Once: "b"},
			"once, deleted":     {Writes: []store.Write{put("a", "1"), del("b")}, Once: "b"},
		} {
			_, err := f.Commit(f.ctx, txn)
			var e *config.Error
			if !errors.As(err, &e) || e.Kind != config.Invalid {
				t.Errorf("%s: error is %v, want kind invalid", name, err)
			}
		}
		if page := f.query(store.Query{Prefix: true}); len(page.Entries) > 0 {
			t.Errorf("refused transactions left %+v", page.Entries)
		}
	})
}

// conditions commits one write under every kind of condition.
func conditions(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		first := f.commit(put("a", "1"))
		second := f.commit(put("a", "2"), put("b", "1"))
		f.commit(put("deleted", "1"))
		f.commit(del("deleted"))
		tests := []struct {
			name  string
			conds []store.Cond
			holds bool
		}{
			{"none", nil, true},
			{"last write", []store.Cond{{Key: "a", Revision: second}}, true},
			{"earlier write", []store.Cond{{Key: "a", Revision: first}}, false},
			{"later revision", []store.Cond{{Key: "a", Revision: second + 1}}, false},
			{"negative revision", []store.Cond{{Key: "a", Revision: -1}}, false},
			{"absent and is", []store.Cond{{Key: "c"}}, true},
			{"absent but exists", []store.Cond{{Key: "a"}}, false},
			{"absent after a delete", []store.Cond{{Key: "deleted"}}, true},
			{"exists but absent", []store.Cond{{Key: "c", Revision: first}}, false},
			{"prefix of an existing key", []store.Cond{{Key: "delete"}}, true},
			{"two that hold", []store.Cond{{Key: "a", Revision: second}, {Key: "b", Revision: second}}, true},
			{"the same twice", []store.Cond{{Key: "a", Revision: second}, {Key: "a", Revision: second}}, true},
			{"the second fails", []store.Cond{{Key: "a", Revision: second}, {Key: "b", Revision: first}}, false},
			{"the first fails", []store.Cond{{Key: "a", Revision: first}, {Key: "b", Revision: second}}, false},
		}
		for i, tt := range tests {
			key := fmt.Sprintf("result/%d", i)
			_, err := f.Commit(f.ctx, store.Txn{Conds: tt.conds, Writes: []store.Write{put(key, "1")}})
			if _, written := f.get(key); written != tt.holds {
				t.Errorf("%s: written is %v, want %v", tt.name, written, tt.holds)
			}
			if tt.holds != (err == nil) || (err != nil && !errors.Is(err, store.ErrConflict)) {
				t.Errorf("%s: error is %v", tt.name, err)
			}
		}
		// A condition may name the key that the same transaction writes.
		third, err := f.Commit(f.ctx, store.Txn{
			Conds:  []store.Cond{{Key: "a", Revision: second}},
			Writes: []store.Write{put("a", "3")},
		})
		if err != nil {
			t.Fatalf("conditional overwrite: %v", err)
		}
		if e, _ := f.get("a"); e.Revision != third || string(e.Value) != "3" {
			t.Errorf("after a conditional overwrite at %d: %+v", third, e)
		}
	}
}

// Contention tests many writers at once.
func Contention(t *testing.T, open Factory) {
	t.Run("counter", func(t *testing.T) {
		const writers, each = 8, 15
		f := start(t, open)
		f.commit(put("counter", "0"))
		revisions := make(chan int64, writers*each)
		f.parallel(writers, func(w int) error {
			for range each {
				rev, err := increment(f.ctx, f.Store, fmt.Sprintf("writer/%d", w))
				if err != nil {
					return err
				}
				revisions <- rev
			}
			return nil
		})
		close(revisions)
		seen := map[int64]bool{}
		for rev := range revisions {
			if seen[rev] {
				t.Errorf("two writers changed the counter at revision %d", rev)
			}
			seen[rev] = true
		}
		if e, _ := f.get("counter"); string(e.Value) != strconv.Itoa(writers*each) {
			t.Errorf("counter is %s, want %d", e.Value, writers*each)
		}
	})
	t.Run("create once", func(t *testing.T) {
		const writers, keys = 8, 20
		f := start(t, open)
		won := make(chan string, writers*keys)
		f.parallel(writers, func(w int) error {
			for k := range keys {
				key := fmt.Sprintf("k/%d", k)
				_, err := f.Commit(f.ctx, store.Txn{
					Conds:  []store.Cond{{Key: key}},
					Writes: []store.Write{put(key, strconv.Itoa(w)), put(fmt.Sprintf("of/%d/%d", w, k), "")},
				})
				switch {
				case err == nil:
					won <- fmt.Sprintf("of/%d/%d", w, k)
				case !errors.Is(err, store.ErrConflict):
					return err
				}
			}
			return nil
		})
		close(won)
		if len(won) != keys {
			t.Errorf("%d creations won, want %d", len(won), keys)
		}
		for key := range won {
			if _, ok := f.get(key); !ok {
				t.Errorf("the winner's second write %q is missing", key)
			}
		}
		if page := f.query(store.Query{Key: "of/", Prefix: true}); len(page.Entries) != keys {
			t.Errorf("%d second writes are there, want %d: a loser wrote", len(page.Entries), keys)
		}
	})
	t.Run("a failing neighbour", failingNeighbour(open))
}

// failingNeighbour commits good, conflicting, oversized and abandoned
// transactions side by side; each must only have its own fate.
func failingNeighbour(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		const writers, each = 12, 20
		f := start(t, open)
		f.parallel(writers, func(w int) error {
			for i := range each {
				key := fmt.Sprintf("w/%02d/%02d", w, i)
				txn := store.Txn{Writes: []store.Write{put(key, "1"), put(key+"+", "2")}}
				ctx, cancel := context.WithCancel(f.ctx)
				switch w % 4 {
				case 1:
					txn.Conds = []store.Cond{{Key: key, Revision: 1 << 40}}
				case 2:
					txn.Writes = append(txn.Writes, put(key, "again"))
				case 3:
					cancel()
				}
				_, err := f.Commit(ctx, txn)
				cancel()
				want := []config.ErrorKind{0, config.Conflict, config.Invalid, config.Canceled}[w%4]
				if (w%4 == 0) != (err == nil) || (err != nil && config.KindOf(err) != want) {
					return fmt.Errorf("writer %d: error is %w, want %s", w, err, want)
				}
			}
			return nil
		})
		for w := range writers {
			want := 0
			if w%4 == 0 {
				want = 2 * each
			}
			if got := len(f.query(store.Query{Key: fmt.Sprintf("w/%02d/", w), Prefix: true}).Entries); got != want {
				t.Errorf("writer %d left %d keys, want %d", w, got, want)
			}
		}
	}
}

// increment adds one to the counter, retrying conflicts, and marks who did it.
func increment(ctx context.Context, s store.Store, mark string) (int64, error) {
	for {
		page, err := s.Range(ctx, store.Query{Key: "counter"})
		if err != nil {
			return 0, err
		}
		e := page.Entries[0]
		n, err := strconv.Atoi(string(e.Value))
		if err != nil {
			return 0, err
		}
		rev, err := s.Commit(ctx, store.Txn{
			Conds:  []store.Cond{{Key: "counter", Revision: e.Revision}},
			Writes: []store.Write{put("counter", strconv.Itoa(n+1)), put(mark, strconv.Itoa(n+1))},
		})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		return rev, err
	}
}

// parallel runs n workers and fails with what any of them returned.
func (f *fixture) parallel(n int, work func(i int) error) {
	f.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := work(i); err != nil {
				f.Errorf("worker %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if f.Failed() {
		f.FailNow()
	}
}
