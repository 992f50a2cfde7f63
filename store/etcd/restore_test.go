package etcd_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

const bump = 1_000_000

// restored makes a store of a snapshot, and opens it.
func restored(tb testing.TB, snapshot string) (store.Store, etcd.Settings) {
	tb.Helper()
	c := settings(tb)
	// As a node leaves it behind that could not start.
	if err := errors.Join(os.Mkdir(c.DataDir, 0o700), os.WriteFile(filepath.Join(c.DataDir, "setpoint.lock"), nil, 0o600)); err != nil {
		tb.Fatal(err)
	}
	if err := c.Restore(tb.Context(), store.Restore{Snapshot: snapshot, Bump: bump}); err != nil {
		tb.Fatalf("restore: %v", err)
	}
	return mustOpen(tb, c), c
}

// A store that was restored holds the same, and goes on from where nobody was
// before; and it can be restored again.
func TestRestore(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer func() { s.Close() }()
	for round := range 3 {
		fill(t, s, string(rune('a'+round)))
		// A member that had no room then may have room now.
		if err := s.(store.Keeper).SetNoSpace(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		want := everything(t, s)
		snapshot, revision := snapshotOf(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, c = restored(t, snapshot)
		got := everything(t, s)
		if diff := cmp.Diff(want.Entries, got.Entries); diff != "" {
			t.Fatalf("restored for the %d. time (-want +got):\n%s", round+1, diff)
		}
		if got.Revision < revision+bump {
			t.Errorf("restored at revision %d from one of %d, want at least %d more", got.Revision, revision, bump)
		}
		next, err := s.Commit(t.Context(), store.Txn{
			Conds:  []store.Cond{{Key: "k/0", Revision: want.Entries[len(want.Entries)-10].Revision}},
			Writes: []store.Write{{Key: "k/0", Value: []byte("restored")}},
		})
		if err != nil || next <= revision+bump {
			t.Errorf("the next commit has revision %d, %v, want more than %d", next, err, revision+bump)
		}
		for _, err := range s.Watch(t.Context(), "", revision) {
			if !errors.Is(err, store.ErrCompacted) {
				t.Errorf("a watch from before the restore: error is %v, want %v", err, store.ErrCompacted)
			}
			break
		}
		for batch, err := range s.Watch(t.Context(), "", got.Revision) {
			if err != nil || batch.Revision != next || len(batch.Events) != 1 {
				t.Errorf("a watch from after the restore: %+v, %v", batch, err)
			}
			break
		}
	}
	// What was restored keeps its data like any other.
	want := everything(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, c)
	if diff := cmp.Diff(want.Entries, everything(t, s).Entries); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
}

func TestRestoreIntoWhatIsThere(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	fill(t, s, "one")
	want := everything(t, s)
	snapshot, _ := snapshotOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	restore := store.Restore{Snapshot: snapshot, Bump: bump}
	if err := c.Restore(t.Context(), restore); config.KindOf(err) != config.Exists {
		t.Errorf("restore over data: error is %v, want kind already_exists", err)
	}
	s = mustOpen(t, c)
	defer s.Close()
	if diff := cmp.Diff(want.Entries, everything(t, s).Entries); diff != "" {
		t.Errorf("the data that was there (-want +got):\n%s", diff)
	}
}

func TestRestoreThatIsRefused(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, settings(t))
	fill(t, s, "one")
	good, _ := snapshotOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	members := map[string]string{"n1": "127.0.0.1:7403"}
	for name, tt := range map[string]struct {
		ctx      context.Context
		settings func(*etcd.Settings)
		restore  store.Restore
		want     config.ErrorKind
	}{
		"damaged":         {restore: store.Restore{Snapshot: damaged, Bump: 1}, want: config.Invalid},
		"not there":       {restore: store.Restore{Snapshot: damaged + "-not", Bump: 1}, want: config.NotFound},
		"canceled":        {ctx: canceled, restore: store.Restore{Snapshot: good, Bump: 1}, want: config.Canceled},
		"going back":      {restore: store.Restore{Snapshot: good, Bump: -1}, want: config.Invalid},
		"going too far":   {restore: store.Restore{Snapshot: good, Bump: math.MaxInt64}, want: config.Invalid},
		"no member":       {restore: store.Restore{Snapshot: good, Bump: 1, Peering: &store.Peering{Name: "n2", Advertise: "127.0.0.1:7403", Members: members}}, want: config.Invalid},
		"another address": {restore: store.Restore{Snapshot: good, Bump: 1, Peering: &store.Peering{Name: "n1", Advertise: "127.0.0.1:1", Members: members}}, want: config.Invalid},
		"no folder":       {settings: func(c *etcd.Settings) { c.DataDir = "" }, restore: store.Restore{Snapshot: good, Bump: 1}, want: config.Invalid},
		"another prefix":  {settings: func(c *etcd.Settings) { c.Prefix = "/other/" }, restore: store.Restore{Snapshot: good, Bump: 1}, want: config.Invalid},
		"external": {settings: func(c *etcd.Settings) { c.Endpoints = []string{"https://etcd:2379"} },
			restore: store.Restore{Snapshot: good, Bump: 1}, want: config.Unsupported},
	} {
		c := settings(t)
		parent := filepath.Dir(c.DataDir)
		if tt.settings != nil {
			tt.settings(&c)
		}
		if tt.ctx == nil {
			tt.ctx = t.Context()
		}
		if err := c.Restore(tt.ctx, tt.restore); config.KindOf(err) != tt.want {
			t.Errorf("%s: error is %v, want kind %s", name, err, tt.want)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v, %v", name, left, err)
		}
	}
}

// Each founding member restores the same snapshot; members with data from before
// the restore are strangers to them.
func TestRestoreOfACluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	fill(t, c.nodes["n1"].Store, "one")
	want := everything(t, c.nodes["n1"].Store)
	snapshot, revision := snapshotOf(t, c.nodes["n2"].Store)
	ids := map[uint64]bool{}
	remember := func(n *node) {
		t.Helper()
		status, err := n.EngineStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids[status.ClusterID] = true
	}
	remember(c.nodes["n1"])
	restore := func(members map[string]string) {
		t.Helper()
		for name := range members {
			n := c.nodes[name]
			n.dir = filepath.Join(t.TempDir(), name)
			var s etcd.Settings
			s.Defaults()
			s.DataDir = n.dir
			if err := s.Restore(t.Context(), store.Restore{Snapshot: snapshot, Peering: c.peering(n, members), Bump: bump}); err != nil {
				t.Fatalf("restore %s: %v", name, err)
			}
		}
		started := make(chan error, len(members))
		for name := range members {
			go func() { started <- c.nodes[name].open(c.peering(c.nodes[name], members)) }()
		}
		for range members {
			if err := <-started; err != nil {
				t.Fatal(err)
			}
		}
		for name := range members {
			if diff := cmp.Diff(want.Entries, everything(t, c.nodes[name].Store).Entries); diff != "" {
				t.Errorf("restored %s (-want +got):\n%s", name, diff)
			}
		}
		if err := c.nodes["n1"].put("next"); err != nil {
			t.Fatal(err)
		}
		if next := everything(t, c.nodes["n1"].Store); next.Revision <= revision+bump {
			t.Errorf("the next revision is %d, want more than %d", next.Revision, revision+bump)
		}
		remember(c.nodes["n1"])
		for name := range members {
			c.nodes[name].stop()
		}
	}
	for _, n := range c.nodes {
		n.stop()
	}
	restore(c.members())
	restore(map[string]string{"n1": c.nodes["n1"].port.Address})
	if len(ids) != 3 {
		t.Errorf("the cluster and what was restored of it have the ids %v, want them all different", slices.Collect(maps.Keys(ids)))
	}
}
