package pki

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Poll is how often files are looked at. Watching the folder would miss what
// mounts and links do to files in containers.
const Poll = 5 * time.Second

// retryBroken is how long it takes until files that could not be used, and have
// not changed since, are tried again.
const retryBroken = time.Minute

// Reading says how to read a value from files.
type Reading[T any] struct {
	// Load reads, or makes, the value.
	Load func() (T, error)
	// Stamp changes whenever Load would give another value; see FileStamp.
	Stamp func() string
	// Equal says that two values are the same, and nothing need be told.
	Equal func(a, b T) bool
	// Describe says what is new about a value, for the log.
	Describe func(T) []slog.Attr
	// Log is told of changes, and of those that cannot be used.
	Log *slog.Logger
}

// Followed is a value that is read from files, and again when they change.
type Followed[T any] struct {
	reading Reading[T]
	current atomic.Pointer[T]

	mu     sync.Mutex
	seen   string
	broken time.Time // when seen could not be used; zero if it could
}

// Follow reads the value. Run keeps it up with its files.
func Follow[T any](r Reading[T]) (*Followed[T], error) {
	f := &Followed[T]{reading: r, seen: r.Stamp()}
	value, err := r.Load()
	if err != nil {
		return nil, err
	}
	f.current.Store(&value)
	return f, nil
}

// Get returns the value in use.
func (f *Followed[T]) Get() T { return *f.current.Load() }

// Run follows the files until ctx ends. What cannot be used is logged, and the
// old value stays.
func (f *Followed[T]) Run(ctx context.Context) error {
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.Look()
		}
	}
}

// Look takes a change in at once.
func (f *Followed[T]) Look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.reading.Stamp()
	if now == f.seen && (f.broken.IsZero() || time.Since(f.broken) < retryBroken) {
		return
	}
	// The stamp is older than what is loaded: what changes between the two is
	// seen next time.
	f.seen = now
	value, err := f.reading.Load()
	if err != nil {
		f.broken = time.Now()
		f.reading.Log.Error("the new certificate cannot be used; the old one stays", "error", err)
		return
	}
	f.broken = time.Time{}
	if f.reading.Equal(f.Get(), value) {
		return
	}
	f.current.Store(&value)
	f.reading.Log.LogAttrs(context.Background(), slog.LevelInfo, "the certificate was changed", f.reading.Describe(value)...)
}

// FileStamp changes when one of the files does, also when another of the same
// size and time takes its name.
func FileStamp(names ...string) string {
	stamp := ""
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode(info))
		}
		stamp += "|"
	}
	return stamp
}
