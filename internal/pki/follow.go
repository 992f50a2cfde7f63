package pki

import (
	"context"
	"crypto/x509"
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

// warnBefore is how long before a certificate's end the log begins to tell of
// it, once a day. What renews itself has done so by then.
const warnBefore = 21 * day

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
	// Leaf is the certificate that is shown.
	Leaf func(T) *x509.Certificate
	// Log is told of changes, of those that cannot be used, and of a certificate
	// that is about to end.
	Log *slog.Logger
}

// Followed is a certificate and what goes with it, read from files, and again
// when they change.
type Followed[T any] struct {
	reading Reading[T]
	current atomic.Pointer[T]

	mu     sync.Mutex
	seen   string
	broken time.Time // when seen could not be used; zero if it could
	warned time.Time // when the log was last told that the certificate ends soon
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
			f.warn()
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
	leaf := f.reading.Leaf(value)
	f.reading.Log.Info("the certificates were changed", "name", leaf.Subject.CommonName, "fingerprint", FingerprintOf(leaf), "expires", leaf.NotAfter)
}

// warn tells of a certificate that is about to end.
func (f *Followed[T]) warn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	leaf := f.reading.Leaf(f.Get())
	if time.Until(leaf.NotAfter) > warnBefore || time.Since(f.warned) < day {
		return
	}
	f.warned = time.Now()
	f.reading.Log.Warn("a certificate that is in use ends soon; put a new one in its place", "name", leaf.Subject.CommonName, "expires", leaf.NotAfter)
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
