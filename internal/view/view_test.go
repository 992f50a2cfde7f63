package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func TestSnapshotAnswersWhatTheStoreHolds(t *testing.T) {
	s := newStore(t)
	envs := []string{"acme/shop/prod", "acme/shop/test"}
	writes := []store.Write{
		put(record.ClusterKey, []byte("c-1")),
		put(record.Tenants.Key("acme"), record.Encode(config.Tenant{Name: "acme"})),
		put(record.Tenants.Key("acme-x"), record.Encode(config.Tenant{Name: "acme-x"})),
		put(record.Apps.Key("acme/shop"), record.Encode(config.App{Tenant: "acme", Name: "shop"})),
		put(record.Apps.Key("acme/pay"), record.Encode(config.App{Tenant: "acme", Name: "pay"})),
	}
	for i, e := range envs {
		p := mustPath(e)
		writes = append(writes, put(record.Envs.Key(e), record.Encode(config.Env{Tenant: p.Tenant, App: p.App, Name: p.Env, Order: i})))
		writes = append(writes, publishOf(e+"/a", 1, e)...)
	}
	loaded := commit(t, s, writes...)
	v := start(t, s)
	deleted := rolloutOf("acme/shop/prod/b", 1, "b")
	deleted.Deleted = true
	purged := config.Rollout{Path: mustPath("acme/shop/prod/c"), Latest: 7, Deleted: true}
	after := commit(t, s,
		metaOf("acme/shop/prod/b"), put(rolloutKey("acme/shop/prod/b"), record.Encode(deleted)), put(draftKey("acme/shop/prod/b"), []byte("x")),
		put(rolloutKey("acme/shop/prod/c"), record.Encode(purged)),
		del(record.Apps.Key("acme/pay")))
	snap := waitFor(t, v, after)

	if snap.Cluster != "c-1" {
		t.Errorf("want cluster c-1, got %q", snap.Cluster)
	}
	paths := func(under, after string) (list []string) {
		for c := range snap.Configs(mustPath(under), after) {
			list = append(list, c.Meta.Path.String())
		}
		return list
	}
	for _, tc := range []struct {
		under, after string
		want         []string
	}{
		{"", "", []string{"acme/shop/prod/a", "acme/shop/prod/b", "acme/shop/test/a"}},
		{"acme/shop/prod", "", []string{"acme/shop/prod/a", "acme/shop/prod/b"}},
		{"acme/shop/prod", "acme/shop/prod/a", []string{"acme/shop/prod/b"}},
		{"acme/sho", "", nil},
	} {
		if diff := cmp.Diff(tc.want, paths(tc.under, tc.after)); diff != "" {
			t.Errorf("configs under %q after %q (-want +got):\n%s", tc.under, tc.after, diff)
		}
	}
	if got := snap.CountConfigs(mustPath("acme/shop/prod")); got != 1 {
		t.Errorf("want 1 config that is not deleted, got %d", got)
	}
	a, _ := snap.Config(mustPath("acme/shop/prod/a"))
	b, _ := snap.Config(mustPath("acme/shop/prod/b"))
	c, ok := snap.Config(mustPath("acme/shop/prod/c"))
	if a.MetaRevision != loaded || a.RolloutRevision != loaded || a.DraftRevision != 0 || a.Rollout.Stable.ChangeSet != "acme/shop/prod" {
		t.Errorf("unexpected config %+v", a)
	}
	if b.DraftRevision != after || !b.Rollout.Deleted {
		t.Errorf("unexpected config %+v", b)
	}
	if !ok || c.MetaRevision != 0 || c.Rollout.Latest != 7 {
		t.Errorf("a purged config must keep its version counter; got %+v", c)
	}
	for _, missing := range []string{"acme/shop/prod/zz", "acme/shop/prod", "", "other/shop/prod/a"} {
		if c, ok := snap.Config(mustPath(missing)); ok {
			t.Errorf("found %q: %+v", missing, c)
		}
	}
	var scopes []string
	for x := range snap.Tenants("") {
		scopes = append(scopes, x.Name)
	}
	for x := range snap.Apps("acme", "") {
		scopes = append(scopes, x.Path().String())
	}
	for x := range snap.Envs(mustPath("acme/shop"), "prod") {
		scopes = append(scopes, x.Path().String())
	}
	if diff := cmp.Diff([]string{"acme", "acme-x", "acme/shop", "acme/shop/test"}, scopes); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if e, ok := snap.Env(mustPath("acme/shop/test")); !ok || e.Order != 1 || e.ModRevision != loaded {
		t.Errorf("unexpected env %+v", e)
	}
}

