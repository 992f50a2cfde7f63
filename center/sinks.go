package center

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Telling sinks of the audit. Each sink is an office of its own: the node that
// holds it goes along the chain of checkpoints, reads the records that each
// covers, in their order, and notes how far the sink has come once the sink has
// them. So a sink is told everything that was sealed, in one order, from where it
// was left, whichever node goes on; and one that is slow or down holds up nobody.

// AuditSink is a sink with the name under which its position is kept.
type AuditSink struct {
	Name string
	Sink audit.Sink
}

const (
	sinkOffice = "audit-sink-" // and the sink's name
	// A sink that fails is tried again after a pause that grows.
	sinkPause     = time.Second
	sinkLongPause = time.Minute
	// sinkPatience bounds one batch.
	sinkPatience = time.Minute
)

// teller is one term of telling a sink.
type teller struct {
	center   *Center
	term     store.Term
	sink     AuditSink
	key      string
	at       record.SinkPosition
	revision int64 // of the position's key
}

// tellSink returns the work of a sink's office.
func (c *Center) tellSink(sink AuditSink) func(context.Context, store.Term) error {
	return func(ctx context.Context, term store.Term) error {
		t := &teller{center: c, term: term, sink: sink, key: record.Sinks.Key(sink.Name)}
		if err := t.load(ctx); err != nil {
			return err
		}
		return t.follow(ctx)
	}
}

// load finds where the sink was left; one that is new begins with the oldest
// records that are kept.
func (t *teller) load(ctx context.Context) error {
	page, err := t.center.store.Range(ctx, store.Query{Key: t.key})
	if err != nil || len(page.Entries) == 0 {
		return err
	}
	t.revision = page.Entries[0].Revision
	t.at, err = record.Decode[record.SinkPosition](page.Entries[0].Value)
	return err
}

// follow tells the sink what is sealed, and goes on whenever the chain's head moves.
func (t *teller) follow(ctx context.Context) error {
	for {
		page, err := t.center.store.Range(ctx, store.Query{Key: record.SealHeadKey})
		if err != nil {
			return err
		}
		if err := t.catchUp(ctx, page.Entries); err != nil {
			return err
		}
		if err := t.await(ctx, page.Revision); err != nil && !errors.Is(err, store.ErrCompacted) {
			return err
		}
	}
}

// await returns when the head has changed after the revision.
func (t *teller) await(ctx context.Context, after int64) error {
	for batch, err := range t.center.store.Watch(ctx, record.SealHeadKey, after) {
		if err != nil {
			return err
		}
		if len(batch.Events) > 0 {
			return nil
		}
	}
	return cmp.Or(ctx.Err(), error(errTermOver))
}

