package view

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it gives up.
const patience = 30 * time.Second

func mustPath(s string) config.Path {
	p, err := config.ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

func mustPatterns(texts ...string) (patterns []config.Pattern) {
	for _, text := range texts {
		p, err := config.ParsePattern(text)
		if err != nil {
			panic(err)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

func put(key string, value []byte) store.Write { return store.Write{Key: key, Value: value} }

func del(key string) store.Write { return store.Write{Key: key, Delete: true} }

func metaKey(path string) string    { return record.Configs.Key(path) }
func rolloutKey(path string) string { return record.Rollouts.Key(path) }
func draftKey(path string) string   { return record.Drafts.Key(path) }

// metaOf is a config's metadata as it lies in the store.
func metaOf(path string) store.Write {
	return put(metaKey(path), record.Encode(config.Config{Path: mustPath(path), Kind: config.KindFile, Format: "yaml", CreatedBy: "ann"}))
}

// releaseOf makes a release whose change set names it in tests.
func releaseOf(path string, version int64, name string) *config.Release {
	content := []byte(name)
	sum := sha256.Sum256(content)
	return &config.Release{
		Path: mustPath(path), Version: version, Format: "yaml", ChangeSet: name,
		Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Author: "ann", Time: time.Unix(1_700_000_000, 0).UTC(),
	}
}

func rolloutOf(path string, version int64, name string) config.Rollout {
	return config.Rollout{Path: mustPath(path), Latest: version, Oldest: 1, Stable: releaseOf(path, version, name)}
}

// publishOf is what publishing one config writes.
func publishOf(path string, version int64, name string) []store.Write {
	r := rolloutOf(path, version, name)
	value, separate := record.EncodeRelease(*r.Stable, []byte(name))
	writes := []store.Write{
		metaOf(path), put(rolloutKey(path), record.Encode(r)),
		put(record.ReleaseKey(r.Path, version), value),
	}
	if separate != nil {
		writes = append(writes, put(record.ContentKey(r.Path, version), separate))
	}
	return writes
}

func commit(t testing.TB, s store.Store, writes ...store.Write) int64 {
	t.Helper()
	revision, err := s.Commit(context.Background(), store.Txn{Writes: writes})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// start runs a view until the test ends, and waits for its first load.
func start(t testing.TB, s store.Store, prepare ...func(*View)) *View {
	t.Helper()
	v := New(Options{Store: s, Log: slog.New(slog.DiscardHandler)})
	for _, fn := range prepare {
		fn(v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-v.Ready():
	case <-time.After(patience):
		t.Fatal("the view did not get ready")
	}
	return v
}

func newStore(t testing.TB) *memory.Store {
	s := memory.New()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func waitFor(t testing.TB, v *View, revision int64) *Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.WaitFor(ctx, revision); err != nil {
		t.Fatal(err)
	}
	return v.Snapshot()
}

// alarm is a subscriber's end of notify.
type alarm chan struct{}

func newAlarm() alarm { return make(alarm, 1) }

func (a alarm) ring() {
	select {
	case a <- struct{}{}:
	default:
	}
}

func (a alarm) wait(t testing.TB) {
	t.Helper()
	select {
	case <-a:
	case <-time.After(patience):
		t.Fatal("nobody was woken")
	}
}

// names shows a delivery as "path=change set", "-" for nothing served.
func names(d Delivery) (list []string) {
	for _, c := range d.Changes {
		name := "-"
		if c.Release != nil {
			name = c.Release.ChangeSet
		}
		list = append(list, c.Path.String()+"="+name)
	}
	return list
}

// logBook is a logger's output that tests can read while it is written.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBook) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), s)
}

// faultyStore lets a test break the engine's answers.
type faultyStore struct {
	store.Store
	mu    sync.Mutex
	watch error             // ends every watch at its next batch, once
	page  func(store.Query) // called before every Range
	fail  error             // of every Range, as long as it is set
}

func (f *faultyStore) set(fn func(*faultyStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

func (f *faultyStore) Range(ctx context.Context, q store.Query) (store.Page, error) {
	f.mu.Lock()
	page, fail := f.page, f.fail
	f.mu.Unlock()
	if page != nil {
		page(q)
	}
	if fail != nil {
		return store.Page{}, fail
	}
	return f.Store.Range(ctx, q)
}

func (f *faultyStore) takeWatchError() (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err, f.watch = f.watch, nil
	return err
}

func (f *faultyStore) Watch(ctx context.Context, prefix string, after int64) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		for b, err := range f.Store.Watch(ctx, prefix, after) {
			if broken := f.takeWatchError(); err == nil && broken != nil {
				yield(store.Batch{}, broken)
				return
			}
			if !yield(b, err) {
				return
			}
		}
	}
}
