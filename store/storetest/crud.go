package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// CRUD tests single keys.
func CRUD(t *testing.T, open Factory) {
	t.Run("empty", func(t *testing.T) {
		f := start(t, open)
		page := f.query(store.Query{Prefix: true})
		if len(page.Entries) != 0 || page.More {
			t.Errorf("a fresh store holds %+v", page)
		}
		if page.Revision <= 0 {
			t.Errorf("a fresh store's revision is %d, want a positive one", page.Revision)
		}
	})
	t.Run("put and read back", func(t *testing.T) {
		f := start(t, open)
		rev := f.commit(put("a", "1"))
		want := store.Entry{Key: "a", Value: []byte("1"), Revision: rev, Created: rev}
		got, _ := f.get("a")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
	})
	t.Run("overwrite keeps the creation", func(t *testing.T) {
		f := start(t, open)
		created := f.commit(put("a", "1"))
		rev := f.commit(put("a", "2"))
		want := store.Entry{Key: "a", Value: []byte("2"), Revision: rev, Created: created}
		got, _ := f.get("a")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
	})
	t.Run("delete and create anew", func(t *testing.T) {
		f := start(t, open)
		f.commit(put("a", "1"), put("ab", "stays"))
		f.commit(del("a"))
		if e, ok := f.get("a"); ok {
			t.Fatalf("deleted key is still there: %+v", e)
		}
		if _, ok := f.get("ab"); !ok {
			t.Fatal("deleting a key deleted one that it is a prefix of")
		}
		rev := f.commit(put("a", "2"))
		if e, _ := f.get("a"); e.Created != rev {
			t.Errorf("created is %d after a delete, want %d", e.Created, rev)
		}
	})
	t.Run("revisions rise with every commit", func(t *testing.T) {
		f := start(t, open)
		last := f.now()
		for i, w := range []store.Write{put("a", "1"), put("a", "1"), del("a"), del("a"), del("never"), put("b", "")} {
			rev := f.commit(w)
			if rev <= last {
				t.Errorf("commit %d has revision %d after %d", i, rev, last)
			}
			if now := f.now(); now < rev {
				t.Errorf("a read after commit %d is at %d, before its revision %d", i, now, rev)
			}
			last = rev
		}
	})
	t.Run("the caller may reuse its buffer", func(t *testing.T) {
		f := start(t, open)
		value := []byte("before")
		f.commit(store.Write{Key: "a", Value: value})
		copy(value, "AFTER!")
		if e, _ := f.get("a"); string(e.Value) != "before" {
			t.Errorf("value is %q, want %q", e.Value, "before")
		}
	})
}