// catchUp tells the sink everything up to the head.
func (t *teller) catchUp(ctx context.Context, entries []store.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	head, err := record.Decode[audit.Head](entries[0].Value)
	if err != nil {
		return err
	}
	if t.at.Sequence < head.Dropped {
		if t.at.Sequence > 0 {
			t.center.log.ErrorContext(ctx, "audit records were deleted because of their age before a sink had them",
				"sink", t.sink.Name, "checkpoint", t.at.Sequence, "dropped", head.Dropped)
		}
		t.at = record.SinkPosition{Sequence: head.Dropped}
	}
	for t.at.Sequence < head.Sequence {
		if err := t.checkpoint(ctx, t.at.Sequence+1); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint tells the sink what it has not of one checkpoint.
func (t *teller) checkpoint(ctx context.Context, sequence int64) error {
	keys, err := t.covered(ctx, sequence)
	if err != nil {
		return err
	}
	for told := min(t.at.Told, len(keys)); told < len(keys); {
		batch := keys[told:min(told+audit.MaxBatch, len(keys))]
		records, err := t.read(ctx, batch)
		if err != nil {
			return err
		}
		if err := t.tell(ctx, records); err != nil {
			return err
		}
		told += len(batch)
		if told < len(keys) {
			if err := t.note(ctx, record.SinkPosition{Sequence: sequence - 1, Told: told}); err != nil {
				return err
			}
		}
	}
	return t.note(ctx, record.SinkPosition{Sequence: sequence})
}

// covered lists the records of a checkpoint, in their order.
func (t *teller) covered(ctx context.Context, sequence int64) ([]audit.Sealed, error) {
	list, err := t.center.sealedList(ctx, sequence, 0)
	if err != nil || list != nil {
		return list, err
	}
	c, err := t.center.checkpointAt(ctx, sequence, 0)
	if err != nil {
		return nil, err
	}
	if c == nil {
		t.center.log.ErrorContext(ctx, "a checkpoint of the audit is missing; verify the audit", "sink", t.sink.Name, "checkpoint", sequence)
		return nil, nil
	}
	// Without its list, or with one that was tampered with, the records are looked
	// for by where they lie in the log.
	t.center.log.ErrorContext(ctx, "the list of a checkpoint's records is not what was sealed; verify the audit", "sink", t.sink.Name, "checkpoint", sequence)
	var found []unsealed
	err = t.center.auditRecords(ctx, 0, false, func(e store.Entry) error {
		if e.Revision >= c.First && e.Revision <= c.Last {
			found = append(found, newUnsealed(&e))
		}
		return nil
	})
	slices.SortFunc(found, unsealed.before)
	list = make([]audit.Sealed, len(found))
	for i := range found {
		list[i] = found[i].Sealed
	}
	return list, err
}

// read fetches records. One that is gone, or was altered since it was sealed, is
// told of in the log: the sink gets what there is.
func (t *teller) read(ctx context.Context, sealed []audit.Sealed) ([]audit.Record, error) {
	records := make([]audit.Record, 0, len(sealed))
	for _, s := range sealed {
		page, err := t.center.store.Range(ctx, store.Query{Key: s.Key})
		if err != nil {
			return nil, err
		}
		if len(page.Entries) == 0 {
			t.center.log.ErrorContext(ctx, "a sealed audit record is gone before a sink had it; verify the audit", "sink", t.sink.Name, "key", s.Key)
			continue
		}
		e := page.Entries[0]
		if audit.SealRecord(e.Key, e.Value) != s {
			t.center.log.ErrorContext(ctx, "an audit record was altered after it was sealed; verify the audit", "sink", t.sink.Name, "key", s.Key)
		}
		rec, err := record.Decode[audit.Record](e.Value)
		if err != nil {
			t.center.log.ErrorContext(ctx, "an audit record cannot be read; a sink is not told of it", "sink", t.sink.Name, "key", s.Key, "error", err)
			continue
		}
		rec.Revision = t.center.token(e.Revision)
		records = append(records, rec)
	}
	return records, nil
}

// tell hands a batch to the sink until the sink has it, or can never have it.
func (t *teller) tell(ctx context.Context, records []audit.Record) error {
	if len(records) == 0 {
		return nil
	}
	for pause := sinkPause; ; pause = min(2*pause, sinkLongPause) {
		err := t.write(ctx, records)
		switch {
		case err == nil && pause > sinkPause:
			t.center.log.InfoContext(ctx, "a sink of the audit takes records again", "sink", t.sink.Name)
			return nil
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case config.KindOf(err) == config.Invalid:
			t.center.log.ErrorContext(ctx, "a sink of the audit can never take these records; they are skipped",
				"sink", t.sink.Name, "first", records[0].ID, "records", len(records), "error", err)
			return nil
		}
		t.center.log.WarnContext(ctx, "a sink of the audit did not take records; they are kept for it",
			"sink", t.sink.Name, "records", len(records), "again_in", pause, "error", err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, keeps no secret
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (t *teller) write(ctx context.Context, records []audit.Record) error {
	ctx, cancel := context.WithTimeout(ctx, sinkPatience)
	defer cancel()
	return t.sink.Sink.Write(ctx, records)
}

// note keeps the position, unless the term is over.
func (t *teller) note(ctx context.Context, at record.SinkPosition) error {
	at.Sink, at.At = t.sink.Name, t.center.now().UTC().Round(0)
	revision, err := t.center.store.Commit(ctx, store.Txn{
		Conds:  []store.Cond{t.term.Fence(), {Key: t.key, Revision: t.revision}},
		Writes: []store.Write{{Key: t.key, Value: record.Encode(at)}},
	})
	if errors.Is(err, store.ErrConflict) {
		return errTermOver
	}
	if err != nil {
		return err
	}
	t.at, t.revision = at, revision
	return nil
}
