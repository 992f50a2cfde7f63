package center

import (
	"context"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Releases lists a config's releases, the newest first.
func (c *Center) Releases(ctx context.Context, path config.Path, r PageRequest) (config.Page[config.Release], error) {
	const op = "release.list"
	page := config.Page[config.Release]{Items: []config.Release{}}
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return page, err
	}
	if _, err := configAt(c.view.Snapshot(), path); err != nil {
		return page, located(op, path.String(), err)
	}
	prefix := record.Releases.Under(path)
	query := store.Query{Key: prefix, Prefix: true, Reverse: true, Limit: r.size()}
	if r.After != "" {
		query.After = prefix + r.After
	}
	got, err := c.store.Range(ctx, query)
	if err != nil {
		return page, located(op, path.String(), err)
	}
	for _, entry := range got.Entries {
		release, _, _, err := record.DecodeRelease(entry.Value)
		if err != nil {
			return page, located(op, path.String(), err)
		}
		page.Items = append(page.Items, release)
		if got.More {
			page.Next = strings.TrimPrefix(entry.Key, prefix)
		}
	}
	return page, nil
}

// Release returns one release with its content.
func (c *Center) Release(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error) {
	const op = "release.get"
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return config.Release{}, nil, err
	}
	release, content, err := c.loadRelease(ctx, path, version)
	return release, content, located(op, path.String(), err)
}

// ChangeSets lists what was released in a tenant, the newest first, as far as
// the caller may read it. The audit log is where it comes from: there is no
// release without a record.
func (c *Center) ChangeSets(ctx context.Context, tenant string, r PageRequest) (config.Page[config.ChangeSet], error) {
	const op = "changeset.list"
	page := config.Page[config.ChangeSet]{Items: []config.ChangeSet{}}
	id, err := c.authorizeReach(ctx, op, auth.Read, config.Path{Tenant: tenant})
	if err != nil {
		return page, err
	}
	t, ok := c.view.Snapshot().Tenant(tenant)
	if !ok {
		return page, errNoScope(op, config.Path{Tenant: tenant})
	}
	records, err := c.scanAudit(ctx, op, AuditRequest{Tenant: tenant, PageRequest: r}, func(rec *audit.Record) bool {
		rec.Items = slices.DeleteFunc(rec.Items, func(i config.ChangeItem) bool {
			return !c.authz.Allowed(id, auth.Read, i.Path)
		})
		// What came with an import that was given up is no history of this tenant.
		from := rec.Detail[originImport]
		return len(rec.Items) > 0 && (from == "" || from == t.Imported)
	})
	page.Next = records.Next
	for _, rec := range records.Items {
		id, at := originOf(&rec)
		page.Items = append(page.Items, config.ChangeSet{
			ID: id, Tenant: tenant, Action: changeSetAction(rec.Action), Author: rec.Actor.Subject,
			Time: at, Comment: rec.Comment, Items: rec.Items, Revision: rec.Revision,
		})
	}
	return page, err
}

// changeSetAction names the source that an audited action stands for.
func changeSetAction(action string) string {
	switch action {
	case "config.rollback":
		return string(config.SourceRollback)
	case "config.promote":
		return string(config.SourcePromotion)
	case "config.import":
		return string(config.SourceImport)
	default:
		return string(config.SourcePublish)
	}
}
