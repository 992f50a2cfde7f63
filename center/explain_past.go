package center

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// servedThen finds what was released of a config at an earlier position.
func (c *Center) servedThen(ctx context.Context, r ExplainRequest) (servedState, error) {
	revision, err := c.positionOf(ctx, r)
	if err != nil {
		return servedState{}, err
	}
	then, err := c.rolloutThen(ctx, r.Path, revision)
	if errors.Is(err, store.ErrCompacted) {
		return servedState{}, c.errForgotten(ctx, r.Path.Tenant)
	}
	if err != nil {
		return servedState{}, err
	}
	return servedState{rollout: then, revision: revision, launch: func(ctx context.Context, id string) (config.Launch, bool, error) {
		return c.launchThen(ctx, store.Query{Key: record.LaunchKey(r.Path.Tenant, id), Revision: revision})
	}}, nil
}

// positionOf finds the revision that a request is about.
func (c *Center) positionOf(ctx context.Context, r ExplainRequest) (int64, error) {
	if r.At == "" {
		return c.positionAt(ctx, r.Path.Tenant, r.Time)
	}
	revision, cluster, err := decodeToken(r.At)
	switch {
	case err != nil:
		return 0, err
	case cluster != c.view.Snapshot().Cluster:
		return 0, config.Errorf(config.Invalid, "", "", "the revision token is of another installation")
	case revision == 0: // which a store takes for the present
		return 0, config.Errorf(config.Invalid, "", "", "the revision token is from before the first change")
	}
	return revision, nil
}

// positionAt finds the last revision before the tenant changed again after a
// moment: there everything of the tenant is as it was then, and of all the
// revisions of which that is true it is the one that is kept longest.
func (c *Center) positionAt(ctx context.Context, tenant string, at time.Time) (int64, error) {
	if now := c.now(); at.After(now) {
		return 0, config.Errorf(config.Invalid, "", "", "%s is in the future; this node's clock shows %s", momentText(at), momentText(now))
	}
	query := store.Query{Key: record.AuditPrefix(tenant), Prefix: true, After: record.AuditKey(tenant, momentID(at))}
	before, err := c.landmark(ctx, query)
	if err != nil {
		return 0, err
	}
	query.Reverse = true
	after, err := c.landmark(ctx, query)
	switch {
	case err != nil:
		return 0, err
	case before.revision == 0 && after.revision == 0:
		return 0, config.Errorf(config.Invalid, "", "", "tenant %s has no record of any change", tenant)
	case before.revision == 0:
		return 0, c.errTooEarly(ctx, tenant, at)
	case after.revision == 0: // it has not changed since
		return after.current, nil
	}
	return max(before.revision, after.revision-1), nil // two changes may share a revision
}

func (c *Center) errTooEarly(ctx context.Context, tenant string, at time.Time) error {
	first, err := c.landmark(ctx, store.Query{Key: record.AuditPrefix(tenant), Prefix: true, Reverse: true})
	if err != nil {
		return err
	}
	return config.Errorf(config.Invalid, "", "", "no record of tenant %s is as old as %s; the first is of %s", tenant, momentText(at), momentText(first.time))
}

// momentID is what the ids of the records of a moment begin with.
func momentID(at time.Time) string {
	if epoch := time.Unix(0, 0); at.Before(epoch) {
		at = epoch
	}
	return fmt.Sprintf("%016x", at.UnixNano())
}

func momentText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// landmark is an audit record that tells when its revision was.
type landmark struct {
	time     time.Time
	revision int64 // 0 if there is none
	current  int64 // the store's revision when it was looked for
}

// landmark finds the first record of a query that tells of something done here.
// What was refused has a record of its own that comes later, and what came with
// an import was done elsewhere.
func (c *Center) landmark(ctx context.Context, q store.Query) (landmark, error) {
	q.Limit = defaultPage
	for scanned := 0; ; {
		page, err := c.store.Range(ctx, q)
		if err != nil {
			return landmark{}, err
		}
		for _, entry := range page.Entries {
			q.After = entry.Key
			rec, err := record.Decode[audit.Record](entry.Value)
			if err == nil && rec.Outcome == audit.Done && rec.Detail[originImport] == "" {
				return landmark{time: rec.Time, revision: entry.Revision, current: page.Revision}, nil
			}
		}
		if scanned += len(page.Entries); !page.More || scanned >= auditScan {
			return landmark{current: page.Revision}, nil
		}
	}
}

// rolloutThen reads the rollout of a config as of a revision.
func (c *Center) rolloutThen(ctx context.Context, path config.Path, revision int64) (config.Rollout, error) {
	// A tenant may have been deleted, and another made under its name: what was the
	// first one's is none of the second one's business.
	now, err := c.tenantThen(ctx, path.Tenant, 0)
	if err != nil {
		return config.Rollout{}, err
	}
	then, err := c.tenantThen(ctx, path.Tenant, revision)
	if err != nil {
		return config.Rollout{}, err
	}
	missing := config.Errorf(config.NotFound, "", "", "there was no such config then")
	if then == 0 || then != now {
		return config.Rollout{}, missing
	}
	meta, err := c.store.Range(ctx, store.Query{Key: record.Configs.Key(path.String()), Revision: revision, KeysOnly: true})
	if err != nil {
		return config.Rollout{}, err
	}
	if len(meta.Entries) == 0 {
		return config.Rollout{}, missing
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.Rollouts.Key(path.String()), Revision: revision})
	if err != nil || len(page.Entries) == 0 {
		return config.Rollout{Path: path}, err
	}
	rollout, err := record.Decode[config.Rollout](page.Entries[0].Value)
	rollout.Path = path
	return rollout, err
}

// tenantThen returns the revision that made a tenant; 0 if it was not there, or
// only being imported.
func (c *Center) tenantThen(ctx context.Context, name string, revision int64) (int64, error) {
	page, err := c.store.Range(ctx, store.Query{Key: record.Tenants.Key(name), Revision: revision})
	if err != nil || len(page.Entries) == 0 {
		return 0, err
	}
	t, err := record.Decode[record.Tenant](page.Entries[0].Value)
	if err != nil || t.Import != nil {
		return 0, err
	}
	return page.Entries[0].Created, nil
}

// errForgotten says how far back the engine keeps its history: it tries.
func (c *Center) errForgotten(ctx context.Context, tenant string) error {
	const text = "the engine keeps no history that is so old; how long it does is a setting of the store"
	first, err := c.landmark(ctx, store.Query{Key: record.AuditPrefix(tenant), Prefix: true, Reverse: true})
	if err != nil || first.revision == 0 {
		return config.Errorf(config.Compacted, "", "", text)
	}
	from, until := first.time, c.now() // is forgotten, is kept
	for until.Sub(from) > time.Second && ctx.Err() == nil {
		middle := from.Add(until.Sub(from) / 2)
		revision, err := c.positionAt(ctx, tenant, middle)
		if err == nil {
			_, err = c.tenantThen(ctx, tenant, revision)
		}
		switch {
		case err == nil:
			until = middle
		case errors.Is(err, store.ErrCompacted):
			from = middle
		default:
			return config.Errorf(config.Compacted, "", "", text)
		}
	}
	return config.Errorf(config.Compacted, "", "", text+"; of tenant %s it goes back to about %s", tenant, momentText(until.Add(time.Millisecond)))
}
