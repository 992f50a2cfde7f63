package center

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// exportPage is how many entries with contents one Range of an export asks for.
const exportPage = 100

// ExportTenant writes a tenant with its whole history, as of one revision: what
// ImportTenant takes, in any installation. It holds little in memory. After an
// error what was written is no export, and whoever reads it can tell. The error
// is Compacted if the store gave up the revision meanwhile: then try again.
//
// It shows all that there is, so it wants every right to see, and the right to
// manage the tenant. As with a backup, the attempt is recorded first.
func (c *Center) ExportTenant(ctx context.Context, tenant string, w io.Writer) (BackupInfo, error) {
	const op = "tenant.export"
	path := config.Path{Tenant: tenant}
	if _, err := c.authorize(ctx, op, auth.Manage|auth.Read|auth.Fetch|auth.ReadAudit, path); err != nil {
		return BackupInfo{}, err
	}
	if err := path.Require(config.LevelTenant); err != nil {
		return BackupInfo{}, located(op, tenant, err)
	}
	if _, _, err := c.storedTenant(ctx, op, tenant, 0); err != nil {
		return BackupInfo{}, err
	}
	if err := c.trace(ctx, audit.Record{Action: op, Path: path}); err != nil {
		return BackupInfo{}, err
	}
	h := backup.Header{Installation: c.view.Snapshot().Cluster, Created: c.now().UTC().Round(0), Version: c.version, Tenant: tenant}
	begun := time.Now()
	e := exporter{center: c, path: path}
	info, err := backup.Write(ctx, w, h, e.write)
	if err != nil {
		c.log.WarnContext(ctx, "the export of a tenant was not finished", "tenant", tenant, "error", err)
		return BackupInfo{}, exportError(op, tenant, err)
	}
	c.log.InfoContext(ctx, "a tenant was exported", "tenant", tenant, "revision", info.Revision, "bytes", info.Size,
		"configs", e.contents.Configs, "releases", e.contents.Releases, "took", time.Since(begun).Round(time.Millisecond))
	return info, nil
}

func exportError(op, tenant string, err error) error {
	if errors.Is(err, store.ErrCompacted) {
		return config.Errorf(config.Compacted, op, tenant, "it took so long that the store no longer keeps the revision that was read: try again, at a quieter time")
	}
	whole := *config.AsError(err)
	whole.Op = op
	return located(op, tenant, &whole)
}

// storedTenant reads a tenant as of a revision or, with 0, now. NotFound if there
// is none, or not yet.
func (c *Center) storedTenant(ctx context.Context, op, name string, at int64) (t config.Tenant, revision int64, err error) {
	path := config.Path{Tenant: name}
	page, err := c.store.Range(ctx, store.Query{Key: scopeKey(path), Revision: at})
	if err != nil {
		return t, 0, located(op, name, err)
	}
	if len(page.Entries) == 0 {
		return t, 0, errNoScope(op, path)
	}
	noun, err := record.Decode[record.Tenant](page.Entries[0].Value)
	if err == nil && noun.Import != nil {
		err = errImporting(op, name)
	}
	return noun.Tenant, page.Revision, located(op, name, err)
}

// errImporting is NotFound: nothing of the tenant is there for anybody.
func errImporting(op, tenant string) error {
	return config.Errorf(config.NotFound, op, tenant,
		"the tenant is not there yet: its import is under way, or was broken off; if so, repeat it or remove what there is with 'setpoint tenant rm %s'", tenant)
}

// exporter writes the records of one export.
type exporter struct {
	center   *Center
	path     config.Path
	at       int64 // the revision
	w        io.Writer
	contents TenantContents
}

// write writes all records.
func (e *exporter) write(ctx context.Context, w io.Writer) (int64, error) {
	t, revision, err := e.center.storedTenant(ctx, "", e.path.Tenant, 0)
	if err != nil {
		return 0, err
	}
	e.w, e.at = w, revision
	t.Closing, t.Revision = false, ""
	if err := e.put('t', t, nil); err != nil {
		return 0, err
	}
	for _, step := range []func(context.Context) error{e.scopes, e.configs, e.drafts, e.releases, e.audits} {
		if err := step(ctx); err != nil {
			return 0, err
		}
	}
	return revision, e.put('z', e.contents, nil)
}

