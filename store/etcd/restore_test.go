package etcd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

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

// signed adds the checksum that makes a snapshot of content.
func signed(content []byte) []byte {
	sum := sha256.Sum256(content)
	return append(bytes.Clone(content), sum[:]...)
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	name, _ := snapshotOf(t, s)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	database := good[:len(good)-sha256.Size]
	random := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{}).Read(random)
	bad := map[string][]byte{
		"empty":             {},
		"text":              []byte("apiVersion: v1\n"),
		"only a checksum":   signed(nil),
		"without checksum":  database,
		"random":            random,
		"random and signed": signed(random),
		"a broken database": signed(database[:len(database)/512/2*512]),
		"another database":  signed(foreign(t)),
	}
	for n := 1; n < len(good); n += len(good)/97 + 1 {
		flipped := bytes.Clone(good)
		flipped[n] ^= 0x10
		bad[fmt.Sprint("flipped at ", n)] = flipped
		bad[fmt.Sprint("truncated at ", n)] = good[:n]
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	bad["flipped at the end"] = flipped
	dir := t.TempDir()
	for name, content := range bad {
		file := filepath.Join(dir, "snapshot")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Check(t.Context(), file, func(e store.Entry) error { return nil })
		if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error is %v, want kind invalid", name, err)
		}
	}
	if _, err := c.Check(t.Context(), dir, nil); config.KindOf(err) != config.Invalid {
		t.Errorf("a folder: error is %v, want kind invalid", err)
	}
}

// A page that is its own descendant would keep a reader busy for ever.
func TestCheckOfACycle(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Txn{Writes: many(1000)}); err != nil {
		t.Fatal(err)
	}
	name, _ := snapshotOf(t, s)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content = content[:len(content)-sha256.Size]
	size, branches := os.Getpagesize(), 0
	for at := 2 * size; at < len(content); at += size {
		const header, branch = 16, 1
		if binary.NativeEndian.Uint16(content[at+8:]) == branch {
			branches++
			binary.NativeEndian.PutUint64(content[at+header+8:], uint64(at/size))
		}
	}
	if branches == 0 {
		t.Fatal("the database has no branches")
	}
	if err := os.WriteFile(name, signed(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(t.Context(), name, func(store.Entry) error { return nil })
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("error is %v, want kind invalid", err)
	}
}

// many are writes of as many keys.
func many(n int) []store.Write {
	writes := make([]store.Write, n)
	for i := range writes {
		writes[i] = store.Write{Key: fmt.Sprint("many/", i), Value: []byte("v")}
	}
	return writes
}

// foreign is a database that has nothing to do with etcd.
func foreign(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "foreign")
	db, err := bolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("key"))
		if err != nil {
			return err
		}
		return b.Put([]byte("some"), []byte("thing"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Whoever looks at the entries can end it, and reading does not change the file.
func TestCheckIsOnlyLooking(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	name, _ := snapshotOf(t, s)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o400); err != nil {
		t.Fatal(err)
	}
	enough, seen := errors.New("enough"), 0
	_, err = c.Check(t.Context(), name, func(store.Entry) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || config.KindOf(err) != config.Internal || seen != 3 {
		t.Errorf("after %d entries the error is %v, want that of who looks", seen, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(canceled, name, func(store.Entry) error { return nil }); config.KindOf(err) != config.Canceled {
		t.Errorf("error with a ctx that has ended is %v, want kind canceled", err)
	}
	checked(t, c, name)
	after, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the snapshot has changed: %v", err)
	}
}

// Whatever is in the file: an error or entries, never a panic. Signed, it gets as
// far as the database.
func FuzzCheck(f *testing.F) {
	c := settings(f)
	s := mustOpen(f, c)
	if _, err := s.Commit(f.Context(), store.Txn{Writes: []store.Write{{Key: "k", Value: []byte("v")}}}); err != nil {
		f.Fatal(err)
	}
	name, _ := snapshotOf(f, s)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	database := good[:len(good)-sha256.Size]
	f.Add(good, false)
	f.Add(database, true)
	f.Add(good[:len(good)/2], false)
	f.Add([]byte{}, false)
	f.Add([]byte{}, true)
	for n := 7; n < len(database); n += len(database) / 64 {
		flipped := bytes.Clone(database)
		flipped[n] ^= 0x81
		f.Add(flipped, true)
		f.Add(signed(flipped)[:len(good)-n%3], false)
	}
	f.Fuzz(func(t *testing.T, content []byte, sign bool) {
		if sign {
			content = signed(content)
		}
		file := filepath.Join(t.TempDir(), "snapshot")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		revision, err := c.Check(t.Context(), file, func(store.Entry) error { return nil })
		if (err == nil && revision <= 0) || (err != nil && config.KindOf(err) != config.Invalid) {
			t.Errorf("revision %d, error %v", revision, err)
		}
	})
}
