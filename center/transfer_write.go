package center

import (
	"context"
	"errors"
	"io"
	"maps"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

const (
	// importWrites and importBytes bound a commit of an import to what an external
	// engine takes by default, but for a single content that is larger.
	importWrites = 100
	importBytes  = 1 << 20
)

// claim is the right to write below a tenant that is not there yet. It is the
// tenant's own key, with a mark: every commit has its revision for a condition,
// so that whoever changes it ends what goes on under it.
type claim struct {
	center   *Center
	noun     record.Tenant
	revision int64
}

func (c *claim) key() string { return record.Tenants.Key(c.noun.Name) }

// commit writes under the claim.
func (c *claim) commit(ctx context.Context, writes []store.Write) (int64, error) {
	revision, err := c.center.store.Commit(ctx, once(store.Txn{Conds: []store.Cond{{Key: c.key(), Revision: c.revision}}, Writes: writes}))
	if errors.Is(err, store.ErrConflict) {
		return 0, config.Errorf(config.Conflict, "", c.noun.Name, "another import of the tenant, or its deletion, took over; this one has ended")
	}
	return revision, err
}

// renew writes the claim's mark anew, together with other writes.
func (c *claim) renew(ctx context.Context, writes []store.Write) error {
	revision, err := c.commit(ctx, append(writes, store.Write{Key: c.key(), Value: record.Encode(c.noun)}))
	if err == nil {
		c.revision = revision
	}
	return err
}

// sweep deletes whatever lies below the tenant.
func (c *claim) sweep(ctx context.Context) error {
	for _, s := range tenantSections() {
		q := store.Query{Key: s.Under(config.Path{Tenant: c.noun.Name}), Prefix: true, KeysOnly: true, Limit: importWrites}
		for {
			page, err := c.center.store.Range(ctx, q)
			if err != nil {
				return err
			}
			if len(page.Entries) == 0 {
				break
			}
			writes := make([]store.Write, len(page.Entries))
			for i, e := range page.Entries {
				writes[i] = store.Write{Key: e.Key, Delete: true}
			}
			if _, err := c.commit(ctx, writes); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes the tenant: the claim, everything below it, and at last the
// tenant itself.
func (i *tenantImport) write(ctx context.Context) (int64, error) {
	held, err := i.claim(ctx)
	if err != nil {
		return 0, err
	}
	if err := held.sweep(ctx); err != nil {
		return 0, err
	}
	by, _ := i.center.stamp(auth.FromContext(ctx))
	w := tenantWriter{
		claim: held, rename: rename{i.header.Tenant, i.name}, from: i.header.Installation, skip: held.noun.Import.Audits,
		arrival: arrival{movedLaunches: i.launches, by: by, exported: i.header.Created},
	}
	if err := i.writeRecords(ctx, &w); err != nil {
		return 0, err
	}
	return held.commit(ctx, []store.Write{
		{Key: held.key(), Value: record.Encode(record.Tenant{Tenant: i.tenant, Imported: held.noun.Import.ID})},
		i.center.audited(ctx, audit.Record{Action: opImport, Path: config.Path{Tenant: i.name}, Detail: i.detail("finished")}),
	})
}

// claim takes the name, or takes over what an earlier attempt has left. It is
// recorded where everybody sees it who may import: the tenant's own records
// cannot be seen yet.
func (i *tenantImport) claim(ctx context.Context) (*claim, error) {
	by, now := i.center.stamp(auth.FromContext(ctx))
	for range claimTries {
		before, err := i.vacant(ctx)
		if err != nil {
			return nil, err
		}
		held := &claim{center: i.center, revision: before.Revision, noun: record.Tenant{
			Tenant: i.tenant, Import: &record.Import{ID: randomID(), File: i.digest, By: by, At: now},
		}}
		if before.Revision > 0 {
			old, err := record.Decode[record.Tenant](before.Value)
			if err != nil {
				return nil, err
			}
			if old.Import.File == i.digest {
				held.noun.Import.ID, held.noun.Import.Audits = old.Import.ID, old.Import.Audits
			}
		}
		begun := i.center.audited(ctx, audit.Record{Action: opImport, Subject: i.name, Detail: i.detail("begun")})
		if err = held.renew(ctx, []store.Write{begun}); config.KindOf(err) != config.Conflict {
			return held, err
		}
	}
	return nil, config.Errorf(config.Conflict, "", i.name, "others kept importing a tenant of this name")
}

func (i *tenantImport) detail(state string) map[string]string {
	d := map[string]string{
		"state": state, "file": i.digest, originInstallation: i.header.Installation,
		"exported_at": i.header.Created.Format(time.RFC3339), "configs": strconv.FormatInt(i.contents.Configs, 10),
		"releases": strconv.FormatInt(i.contents.Releases, 10), "audit_records": strconv.FormatInt(i.contents.AuditRecords, 10),
	}
	if i.name != i.header.Tenant {
		d[originTenant] = i.header.Tenant
	}
	if n := i.contents.Launches; n > 0 {
		d["launches"] = strconv.FormatInt(n, 10)
	}
	return d
}

// writeRecords reads the kept file once more, and writes what is in it.
func (i *tenantImport) writeRecords(ctx context.Context, w *tenantWriter) error {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, envelope, err := backup.OpenTenant(i.file.File)
	if err != nil {
		return err
	}
	records := i.records(envelope)
	for {
		rec, err := records.Next()
		if errors.Is(err, io.EOF) {
			return w.flush(ctx)
		}
		if err != nil {
			return err
		}
		noun, err := decodeMoved(rec)
		if err != nil {
			return err
		}
		if err := w.put(ctx, noun); err != nil {
			return err
		}
	}
}

// tenantWriter gathers what is written below a claim, and commits it in bounded
// steps.
type tenantWriter struct {
	claim   *claim
	rename  rename
	from    string // the installation that the file is from
	arrival arrival
	writes  []store.Write
	bytes   int

	begun  time.Time // when the first audit record was written
	audits int64     // those that were read so far
	skip   int64     // so many were written by an earlier attempt
}

func (w *tenantWriter) put(ctx context.Context, noun any) error {
	switch v := noun.(type) {
	case config.App:
		v.Tenant = w.rename.to
		return w.add(ctx, scopeKey(v.Path()), record.Encode(v))
	case config.Env:
		v.Tenant = w.rename.to
		return w.add(ctx, scopeKey(v.Path()), record.Encode(v))
	case config.Config:
		v.Path = w.rename.path(v.Path)
		return w.add(ctx, record.Configs.Key(v.Path.String()), record.Encode(v))
	case config.Rollout:
		v = w.rename.rollout(w.arrival.rollout(v, w.renames()))
		return w.add(ctx, record.Rollouts.Key(v.Path.String()), record.Encode(v))
	case config.Launch:
		v = w.rename.launch(w.arrival.launch(v, w.renames()))
		return w.add(ctx, record.LaunchKey(v.Tenant, v.ID), record.Encode(v))
	case config.Draft:
		v.Path = w.rename.path(v.Path)
		return w.add(ctx, record.Drafts.Key(v.Path.String()), record.EncodeDraft(v))
	case movedRelease:
		if w.arrival.orphans[config.LaunchItem{Path: v.Path, Version: v.Version}] {
			return nil // nothing serves it here, and nothing would ever drop it
		}
		r := w.rename.release(v.Release)
		value, separate := record.EncodeRelease(r, v.content)
		if separate != nil {
			if err := w.add(ctx, record.ContentKey(r.Path, r.Version), separate); err != nil {
				return err
			}
		}
		return w.add(ctx, record.ReleaseKey(r.Path, r.Version), value)
	case audit.Record:
		return w.putAudit(ctx, v)
	}
	return nil // the tenant is the claim, and the counts were checked
}

func (w *tenantWriter) renames() bool { return w.rename.from != w.rename.to }

// add gathers one write.
func (w *tenantWriter) add(ctx context.Context, key string, value []byte) error {
	size := len(key) + len(value)
	// One place is left for the claim's own write.
	if len(w.writes) >= importWrites-1 || len(w.writes) > 0 && w.bytes+size > importBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.writes, w.bytes = append(w.writes, store.Write{Key: key, Value: value}), w.bytes+size
	return nil
}

// flush commits what was gathered. Once there are audit records, the claim
// notes with them how many: they are sealed as they arrive and never taken back,
// so another attempt must not write them again.
func (w *tenantWriter) flush(ctx context.Context) (err error) {
	if mark := w.claim.noun.Import; w.audits > mark.Audits {
		before := mark.Audits
		mark.Audits = w.audits
		if err = w.claim.renew(ctx, w.writes); err != nil {
			mark.Audits = before
		}
	} else if len(w.writes) > 0 {
		_, err = w.claim.commit(ctx, w.writes)
	}
	w.writes, w.bytes = nil, 0
	return err
}

// putAudit writes an audit record of the other installation: as one that arrived
// now, which tells where and when it happened. So the seal covers it like any
// other, and nobody can write into the past.
func (w *tenantWriter) putAudit(ctx context.Context, r audit.Record) error {
	if w.audits < w.skip {
		w.audits++
		return nil
	}
	own, err := w.isOwn(ctx, &r)
	if err != nil {
		return err
	}
	if !own {
		if w.begun.IsZero() {
			w.begun = w.claim.center.now().UTC().Round(0)
		}
		r = w.rename.audit(w.withOrigin(r))
		// Their order stays: each gets a nanosecond of its own.
		r.Time = w.begun.Add(time.Duration(w.audits - w.skip))
		r.ID = auditID(r.Time)
		if err := w.add(ctx, record.AuditKey(w.rename.to, r.ID), record.Encode(r)); err != nil {
			return err
		}
	}
	w.audits++ // after add, which may commit what came before
	return nil
}

// isOwn reports whether the record is there already, because the tenant was
// exported from this installation under the same name, and deleted.
func (w *tenantWriter) isOwn(ctx context.Context, r *audit.Record) (bool, error) {
	c := w.claim.center
	if w.from != c.view.Snapshot().Cluster || w.renames() {
		return false, nil
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.AuditKey(w.rename.to, r.ID), KeysOnly: true})
	return len(page.Entries) > 0, err
}

// withOrigin adds to a record where it is from. What came from elsewhere before
// goes on telling that.
func (w *tenantWriter) withOrigin(r audit.Record) audit.Record {
	detail := maps.Clone(r.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail[originImport] = w.claim.noun.Import.ID
	if detail[originID] != "" {
		detail[originVia] = w.from
	} else {
		detail[originInstallation], detail[originID] = w.from, r.ID
		detail[originTime] = r.Time.Format(time.RFC3339Nano)
		if w.renames() {
			detail[originTenant] = w.rename.from
		}
	}
	r.Detail = detail
	return r
}

// dropImport removes what there is of a tenant whose import was not finished,
// and ends the import if it is under way; done is false if there is none.
func (c *Center) dropImport(ctx context.Context, op, tenant string, expected config.Token) (done bool, err error) {
	noun, revision, err := c.importUnderWay(ctx, tenant)
	if noun.Import == nil {
		return false, located(op, tenant, err)
	}
	if err := c.expect(op, tenant, expected, revision); err != nil {
		return true, err
	}
	held := &claim{center: c, noun: noun, revision: revision}
	if err := held.renew(ctx, nil); err != nil {
		return true, located(op, tenant, err)
	}
	if err := held.sweep(ctx); err != nil {
		return true, located(op, tenant, err)
	}
	last, err := held.commit(ctx, []store.Write{
		{Key: held.key(), Delete: true},
		c.audited(ctx, audit.Record{Action: op, Path: config.Path{Tenant: tenant}, Detail: map[string]string{"import": "unfinished"}}),
	})
	if err == nil {
		c.settle(ctx, last)
	}
	return true, located(op, tenant, err)
}
