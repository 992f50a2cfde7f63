package center

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

const (
	// retentionInterval is how often records are looked through for old ones.
	retentionInterval = time.Hour
	// retentionCheckpoints bounds how many checkpoints one mark drops.
	retentionCheckpoints = 10_000
	// retentionDeletes is how many records one transaction deletes: no more than
	// an external engine takes by default.
	retentionDeletes = 100

	retentionAction  = "audit.retention"
	retentionThrough = "through" // the checkpoint, in the record's detail
)

// retention is one term of deleting old audit records. It marks first and
// deletes then: the mark is in the chain's head, from where it goes into every
// later checkpoint, and has an audit record. Checkpoints themselves stay, so that
// the chain can be verified without the records. What is marked and not deleted
// yet is known by the lists of records, which go last.
type retention struct {
	center *Center
	term   store.Term
}

// retainAudit is the work of the retention's office.
func (c *Center) retainAudit(ctx context.Context, term store.Term) error {
	r := &retention{center: c, term: term}
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		if err := r.pass(ctx); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass drops everything that is old enough by now.
func (r *retention) pass(ctx context.Context) error {
	for conflicts := 0; ; {
		head, revision, err := r.center.sealHead(ctx, 0)
		if err != nil {
			return err
		}
		through, records, err := r.aged(ctx, head)
		if err != nil {
			return err
		}
		if through > head.Dropped {
			err = r.mark(ctx, head, revision, through, records)
			if errors.Is(err, store.ErrConflict) && conflicts < sealTries {
				conflicts++ // most likely the sealer was faster
				continue
			}
			if err != nil {
				return err
			}
			head.Dropped = through
		}
		if err := r.sweep(ctx, head.Dropped); err != nil || through == 0 {
			return err
		}
	}
}

// aged finds the last checkpoint of those that may be dropped now, and how many
// records they cover; 0 if none may.
func (r *retention) aged(ctx context.Context, head audit.Head) (through, records int64, err error) {
	keep := r.center.limits.AuditRetention
	if keep <= 0 {
		return 0, 0, nil
	}
	before := r.center.now().Add(-keep)
	q := store.Query{Key: record.CheckpointPrefix(), Prefix: true, Limit: auditPage, After: record.CheckpointKey(head.Dropped)}
	for seen := 0; seen < retentionCheckpoints; seen += auditPage {
		page, err := r.center.store.Range(ctx, q)
		if err != nil {
			return 0, 0, err
		}
		for _, e := range page.Entries {
			c, err := record.Decode[audit.Checkpoint](e.Value)
			if err != nil {
				return 0, 0, err
			}
			// Age counts from the sealing, not by the records' own times: those come
			// from many clocks, and one that is wrong must not have records dropped
			// early or kept for years.
			if c.Sequence > head.Sequence || !c.SealedAt.Before(before) {
				return through, records, nil
			}
			through, records, q.After = c.Sequence, records+c.Records, e.Key
		}
		if !page.More {
			break
		}
	}
	return through, records, nil
}

// mark notes in the chain's head what is dropped, with an audit record.
func (r *retention) mark(ctx context.Context, head audit.Head, revision, through, records int64) error {
	now := r.center.now().UTC()
	head.Dropped = through
	rec := audit.Record{
		ID: auditID(now), Time: now, Actor: audit.Actor{Subject: "system"}, Action: retentionAction, Outcome: audit.Done,
		Detail: map[string]string{
			retentionThrough: strconv.FormatInt(through, 10),
			"records":        strconv.FormatInt(records, 10),
			"older_than":     r.center.limits.AuditRetention.String(),
		},
	}
	_, err := r.center.store.Commit(ctx, store.Txn{
		Conds: []store.Cond{r.term.Fence(), {Key: record.SealHeadKey, Revision: revision}},
		Writes: []store.Write{
			{Key: record.SealHeadKey, Value: record.Encode(head)},
			{Key: record.AuditKey("", rec.ID), Value: record.Encode(rec)},
		},
	})
	if err == nil {
		r.center.log.InfoContext(ctx, "old audit records are deleted", "through_checkpoint", through, "records", records)
	}
	return err
}

// sweep deletes the records of the checkpoints up to the mark whose lists are
// there still.
func (r *retention) sweep(ctx context.Context, through int64) error {
	q := store.Query{Key: record.SealedPrefix(), Prefix: true, Limit: 1}
	for {
		page, err := r.center.store.Range(ctx, q)
		if err != nil || len(page.Entries) == 0 {
			return err
		}
		q.After = page.Entries[0].Key
		sequence, ok := record.SplitSealKey(q.After)
		if ok && sequence > through {
			return nil
		}
		list, err := r.center.sealedList(ctx, sequence, 0)
		if err != nil {
			return err
		}
		if !ok || list == nil {
			r.center.log.ErrorContext(ctx, "a list of sealed audit records is not what its checkpoint says; its records are kept", "key", q.After)
			continue
		}
		if err := r.delete(ctx, sequence, list); err != nil {
			return err
		}
	}
}

// delete removes the records of a checkpoint and, with the last of them, the list.
func (r *retention) delete(ctx context.Context, sequence int64, list []audit.Sealed) error {
	seen := make(map[string]struct{}, len(list))
	writes := make([]store.Write, 0, len(list)+1)
	for i := range list {
		if _, twice := seen[list[i].Key]; !twice {
			seen[list[i].Key] = struct{}{}
			writes = append(writes, store.Write{Key: list[i].Key, Delete: true})
		}
	}
	writes = append(writes, store.Write{Key: record.SealedKey(sequence), Delete: true})
	for chunk := range slices.Chunk(writes, retentionDeletes) {
		if _, err := r.center.store.Commit(ctx, store.Txn{Conds: []store.Cond{r.term.Fence()}, Writes: chunk}); err != nil {
			return err
		}
	}
	return nil
}

// checkpointAt reads a checkpoint as of a revision or, with 0, now; nil if there
// is none that can be read.
func (c *Center) checkpointAt(ctx context.Context, sequence, at int64) (*audit.Checkpoint, error) {
	page, err := c.store.Range(ctx, store.Query{Key: record.CheckpointKey(sequence), Revision: at})
	if err != nil || len(page.Entries) == 0 {
		return nil, err
	}
	found, err := record.Decode[audit.Checkpoint](page.Entries[0].Value)
	if err != nil || found.Sequence != sequence || found.Hash != found.Sum() {
		return nil, nil //nolint:nilerr,nilnil // one that says nothing is as good as none
	}
	return &found, nil
}

// sealedList reads the list of a checkpoint's records; nil if there is none that
// the checkpoint vouches for.
func (c *Center) sealedList(ctx context.Context, sequence, at int64) ([]audit.Sealed, error) {
	checkpoint, err := c.checkpointAt(ctx, sequence, at)
	if err != nil || checkpoint == nil {
		return nil, err
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.SealedKey(sequence), Revision: at})
	if err != nil || len(page.Entries) == 0 {
		return nil, err
	}
	list, err := record.DecodeSealed(page.Entries[0].Value)
	if err != nil || rootOf(list) != checkpoint.Root {
		return nil, nil //nolint:nilerr // likewise
	}
	return list, nil
}
