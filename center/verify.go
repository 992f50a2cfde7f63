package center

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

const (
	// A window is what one pass over the records is compared with: so many
	// records and checkpoints at most. It bounds the memory of a verification to
	// some 100 MB; more records take more passes.
	windowRecords     = 1 << 20
	windowCheckpoints = 1 << 18
	// verifyTries bounds how often a verification starts over because the store
	// compacted the revision that it reads.
	verifyTries = 3
	// clockTolerance is how far the clocks of nodes may be apart before a
	// record's time is found odd.
	clockTolerance = time.Hour
)

// AuditExpectation is a checkpoint that was noted down: its number and its hash
// in hexadecimal. Zero expects nothing.
type AuditExpectation struct {
	Sequence int64
	Hash     string
}

// AuditSeal returns where the chain that seals the audit ends.
func (c *Center) AuditSeal(ctx context.Context) (audit.Seal, error) {
	const op = "audit.seal"
	if _, err := c.authorize(ctx, op, auth.ReadAudit, config.Path{}); err != nil {
		return audit.Seal{}, err
	}
	head, _, err := c.sealHead(ctx, 0)
	return head.Seal(), located(op, "", err)
}

// VerifyAudit compares all audit records with the chain of checkpoints, at one
// revision, and the chain with what somebody noted down of it. What it finds is
// its answer, not an error. A node verifies once at a time: Throttled while it
// does already. It takes about a second for 100,000 records.
func (c *Center) VerifyAudit(ctx context.Context, expect AuditExpectation) (audit.Verification, error) {
	const op = "audit.verify"
	if _, err := c.authorize(ctx, op, auth.ReadAudit, config.Path{}); err != nil {
		return audit.Verification{}, err
	}
	expected, err := expect.hash()
	if err != nil {
		return audit.Verification{}, located(op, "", err)
	}
	if !c.verifying.CompareAndSwap(false, true) {
		return audit.Verification{}, config.Errorf(config.Throttled, op, "", "this node is verifying the audit already; try again when that has ended")
	}
	defer c.verifying.Store(false)
	for try := 1; ; try++ {
		v := verifier{center: c, expect: expect.Sequence, expected: expected}
		err := v.run(ctx)
		if errors.Is(err, store.ErrCompacted) && try < verifyTries {
			continue
		}
		return v.out, located(op, "", err)
	}
}

func (e AuditExpectation) hash() (audit.Hash, error) {
	if e == (AuditExpectation{}) {
		return audit.Hash{}, nil
	}
	if e.Sequence < 1 {
		return audit.Hash{}, config.Errorf(config.Invalid, "", "", "the expected hash needs the sequence number of its checkpoint, 1 or higher")
	}
	h, err := audit.ParseHash(e.Hash)
	if err != nil {
		return h, config.Errorf(config.Invalid, "", "", "the expected hash: %w", err)
	}
	return h, nil
}

// verifier is one verification.
type verifier struct {
	center   *Center
	at       int64 // the revision that is verified
	head     audit.Head
	expect   int64 // the checkpoint that was noted down, 0 for none
	expected audit.Hash
	out      audit.Verification

	previous audit.Checkpoint // the last one seen
	window   []span
	covered  int64 // by the window
	after    int64 // revision behind which the window begins

	glanced   bool      // the first pass over the records is done
	dropped   int64     // what records of the retention tell of that are not sealed yet
	rewritten []string  // keys of records that were written twice
	strange   []stretch // where records are that should not be
}

// span is a checkpoint as the comparison needs it.
type span struct {
	sequence, first, last, records int64
	root                           audit.Hash
	afterGap                       bool // the checkpoint before it is not there
}

// row is a record as the comparison needs it.
type row struct {
	revision int64
	leaf     audit.Hash
}

