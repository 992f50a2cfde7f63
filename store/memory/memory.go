// Package memory is the Store that lives in this process's memory only: for
// unit tests, and for trying things out. It keeps every promise of store.Store
// except durability, and must not be used where data matters.
package memory

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Settings of the memory store.
type Settings struct {
	History int `yaml:"history" doc:"number of the latest revisions that can still be watched and read; older ones are compacted"`
}

// Defaults fills every field.
func (c *Settings) Defaults() { c.History = 1 << 16 }

// Validate refuses a history that could not even hold the present.
func (c *Settings) Validate() error {
	if c.History < 1 {
		return config.Errorf(config.Invalid, "settings", "history", "must be at least 1, is %d", c.History)
	}
	return nil
}

// Open returns an empty store.
func (c *Settings) Open(_ context.Context, env store.Env) (store.Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if env.Peering != nil {
		return nil, config.Errorf(config.Invalid, "settings", "memory", "is of one node alone; leave out the settings under cluster, or choose another store")
	}
	return open(*c), nil
}

// New returns an empty store with default settings.
func New() *Store {
	var c Settings
	c.Defaults()
	return open(c)
}

func open(c Settings) *Store {
	return &Store{
		history:  c.History,
		revision: 1, // like etcd's: the empty store has a position, too
		versions: map[string][]version{},
		changed:  make(chan struct{}),
		terms:    map[string]*term{},
	}
}

// Store is the in-memory store.
type Store struct {
	history int

	mu        sync.RWMutex
	closed    bool
	revision  int64
	compacted int64                // history before this revision is gone
	keys      []string             // sorted: every key that has a version
	versions  map[string][]version // by key, oldest first
	log       []store.Batch        // every kept revision, oldest first; elements never change
	changed   chan struct{}        // closed and replaced by each Commit; closed by Close
	terms     map[string]*term     // by the key of the office
}

// version is one state of a key; a deleted one is a tombstone.
type version struct {
	store.Entry
	deleted bool
}

// Range implements store.Store.
func (s *Store) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if err := check(ctx, "range"); err != nil {
		return store.Page{}, err
	}
	if err := store.CheckQuery(q); err != nil {
		return store.Page{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := s.revision
	switch {
	case s.closed:
		return store.Page{}, store.ErrClosed
	case q.Revision > s.revision:
		return store.Page{}, config.Errorf(config.Invalid, "range", q.Key, "revision %d is in the future; the store is at %d", q.Revision, s.revision)
	case q.Revision > 0 && q.Revision < s.compacted:
		return store.Page{}, store.ErrCompacted
	case q.Revision > 0:
		at = q.Revision
	}
	page := store.Page{Revision: at}
	for key := range s.scan(q) {
		v, ok := s.at(key, at)
		if !ok {
			continue
		}
		if q.Limit > 0 && len(page.Entries) == q.Limit {
			page.More = true
			break
		}
		e := v.Entry
		if q.KeysOnly {
			e.Value = nil
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	if err := check(ctx, "commit"); err != nil {
		return 0, err
	}
	if err := store.CheckTxn(txn); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	if txn.Once != "" {
		if v, there := s.at(txn.Once, s.revision); there {
			return v.Revision, nil
		}
	}
	for _, c := range txn.Conds {
		v, _ := s.at(c.Key, s.revision)
		if v.Revision != c.Revision {
			return 0, store.ErrConflict
		}
	}
	s.apply(txn.Writes)
	return s.revision, nil
}

// apply makes the next revision of the writes and tells everybody.
func (s *Store) apply(writes []store.Write) {
	s.revision++
	batch := store.Batch{Revision: s.revision}
	for _, w := range writes {
		if ev, ok := s.write(w); ok {
			batch.Events = append(batch.Events, ev)
		}
		if t, held := s.terms[w.Key]; held {
			t.end()
			delete(s.terms, w.Key)
		}
	}
	s.log = append(s.log, batch)
	if kept := s.revision - int64(s.history); kept > s.compacted {
		s.compact(kept)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// write adds one version; false means that there was nothing to delete.
func (s *Store) write(w store.Write) (store.Event, bool) {
	old, exists := s.at(w.Key, s.revision)
	if w.Delete && !exists {
		return store.Event{}, false
	}
	v := version{Entry: store.Entry{Key: w.Key, Revision: s.revision}, deleted: w.Delete}
	if !w.Delete {
		v.Value = bytes.Clone(w.Value)
		v.Created = s.revision
		if exists {
			v.Created = old.Created
		}
	}
	if _, known := s.versions[w.Key]; !known {
		i, _ := slices.BinarySearch(s.keys, w.Key)
		s.keys = slices.Insert(s.keys, i, w.Key)
	}
	s.versions[w.Key] = append(s.versions[w.Key], v)
	return store.Event{Entry: v.Entry, Deleted: v.deleted}, true
}

// Compact implements store.Compacter.
func (s *Store) Compact(ctx context.Context, revision int64) error {
	if err := check(ctx, "compact"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return store.ErrClosed
	case revision > s.revision:
		return config.Errorf(config.Invalid, "compact", "", "revision %d is in the future; the store is at %d", revision, s.revision)
	case revision > s.compacted:
		s.compact(revision)
	}
	return nil
}

// compact forgets the log before the revision, and of every key that the
// forgotten part touched all versions that nobody can ask for any more.
func (s *Store) compact(revision int64) {
	s.compacted = revision
	n := s.logIndex(revision)
	for _, batch := range s.log[:n] {
		for _, ev := range batch.Events {
			s.prune(ev.Key)
		}
	}
	// A copy, so that the forgotten part can be collected; amortised, because
	// automatic compaction moves on by one revision at a time.
	if s.log = s.log[n:]; n > s.history/4 {
		s.log = slices.Clone(s.log)
	}
}

// prune drops the versions of a key that lie before what is compacted.
func (s *Store) prune(key string) {
	all := s.versions[key]
	n := 0
	for n+1 < len(all) && all[n+1].Revision <= s.compacted {
		n++
	}
	if n < len(all) && all[n].deleted && all[n].Revision <= s.compacted {
		n++
	}
	switch kept := all[n:]; {
	case n == 0:
	case len(kept) > 0:
		s.versions[key] = slices.Clone(kept)
	default:
		delete(s.versions, key)
		if i, ok := slices.BinarySearch(s.keys, key); ok {
			s.keys = slices.Delete(s.keys, i, i+1)
		}
	}
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.changed)
		for _, t := range s.terms {
			t.end()
		}
	}
	return nil
}

// at returns the state of a key as of a revision.
func (s *Store) at(key string, revision int64) (version, bool) {
	all := s.versions[key]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Revision <= revision {
			if all[i].deleted {
				return version{}, false
			}
			return all[i], true
		}
	}
	return version{}, false
}

// check turns a ctx that has ended into the error of an operation.
func check(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return &config.Error{Op: op, Kind: config.KindOf(err), Err: err}
	}
	return nil
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Driver    = (*Settings)(nil)
)
