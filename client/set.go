package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// SetOptions say what a Set holds, and how it starts.
type SetOptions struct {
	// Patterns name configs, envs ("acme/checkout/prod") or shapes
	// ("acme/checkout/prod/app-*"). At least one is needed.
	Patterns []string
	// CacheDir is a folder for what the Set last held, so that it can start when
	// no server answers; it is made if it is not there. It belongs to one process
	// at a time. "" keeps nothing.
	CacheDir string
	// CacheKey seals what is kept with AES-256-GCM: 32 random bytes in hex or
	// base64. Without one it is plain text that only this user may read.
	CacheKey config.Secret
	// StartWithin is how long to wait for the servers before starting from the
	// cache, or giving up; 0 for 5 seconds.
	StartWithin time.Duration
	// Manual leaves it to the caller to tell the servers what was applied and
	// what refused, with Set.Applied and Set.Refused. Otherwise the Set tells by
	// itself, as its bindings took it.
	Manual bool
	// OnChange is called after each change, like those that Set.OnChange adds.
	OnChange func(old, now *State)
}

const defaultStartWithin = 5 * time.Second

// Set holds everything that is served at some patterns as one consistent State,
// and keeps it current until Close. Its methods are safe for concurrent use.
//
// What one revision changed, a change set with many configs for instance, is
// applied as a whole: all bindings decode and check it first, then one pointer
// is swapped. If one refuses, the State before stays in force as a whole, the
// version is reported as refused, and the next revision is tried anew.
type Set struct {
	c     *Client // names itself by an id
	o     SetOptions
	acks  *acks
	saver *saver // nil without a cache

	now     atomic.Pointer[moment]
	fatal   chan error // one that trying again cannot mend; room for the first
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // held while a state is decided on; never while callbacks run
	bindings []binder
	// unbound are versions in force that a binding was to be made of and that it
	// did not take.
	unbound  map[config.Path]int64
	onChange []func(old, now *State)
	feeds    []chan *State
	status   status
	closed   bool
}

// moment is a State and the news that another has followed it.
type moment struct {
	state *State // nil before the first
	next  chan struct{}
}

// Open starts a Set and returns when it holds its first State: that of a server
// or, if none answers within SetOptions.StartWithin, that of the cache; then it
// logs so, State.FromCache says so, and it catches up as soon as a server
// answers. ctx bounds Open alone; the Set lives until Close.
//
// The error is Unavailable, with what was tried, if there is nothing to start
// from. What trying again cannot mend (credentials refused, a server that is not
// trusted, rights that are missing, patterns that are wrong) is returned at once
// even if there is a cache: it is a mistake of who deploys, and to start from
// old configs would hide it. Once a Set runs, it outlives even that: it keeps
// what it holds, says so in Status, and tries again about once a minute.
func (c *Client) Open(ctx context.Context, o SetOptions) (*Set, error) {
	s, err := c.newSet(o)
	if err != nil {
		return nil, err
	}
	first := s.now.Load().next
	s.start(context.WithoutCancel(ctx))
	if err := s.begin(ctx, first); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (c *Client) newSet(o SetOptions) (*Set, error) {
	if len(o.Patterns) == 0 {
		return nil, config.Errorf(config.Invalid, opOpen, "", "no pattern; say what the set is to hold, for example acme/checkout/prod")
	}
	for _, text := range o.Patterns {
		if _, err := config.ParsePattern(text); err != nil {
			return nil, err
		}
	}
	o.Patterns = slices.Clone(o.Patterns)
	o.StartWithin = orDefault(o.StartWithin, defaultStartWithin)
	s := &Set{o: o, unbound: map[config.Path]int64{}, fatal: make(chan error, 1)}
	if o.OnChange != nil {
		s.onChange = append(s.onChange, o.OnChange)
	}
	if o.CacheDir != "" {
		file, err := newCacheFile(c, o)
		if err != nil {
			return nil, err
		}
		s.saver = newSaver(file, c.log)
	} else if !o.CacheKey.Empty() {
		return nil, config.Errorf(config.Invalid, opOpen, "", "a cache key without a cache dir; give the dir, or leave both out")
	}
	named, err := c.named(o.CacheDir)
	if err != nil {
		return nil, err
	}
	s.c, s.acks = named, newAcks(named)
	s.status.staleSince = time.Now()
	s.now.Store(&moment{next: make(chan struct{})})
	return s, nil
}

const opOpen = "open set"

// begin waits for the first State.
func (s *Set) begin(ctx context.Context, first <-chan struct{}) error {
	timer := time.NewTimer(s.o.StartWithin)
	defer timer.Stop()
	select {
	case <-first:
		return nil
	case err := <-s.fatal:
		return err
	case <-timer.C:
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
			return config.AsError(cause)
		}
	}
	return s.beginFromCache()
}

