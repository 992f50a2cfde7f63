package center

import (
	"context"
	"fmt"
	"slices"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// maxFindings bounds what a verification tells in full.
const maxFindings = 100

// stretch is where records lie that were not sealed there.
type stretch struct {
	from, to int64 // revisions
	sequence int64
	known    map[string]bool // records that belong there
}

// finding notes what is wrong, while there is room.
func (v *verifier) finding(f audit.Finding) {
	if len(v.out.Findings) < maxFindings {
		v.out.Findings = append(v.out.Findings, f)
	} else if !f.Warning {
		v.out.Omitted++
	}
}

func (v *verifier) full() bool { return len(v.out.Findings) >= maxFindings }

func (v *verifier) broken(c *audit.Checkpoint, why string) {
	v.finding(audit.Finding{Kind: audit.Broken, Checkpoint: c.Sequence, From: c.Oldest, Until: c.Newest, Detail: why})
}

func (v *verifier) missing(from, to int64) {
	detail := "the checkpoint is not there any more"
	if to > from {
		detail = fmt.Sprintf("the checkpoints %d to %d are not there any more", from, to)
	}
	v.finding(audit.Finding{Kind: audit.Removed, Checkpoint: from, Detail: detail})
}

// record notes what is wrong with one record, once.
func (v *verifier) record(kind audit.FindingKind, key string, sequence int64, detail string) {
	tenant, id := record.SplitAudit(key)
	f := audit.Finding{Kind: kind, Warning: kind == audit.Misdated, Checkpoint: sequence, Tenant: tenant, Record: id, Detail: detail}
	f.Time, _ = record.AuditTime(id)
	if !slices.ContainsFunc(v.out.Findings, func(g audit.Finding) bool {
		return g.Record == id && g.Tenant == tenant && g.Warning == f.Warning
	}) {
		v.finding(f)
	}
}

// diagnose finds out why the records of a span are not what was sealed.
func (v *verifier) diagnose(ctx context.Context, s *span, rows []row) error {
	if v.full() {
		v.out.Omitted++
		return nil
	}
	list, err := v.center.sealedList(ctx, s.sequence, v.at)
	if err != nil {
		return err
	}
	if list == nil {
		v.finding(audit.Finding{Kind: audit.Broken, Checkpoint: s.sequence, Detail: fmt.Sprintf(
			"its records are not those that were sealed: there are %d, and %d were; its list of them does not tell which", len(rows), s.records)})
		return nil
	}
	before := len(v.out.Findings)
	inside := make(map[string]bool, len(list))
	for i := range list {
		if err := v.compareRecord(ctx, s, &list[i], inside); err != nil {
			return err
		}
	}
	switch {
	case len(rows) > len(inside):
		v.odd(stretch{from: s.first, to: s.last, sequence: s.sequence, known: inside})
	case len(v.out.Findings) == before && !v.full():
		v.reordered(s, list, rows)
	}
	return nil
}

// compareRecord looks for one sealed record, and notes whether it is in the span.
func (v *verifier) compareRecord(ctx context.Context, s *span, sealed *audit.Sealed, inside map[string]bool) error {
	page, err := v.center.store.Range(ctx, store.Query{Key: sealed.Key, Revision: v.at})
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 {
		v.record(audit.Removed, sealed.Key, s.sequence, "the record is not there any more")
		return nil
	}
	e := &page.Entries[0]
	within := e.Revision >= s.first && e.Revision <= s.last
	if within {
		inside[sealed.Key] = true
	}
	switch {
	case audit.SealRecord(e.Key, e.Value) != *sealed:
		v.record(audit.Altered, sealed.Key, s.sequence, "the record is not what was sealed")
	case !within:
		v.record(audit.Reordered, sealed.Key, s.sequence, "the record was written again, at another place in the order")
	}
	return nil
}

// reordered names the first record that is at another place than it was sealed at.
func (v *verifier) reordered(s *span, list []audit.Sealed, rows []row) {
	for i := range min(len(list), len(rows)) {
		if list[i].Leaf() != rows[i].leaf {
			v.record(audit.Reordered, list[i].Key, s.sequence, "another record is at the place in the order where this was sealed")
			return
		}
	}
	v.finding(audit.Finding{Kind: audit.Broken, Checkpoint: s.sequence, Detail: "its records are not those that were sealed"})
}

// odd notes where there are records that should not be.
func (v *verifier) odd(s stretch) {
	if v.full() || len(v.strange) >= maxFindings {
		v.out.Omitted++
		return
	}
	v.strange = append(v.strange, s)
}

// explain finds the records that should not be where they are.
func (v *verifier) explain(ctx context.Context) error {
	if len(v.strange) == 0 {
		return nil
	}
	err := v.center.auditRecords(ctx, v.at, true, func(e store.Entry) error {
		for _, s := range v.strange {
			if e.Revision >= s.from && e.Revision <= s.to && !s.known[e.Key] {
				v.record(audit.Added, e.Key, s.sequence, "the record lies among those that were sealed, and was not sealed with them")
				break
			}
		}
		return nil
	})
	v.strange = nil
	return err
}

// misdated warns of the records of a checkpoint that claim to be older than what
// was written before them.
func (v *verifier) misdated(ctx context.Context, c *audit.Checkpoint) error {
	list, err := v.center.sealedList(ctx, c.Sequence, v.at)
	if err != nil || v.full() {
		return err
	}
	for i := range list {
		_, id := record.SplitAudit(list[i].Key)
		if at, ok := record.AuditTime(id); ok && at.Before(v.previous.Oldest.Add(-clockTolerance)) {
			v.record(audit.Misdated, list[i].Key, c.Sequence, fmt.Sprintf("the record's time is before that of records written earlier, and it was sealed at %s",
				c.SealedAt.Format("2006-01-02T15:04:05Z07:00")))
		}
	}
	return nil
}
