package center

import (
	"cmp"
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// Rollback asks for an earlier release's content to be served again.
type Rollback struct {
	Path config.Path
	// Version is the release to go back to. 0 means: away from what was changed
	// last. If launches are under way that is what they bring out, else it is the
	// stable release, and the one that was stable before comes back.
	Version int64
	Comment string
	// ExpectedVersion, if set, must be the latest version.
	ExpectedVersion *int64
}

// Rollback serves everybody an earlier content again, at once: every launch of
// the config is aborted with all its configs, and a new release is made of the
// old content, since versions only go up. If that is what the stable release
// holds, to abort is all there is to do. No freeze holds a rollback up. The
// content was checked when it was first released and is not refused now.
func (c *Center) Rollback(ctx context.Context, r Rollback) (config.ChangeSet, error) {
	const op = "config.rollback"
	if _, err := c.authorize(ctx, op, auth.Rollout, r.Path); err != nil {
		return config.ChangeSet{}, err
	}
	version, err := rollbackTo(c.view.Snapshot(), r)
	if err != nil {
		return config.ChangeSet{}, located(op, r.Path.String(), err)
	}
	old, content, err := c.loadRelease(ctx, r.Path, version)
	if err != nil {
		return config.ChangeSet{}, located(op, r.Path.String(), err)
	}
	return c.release(ctx, op, Publish{
		Tenant: r.Path.Tenant, Comment: r.Comment, rollback: true,
		Items: []PublishItem{{
			Path: r.Path, Content: content, Format: old.Format, ExpectedVersion: r.ExpectedVersion,
			source: config.Source{Kind: config.SourceRollback, Version: version}, checkedAs: old.Format,
		}},
	})
}

// rollbackTo finds the release that a rollback means.
func rollbackTo(snap *view.Snapshot, r Rollback) (int64, error) {
	cfg, err := configAt(snap, r.Path)
	if err != nil {
		return 0, err
	}
	rollout := &cfg.Rollout
	switch {
	case rollout.Deleted:
		return 0, errDeleted(r.Path)
	case r.Version != 0:
		return r.Version, nil
	case rollout.Stable == nil && len(rollout.Candidates) > 0:
		return 0, config.Errorf(config.Conflict, "", "", "there is no stable release to go back to; abort the launch %s, and nobody gets the config", rollout.Candidates[0].Launch)
	case rollout.Stable == nil:
		return 0, errNoRelease(r.Path)
	case len(rollout.Candidates) > 0:
		return rollout.Stable.Version, nil
	case rollout.Stable.Source.Kind == config.SourceRollback:
		return 0, config.Errorf(config.Conflict, "", "", "release %d is itself a rollback, to release %d; say which version to go to", rollout.Stable.Version, rollout.Stable.Source.Version)
	case rollout.Previous == 0:
		return 0, config.Errorf(config.Conflict, "", "", "release %d is the first that was stable; there is none to go back to", rollout.Stable.Version)
	}
	return rollout.Previous, nil
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