func TestReadersNeverSeeHalfAChangeSet(t *testing.T) {
	s := newStore(t)
	paths := []string{"acme/shop/prod/a", "acme/shop/test/a", "acme/pay/prod/x", "beta/shop/prod/a", "zeta/shop/prod/a"}
	publish := func(version int64) int64 {
		var writes []store.Write
		for _, p := range paths {
			writes = append(writes, publishOf(p, version, fmt.Sprint(version))...)
		}
		return commit(t, s, writes...)
	}
	publish(1)
	v := start(t, s)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					return
				default:
				}
				snap := v.Snapshot()
				first, _ := snap.Config(mustPath(paths[0]))
				for _, p := range paths {
					c, ok := snap.Config(mustPath(p))
					if !ok || c.Rollout.Stable.Version != first.Rollout.Stable.Version {
						t.Errorf("at revision %d %s has %+v, %s has %+v", snap.Revision, paths[0], first.Rollout.Stable, p, c)
						return
					}
				}
				if snap.Revision < last {
					t.Errorf("the revision went from %d back to %d", last, snap.Revision)
					return
				}
				last = snap.Revision
			}
		})
	}
	wg.Go(func() {
		bell := newAlarm()
		sub := v.Subscribe(Filter{Patterns: mustPatterns("acme", "acme/shop/prod/a")}, bell.ring)
		defer sub.Close()
		for {
			if d, ok := sub.Next(); ok {
				for _, c := range d.Changes {
					if len(d.Changes) != 3 || c.Release.Version != d.Changes[0].Release.Version {
						t.Errorf("half a change set was delivered: %v", names(d))
					}
				}
			}
			select {
			case <-bell:
			case <-stop:
				return
			}
		}
	})
	var last int64
	for version := int64(2); version < 300; version++ {
		last = publish(version)
	}
	waitFor(t, v, last)
	close(stop)
	wg.Wait()
}

