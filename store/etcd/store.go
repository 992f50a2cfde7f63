// Package etcd is the Store on etcd: by default etcd's own server in this
// process, reached through its in-process client without a network hop, or an
// external cluster reached over gRPC. Both run the same code over a client;
// only how the client comes to be differs.
//
// Consensus, log, snapshots and membership are etcd's. The package translates,
// and gathers concurrent commits into one etcd transaction.
package etcd

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Store is a store.Store on an etcd client.
type Store struct {
	settings Settings
	log      *slog.Logger
	client   *clientv3.Client
	link     link
	engine   *engine      // nil if it runs elsewhere
	stop     func() error // ends the engine, if that is the store's to do
	edge     bool         // the engine runs on other nodes of Setpoint's own
	data     string       // what the keys of all entries begin with
	touch    string       // the key that gives a commit a revision where its own writes change nothing
	backlog  int          // bytes that may wait for a slow watcher
	position position
	commits  committer

	// life is the store's own, not a call's: it ends with Close or with the
	// engine, and its cause is what calls fail with from then on.
	life     context.Context
	end      context.CancelCauseFunc
	calls    sync.RWMutex   // held for reading by calls to etcd, and by Close
	file     sync.RWMutex   // held for reading by snapshots, and by who replaces the file of the data
	terms    sync.WaitGroup // what keeps the offices that were won here
	close    sync.Once
	closeErr error
}

// newStore makes a store on a client that is ready. It owns client and link.
func newStore(life context.Context, c Settings, client *clientv3.Client, link link, log *slog.Logger) *Store {
	s := &Store{
		settings: c,
		log:      log,
		client:   client,
		link:     link,
		data:     c.Prefix + "data/",
		touch:    c.Prefix + "touch",
		backlog:  maxBacklog,
	}
	s.life, s.end = context.WithCancelCause(life)
	s.commits.start(s)
	return s
}

// Range implements store.Store.
func (s *Store) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if err := store.CheckQuery(q); err != nil {
		return store.Page{}, err
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Page{}, err
	}
	defer leave()
	read := s.rangeOnce
	if q.Reverse && q.Limit > 0 && !q.KeysOnly {
		read = s.rangeBackward
	}
	page, err := read(ctx, q)
	if err != nil {
		return store.Page{}, s.fail(ctx, "range", err)
	}
	if q.Revision == 0 && !q.Stale {
		s.position.advance(page.Revision)
	}
	return page, nil
}

// rangeBackward reads the last keys of many: etcd would load every value before
// it cuts off, but finds keys in its index alone. So the keys come first, then
// the values that lie between them, as of the same revision.
func (s *Store) rangeBackward(ctx context.Context, q store.Query) (store.Page, error) {
	keys := q
	keys.KeysOnly = true
	page, err := s.rangeOnce(ctx, keys)
	if err != nil || len(page.Entries) == 0 {
		return page, err
	}
	first, last := page.Entries[len(page.Entries)-1].Key, page.Entries[0].Key
	opts := []clientv3.OpOption{clientv3.WithRange(s.data + last + "\x00"), clientv3.WithRev(page.Revision)}
	if q.Stale {
		opts = append(opts, clientv3.WithSerializable())
	}
	resp, err := s.get(ctx, q.Stale, s.data+first, opts...)
	if err != nil {
		return store.Page{}, err
	}
	page.Entries = s.entries(resp.Kvs)
	slices.Reverse(page.Entries)
	return page, nil
}

