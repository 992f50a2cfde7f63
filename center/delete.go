package center

import (
	"context"
	"strconv"
	"strings"

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
	// OverrideFreeze deletes although the env is frozen; it takes the right to manage it.
	OverrideFreeze bool
}

// DeleteConfig withdraws a config. Without Purge its history is kept and
// UndeleteConfig brings it back. Its launches are aborted, with all the configs
// that they hold.
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
		cfg, err := c.changeable(ctx, snap, change{op: op, path: r.Path, expected: r.ExpectedVersion, comment: r.Comment, override: r.OverrideFreeze})
		if err != nil {
			return store.Txn{}, err
		}
		if cfg.Rollout.Deleted && !r.Purge {
			return store.Txn{}, errDeleted(r.Path)
		}
		by, now := c.stamp(id)
		e := c.edit(snap, by, now)
		e.endAll(r.Path, config.LaunchAborted, "the config was deleted")
		edit := e.rollout(r.Path)
		edit.next.Deleted, edit.next.DeletedBy, edit.next.DeletedAt = true, by, now
		var txn store.Txn
		if r.Purge {
			purge(&txn, cfg, edit)
		}
		return e.recorded(ctx, txn, audit.Record{
			Action: op, Path: r.Path, Comment: r.Comment,
			Detail: detail(map[string]string{
				"purged": purgedText(r.Purge), "before": digestOfStable(cfg), "aborted": strings.Join(e.ended, " "),
			}),
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
func purge(txn *store.Txn, cfg *view.Config, edit *rolloutEdit) {
	next, path := &edit.next, edit.next.Path
	edit.purged = true
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
	next.Stable, next.Previous, next.Slot, next.Candidates, next.Oldest = nil, 0, "", nil, cfg.Rollout.Latest+1
	txn.Conds = append(txn.Conds, store.Cond{Key: record.Configs.Key(path.String()), Revision: cfg.MetaRevision})
}

// UndeleteConfig serves a deleted config again, as it was.
func (c *Center) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	const op = "config.undelete"
	id, err := c.authorize(ctx, op, auth.Publish, path)
	if err != nil {
		return config.State{}, err
	}
	if err := c.checkComment(op, path.String(), comment); err != nil {
		return config.State{}, err
	}
	var state config.State
	_, err = c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := c.changeable(ctx, snap, change{op: op, path: path, comment: comment})
		if err != nil {
			return store.Txn{}, err
		}
		if !cfg.Rollout.Deleted {
			return store.Txn{}, config.Errorf(config.Conflict, op, path.String(), "the config is not deleted")
		}
		if err := c.checkCount(snap, path.At(config.LevelEnv), 1); err != nil {
			return store.Txn{}, err
		}
		by, now := c.stamp(id)
		e := c.edit(snap, by, now)
		next := &e.rollout(path).next
		next.Deleted, next.DeletedBy, next.DeletedAt = false, "", config.Rollout{}.DeletedAt
		state = c.showConfig(cfg)
		state.Rollout = *next
		return e.recorded(ctx, store.Txn{}, audit.Record{Action: op, Path: path, Comment: comment}), nil
	})
	return state, err
}

// change says what somebody wants to change of a config's rollout.
type change struct {
	op       string
	path     config.Path
	expected *int64
	comment  string
	override bool // of freezes
}

// changeable finds a config whose rollout may be changed: it is there, in an
// env that is and is not frozen, at the version that the caller expects.
func (c *Center) changeable(ctx context.Context, snap *view.Snapshot, want change) (*view.Config, error) {
	cfg, err := configAt(snap, want.path)
	if err != nil {
		return nil, err
	}
	env, ok := snap.Env(want.path.At(config.LevelEnv))
	switch {
	case !ok:
		return nil, errNoConfig(want.path)
	case env.Closing:
		return nil, errClosing(env.Path())
	case env.Protected && want.comment == "":
		return nil, errUncommented(env.Path())
	}
	if want.expected != nil && *want.expected != cfg.Rollout.Latest {
		return nil, &config.Error{Kind: config.Conflict, Path: want.path.String(), Current: cfg.Rollout.Latest,
			Err: errExpected(*want.expected, cfg.Rollout.Latest)}
	}
	return cfg, c.thawed(ctx, want.op, env, want.override)
}

// recorded completes a transaction with the edits and the audit record.
func (e *edits) recorded(ctx context.Context, txn store.Txn, r audit.Record) store.Txn {
	e.into(&txn)
	txn.Writes = append(txn.Writes, e.center.audited(ctx, r))
	return txn
}

func digestOfStable(cfg *view.Config) string {
	if cfg.Rollout.Stable == nil {
		return ""
	}
	return cfg.Rollout.Stable.Digest
}
