package view

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func TestSubscriptionIsTold(t *testing.T) {
	s := newStore(t)
	v := start(t, s)
	const a, b = "acme/shop/prod/a", "acme/shop/prod/b"
	bell := newAlarm()
	sub := v.Subscribe(Filter{Patterns: mustPatterns("acme/shop/prod", a, "acme/shop/prod/a*")}, bell.ring)
	expect := func(step string, want ...string) {
		t.Helper()
		d, ok := sub.Next()
		if diff := cmp.Diff(want, names(d)); diff != "" || ok != (len(want) > 0) {
			t.Errorf("%s: ok %v (-want +got):\n%s", step, ok, diff)
		}
	}
	if d, ok := sub.Next(); !ok || !d.Reset || !d.Current || len(d.Changes) > 0 {
		t.Fatalf("want an empty snapshot that is current, got %+v, %v", d, ok)
	}
	deleted, idle := rolloutOf(a, 2, "a2"), rolloutOf(a, 2, "a2")
	deleted.Deleted = true
	idle.Candidates = []config.Candidate{{Release: *releaseOf(a, 3, "a3"), Strategy: config.Strategy{Kind: "nobody"}}}
	bookkeeping := rolloutOf(a, 2, "a2")
	bookkeeping.Oldest = 2
	for _, step := range []struct {
		name   string
		writes []store.Write
		wakes  bool
		want   []string
	}{
		{"publish", publishOf(a, 1, "a1"), true, []string{a + "=a1"}},
		{"metadata", []store.Write{metaOf(a)}, false, nil},
		{"draft", []store.Write{put(draftKey(a), []byte("x"))}, false, nil},
		{"elsewhere", publishOf("acme/shop/test/a", 1, "t1"), false, nil},
		{"change set", slices.Concat(publishOf(a, 2, "a2"), publishOf(b, 1, "b1")), true, []string{a + "=a2", b + "=b1"}},
		{"bookkeeping", []store.Write{put(rolloutKey(a), record.Encode(bookkeeping))}, false, nil},
		{"a candidate for others", []store.Write{put(rolloutKey(a), record.Encode(idle))}, true, nil},
		{"delete", []store.Write{put(rolloutKey(a), record.Encode(deleted))}, true, []string{a + "=-"}},
		{"undelete", []store.Write{put(rolloutKey(a), record.Encode(rolloutOf(a, 2, "a2")))}, true, []string{a + "=a2"}},
		{"purge", []store.Write{del(metaKey(a)), del(rolloutKey(a)), del(draftKey(a))}, true, []string{a + "=-"}},
		{"born again", publishOf(a, 1, "again"), true, []string{a + "=again"}},
	} {
		waitFor(t, v, commit(t, s, step.writes...))
		if step.wakes {
			bell.wait(t)
		}
		expect(step.name, step.want...)
	}
	// Conflation: only the last state counts, and what came and went is nothing.
	commit(t, s, publishOf(b, 2, "b2")...)
	commit(t, s, publishOf("acme/shop/prod/c", 1, "c1")...)
	commit(t, s, del(metaKey("acme/shop/prod/c")), del(rolloutKey("acme/shop/prod/c")))
	waitFor(t, v, commit(t, s, publishOf(b, 3, "b3")...))
	expect("conflated", b+"=b3")
	if sub.Revision() != v.Snapshot().Revision {
		t.Errorf("want position %d, got %d", v.Snapshot().Revision, sub.Revision())
	}
	sub.Close()
	sub.Close()
	waitFor(t, v, commit(t, s, publishOf(b, 4, "b4")...))
	expect("closed")
}