// rangeOnce answers a query with one request.
func (s *Store) rangeOnce(ctx context.Context, q store.Query) (store.Page, error) {
	opts := []clientv3.OpOption{clientv3.WithLimit(int64(q.Limit)), clientv3.WithRev(q.Revision)}
	if q.KeysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	if q.Stale {
		opts = append(opts, clientv3.WithSerializable())
	}
	if q.Reverse {
		opts = append(opts, clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	}
	from, to := s.span(q)
	if from >= to {
		from, to = s.touch, "" // nothing selected; only the revision is of interest
	} else {
		opts = append(opts, clientv3.WithRange(to))
	}
	resp, err := s.get(ctx, q.Stale, from, opts...)
	if err != nil {
		return store.Page{}, err
	}
	page := store.Page{Revision: resp.Header.Revision}
	if q.Revision > 0 {
		page.Revision = q.Revision
	}
	if to != "" {
		page.Entries, page.More = s.entries(resp.Kvs), resp.More
	}
	return page, nil
}

// get reads a span of keys.
func (s *Store) get(ctx context.Context, stale bool, from string, opts ...clientv3.OpOption) (resp *clientv3.GetResponse, err error) {
	err = s.link.read(ctx, stale, func(ctx context.Context) error {
		resp, err = s.client.Get(ctx, from, opts...)
		return err
	})
	return resp, err
}

// span returns the etcd keys that a query selects: from, included, to, excluded.
func (s *Store) span(q store.Query) (from, to string) {
	from = s.data + q.Key
	to = from + "\x00"
	if q.Prefix {
		to = clientv3.GetPrefixRangeEnd(from)
	}
	switch {
	case q.After == "":
	case q.Reverse:
		to = min(to, s.data+q.After)
	default:
		from = max(from, s.data+q.After+"\x00")
	}
	return from, to
}

// entries translates what etcd holds.
func (s *Store) entries(kvs []*mvccpb.KeyValue) []store.Entry {
	if len(kvs) == 0 {
		return nil
	}
	out := make([]store.Entry, len(kvs))
	for i, kv := range kvs {
		out[i] = s.entry(kv)
	}
	return out
}

// entry shares the value with etcd: nobody may modify it, by store's contract.
func (s *Store) entry(kv *mvccpb.KeyValue) store.Entry {
	return store.Entry{
		Key:      strings.TrimPrefix(string(kv.Key), s.data),
		Value:    kv.Value,
		Revision: kv.ModRevision,
		Created:  kv.CreateRevision,
	}
}

// Compact implements store.Compacter. On a shared cluster it drops the history
// of everybody's keys.
func (s *Store) Compact(ctx context.Context, revision int64) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.client.Compact(ctx, revision)
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return s.fail(ctx, "compact", err)
	}
	return nil
}

// Size implements store.Sizer, for the first member that answers.
func (s *Store) Size(ctx context.Context) (total, inUse int64, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	endpoints := s.client.Endpoints()
	if len(endpoints) == 0 {
		endpoints = []string{""} // the embedded engine's client has none and needs none
	}
	for _, endpoint := range endpoints {
		var status *clientv3.StatusResponse
		if status, err = s.client.Status(ctx, endpoint); err == nil {
			return status.DbSize, status.DbSizeInUse, nil
		}
	}
	return 0, 0, s.fail(ctx, "size", err)
}

// Done implements store.Liveness.
func (s *Store) Done() <-chan struct{} { return s.life.Done() }

// Err implements store.Liveness.
func (s *Store) Err() error {
	if cause := context.Cause(s.life); cause != nil && !errors.Is(cause, store.ErrClosed) {
		return cause
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.end(store.ErrClosed)
		s.commits.wait()
		s.calls.Lock()
		defer s.calls.Unlock()
		s.terms.Wait()
		s.link.close()
		if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			s.closeErr = &config.Error{Op: "close the store", Kind: config.Unavailable, Err: err}
		}
		if s.stop == nil {
			return
		}
		if err := s.stop(); err != nil {
			s.closeErr = &config.Error{Op: "close the store", Kind: config.Unavailable, Path: s.settings.DataDir, Err: err}
		}
	})
	return s.closeErr
}

// enter begins a call to etcd that must be answered in time, unless the store's
// life is over.
func (s *Store) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return nil, nil, err
	}
	// etcd's client waits for a connection as long as its ctx lets it.
	ctx, cancel := context.WithTimeoutCause(ctx, s.settings.RequestTimeout, noAnswer("etcd did not answer within %s (request_timeout)", s.settings.RequestTimeout))
	return ctx, func() {
		cancel()
		release()
	}, nil
}

// hold keeps the engine from being stopped until release is called, unless the
// store's life is over already: the embedded server must not be called once it
// has stopped. The ctx that it returns ends with that life, and so must the use
// of the engine. Calls must not be nested.
func (s *Store) hold(ctx context.Context) (_ context.Context, release func(), err error) {
	s.calls.RLock()
	if s.life.Err() != nil {
		s.calls.RUnlock()
		return nil, nil, context.Cause(s.life)
	}
	ctx, unbind := s.bind(ctx)
	return ctx, func() {
		unbind()
		s.calls.RUnlock()
	}, nil
}

// bind returns a ctx that ends with the caller's or with the store's life.
func (s *Store) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Sizer     = (*Store)(nil)
	_ store.Liveness  = (*Store)(nil)
)
