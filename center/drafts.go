package center

import (
	"cmp"
	"context"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// Draft returns a config's working copy.
func (c *Center) Draft(ctx context.Context, path config.Path) (config.Draft, error) {
	const op = "draft.get"
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return config.Draft{}, err
	}
	if err := path.Require(config.LevelConfig); err != nil {
		return config.Draft{}, located(op, path.String(), err)
	}
	draft, revision, err := c.loadDraft(ctx, path)
	draft.Revision = c.token(revision)
	return draft, located(op, path.String(), err)
}

// loadDraft reads the draft from the store: the view keeps none.
func (c *Center) loadDraft(ctx context.Context, path config.Path) (config.Draft, int64, error) {
	if there, err := c.shows(ctx, path); err != nil || !there {
		return config.Draft{}, 0, cmp.Or(err, errNoDraft(path))
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.Drafts.Key(path.String())})
	if err != nil {
		return config.Draft{}, 0, err
	}
	if len(page.Entries) == 0 {
		return config.Draft{}, 0, errNoDraft(path)
	}
	draft, err := record.DecodeDraft(page.Entries[0].Value)
	return draft, page.Entries[0].Revision, err
}

func errNoDraft(path config.Path) error {
	return config.Errorf(config.NotFound, "", path.String(), "there is no draft")
}

// SaveDraft asks for a working copy to be kept.
type SaveDraft struct {
	Path    config.Path
	Content []byte
	Format  string // empty: the config's
	// Expected, if not nil, must be the draft's revision; an empty token means
	// that there must be no draft yet.
	Expected *config.Token
}

// SaveDraft keeps a working copy, malformed or not, and reports every problem
// that would stop its publication. The config must be there.
func (c *Center) SaveDraft(ctx context.Context, r SaveDraft) (config.Draft, []config.Problem, error) {
	const op = "draft.save"
	id, err := c.authorize(ctx, op, auth.Edit, r.Path)
	if err != nil {
		return config.Draft{}, nil, err
	}
	if err := c.checkSize(r.Content); err != nil {
		return config.Draft{}, nil, located(op, r.Path.String(), err)
	}
	draft := config.Draft{Path: r.Path, Content: r.Content}
	draft.Author, draft.SavedAt = c.stamp(id)
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := configAt(snap, r.Path)
		if err != nil {
			return store.Txn{}, err
		}
		draft.BaseVersion, draft.Format = cfg.Rollout.Latest, cfg.Meta.Format
		if r.Format != "" {
			draft.Format = r.Format
		}
		if _, err := c.formats.Get(draft.Format); err != nil {
			return store.Txn{}, err
		}
		cond, err := c.draftCond(op, r.Path, r.Expected, cfg.DraftRevision)
		if err != nil {
			return store.Txn{}, err
		}
		key := record.Drafts.Key(r.Path.String())
		return store.Txn{
			Conds: []store.Cond{cond, {Key: record.Configs.Key(r.Path.String()), Revision: cfg.MetaRevision}},
			Writes: []store.Write{
				{Key: key, Value: record.EncodeDraft(draft)},
				c.audited(ctx, audit.Record{Action: op, Path: r.Path, Detail: map[string]string{"after": digestOf(r.Content)}}),
			},
		}, nil
	})
	if err != nil {
		return config.Draft{}, nil, err
	}
	draft.Revision = c.token(revision)
	problems, err := c.problems(draft.Format, r.Content)
	return draft, problems, err
}

// draftCond holds the draft to the revision that the caller saw or, if it did
// not say, to the one of this moment, so that no save is ever half lost.
func (c *Center) draftCond(op string, path config.Path, expected *config.Token, actual int64) (store.Cond, error) {
	cond := store.Cond{Key: record.Drafts.Key(path.String()), Revision: actual}
	switch {
	case expected == nil:
		return cond, nil
	case *expected == "" && actual != 0:
		return cond, config.Errorf(config.Conflict, op, path.String(), "there is a draft already: read it first")
	default:
		return cond, c.expect(op, path.String(), *expected, actual)
	}
}

// DeleteDraft drops a working copy. Expected, if set, must be its revision.
func (c *Center) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	const op = "draft.delete"
	if _, err := c.authorize(ctx, op, auth.Edit, path); err != nil {
		return err
	}
	_, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := configAt(snap, path)
		if err != nil {
			return store.Txn{}, err
		}
		if cfg.DraftRevision == 0 {
			return store.Txn{}, config.Errorf(config.NotFound, op, path.String(), "there is no draft")
		}
		if err := c.expect(op, path.String(), expected, cfg.DraftRevision); err != nil {
			return store.Txn{}, err
		}
		key := record.Drafts.Key(path.String())
		return store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: cfg.DraftRevision}},
			Writes: []store.Write{{Key: key, Delete: true}, c.audited(ctx, audit.Record{Action: op, Path: path})},
		}, nil
	})
	return err
}

// Validate checks content as a publish to the path would, and keeps nothing. An
// empty format is the config's or, if there is none yet, goes by the file ending.
func (c *Center) Validate(ctx context.Context, path config.Path, formatName string, content []byte) ([]config.Problem, error) {
	const op = "config.validate"
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return nil, err
	}
	if err := c.checkSize(content); err != nil {
		return nil, located(op, path.String(), err)
	}
	if cfg, err := configAt(c.view.Snapshot(), path); err == nil && formatName == "" {
		formatName = cfg.Meta.Format
	}
	noun, err := c.newConfig(config.Config{Path: path, Format: formatName})
	if err != nil {
		return nil, located(op, path.String(), err)
	}
	return c.problems(noun.Format, content)
}

func (c *Center) problems(formatName string, content []byte) ([]config.Problem, error) {
	f, err := c.formats.Get(formatName)
	if err != nil {
		return nil, err
	}
	if found := f.Check(content); found != nil {
		return found, nil
	}
	return []config.Problem{}, nil
}