func TestSubscriptionResumes(t *testing.T) {
	s := newStore(t)
	const a, b = "acme/shop/prod/a", "acme/shop/prod/b"
	early := commit(t, s, slices.Concat(publishOf(a, 1, "a1"), publishOf(b, 1, "b1"))...)
	loaded := commit(t, s, publishOf(a, 2, "a2")...)
	v := start(t, s)
	head := waitFor(t, v, commit(t, s, publishOf(b, 2, "b2")...)).Revision
	for _, tc := range []struct {
		name  string
		after int64
		reset bool
		want  []string
	}{
		{"from nothing", 0, true, []string{a + "=a2", b + "=b2"}},
		{"from before what the node knows", early, true, []string{a + "=a2", b + "=b2"}},
		{"from the load", loaded, false, []string{b + "=b2"}},
		{"from the present", head, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sub := v.Subscribe(Filter{Patterns: mustPatterns("acme"), After: tc.after}, func() {})
			defer sub.Close()
			d, ok := sub.Next()
			if !ok || !d.Current || d.Reset != tc.reset || d.Revision != head {
				t.Errorf("want current, reset %v, at %d; got %+v, %v", tc.reset, head, d, ok)
			}
			if diff := cmp.Diff(tc.want, names(d)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if d, ok := sub.Next(); ok {
				t.Errorf("want nothing the second time, got %+v", d)
			}
		})
	}
	t.Run("from the future", func(t *testing.T) {
		bell := newAlarm()
		sub := v.Subscribe(Filter{Patterns: mustPatterns(a), After: head + 2}, bell.ring)
		defer sub.Close()
		for range 2 {
			if d, ok := sub.Next(); ok {
				t.Errorf("want nothing before the view is there, got %+v", d)
			}
			waitFor(t, v, commit(t, s, publishOf(b, 3, "b3")...))
		}
		bell.wait(t) // the view has come to where the client is
		if d, ok := sub.Next(); !ok || !d.Current || d.Reset || len(d.Changes) > 0 {
			t.Errorf("want the marker alone, got %+v, %v", d, ok)
		}
	})
}

func TestSubscriptionBeforeTheLoadIsWokenByIt(t *testing.T) {
	s := newStore(t)
	commit(t, s, publishOf("acme/shop/prod/a", 1, "a1")...)
	bell := newAlarm()
	var sub *Subscription
	start(t, s, func(v *View) {
		sub = v.Subscribe(Filter{Patterns: mustPatterns("acme/shop/prod/a")}, bell.ring)
		if d, ok := sub.Next(); ok {
			t.Errorf("want nothing before the load, got %+v", d)
		}
	})
	defer sub.Close()
	bell.wait(t)
	if d, ok := sub.Next(); !ok || len(d.Changes) != 1 {
		t.Errorf("want the first snapshot, got %+v, %v", d, ok)
	}
}

func TestForgottenGravesRaiseTheFloor(t *testing.T) {
	s := newStore(t)
	v := start(t, s, func(v *View) { v.applier.bound = 3 })
	// The load takes the bound over from the applier before it.
	var revisions []int64
	for i := range 5 {
		p := fmt.Sprintf("acme/shop/prod/c%d", i)
		commit(t, s, publishOf(p, 1, p)...)
		revisions = append(revisions, commit(t, s, del(metaKey(p)), del(rolloutKey(p))))
	}
	snap := waitFor(t, v, revisions[4])
	if stats := v.Stats(); stats.Graves != 3 || stats.Floor != revisions[1] {
		t.Errorf("want 3 graves and the floor at %d, got %+v", revisions[1], stats)
	}
	for _, tc := range []struct {
		after int64
		reset bool
	}{{revisions[1] - 1, true}, {revisions[1], false}} {
		sub := v.Subscribe(Filter{Patterns: mustPatterns("acme"), After: tc.after}, func() {})
		if d, ok := sub.Next(); !ok || d.Reset != tc.reset {
			t.Errorf("after %d: want reset %v, got %+v", tc.after, tc.reset, d)
		}
		sub.Close()
	}
	n := 0
	for range snap.configs.walk("", "", -1) {
		n++
	}
	if n != 3 {
		t.Errorf("want 3 configs left in the tree, got %d", n)
	}
}

func TestNotifyMaySubscribeAndClose(t *testing.T) {
	s := newStore(t)
	v := start(t, s)
	bell := newAlarm()
	var sub *Subscription
	sub = v.Subscribe(Filter{Patterns: mustPatterns("acme")}, func() {
		sub.Close()
		v.Subscribe(Filter{Patterns: mustPatterns("acme")}, func() {}).Close()
		bell.ring()
	})
	commit(t, s, publishOf("acme/shop/prod/a", 1, "a")...)
	bell.wait(t)
	if n := v.Stats().Subscribers; n != 0 {
		t.Errorf("want no subscribers, got %d", n)
	}
}