func (v *verifier) run(ctx context.Context) error {
	page, err := v.center.store.Range(ctx, store.Query{Key: record.SealHeadKey})
	if err != nil {
		return err
	}
	v.at, v.out.Findings = page.Revision, []audit.Finding{}
	if err := v.readHead(ctx, page.Entries); err != nil {
		return err
	}
	v.out.Seal = v.head.Seal()
	err = v.center.walk(ctx, store.Query{Key: record.CheckpointPrefix(), Revision: v.at}, func(e store.Entry) error {
		return v.checkpoint(ctx, e)
	})
	if err != nil {
		return err
	}
	v.checkEnd()
	if err := v.compare(ctx); err != nil {
		return err
	}
	v.checkMark()
	for _, key := range v.rewritten {
		v.record(audit.Altered, key, 0, "the record was written a second time after it was made")
	}
	v.out.Intact = v.out.Omitted == 0 && !slices.ContainsFunc(v.out.Findings, func(f audit.Finding) bool { return !f.Warning })
	return nil
}

// readHead reads the chain's head. Where it cannot be read, the last checkpoint
// stands for it.
func (v *verifier) readHead(ctx context.Context, entries []store.Entry) error {
	if len(entries) == 1 {
		var err error
		if v.head, err = record.Decode[audit.Head](entries[0].Value); err == nil {
			return nil
		}
	}
	last, err := v.center.store.Range(ctx, store.Query{Key: record.CheckpointPrefix(), Prefix: true, Reverse: true, Limit: 1, Revision: v.at})
	if err != nil {
		return err
	}
	if len(last.Entries) == 0 && len(entries) == 0 {
		return nil // nothing was ever sealed
	}
	v.finding(audit.Finding{Kind: audit.Removed, Detail: "the head of the chain is not there or cannot be read"})
	for _, e := range last.Entries {
		if c, err := record.Decode[audit.Checkpoint](e.Value); err == nil {
			v.head = audit.Head{Sequence: c.Sequence, Hash: c.Hash, Last: c.Last, SealedAt: c.SealedAt, Dropped: c.Dropped}
		}
	}
	return nil
}

// checkpoint checks one link of the chain and notes it for the comparison.
func (v *verifier) checkpoint(ctx context.Context, e store.Entry) error {
	sequence, ok := record.SplitSealKey(e.Key)
	c, err := record.Decode[audit.Checkpoint](e.Value)
	if readable := ok && err == nil && c.Sequence == sequence; !readable {
		v.broken(&audit.Checkpoint{Sequence: sequence}, "it cannot be read")
		return nil
	}
	gap := c.Sequence != v.previous.Sequence+1
	v.checkLink(&c, e, gap)
	if !gap && c.Sequence > 1 && c.Oldest.Before(v.previous.Oldest.Add(-clockTolerance)) {
		if err := v.misdated(ctx, &c); err != nil {
			return err
		}
	}
	v.out.Checkpoints++
	if len(v.window) >= windowCheckpoints || len(v.window) > 0 && v.covered+c.Records > windowRecords {
		if err := v.compare(ctx); err != nil {
			return err
		}
	}
	v.window = append(v.window, span{sequence: c.Sequence, first: c.First, last: c.Last, records: c.Records, root: c.Root, afterGap: gap})
	if c.Sequence > v.head.Dropped {
		v.covered += c.Records
	}
	v.previous = c
	return nil
}

// checkLink checks a checkpoint by itself and against the one before.
func (v *verifier) checkLink(c *audit.Checkpoint, e store.Entry, gap bool) {
	p := &v.previous
	if gap {
		v.missing(p.Sequence+1, c.Sequence-1)
	}
	switch {
	case c.Hash != c.Sum():
		v.broken(c, "its hash is not that of its content")
	case e.Created != e.Revision:
		v.broken(c, "it was written a second time after it was made")
	case !gap && c.Previous != p.Hash:
		v.broken(c, "it does not follow the checkpoint before it")
	case c.Records < 1 || c.First > c.Last || c.First <= p.Last || c.Dropped < p.Dropped || c.Dropped >= c.Sequence:
		v.broken(c, "it covers what it cannot")
	}
	if c.Sequence == v.expect && c.Hash != v.expected {
		v.finding(audit.Finding{Kind: audit.Replaced, Checkpoint: c.Sequence, From: c.Oldest, Until: c.Newest,
			Detail: fmt.Sprintf("it has the hash %s, not the one that was noted down", c.Hash)})
	}
}