func TestNoWakeUpIsLost(t *testing.T) {
	s := newStore(t)
	const path, rounds = "acme/shop/prod/a", 500
	v := start(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 16 {
		pattern := []string{path, "acme/shop/prod", "acme/*/prod/a", "acme/shop/prod/*"}[i%4]
		wg.Go(func() {
			bell := newAlarm()
			sub := v.Subscribe(Filter{Patterns: mustPatterns(pattern)}, bell.ring)
			defer sub.Close()
			var version int64
			for {
				d, ok := sub.Next()
				for _, c := range d.Changes {
					if c.Release.Version <= version {
						t.Errorf("version %d came after %d", c.Release.Version, version)
					}
					version = c.Release.Version
				}
				if version == rounds {
					return
				}
				if ok {
					continue // who was just told something must not need to look again, but may
				}
				select {
				case <-bell:
				case <-ctx.Done():
					t.Errorf("%s: nobody told of versions after %d", pattern, version)
					return
				}
			}
		})
	}
	for version := int64(1); version <= rounds; version++ {
		commit(t, s, publishOf(path, version, fmt.Sprint(version))...)
	}
	wg.Wait()
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		v := New(Options{Store: s, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		waiting, late := make(chan error, 1), make(chan error, 1)
		go func() { waiting <- v.WaitFor(t.Context(), 2) }()
		synctest.Wait()
		go func() { done <- v.Run(ctx) }()
		commit(t, s, publishOf("acme/shop/prod/a", 1, "x")...)
		if err := <-waiting; err != nil {
			t.Errorf("want a wait from before the load to end well, got %v", err)
		}
		timed, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := v.WaitFor(timed, 3); config.KindOf(err) != config.Timeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("want timeout, got %v", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := v.WaitFor(gone, 3); config.KindOf(err) != config.Canceled {
			t.Errorf("want canceled, got %v", err)
		}
		go func() { late <- v.WaitFor(t.Context(), 1000) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := <-late; config.KindOf(err) != config.Unavailable {
			t.Errorf("want unavailable from a stopped view, got %v", err)
		}
		if n := len(v.waiters.list); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	})
}

func TestTailsComeBeforeTheSnapshot(t *testing.T) {
	s := newStore(t)
	commit(t, s, put("u/ann", []byte("1")), put("g/b1", []byte("1")), put("k/t1", []byte("1")))
	var v *View
	var seen []string
	reached := make(chan struct{})
	v = start(t, s, func(v *View) {
		v.Tail([]record.Section{record.Users, record.Bindings}, func(reset bool, b store.Batch) {
			if v.Snapshot().Revision >= b.Revision {
				t.Errorf("the tail is told of %d after the snapshot", b.Revision)
			}
			var keys []string
			for _, ev := range b.Events {
				keys = append(keys, ev.Key)
			}
			seen = append(seen, fmt.Sprint(reset, keys))
			if len(seen) == 2 {
				close(reached)
			}
		})
	})
	commit(t, s, put("k/t2", []byte("1")), metaOf("acme/shop/prod/a"))
	revision := commit(t, s, put("k/t2", []byte("1")), del("u/ann"), put("u/bob", []byte("1")))
	waitFor(t, v, revision)
	<-reached
	if diff := cmp.Diff([]string{"true [u/ann g/b1]", "false [u/ann u/bob]"}, seen); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestEveryRevisionAdvancesTheSnapshot(t *testing.T) {
	s := newStore(t)
	v := start(t, s)
	revision := commit(t, s, put("a/_/1", []byte("audit")))
	waitFor(t, v, revision)
	if got := v.Stats().LastApply; got.IsZero() {
		t.Error("want the time of the last apply")
	}
}

func TestUnreadableRecordsChangeNothing(t *testing.T) {
	const path = "acme/shop/prod/a"
	const secret = "hunter2"
	s := &faultyStore{Store: newStore(t)}
	commit(t, s, append(publishOf(path, 1, "one"),
		put(record.Tenants.Key("acme"), record.Encode(config.Tenant{Name: "acme", Description: "good"})),
		put(rolloutKey("acme/shop/prod/bad"), []byte(secret)))...)
	var book logBook
	v := start(t, s, func(v *View) {
		v.log = slog.New(slog.NewTextHandler(&book, nil))
		v.applier.log = v.log
	})
	foreign := rolloutOf("acme/shop/prod/other", 9, "foreign")
	bad := []store.Write{
		put(metaKey(path), []byte(`{"created_at":"`+secret+`"}`)),
		put(rolloutKey(path), record.Encode(foreign)),
		put(record.Tenants.Key("acme"), []byte(secret)),
		put("c/not-a-path", []byte("{}")),
		put("o/acme/shop/prod/", []byte("{}")),
		put("e/acme/../prod", []byte("{}")),
	}
	for _, rebuild := range []bool{false, true} {
		if rebuild {
			s.set(func(s *faultyStore) { s.watch = store.ErrCompacted })
		}
		snap := waitFor(t, v, commit(t, s, bad...))
		c, ok := snap.Config(mustPath(path))
		if !ok || c.Rollout.Stable.ChangeSet != "one" || c.Meta.Format != "yaml" {
			t.Errorf("rebuild %v: want the last readable config, got %+v", rebuild, c)
		}
		if tenant, ok := snap.Tenant("acme"); !ok || tenant.Description != "good" {
			t.Errorf("rebuild %v: want the last readable tenant, got %+v", rebuild, tenant)
		}
	}
	if got := v.Stats().Corrupt; got < 13 {
		t.Errorf("want every unreadable record counted, got %d", got)
	}
	if !book.contains("key="+rolloutKey(path)) || book.contains(secret) {
		t.Error("want the key in the log, and nothing of the value")
	}
	snap := waitFor(t, v, commit(t, s, publishOf(path, 2, "two")...))
	if c, _ := snap.Config(mustPath(path)); c.Rollout.Stable.ChangeSet != "two" {
		t.Errorf("want the next good record applied, got %+v", c)
	}
}

func TestViewOutlivesCompactionAndFaults(t *testing.T) {
	for _, tc := range []struct {
		name     string
		err      error
		rebuilds int64
		faults   int64
	}{
		{"compacted", store.ErrCompacted, 1, 0},
		{"no quorum", &config.Error{Kind: config.Unavailable, Err: errors.New("no quorum")}, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &faultyStore{Store: newStore(t)}
				const kept, gone = "acme/shop/prod/a", "acme/shop/prod/b"
				commit(t, s, slices.Concat(publishOf(kept, 1, "a1"), publishOf(gone, 1, "b1"))...)
				resets := 0
				v := start(t, s, func(v *View) {
					v.Tail([]record.Section{record.Configs}, func(reset bool, _ store.Batch) {
						if reset {
							resets++
						}
					})
				})
				sub := v.Subscribe(Filter{Patterns: mustPatterns("acme")}, func() {})
				defer sub.Close()
				if d, ok := sub.Next(); !ok || !d.Reset || len(d.Changes) != 2 {
					t.Fatalf("want a first snapshot, got %+v", d)
				}
				before, _ := v.Snapshot().Config(mustPath(kept))
				s.set(func(s *faultyStore) { s.watch, s.fail = tc.err, &config.Error{Kind: config.Unavailable} })
				revision := commit(t, s, del(metaKey(gone)), del(rolloutKey(gone)))
				synctest.Wait()
				if v.Stats().Following && tc.rebuilds > 0 {
					t.Error("want the stats to show that the log is lost")
				}
				s.set(func(s *faultyStore) { s.fail = nil })
				waitFor(t, v, revision)
				d, _ := sub.Next()
				if diff := cmp.Diff([]string{gone + "=-"}, names(d)); diff != "" || d.Reset {
					t.Errorf("want only the purge delivered, got %+v\n%s", d, diff)
				}
				if after, _ := v.Snapshot().Config(mustPath(kept)); after != before {
					t.Error("want an unchanged config to stay the same")
				}
				stats := v.Stats()
				if stats.Rebuilds != tc.rebuilds || int64(resets) != tc.rebuilds+1 || stats.Faults < tc.faults {
					t.Errorf("want %d rebuilds, got %+v and %d resets of the tail", tc.rebuilds, stats, resets)
				}
			})
		})
	}
}

func TestLoadStartsAgainIfItsRevisionIsCompacted(t *testing.T) {
	inner := newStore(t)
	commit(t, inner, publishOf("acme/shop/prod/a", 1, "a1")...)
	s := &faultyStore{Store: inner}
	var once sync.Once
	s.page = func(q store.Query) {
		if q.Revision == 0 {
			return
		}
		once.Do(func() {
			head := commit(t, inner, publishOf("acme/shop/prod/b", 1, "b1")...)
			if err := inner.Compact(context.Background(), head); err != nil {
				t.Error(err)
			}
		})
	}
	v := start(t, s)
	if n := v.Snapshot().CountConfigs(config.Path{}); n != 2 {
		t.Errorf("want both configs, got %d", n)
	}
}

func TestRunEndsWhenTheStoreIsClosed(t *testing.T) {
	s := newStore(t)
	v := New(Options{Store: s, Log: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- v.Run(context.Background()) }()
	<-v.Ready()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		t.Errorf("want the closed store named, got %v", err)
	}
}
