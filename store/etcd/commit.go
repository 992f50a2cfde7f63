package etcd

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// inFlight is how many batches are under way at once: enough for a few writers
	// to have etcd's own pipeline for themselves, and for a large commit not to
	// hold up small ones; with more of them, many writers would gain nothing from
	// sharing.
	inFlight = 8

	// Bounds of a batch. Together they stay within what an etcd server accepts
	// by default (128 operations in a transaction, counted along the deepest
	// path; 1.5 MiB), and they bound what one log entry holds in memory. What is
	// larger goes alone.
	maxBatch      = 64
	maxBatchOps   = 48 // of one commit in a batch
	maxBatchBytes = 256 << 10

	// opOverhead is roughly what an operation takes up beside key and value.
	opOverhead = 24
)

// committer gathers the commits that arrive while others are under way, and
// sends them to etcd as one transaction, one log entry, one fsync. Each keeps
// its own conditions: it is a nested transaction, of which some may fail and
// others not. Commits that touch each other's keys never share a batch, so that
// no order among those of a batch exists that anyone could observe.
type committer struct {
	store   *Store
	workers sync.WaitGroup
	wake    chan struct{} // holds a token for each worker that has something to look for

	mu      sync.Mutex
	stopped bool
	queue   []*commit // in order of arrival
}

// commit is one caller's transaction.
type commit struct {
	conds  []*pb.Compare
	writes []*pb.RequestOp
	reads  []string // keys of conds
	keys   []string // keys of writes
	once   []byte   // the key that keeps it from happening twice, if it has one
	bytes  int
	done   chan result // buffered: a caller that has left does not hold up a worker
}

type result struct {
	revision int64
	err      error
}

func (c *committer) start(s *Store) {
	c.store = s
	c.wake = make(chan struct{}, inFlight)
	for range inFlight {
		c.workers.Go(c.work)
	}
}

// wait returns when nothing is under way any more, after the store's life ended.
func (c *committer) wait() { c.workers.Wait() }

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	const op = "commit"
	if err := store.CheckTxn(txn); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
	}
	one := s.prepare(txn)
	switch {
	case one.bytes > int(s.settings.MaxRequestBytes):
		return 0, config.Errorf(config.TooLarge, op, "", "the transaction has about %d bytes, the limit is %s (max_request_bytes); split it", one.bytes, s.settings.MaxRequestBytes)
	case max(len(one.writes), len(one.conds)) > s.settings.MaxTxnOps:
		return 0, config.Errorf(config.TooLarge, op, "", "the transaction has %d writes and %d conditions, the limit is %d (max_txn_ops); split it", len(one.writes), len(one.conds), s.settings.MaxTxnOps)
	}
	if !s.commits.enqueue(one) {
		return 0, context.Cause(s.life)
	}
	select {
	case r := <-one.done:
		return r.revision, r.err
	case <-ctx.Done():
		s.commits.abandon(one)
		return 0, &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

// prepare translates a transaction, straight to what goes over the wire: etcd's
// client would copy every condition by reflection. Values are not copied either,
// which the contract of store.Write allows.
func (s *Store) prepare(txn store.Txn) *commit {
	one := &commit{
		conds:  make([]*pb.Compare, 0, len(txn.Conds)),
		writes: make([]*pb.RequestOp, 0, len(txn.Writes)+1),
		reads:  make([]string, 0, len(txn.Conds)),
		keys:   make([]string, 0, len(txn.Writes)+1),
		done:   make(chan result, 1),
	}
	for _, cond := range txn.Conds {
		key := s.data + cond.Key
		one.conds = append(one.conds, &pb.Compare{
			Key: []byte(key), Result: pb.Compare_EQUAL, Target: pb.Compare_MOD,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: cond.Revision},
		})
		one.reads = append(one.reads, key)
		one.bytes += len(key) + opOverhead
	}
	if txn.Once != "" {
		one.once = []byte(s.data + txn.Once)
		one.conds = append(one.conds, &pb.Compare{
			Key: one.once, Result: pb.Compare_EQUAL, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{},
		})
	}
	puts := false
	for _, w := range txn.Writes {
		key := s.data + w.Key
		op := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)}}}
		if !w.Delete {
			puts = true
			op = put(key, w.Value)
		}
		one.writes = append(one.writes, op)
		one.keys = append(one.keys, key)
		one.bytes += len(key) + len(w.Value) + opOverhead
	}
	if !puts { // etcd has no new revision for deleting what is not there
		one.writes = append(one.writes, put(s.touch, nil))
		one.keys = append(one.keys, s.touch)
	}
	return one
}

func put(key string, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: value}}}
}

// enqueue hands a commit to the workers; false means that the store's life is over.
func (c *committer) enqueue(one *commit) bool {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return false
	}
	c.queue = append(c.queue, one)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // every worker has a token and will look
	}
	return true
}

// abandon takes a commit out of the queue, if it still is there.
func (c *committer) abandon(one *commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.queue, one); i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
}

// work sends batches until the store's life ends.
func (c *committer) work() {
	for {
		select {
		case <-c.wake:
		case <-c.store.life.Done():
			c.failQueued()
			return
		}
		for batch := c.take(); len(batch) > 0; batch = c.take() {
			c.send(batch)
		}
	}
}

// failQueued answers those who still wait when the store's life has ended.
func (c *committer) failQueued() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, one := range c.queue {
		one.done <- result{err: context.Cause(c.store.life)}
	}
	c.queue = nil
}