// checkEnd compares the head, and what was noted down, with the last checkpoint.
func (v *verifier) checkEnd() {
	last := &v.previous
	switch {
	case v.head.Sequence > last.Sequence:
		v.missing(last.Sequence+1, v.head.Sequence)
	case v.head.Sequence < last.Sequence:
		v.broken(last, fmt.Sprintf("the head of the chain stands at checkpoint %d", v.head.Sequence))
	case v.head.Hash != last.Hash || v.head.Last != last.Last:
		v.broken(last, "the head of the chain is not that of its last checkpoint")
	}
	if v.expect > last.Sequence {
		v.finding(audit.Finding{Kind: audit.Replaced, Checkpoint: v.expect,
			Detail: fmt.Sprintf("it was noted down, and the chain ends with checkpoint %d", last.Sequence)})
	}
}

// checkMark compares the mark of records dropped on purpose with what backs it:
// the last checkpoint or, until there is one, the retention's own record.
func (v *verifier) checkMark() {
	if backed := max(v.previous.Dropped, v.dropped); v.head.Dropped != backed {
		v.broken(&v.previous, fmt.Sprintf("the head marks the records up to checkpoint %d as deleted because of their age, and the chain those up to %d",
			v.head.Dropped, backed))
	}
}

// compare compares the window with the records, and begins the next one.
func (v *verifier) compare(ctx context.Context) error {
	if len(v.window) == 0 && v.glanced {
		return nil
	}
	rows, err := v.rows(ctx)
	if err != nil {
		return err
	}
	for i := range v.window {
		s := &v.window[i]
		stray := takeRows(&rows, s.first-1)
		if !s.afterGap {
			for _, r := range stray {
				v.odd(stretch{from: r.revision, to: r.revision, sequence: s.sequence})
			}
		}
		if err := v.span(ctx, s, takeRows(&rows, s.last)); err != nil {
			return err
		}
		v.after = max(v.after, s.last)
	}
	v.window, v.covered = v.window[:0], 0
	return v.explain(ctx)
}

// takeRows cuts the rows up to a revision off.
func takeRows(rows *[]row, last int64) []row {
	n, _ := slices.BinarySearchFunc(*rows, last+1, func(r row, revision int64) int { return cmp.Compare(r.revision, revision) })
	taken := (*rows)[:n]
	*rows = (*rows)[n:]
	return taken
}

// rows reads the records that the window covers, in the order of sealing.
func (v *verifier) rows(ctx context.Context) ([]row, error) {
	last := v.after
	for i := range v.window {
		last = max(last, v.window[i].last)
	}
	var rows []row
	err := v.center.auditRecords(ctx, v.at, false, func(e store.Entry) error {
		if !v.glanced {
			v.glance(e)
		}
		if e.Revision > v.after && e.Revision <= last {
			rows = append(rows, row{revision: e.Revision, leaf: audit.SealRecord(e.Key, e.Value).Leaf()})
		}
		return nil
	})
	v.glanced = true
	// They come in key order, which stays that of one revision.
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.revision, b.revision) })
	return rows, err
}

// glance sees every record once.
func (v *verifier) glance(e store.Entry) {
	if e.Created != e.Revision && len(v.rewritten) < maxFindings {
		v.rewritten = append(v.rewritten, e.Key)
	}
	if e.Revision <= v.head.Last {
		return
	}
	v.out.Unsealed++
	v.dropped = max(v.dropped, droppedBy(&e))
}

// span compares one checkpoint with the records of its span.
func (v *verifier) span(ctx context.Context, s *span, rows []row) error {
	if s.sequence <= v.head.Dropped {
		if len(rows) == 0 {
			return nil
		}
		list, err := v.center.sealedList(ctx, s.sequence, v.at)
		if err == nil && list == nil { // with one, the deletion is under way
			v.odd(stretch{from: s.first, to: s.last, sequence: s.sequence})
		}
		return err
	}
	root := audit.Root(func(yield func(audit.Hash) bool) {
		for i := range rows {
			if !yield(rows[i].leaf) {
				return
			}
		}
	})
	if int64(len(rows)) == s.records && root == s.root {
		v.out.Verified += s.records
		return nil
	}
	return v.diagnose(ctx, s, rows)
}
