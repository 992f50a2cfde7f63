package center

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Sealing the audit. Records are written with the changes that they tell of, in
// any number at a time. Behind them one node follows the store's log and covers
// them with checkpoints, each chained to the one before by its hash:
//
//   - A checkpoint covers whole revisions, for one that the log has passed never
//     gets more records; so every record is covered once.
//   - It is committed on the condition that the chain's head is what the sealer
//     knows and that its term lasts; so a sealer that was replaced without
//     knowing changes nothing.
//   - Where the log is compacted, the records themselves are searched for those
//     behind the head.

const (
	// sealInterval is how long records wait to be covered together.
	sealInterval = time.Second
	// sealRecords is how many records a checkpoint covers, but for one revision
	// that has more. It keeps the commit well below what any engine takes.
	sealRecords = 2000
	// sealTries bounds how often a checkpoint is built anew because the head was
	// changed by the retention.
	sealTries = 5
)

var errTermOver = config.Errorf(config.Conflict, "audit.seal", "", "the term is over, or another node changed the chain")

// sealer is one term of sealing.
type sealer struct {
	center   *Center
	term     store.Term
	most     int // records in a checkpoint
	head     audit.Head
	revision int64 // of the head's key
	dropped  int64 // as the last checkpoint has it
	position int64 // from where on the log is followed
	pending  []unsealed
}

// unsealed is a record on its way into a checkpoint.
type unsealed struct {
	audit.Sealed
	revision int64
	dropped  int64 // if it is the retention's: the checkpoint that it tells of
}

func newUnsealed(e *store.Entry) unsealed {
	return unsealed{Sealed: audit.SealRecord(e.Key, e.Value), revision: e.Revision, dropped: droppedBy(e)}
}

// droppedBy returns the checkpoint up to which a record says that records were
// deleted because of their age, 0 if it says nothing of the kind.
func droppedBy(e *store.Entry) int64 {
	if tenant, _ := record.SplitAudit(e.Key); tenant != "" || !bytes.Contains(e.Value, []byte(retentionAction)) {
		return 0
	}
	rec, err := record.Decode[audit.Record](e.Value)
	if err != nil || rec.Action != retentionAction {
		return 0
	}
	through, err := strconv.ParseInt(rec.Detail[retentionThrough], 10, 64)
	if err != nil {
		return 0
	}
	return max(through, 0)
}

func (u unsealed) before(v unsealed) int {
	if u.revision != v.revision {
		return int(u.revision - v.revision)
	}
	switch {
	case u.Key < v.Key:
		return -1
	case u.Key > v.Key:
		return 1
	}
	return 0
}

// sealAudit is the work of the sealer's office.
func (c *Center) sealAudit(ctx context.Context, term store.Term) error {
	s := &sealer{center: c, term: term, most: sealRecords}
	if err := s.load(ctx); err != nil {
		return err
	}
	for {
		if err := s.follow(ctx); !errors.Is(err, store.ErrCompacted) {
			return err
		}
		if err := s.search(ctx); err != nil && !errors.Is(err, store.ErrCompacted) {
			return err
		}
	}
}

// load finds where to go on. That is the head, unless somebody took it away or
// set it back: no checkpoint is ever made anew, so that what was done to the
// chain can be seen.
func (s *sealer) load(ctx context.Context) error {
	page, err := s.center.store.Range(ctx, store.Query{Key: record.CheckpointPrefix(), Prefix: true, Reverse: true, Limit: 1})
	if err != nil {
		return err
	}
	if s.head, s.revision, err = s.center.sealHead(ctx, page.Revision); err != nil {
		return err
	}
	for _, e := range page.Entries {
		last, err := record.Decode[audit.Checkpoint](e.Value)
		if err != nil {
			return err
		}
		s.dropped = last.Dropped
		if last.Sequence > s.head.Sequence {
			s.center.log.ErrorContext(ctx, "the head of the audit's chain was set back; sealing goes on behind the last checkpoint: verify the audit",
				"head", s.head.Sequence, "checkpoint", last.Sequence)
			s.head.Sequence, s.head.Hash, s.head.Last, s.head.Dropped = last.Sequence, last.Hash, last.Last, last.Dropped
		}
	}
	s.position = s.head.Last
	return nil
}

// sealHead reads the chain's head, and the revision of its key, as of a
// revision of the store or, with 0, now.
func (c *Center) sealHead(ctx context.Context, at int64) (head audit.Head, revision int64, err error) {
	page, err := c.store.Range(ctx, store.Query{Key: record.SealHeadKey, Revision: at})
	if err != nil || len(page.Entries) == 0 {
		return head, 0, err
	}
	head, err = record.Decode[audit.Head](page.Entries[0].Value)
	return head, page.Entries[0].Revision, err
}

