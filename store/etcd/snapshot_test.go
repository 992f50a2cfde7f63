package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest/etcdproc"
)

// snapshotOf writes a snapshot to a file of the test.
func snapshotOf(tb testing.TB, s store.Store) (name string, revision int64) {
	tb.Helper()
	name = filepath.Join(tb.TempDir(), "snapshot")
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if revision, err = s.(store.Snapshotter).Snapshot(tb.Context(), f); err != nil {
		tb.Fatalf("snapshot: %v", err)
	}
	return name, revision
}

// checked returns what a snapshot holds.
func checked(tb testing.TB, c etcd.Settings, name string) (entries []store.Entry, revision int64) {
	tb.Helper()
	revision, err := c.Check(tb.Context(), name, func(e store.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		tb.Fatalf("check: %v", err)
	}
	return entries, revision
}

// everything is what a store holds.
func everything(tb testing.TB, s store.Store) store.Page {
	tb.Helper()
	page, err := s.Range(tb.Context(), store.Query{Prefix: true})
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// fill writes, overwrites and deletes.
func fill(tb testing.TB, s store.Store, round string) {
	tb.Helper()
	for i := range 30 {
		txn := store.Txn{Writes: []store.Write{
			{Key: fmt.Sprint("k/", i%10), Value: []byte(fmt.Sprint(round, "/", i))},
			{Key: fmt.Sprint("d/", round, "/", i), Value: []byte("x")},
		}}
		if i > 0 && i%2 == 0 {
			txn.Writes = append(txn.Writes, store.Write{Key: fmt.Sprint("d/", round, "/", i-1), Delete: true})
		}
		if _, err := s.Commit(tb.Context(), txn); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestSnapshotHoldsEverything(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"as it is", func() {}},
		{"the last write was a deletion", func() {
			if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "k/0", Delete: true}}}); err != nil {
				t.Fatal(err)
			}
		}},
		{"compacted", func() { forget(t, s) }},
		{"defragmented", func() {
			if err := s.(store.Keeper).Defragment(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		step.do()
		want := everything(t, s)
		name, revision := snapshotOf(t, s)
		entries, found := checked(t, c, name)
		if want.Revision != revision || want.Revision != found {
			t.Errorf("%s: snapshot of revision %d, read back as %d, want %d", step.name, revision, found, want.Revision)
		}
		if diff := cmp.Diff(want.Entries, entries); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", step.name, diff)
		}
	}
}

// While many write, a snapshot still is of the one revision that it says.
func TestSnapshotUnderWrites(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := s.Commit(ctx, store.Txn{Writes: []store.Write{{Key: fmt.Sprint(w, "/", i%100), Value: make([]byte, 100)}}})
				if err != nil && ctx.Err() == nil {
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	for range 6 {
		done, err := s.Commit(ctx, store.Txn{Writes: []store.Write{{Key: "done"}}})
		if err != nil {
			t.Fatal(err)
		}
		name, revision := snapshotOf(t, s)
		entries, found := checked(t, c, name)
		if revision != found || revision < done {
			t.Errorf("snapshot of revision %d after %d, read back as %d", revision, done, found)
		}
		page, err := s.Range(ctx, store.Query{Prefix: true, Revision: revision})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(page.Entries, entries); diff != "" {
			t.Errorf("entries as of %d (-want +got):\n%s", revision, diff)
		}
	}
	cancel()
	writers.Wait()
}

func TestSnapshotOfAnExternalCluster(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	c := externalSettings(p)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	want := everything(t, s)
	name, revision := snapshotOf(t, s)
	entries, found := checked(t, c, name)
	if revision != want.Revision || found != want.Revision {
		t.Errorf("snapshot of revision %d, read back as %d, want %d", revision, found, want.Revision)
	}
	if diff := cmp.Diff(want.Entries, entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// slowWriter says when it has begun, and goes on when it may.
type slowWriter struct {
	begun chan struct{}
	goOn  chan struct{}
	once  sync.Once
}

func newSlowWriter() *slowWriter {
	return &slowWriter{begun: make(chan struct{}), goOn: make(chan struct{})}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.begun) })
	<-w.goOn
	return len(p), nil
}

type brokenWriter struct{}

var errBroken = errors.New("the line is cut")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestSnapshotThatIsCutOff(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	for name, s := range map[string]store.Store{"embedded": openEmbedded(t), "external": openExternal(t, p)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fill(t, s, "one")
			snapshot := s.(store.Snapshotter).Snapshot
			if _, err := snapshot(t.Context(), brokenWriter{}); !errors.Is(err, errBroken) {
				t.Errorf("error of a writer that fails is %v, want its own", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			canceled := newSlowWriter()
			results := make(chan error, 1)
			go func() {
				_, err := snapshot(ctx, canceled)
				results <- err
			}()
			<-canceled.begun
			cancel()
			close(canceled.goOn)
			if err := <-results; config.KindOf(err) != config.Canceled {
				t.Errorf("error of a snapshot that was given up is %v, want kind canceled", err)
			}
			if _, err := snapshot(ctx, io.Discard); config.KindOf(err) != config.Canceled {
				t.Errorf("error of a snapshot with a ctx that has ended is %v, want kind canceled", err)
			}

			// The store can be closed whatever the writer does.
			stuck := newSlowWriter()
			go func() {
				_, err := snapshot(context.Background(), stuck)
				results <- err
			}()
			<-stuck.begun
			if err := s.Close(); err != nil {
				t.Errorf("close during a snapshot: %v", err)
			}
			close(stuck.goOn)
			if err := <-results; !errors.Is(err, store.ErrClosed) {
				t.Errorf("error of a snapshot of a store that was closed is %v, want %v", err, store.ErrClosed)
			}
			if _, err := snapshot(context.Background(), io.Discard); !errors.Is(err, store.ErrClosed) {
				t.Errorf("error of a snapshot of a closed store is %v, want %v", err, store.ErrClosed)
			}
		})
	}
}

// Defragmenting would hold up the engine for as long as the snapshot's reader takes.
func TestDefragmentDuringASnapshot(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, settings(t)).(*etcd.Store)
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "k", Value: bytes.Repeat([]byte("v"), int(plugin.MiB))}}}); err != nil {
		t.Fatal(err)
	}
	slow := newSlowWriter()
	result := make(chan error)
	go func() {
		_, err := s.Snapshot(t.Context(), slow)
		result <- err
	}()
	<-slow.begun
	if err := s.Defragment(t.Context()); config.KindOf(err) != config.Conflict {
		t.Errorf("error of defragmenting during a snapshot is %v, want kind conflict", err)
	}
	fill(t, s, "meanwhile")
	close(slow.goOn)
	if err := <-result; err != nil {
		t.Errorf("snapshot: %v", err)
	}
	if err := s.Defragment(t.Context()); err != nil {
		t.Errorf("defragment afterwards: %v", err)
	}
}