func (s *Set) beginFromCache() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.State() != nil {
		return nil // a server answered in the last moment
	}
	tried, last := strings.Join(s.c.endpointNames(), ", "), s.status.err
	if last == nil {
		last = errors.New("the first attempt has not ended yet")
	}
	if s.saver == nil {
		return config.Errorf(config.Unavailable, opOpen, "", "no server answered in time (%s): %w; and there is no local cache: give a cache dir", tried, last)
	}
	state, err := s.saver.file.load()
	if err != nil {
		return config.Errorf(config.Unavailable, opOpen, "", "no server answered in time (%s): %w; and the local cache is of no use: %w", tried, last, err)
	}
	s.status.staleSince = state.received
	s.swap(state)
	if !s.o.Manual {
		s.acks.appliedAll(state, nil) // in case that what the servers have is refused
	}
	s.c.log.Warn("no server answered: started from the local cache", "tried", tried, "error", last,
		"configs", state.Len(), "received", state.received, "age", time.Since(state.received).Round(time.Second))
	return nil
}

// State returns what is in force now. It never blocks.
func (s *Set) State() *State { return s.now.Load().state }

// Get returns a config of the State in force; false if nothing is served at the
// path.
func (s *Set) Get(path config.Path) (Config, bool) { return s.State().Get(path) }

// OnChange has f called after each change, in order, by one goroutine: the next
// change waits for it. It must not call Close.
func (s *Set) OnChange(f func(old, now *State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

// Changes returns a channel of its own that yields the State in force and then
// every newer one, except those that were replaced before they were received.
// Close closes it.
func (s *Set) Changes() <-chan *State {
	feed := make(chan *State, 1) // of the newest: who is slow misses those between
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(feed)
		return feed
	}
	feed <- s.State()
	s.feeds = append(s.feeds, feed)
	return feed
}

// Wait returns the first State, from the one in force on, of which ok is true.
// The error is that of ctx, or Canceled if the Set is closed.
func (s *Set) Wait(ctx context.Context, ok func(*State) bool) (*State, error) {
	for {
		now := s.now.Load()
		if ok(now.state) {
			return now.state, nil
		}
		select {
		case <-now.next:
			if s.now.Load() == now {
				return nil, config.Errorf(config.Canceled, "wait", "", "the set was closed")
			}
		case <-ctx.Done():
			return nil, config.AsError(context.Cause(ctx))
		}
	}
}

// Applied tells the servers that this program now runs with a version of a
// config. It returns at once; the Set sees to it that it is told. Only a Manual
// Set needs it.
func (s *Set) Applied(path config.Path, version int64) { s.acks.applied(path, version) }

// Refused tells the servers that this program would not take a version of a
// config, and why, of which the first 1,000 bytes count. See Applied.
func (s *Set) Refused(path config.Path, version int64, why string) {
	s.acks.refused(path, version, why)
}

// Close tells the servers what they were not told yet, writes the cache, and
// returns when everything that the Set started has stopped. State, Get and the
// bindings keep their last values. It does not close the Client.
func (s *Set) Close() {
	s.cancel()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.status.connected = false
	for _, feed := range s.feeds {
		close(feed)
	}
	s.feeds = nil
	close(s.now.Load().next)
}