// follow seals what the log brings until it ends.
func (s *sealer) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	// A few batches are read ahead while a checkpoint is committed.
	batches := make(chan store.Batch, 64)
	ended := make(chan error, 1)
	go func() {
		ended <- s.read(ctx, batches)
		close(batches)
	}()
	defer func() {
		cancel()
		for range batches { // until the reader has ended
		}
	}()
	s.pending = nil
	var due <-chan time.Time
	for {
		select {
		case batch, more := <-batches:
			if !more {
				return <-ended
			}
			s.take(batch)
		case <-due:
			due = nil
			if err := s.seal(ctx, 0); err != nil {
				return err
			}
		}
		if err := s.seal(ctx, s.most-1); err != nil {
			return err
		}
		if due == nil && len(s.pending) > 0 {
			due = time.After(sealInterval)
		}
	}
}

// read hands on the batches of the log, and returns why it ended.
func (s *sealer) read(ctx context.Context, batches chan<- store.Batch) error {
	for batch, err := range s.center.store.Watch(ctx, record.Audits.Prefix(), s.position) {
		if err != nil {
			return err
		}
		select {
		case batches <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// take notes the records of one revision, which the batch holds whole. Deletions
// are not its affair: what was there is sealed, or will be.
func (s *sealer) take(batch store.Batch) {
	from := len(s.pending)
	for i := range batch.Events {
		if e := &batch.Events[i]; !e.Deleted {
			s.pending = append(s.pending, newUnsealed(&e.Entry))
		}
	}
	slices.SortFunc(s.pending[from:], unsealed.before)
}

// seal covers pending records until no more than so many are left.
func (s *sealer) seal(ctx context.Context, left int) error {
	for len(s.pending) > left {
		n := wholeRevisions(s.pending, s.most)
		if err := s.commit(ctx, s.pending[:n]); err != nil {
			return err
		}
		s.pending = s.pending[n:]
	}
	return nil
}

// wholeRevisions returns how many of the records make up the next checkpoint:
// no more than most, unless a single revision has more.
func wholeRevisions(records []unsealed, most int) int {
	n := min(len(records), most)
	split := func() bool { return n < len(records) && records[n].revision == records[n-1].revision }
	for n > 1 && split() {
		n--
	}
	if n == 1 {
		for split() {
			n++
		}
	}
	return n
}

// commit covers the records with one checkpoint.
func (s *sealer) commit(ctx context.Context, records []unsealed) error {
	for range sealTries {
		checkpoint, list := s.build(records)
		next := audit.Head{
			Sequence: checkpoint.Sequence, Hash: checkpoint.Hash, Last: checkpoint.Last, SealedAt: checkpoint.SealedAt,
			Records: s.head.Records + checkpoint.Records, Dropped: s.head.Dropped,
		}
		revision, err := s.center.store.Commit(ctx, store.Txn{
			Conds: []store.Cond{
				s.term.Fence(), {Key: record.SealHeadKey, Revision: s.revision}, {Key: record.CheckpointKey(checkpoint.Sequence)},
			},
			Writes: []store.Write{
				{Key: record.CheckpointKey(checkpoint.Sequence), Value: record.Encode(checkpoint)},
				{Key: record.SealedKey(checkpoint.Sequence), Value: record.EncodeSealed(list)},
				{Key: record.SealHeadKey, Value: record.Encode(next)},
			},
		})
		if err == nil {
			s.head, s.revision, s.dropped = next, revision, checkpoint.Dropped
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		// The retention marks in the head what it drops, which is no reason to stop.
		head, revision, err := s.center.sealHead(ctx, 0)
		if err != nil {
			return err
		}
		if head.Sequence != s.head.Sequence || head.Hash != s.head.Hash || revision == s.revision {
			return errTermOver
		}
		s.head, s.revision = head, revision
	}
	return config.Errorf(config.Conflict, "audit.seal", "", "the head was changed %d times in a row", sealTries)
}

// build makes the checkpoint that covers the records.
func (s *sealer) build(records []unsealed) (audit.Checkpoint, []audit.Sealed) {
	c := audit.Checkpoint{
		Sequence: s.head.Sequence + 1, Previous: s.head.Hash, Records: int64(len(records)),
		First: records[0].revision, Last: records[len(records)-1].revision,
		SealedAt: s.center.now().UTC().Round(0), Dropped: s.dropped,
	}
	list := make([]audit.Sealed, len(records))
	for i := range records {
		list[i] = records[i].Sealed
		// Not what the head says, which anybody may have written: what a record says
		// stays for everybody to see.
		if d := records[i].dropped; d > c.Dropped && d < c.Sequence {
			c.Dropped = d
		}
		_, id := record.SplitAudit(records[i].Key)
		at, ok := record.AuditTime(id)
		if !ok {
			continue
		}
		if c.Oldest.IsZero() || at.Before(c.Oldest) {
			c.Oldest = at
		}
		if at.After(c.Newest) {
			c.Newest = at
		}
	}
	if c.Oldest.IsZero() {
		c.Oldest, c.Newest = c.SealedAt, c.SealedAt
	}
	c.Root = rootOf(list)
	c.Hash = c.Sum()
	return c, list
}

func rootOf(list []audit.Sealed) audit.Hash {
	return audit.Root(func(yield func(audit.Hash) bool) {
		for i := range list {
			if !yield(list[i].Leaf()) {
				return
			}
		}
	})
}
