package center

import (
	"context"
	"strconv"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// DeleteConfig asks for a config to be served no longer.
type DeleteConfig struct {
	Path    config.Path
	Comment string
	// ExpectedVersion, if set, must be the latest version.
	ExpectedVersion *int64
	// Purge also removes metadata, draft and every release, for good. Only the
	// version counter stays, so that no version is ever used twice.
	Purge bool
}

// DeleteConfig withdraws a config. Without Purge its history is kept and
// UndeleteConfig brings it back.
func (c *Center) DeleteConfig(ctx context.Context, r DeleteConfig) error {
	const op = "config.delete"
	verb := auth.Publish
	if r.Purge {
		verb = auth.Manage
	}
	id, err := c.authorize(ctx, op, verb, r.Path)
	if err != nil {
		return err
	}
	if err := c.checkComment(op, r.Path.String(), r.Comment); err != nil {
		return err
	}
	_, err = c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := c.changeable(snap, r.Path, r.ExpectedVersion, r.Comment)
		if err != nil {
			return store.Txn{}, err
		}
		if cfg.Rollout.Deleted && !r.Purge {
			return store.Txn{}, errDeleted(r.Path)
		}
		next := cfg.Rollout
		next.Path = r.Path
		next.Deleted = true
		next.DeletedBy, next.DeletedAt = c.stamp(id)
		txn := rolloutTxn(cfg, &next)
		if r.Purge {
			purge(&txn, cfg, &next)
		}
		return c.recorded(ctx, txn, &next, audit.Record{
			Action: op, Path: r.Path, Comment: r.Comment,
			Detail: detail(map[string]string{"purged": purgedText(r.Purge), "before": digestOfStable(cfg)}),
		}), nil
	})
	return err
}

func purgedText(purged bool) string {
	if purged {
		return strconv.FormatBool(true)
	}
	return ""
}

// purge adds the deletion of everything but the rollout, which keeps the
// version counter.
func purge(txn *store.Txn, cfg *view.Config, next *config.Rollout) {
	path := next.Path
	drop := func(key string) { txn.Writes = append(txn.Writes, store.Write{Key: key, Delete: true}) }
	drop(record.Configs.Key(path.String()))
	drop(record.Drafts.Key(path.String()))
	for v := max(cfg.Rollout.Oldest, 1); v <= cfg.Rollout.Latest; v++ {
		drop(record.ReleaseKey(path, v))
		drop(record.ContentKey(path, v))
	}
	for used := range cfg.Rollout.Served() {
		if used.Version < cfg.Rollout.Oldest {
			drop(record.ReleaseKey(path, used.Version))
			drop(record.ContentKey(path, used.Version))
		}
	}
	next.Stable, next.Candidates, next.Oldest = nil, nil, cfg.Rollout.Latest+1
	txn.Conds = append(txn.Conds, store.Cond{Key: record.Configs.Key(path.String()), Revision: cfg.MetaRevision})
}

// UndeleteConfig serves a deleted config again, as it was.
func (c *Center) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	const op = "config.undelete"
	if _, err := c.authorize(ctx, op, auth.Publish, path); err != nil {
		return config.State{}, err
	}
	if err := c.checkComment(op, path.String(), comment); err != nil {
		return config.State{}, err
	}
	var state config.State
	_, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := c.changeable(snap, path, nil, comment)
		if err != nil {
			return store.Txn{}, err
		}
		if !cfg.Rollout.Deleted {
			return store.Txn{}, config.Errorf(config.Conflict, op, path.String(), "the config is not deleted")
		}
		if err := c.checkCount(snap, path.At(config.LevelEnv), 1); err != nil {
			return store.Txn{}, err
		}
		next := cfg.Rollout
		next.Deleted, next.DeletedBy = false, ""
		next.DeletedAt = config.Rollout{}.DeletedAt
		state = c.showConfig(cfg)
		state.Rollout = next
		return c.recorded(ctx, rolloutTxn(cfg, &next), &next, audit.Record{Action: op, Path: path, Comment: comment}), nil
	})
	return state, err
}

// changeable finds a config whose rollout may be changed: it is there, in an
// env that is, at the version that the caller expects.
func (c *Center) changeable(snap *view.Snapshot, path config.Path, expected *int64, comment string) (*view.Config, error) {
	cfg, err := configAt(snap, path)
	if err != nil {
		return nil, err
	}
	env, ok := snap.Env(path.At(config.LevelEnv))
	switch {
	case !ok:
		return nil, errNoConfig(path)
	case env.Closing:
		return nil, errClosing(env.Path())
	case env.Protected && comment == "":
		return nil, config.Errorf(config.Invalid, "", "", "env %s is protected: say why, in a comment", env.Path())
	}
	if expected != nil && *expected != cfg.Rollout.Latest {
		return nil, &config.Error{Kind: config.Conflict, Path: path.String(), Current: cfg.Rollout.Latest,
			Err: errExpected(*expected, cfg.Rollout.Latest)}
	}
	return cfg, nil
}

// rolloutTxn is conditional on the rollout as cfg has it; recorded adds the
// write, last, when next is complete.
func rolloutTxn(cfg *view.Config, next *config.Rollout) store.Txn {
	return store.Txn{Conds: []store.Cond{{Key: record.Rollouts.Key(next.Path.String()), Revision: cfg.RolloutRevision}}}
}

func (c *Center) recorded(ctx context.Context, txn store.Txn, next *config.Rollout, r audit.Record) store.Txn {
	txn.Writes = append(txn.Writes,
		store.Write{Key: record.Rollouts.Key(next.Path.String()), Value: record.Encode(next)},
		c.audited(ctx, r))
	return txn
}

func digestOfStable(cfg *view.Config) string {
	if cfg.Rollout.Stable == nil {
		return ""
	}
	return cfg.Rollout.Stable.Digest
}
