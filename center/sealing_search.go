package center

import (
	"context"
	"slices"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

const (
	// searchAtOnce bounds how many unsealed records one pass over the store holds
	// in memory.
	searchAtOnce = 20_000
	// auditPage is how many records one Range of a pass asks for.
	auditPage = 1000
)

// search seals the records behind the head without the log, and moves the
// position to where it looked. It makes as many passes as it takes.
func (s *sealer) search(ctx context.Context) error {
	page, err := s.center.store.Range(ctx, store.Query{Key: record.ClusterKey, KeysOnly: true})
	if err != nil {
		return err
	}
	at := page.Revision
	for {
		found, more, err := s.unsealedAt(ctx, at, s.head.Last)
		if err != nil {
			return err
		}
		for i := range found {
			page, err := s.center.store.Range(ctx, store.Query{Key: found[i].Key, Revision: at})
			if err != nil {
				return err
			}
			if len(page.Entries) != 1 {
				return config.Errorf(config.Internal, "audit.seal", found[i].Key, "the record was listed and is not there")
			}
			found[i] = newUnsealed(&page.Entries[0])
		}
		s.pending = found
		if err := s.seal(ctx, 0); err != nil {
			return err
		}
		if !more {
			s.position = at
			return nil
		}
	}
}

// unsealedAt finds the first records behind a revision, in order and whole
// revisions of them, and whether there are more.
func (s *sealer) unsealedAt(ctx context.Context, at, after int64) (found []unsealed, more bool, err error) {
	bound := int64(0) // the revision from which on there are too many, if any
	err = s.center.auditRecords(ctx, at, true, func(e store.Entry) error {
		if e.Revision <= after || bound > 0 && e.Revision >= bound {
			return nil
		}
		found = append(found, unsealed{Sealed: audit.Sealed{Key: e.Key}, revision: e.Revision})
		if len(found) >= 2*searchAtOnce {
			slices.SortFunc(found, unsealed.before)
			bound = found[searchAtOnce].revision
			found = slices.DeleteFunc(found, func(u unsealed) bool { return u.revision >= bound })
		}
		return nil
	})
	slices.SortFunc(found, unsealed.before)
	if err == nil && bound > 0 && len(found) == 0 {
		err = config.Errorf(config.TooLarge, "audit.seal", "", "revision %d has more than %d audit records", bound, searchAtOnce)
	}
	return found, bound > 0, err
}

// auditRecords calls fn with every audit record as of a revision, in key order,
// until an error.
func (c *Center) auditRecords(ctx context.Context, at int64, keysOnly bool, fn func(store.Entry) error) error {
	return c.walk(ctx, store.Query{Key: record.Audits.Prefix(), Revision: at, KeysOnly: keysOnly}, fn)
}
