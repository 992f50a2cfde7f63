package center

import (
	"cmp"
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Rollback asks for an earlier release's content to be served again.
type Rollback struct {
	Path    config.Path
	Version int64
	Comment string
	// ExpectedVersion, if set, must be the latest version.
	ExpectedVersion *int64
}

// Rollback makes a new release with the content of an old one: versions only go
// up, so clients need no special case. The content was checked when it was
// first released and is not refused now.
func (c *Center) Rollback(ctx context.Context, r Rollback) (config.ChangeSet, error) {
	const op = "config.rollback"
	if _, err := c.authorize(ctx, op, auth.Publish, r.Path); err != nil {
		return config.ChangeSet{}, err
	}
	cfg, err := configAt(c.view.Snapshot(), r.Path)
	if err != nil {
		return config.ChangeSet{}, located(op, r.Path.String(), err)
	}
	if cfg.Rollout.Deleted {
		return config.ChangeSet{}, located(op, "", errDeleted(r.Path))
	}
	old, content, err := c.loadRelease(ctx, r.Path, r.Version)
	if err != nil {
		return config.ChangeSet{}, located(op, r.Path.String(), err)
	}
	return c.release(ctx, op, Publish{
		Tenant: r.Path.Tenant, Comment: r.Comment,
		Items: []PublishItem{{
			Path: r.Path, Content: content, Format: old.Format, ExpectedVersion: r.ExpectedVersion,
			source: config.Source{Kind: config.SourceRollback, Version: r.Version}, checkedAs: old.Format,
		}},
	})
}

// loadRelease reads a release with its content from the store.
func (c *Center) loadRelease(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return config.Release{}, nil, err
	}
	if there, err := c.shows(ctx, path); err != nil || !there {
		return config.Release{}, nil, cmp.Or(err, errNotKept(path, version))
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.ReleaseKey(path, max(version, 0))})
	if err != nil {
		return config.Release{}, nil, err
	}
	if len(page.Entries) == 0 {
		return config.Release{}, nil, errNotKept(path, version)
	}
	release, content, inline, err := record.DecodeRelease(page.Entries[0].Value)
	if err != nil || inline {
		return release, content, err
	}
	page, err = c.store.Range(ctx, store.Query{Key: record.ContentKey(path, version)})
	if err != nil {
		return release, nil, err
	}
	if len(page.Entries) == 0 {
		// A publish retired it between the two reads.
		return release, nil, config.Errorf(config.NotFound, "", path.String(), "release %d is kept no longer", version)
	}
	return release, page.Entries[0].Value, nil
}

func errNotKept(path config.Path, version int64) error {
	return config.Errorf(config.NotFound, "", path.String(), "there is no release %d, or it is kept no longer", version)
}