// Queries tests selection, order, paging and reading the past.
func Queries(t *testing.T, open Factory) {
	keys := []string{"a", "a/", "a/1", "a/2", "a/2/x", "a/3", "a0", "b", "b/1"}
	tests := []struct {
		name  string
		query store.Query
		want  []string
		more  bool
	}{
		{"one key", store.Query{Key: "a"}, []string{"a"}, false},
		{"a key that is not there", store.Query{Key: "a/9"}, nil, false},
		{"everything", store.Query{Prefix: true}, keys, false},
		{"prefix", store.Query{Key: "a/", Prefix: true}, []string{"a/", "a/1", "a/2", "a/2/x", "a/3"}, false},
		{"prefix of nothing", store.Query{Key: "c", Prefix: true}, nil, false},
		{"limit", store.Query{Key: "a/", Prefix: true, Limit: 2}, []string{"a/", "a/1"}, true},
		{"limit that is just enough", store.Query{Key: "a/", Prefix: true, Limit: 5}, []string{"a/", "a/1", "a/2", "a/2/x", "a/3"}, false},
		{"limit of one key", store.Query{Key: "a", Limit: 1}, []string{"a"}, false},
		{"after", store.Query{Key: "a/", Prefix: true, After: "a/2"}, []string{"a/2/x", "a/3"}, false},
		{"after with limit", store.Query{Key: "a/", Prefix: true, After: "a/", Limit: 2}, []string{"a/1", "a/2"}, true},
		{"after a key that is not there", store.Query{Key: "a/", Prefix: true, After: "a/11"}, []string{"a/2", "a/2/x", "a/3"}, false},
		{"after the last", store.Query{Key: "a/", Prefix: true, After: "a/3"}, nil, false},
		{"after beyond the prefix", store.Query{Key: "a/", Prefix: true, After: "b"}, nil, false},
		{"after before the prefix", store.Query{Key: "b", Prefix: true, After: "a"}, []string{"b", "b/1"}, false},
		{"everything after", store.Query{Prefix: true, After: "a0"}, []string{"b", "b/1"}, false},
		{"one key after itself", store.Query{Key: "a", After: "a"}, nil, false},
		{"one key after a smaller", store.Query{Key: "b", After: "a"}, []string{"b"}, false},
		{"reverse", store.Query{Key: "a/", Prefix: true, Reverse: true}, []string{"a/3", "a/2/x", "a/2", "a/1", "a/"}, false},
		{"reverse with limit", store.Query{Key: "a/", Prefix: true, Reverse: true, Limit: 2}, []string{"a/3", "a/2/x"}, true},
		{"reverse before", store.Query{Key: "a/", Prefix: true, Reverse: true, After: "a/2"}, []string{"a/1", "a/"}, false},
		{"reverse before with limit", store.Query{Key: "a/", Prefix: true, Reverse: true, After: "a/3", Limit: 1}, []string{"a/2/x"}, true},
		{"reverse before the first", store.Query{Key: "a/", Prefix: true, Reverse: true, After: "a/"}, nil, false},
		{"reverse from beyond the prefix", store.Query{Key: "a/", Prefix: true, Reverse: true, After: "b", Limit: 1}, []string{"a/3"}, true},
		{"reverse everything", store.Query{Prefix: true, Reverse: true, Limit: 3}, []string{"b/1", "b", "a0"}, true},
		{"stale", store.Query{Key: "b", Prefix: true, Stale: true}, []string{"b", "b/1"}, false},
	}
	t.Run("selection", func(t *testing.T) {
		f := start(t, open)
		for _, key := range keys {
			f.commit(put(key, "value of "+key))
		}
		for _, tt := range tests {
			for _, keysOnly := range []bool{false, true} {
				q := tt.query
				q.KeysOnly = keysOnly
				page := f.query(q)
				var got []string
				for _, e := range page.Entries {
					got = append(got, e.Key)
					if want := "value of " + e.Key; !keysOnly && string(e.Value) != want {
						t.Errorf("%s: value of %q is %q", tt.name, e.Key, e.Value)
					}
					if keysOnly && len(e.Value) > 0 {
						t.Errorf("%s: keys only, but %q has a value", tt.name, e.Key)
					}
					if e.Revision <= 0 || e.Created <= 0 {
						t.Errorf("%s: %q lacks its revisions: %+v", tt.name, e.Key, e)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (keys only: %v) (-want +got):\n%s", tt.name, keysOnly, diff)
				}
				if page.More != tt.more {
					t.Errorf("%s (keys only: %v): more is %v, want %v", tt.name, keysOnly, page.More, tt.more)
				}
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := start(t, open)
		for _, q := range []store.Query{{}, {Key: "a", Limit: -1}, {Key: "a", Revision: -1}, {Key: "a", Revision: f.now() + 1000}} {
			_, err := f.Range(f.ctx, q)
			wantKind(t, config.Invalid, err)
		}
	})
	t.Run("pages of one moment", pagesOfOneMoment(open))
	t.Run("the past", thePast(open))
}

// pagesOfOneMoment walks a listing while it is being changed.
func pagesOfOneMoment(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		for _, reverse := range []bool{false, true} {
			f := start(t, open)
			var want []string
			for i := range 25 {
				key := fmt.Sprintf("k/%02d", i)
				f.commit(put(key, "old"))
				want = append(want, key)
			}
			var got []string
			q := store.Query{Key: "k/", Prefix: true, Limit: 4, Reverse: reverse}
			for more := true; more; {
				page := f.query(q)
				if q.Revision != 0 && page.Revision != q.Revision {
					t.Errorf("a page of the past is at %d, want %d", page.Revision, q.Revision)
				}
				if q.Revision == 0 {
					q.Revision = page.Revision
				}
				for _, e := range page.Entries {
					got = append(got, e.Key)
					if string(e.Value) != "old" {
						t.Errorf("page shows %q of a later moment for %q", e.Value, e.Key)
					}
				}
				q.After, more = got[len(got)-1], page.More
				f.commit(put("k/zz", "new"), put("k/000", "new"), put(q.After, "new"), del("k/12"))
			}
			if reverse {
				slices.Reverse(want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("listing (reverse: %v) (-want +got):\n%s", reverse, diff)
			}
		}
	}
}

// thePast reads every state that a store has been in.
func thePast(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		type state map[string]string
		states := map[int64]state{f.now(): {}}
		states[f.commit(put("a", "1"))] = state{"a": "1"}
		states[f.commit(put("b", "1"))] = state{"a": "1", "b": "1"}
		states[f.commit(put("a", "2"), del("b"))] = state{"a": "2"}
		states[f.commit(del("a"))] = state{}
		states[f.commit(put("a", "3"))] = state{"a": "3"}
		for rev, want := range states {
			got := state{}
			page := f.query(store.Query{Prefix: true, Revision: rev})
			for _, e := range page.Entries {
				got[e.Key] = string(e.Value)
				if e.Revision > rev {
					t.Errorf("state as of %d shows revision %d", rev, e.Revision)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("state as of %d (-want +got):\n%s", rev, diff)
			}
		}
	}
}