func TestConfigRemembersABoundedPast(t *testing.T) {
	s := newStore(t)
	const path = "acme/shop/prod/a"
	v := start(t, s)
	var last int64
	for i := int64(1); i <= 100; i++ {
		r := rolloutOf(path, i, fmt.Sprint(i))
		r.Candidates = []config.Candidate{{Release: *releaseOf(path, i, "x"), Strategy: config.Strategy{Kind: "nobody"}}}
		last = commit(t, s, put(rolloutKey(path), record.Encode(r)))
	}
	c, _ := waitFor(t, v, last).Config(mustPath(path))
	if len(c.past) != maxPast {
		t.Errorf("want %d earlier states, got %d", maxPast, len(c.past))
	}
}

func TestRegionsAreOrderedAndDisjoint(t *testing.T) {
	for _, tc := range []struct {
		patterns []string
		want     []string
	}{
		{[]string{"t/a/e/x"}, []string{"t/a/e/x exact"}},
		{[]string{"t/a/e/x", "t/a/e/x"}, []string{"t/a/e/x exact"}},
		{[]string{"t/a/e/y", "t/a/e/x", "t/a/e/xy"}, []string{"t/a/e/x exact", "t/a/e/xy exact", "t/a/e/y exact"}},
		{[]string{"t/a/e/x", "t/a/e"}, []string{"t/a/e/ whole"}},
		{[]string{"t/a/e/x", "t/a/e/y*"}, []string{"t/a/e/ t/a/e/y*+t/a/e/x"}},
		{[]string{"t/a/e/y*", "t/a/e"}, []string{"t/a/e/ whole"}},
		{[]string{"t/*/e/x", "t/a/e", "u"}, []string{"t/ t/*/e/x+t/a/e/*", "u/ whole"}},
		{[]string{"t-1/a/e", "t/a/e"}, []string{"t-1/a/e/ whole", "t/a/e/ whole"}},
	} {
		var got []string
		for _, r := range regionsOf(mustPatterns(tc.patterns...)) {
			text := r.prefix
			switch {
			case r.exact:
				text += " exact"
			case r.whole:
				text += " whole"
			}
			for i, p := range r.patterns {
				text += []string{" ", "+"}[min(i, 1)] + p.String()
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.patterns, diff)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add("o/acme/shop/prod/a", record.Encode(rolloutOf("acme/shop/prod/a", 1, "x")), false)
	f.Add("c/acme/shop/prod/a", []byte(`{"path":"acme/shop/prod/a"}`), true)
	f.Add("t/acme", []byte("null"), false)
	f.Add("r/acme/shop/prod/a/0000000000000000001", []byte{0xff}, false)
	f.Add("b/x", []byte{}, false)
	f.Add("\x00/", []byte("{"), false)
	f.Fuzz(func(t *testing.T, key string, value []byte, deleted bool) {
		s := newStore(t)
		commit(t, s, publishOf("acme/shop/prod/a", 1, "a1")...)
		v := New(Options{Store: s, Cache: &mapCache{}, Log: quiet()})
		if err := v.load(context.Background()); err != nil {
			t.Fatal(err)
		}
		sub := v.Subscribe(Filter{Patterns: mustPatterns("acme")}, func() {})
		sub.Next()
		revision := v.Snapshot().Revision
		for i, e := range []string{key, key, "o/acme/shop/prod/a", key} {
			ev := store.Event{Entry: store.Entry{Key: e, Value: value, Revision: revision + int64(i) + 1}, Deleted: deleted != (i == 1)}
			v.apply(store.Batch{Revision: ev.Revision, Events: []store.Event{ev}})
			v.publish(false)
			sub.Next()
		}
		snap := v.Snapshot()
		if snap.Revision != revision+4 {
			t.Errorf("want revision %d, got %d", revision+4, snap.Revision)
		}
		for c := range snap.Configs(config.Path{}, "") {
			if got, ok := snap.Config(c.Meta.Path); !ok || got != c {
				t.Errorf("%s is listed but not found", c.Meta.Path)
			}
		}
	})
}
