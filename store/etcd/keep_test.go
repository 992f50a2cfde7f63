package etcd_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest/etcdproc"
)

// write overwrites one key again and again, which fills the file with history.
func write(tb testing.TB, s store.Store, times int) (err error) {
	tb.Helper()
	for range times {
		_, err = s.Commit(tb.Context(), store.Txn{Writes: []store.Write{{Key: "k", Value: make([]byte, plugin.MiB)}}})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget drops all history.
func forget(tb testing.TB, s store.Store) {
	tb.Helper()
	page, err := s.Range(tb.Context(), store.Query{Key: "k"})
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.(store.Compacter).Compact(tb.Context(), page.Revision); err != nil {
		tb.Fatal(err)
	}
}

// eventually waits until something that etcd does in the background has happened.
func eventually(tb testing.TB, what string, happened func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("in vain: %s", what)
		}
	}
}

func TestDefragment(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, settings(t)).(*etcd.Store)
	defer s.Close()
	if err := write(t, s, 32); err != nil {
		t.Fatal(err)
	}
	forget(t, s)
	eventually(t, "history is dropped", func() bool {
		// etcd counts anew when it has written something.
		_, failed := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "counted"}}})
		_, inUse, err := s.Size(t.Context())
		return failed == nil && err == nil && inUse < 8<<20
	})
	before, _, err := s.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: fmt.Sprint("w/", w, "/", i)}}}); err != nil {
					t.Errorf("commit while it defragments: %v", err)
				}
			}
		})
	}
	for range 2 {
		if err := s.Defragment(t.Context()); err != nil {
			t.Errorf("defragment: %v", err)
		}
	}
	writers.Wait()
	after, _, err := s.Size(t.Context())
	if err != nil || after >= before/2 {
		t.Errorf("the file has %d bytes, %v, and had %d", after, err, before)
	}
	page, err := s.Range(t.Context(), store.Query{Prefix: true, KeysOnly: true})
	if err != nil || len(page.Entries) != 2+4*50 {
		t.Errorf("%d entries, %v", len(page.Entries), err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Defragment(canceled); config.KindOf(err) != config.Canceled {
		t.Errorf("defragment with a ctx that has ended: error is %v, want kind canceled", err)
	}
}

// The alarm that etcd raises over the quota is taken back while the engine runs,
// as soon as there is room, and not before.
func TestQuotaHealsItself(t *testing.T) {
	t.Parallel()
	c := settings(t)
	c.Quota = 32 * plugin.MiB
	s := mustOpen(t, c).(*etcd.Store)
	defer s.Close()
	var err error
	for range 8 { // a little room may be found, once or twice
		if err := write(t, s, 64); config.KindOf(err) != config.Exhausted {
			t.Fatalf("error over the quota is %v, want kind limit_exceeded", err)
		}
		if err = s.SetNoSpace(t.Context(), false); err != nil {
			break
		}
	}
	if config.KindOf(err) != config.Exhausted || !strings.Contains(err.Error(), "store.etcd.quota") {
		t.Fatalf("room again while the quota is used up: error is %v, want kind limit_exceeded", err)
	}
	err = write(t, s, 1)
	if config.KindOf(err) != config.Exhausted || !strings.Contains(err.Error(), "on setpoint:") {
		t.Fatalf("error over the quota is %v, want kind limit_exceeded and the member's name", err)
	}
	forget(t, s)
	eventually(t, "there is room again", func() bool { return s.SetNoSpace(t.Context(), false) == nil })
	if err := write(t, s, 8); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// One member without room stops all of them, whoever is asked, until it takes that
// back or is gone.
func TestNoSpaceInACluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	refused := func(want ...string) {
		t.Helper()
		for name, n := range c.nodes {
			if n.Store == nil {
				continue
			}
			err := n.put("k")
			missing := slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(err.Error(), w) })
			if config.KindOf(err) != config.Exhausted || missing {
				t.Errorf("commit on %s: error is %v, want kind limit_exceeded, for %q", name, err, want)
			}
		}
	}
	set := func(name string, full bool) {
		t.Helper()
		if err := c.nodes[name].SetNoSpace(t.Context(), full); err != nil {
			t.Fatalf("set no space on %s to %v: %v", name, full, err)
		}
	}
	// A member sees an alarm when it has applied it, and answers with what it knows.
	known := func(want ...string) {
		t.Helper()
		for name, n := range c.nodes {
			if n.Store == nil {
				continue
			}
			eventually(t, fmt.Sprintf("%s knows that %q have no room", name, want), func() bool {
				err := n.put("k")
				if len(want) == 0 {
					return err == nil
				}
				return err != nil && !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(err.Error(), w) })
			})
		}
	}
	for range 2 {
		set("n2", true)
	}
	known("n2")
	refused("n2")
	set("n1", false) // changes nothing: it is n2 that has no room
	refused("n2")
	set("n3", true)
	known("n2", "n3")
	set("n2", false)
	refused("n3")

	members, err := c.nodes["n1"].Client().MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.nodes["n3"].stop()
	for _, m := range members.Members {
		if m.Name != "n3" {
			continue
		}
		// Refused until the others have been connected for some seconds.
		eventually(t, "n3 is removed", func() bool {
			_, err := c.nodes["n1"].Client().MemberRemove(t.Context(), m.ID)
			return err == nil
		})
	}
	refused()
	set("n1", false)
	known()
}

func TestNothingToKeep(t *testing.T) {
	t.Parallel()
	s := openExternal(t, etcdproc.Start(t)).(*etcd.Store)
	defer s.Close()
	got := map[string]config.ErrorKind{
		"defragment":   config.KindOf(s.Defragment(t.Context())),
		"set no space": config.KindOf(s.SetNoSpace(t.Context(), true)),
	}
	want := map[string]config.ErrorKind{"defragment": config.Unsupported, "set no space": config.Unsupported}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds of errors of an external cluster (-want +got):\n%s", diff)
	}
}