// take removes the next batch from the queue: the first commit, and of those
// behind it the ones that fit in and have no key in common with the batch.
func (c *committer) take() []*commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil
	}
	batch := c.queue[:1:1]
	size := batch[0].bytes
	if len(c.queue) == 1 || !batch[0].small() {
		c.queue = c.queue[1:]
		return batch
	}
	read, written := map[string]struct{}{}, map[string]struct{}{}
	batch[0].mark(read, written)
	left := make([]*commit, 0, len(c.queue)-1)
	for i, one := range c.queue[1:] {
		if len(batch) == maxBatch {
			left = append(left, c.queue[1+i:]...)
			break
		}
		if !one.small() || size+one.bytes > maxBatchBytes || one.repeatable() != batch[0].repeatable() || one.collides(read, written) {
			left = append(left, one)
			continue
		}
		batch = append(batch, one)
		size += one.bytes
		one.mark(read, written)
	}
	c.queue = left
	return batch
}

// small reports whether a commit may share a batch.
func (one *commit) small() bool {
	return max(len(one.writes), len(one.conds)) <= maxBatchOps && one.bytes <= maxBatchBytes
}

// repeatable reports whether a commit can be sent again without happening twice.
// Those that can never share a batch with those that cannot.
func (one *commit) repeatable() bool { return one.once != nil }

// collides reports whether a commit depends on keys that the batch changes, or
// changes keys that the batch depends on.
func (one *commit) collides(read, written map[string]struct{}) bool {
	for _, key := range one.reads {
		if _, ok := written[key]; ok {
			return true
		}
	}
	for _, key := range one.keys {
		if _, ok := written[key]; ok {
			return true
		}
		if _, ok := read[key]; ok {
			return true
		}
	}
	return false
}

func (one *commit) mark(read, written map[string]struct{}) {
	for _, key := range one.reads {
		read[key] = struct{}{}
	}
	for _, key := range one.keys {
		written[key] = struct{}{}
	}
}

// request is the commit as etcd takes it. If its conditions do not hold, the
// answer tells whether that is because it happened before.
func (one *commit) request() *pb.TxnRequest {
	r := &pb.TxnRequest{Compare: one.conds, Success: one.writes}
	if one.once != nil {
		r.Failure = []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: one.once, KeysOnly: true, Serializable: true},
		}}}
	}
	return r
}

// outcome reads what became of the commit out of etcd's answer to its request.
func (one *commit) outcome(resp *pb.TxnResponse, revision int64) result {
	if resp.GetSucceeded() {
		return result{revision: revision}
	}
	for _, op := range resp.GetResponses() {
		if found := op.GetResponseRange().GetKvs(); one.once != nil && len(found) > 0 {
			return result{revision: found[0].ModRevision}
		}
	}
	return result{err: store.ErrConflict}
}

// together is what etcd is sent for a batch.
func together(batch []*commit) *pb.TxnRequest {
	if len(batch) == 1 {
		return batch[0].request()
	}
	r := &pb.TxnRequest{Success: make([]*pb.RequestOp, len(batch))}
	for i, one := range batch {
		r.Success[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: one.request()}}
	}
	return r
}

// send commits a batch and answers its callers.
func (c *committer) send(batch []*commit) {
	// The life of no caller: one that leaves must not take the others along.
	ctx, cancel := context.WithTimeout(c.store.life, c.store.settings.RequestTimeout)
	defer cancel()
	resp, err := c.exchange(ctx, batch)
	if err != nil {
		c.sendFailed(batch, err)
		return
	}
	revision := resp.Header.Revision
	c.store.position.advance(revision)
	if len(batch) == 1 {
		batch[0].done <- batch[0].outcome(resp, revision)
		return
	}
	for i, one := range batch {
		one.done <- one.outcome(resp.Responses[i].GetResponseTxn(), revision)
	}
}

// firstPatience is how long the first attempt at what can be sent again may
// take; each later one may take twice as long. A member that passed a proposal on
// to a leader which has died would wait for it for seven seconds.
const firstPatience = 2 * time.Second

// exchange sends a batch until etcd answers. Where it gives no answer, as when a
// leader dies, commits that cannot happen twice are sent again; of others nobody
// can say what became of them.
func (c *committer) exchange(ctx context.Context, batch []*commit) (*pb.TxnResponse, error) {
	var lost error // of an attempt whose outcome is open
	for patience := firstPatience; ; patience *= 2 {
		resp, err := c.attempt(ctx, batch, patience)
		switch {
		case err == nil:
			return resp, nil
		case !isOpen(err):
			// That this attempt came to nothing says nothing of the one before.
			return nil, cmp.Or(lost, err)
		case !batch[0].repeatable() || pause(ctx) != nil:
			return nil, err
		}
		lost = err
	}
}

// attempt sends a batch once. If it can be sent again, it may take no longer than
// the patience.
func (c *committer) attempt(ctx context.Context, batch []*commit, patience time.Duration) (*pb.TxnResponse, error) {
	if batch[0].repeatable() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	resp, err := c.store.link.write(ctx, together(batch))
	return resp, clientv3.ContextError(ctx, err)
}

// sendFailed tells the callers of a batch why it failed. Where etcd refused the
// batch for what it is, each commit is tried alone: only some can be at fault.
func (c *committer) sendFailed(batch []*commit, err error) {
	failure := context.Cause(c.store.life)
	if failure == nil {
		failure = translateWrite("commit", err)
	}
	if config.KindOf(failure) == config.Exhausted {
		failure = c.store.explain("commit", err)
	}
	if len(batch) > 1 && config.KindOf(failure) == config.TooLarge {
		for _, one := range batch {
			c.send([]*commit{one})
		}
		return
	}
	for _, one := range batch {
		one.done <- result{err: failure}
	}
}