func (e *exporter) put(kind byte, noun any, content []byte) error {
	if n := e.contents.counter(kind); n != nil {
		*n++
	}
	return backup.WriteRecord(e.w, backup.Record{Kind: kind, Meta: record.Encode(noun), Content: content})
}

// each calls fn with every entry of the tenant in a section, in key order.
func (e *exporter) each(ctx context.Context, s record.Section, q store.Query, fn func(store.Entry) error) error {
	if q.Key == "" {
		q.Key = s.Under(e.path)
	}
	q.Revision = e.at
	return e.center.walk(ctx, q, func(entry store.Entry) error {
		if err := fn(entry); err != nil {
			return located("", entry.Key, err)
		}
		return nil
	})
}

// moveSection puts every noun of a section into the export, after change.
func moveSection[T any](ctx context.Context, e *exporter, s record.Section, kind byte, change func(*T)) error {
	return e.each(ctx, s, store.Query{}, func(entry store.Entry) error {
		noun, err := record.Decode[T](entry.Value)
		if err != nil {
			return err
		}
		change(&noun)
		return e.put(kind, noun, nil)
	})
}

func (e *exporter) scopes(ctx context.Context) error {
	if err := moveSection(ctx, e, record.Apps, 'p', func(a *config.App) { a.Closing, a.Revision = false, "" }); err != nil {
		return err
	}
	return moveSection(ctx, e, record.Envs, 'e', func(env *config.Env) { env.Closing, env.Revision = false, "" })
}

func (e *exporter) configs(ctx context.Context) error {
	if err := moveSection(ctx, e, record.Configs, 'c', func(cfg *config.Config) { cfg.Revision = "" }); err != nil {
		return err
	}
	if err := moveSection(ctx, e, record.Rollouts, 'o', func(*config.Rollout) {}); err != nil {
		return err
	}
	return moveSection(ctx, e, record.Launches, 'n', func(l *config.Launch) { l.Revision, l.Warnings = "", nil })
}

// drafts are read one by one: each may be as large as a config.
func (e *exporter) drafts(ctx context.Context) error {
	return e.each(ctx, record.Drafts, store.Query{KeysOnly: true}, func(listed store.Entry) error {
		value, err := e.value(ctx, listed.Key)
		if err != nil {
			return err
		}
		d, err := record.DecodeDraft(value)
		if err != nil {
			return err
		}
		d.Revision = ""
		return e.put('d', d, d.Content)
	})
}

func (e *exporter) releases(ctx context.Context) error {
	return e.each(ctx, record.Releases, store.Query{Limit: exportPage}, func(entry store.Entry) error {
		r, content, inline, err := record.DecodeRelease(entry.Value)
		if err == nil && !inline {
			content, err = e.value(ctx, record.ContentKey(r.Path, r.Version))
		}
		if err == nil && digestOf(content) != r.Digest {
			err = errors.New("the stored content is not what was published: its digest differs")
		}
		if err != nil {
			return err
		}
		return e.put('r', r, content)
	})
}

// audits go the oldest first.
func (e *exporter) audits(ctx context.Context) error {
	q := store.Query{Key: record.AuditPrefix(e.path.Tenant), Reverse: true, Limit: exportPage}
	return e.each(ctx, record.Audits, q, func(entry store.Entry) error {
		rec, err := record.Decode[audit.Record](entry.Value)
		if err != nil {
			return err
		}
		rec.Revision = ""
		return e.put('a', rec, nil)
	})
}

// value reads one value as of the export's revision.
func (e *exporter) value(ctx context.Context, key string) ([]byte, error) {
	page, err := e.center.store.Range(ctx, store.Query{Key: key, Revision: e.at})
	if err != nil {
		return nil, err
	}
	if len(page.Entries) == 0 {
		return nil, config.Errorf(config.Internal, "", key, "the record is not there")
	}
	return page.Entries[0].Value, nil
}
