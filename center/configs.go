package center

import (
	"context"
	"maps"
	"strings"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// ConfigsRequest selects the configs of an env.
type ConfigsRequest struct {
	PageRequest
	Env     config.Path
	Prefix  string // of the name
	Deleted bool   // deleted ones as well
}

// Configs lists an env's configs by name.
func (c *Center) Configs(ctx context.Context, r ConfigsRequest) (config.Page[config.State], error) {
	const op = "config.list"
	if _, err := c.authorize(ctx, op, auth.Read, r.Env); err != nil {
		return config.Page[config.State]{}, err
	}
	snap := c.view.Snapshot()
	if _, ok := snap.Env(r.Env); !ok || r.Env.Level() != config.LevelEnv {
		return config.Page[config.State]{}, errNoScope(op, r.Env)
	}
	after := ""
	if r.After != "" {
		after = r.Env.Join(r.After).String()
	}
	return pageOf(r.PageRequest, snap.Configs(r.Env, after), func(cfg *view.Config) (config.State, string, bool) {
		visible := cfg.MetaRevision != 0 && (r.Deleted || !cfg.Rollout.Deleted) && strings.HasPrefix(cfg.Meta.Path.Name, r.Prefix)
		if !visible {
			return config.State{}, "", false
		}
		return c.showConfig(cfg), cfg.Meta.Path.Name, true
	}), nil
}

// Config returns one config's metadata and rollout, deleted or not.
func (c *Center) Config(ctx context.Context, path config.Path) (config.State, error) {
	const op = "config.get"
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return config.State{}, err
	}
	cfg, err := configAt(c.view.Snapshot(), path)
	if err != nil {
		return config.State{}, located(op, path.String(), err)
	}
	return c.showConfig(cfg), nil
}

// CreateConfig makes a config with nothing released. An empty Format goes by
// the file ending, an empty Kind is a file.
func (c *Center) CreateConfig(ctx context.Context, noun config.Config) (config.State, error) {
	const op = "config.create"
	id, err := c.authorize(ctx, op, auth.Edit, noun.Path)
	if err != nil {
		return config.State{}, err
	}
	if noun, err = c.newConfig(noun); err != nil {
		return config.State{}, located(op, noun.Path.String(), err)
	}
	noun.CreatedBy, noun.CreatedAt = c.stamp(id)
	noun.UpdatedBy, noun.UpdatedAt = noun.CreatedBy, noun.CreatedAt
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		envPath := noun.Path.At(config.LevelEnv)
		env, ok := scopeAt(snap, envPath)
		switch {
		case !ok:
			return store.Txn{}, errNoScope(op, envPath)
		case env.closing:
			return store.Txn{}, errClosing(envPath)
		}
		if old, _ := snap.Config(noun.Path); old != nil && old.MetaRevision != 0 {
			return store.Txn{}, errConfigExists(op, old)
		}
		if err := c.checkCount(snap, envPath, 1); err != nil {
			return store.Txn{}, err
		}
		key := record.Configs.Key(noun.Path.String())
		return store.Txn{
			Conds:  []store.Cond{{Key: key}, {Key: scopeKey(envPath), Revision: env.revision}},
			Writes: []store.Write{{Key: key, Value: record.Encode(noun)}, c.audited(ctx, audit.Record{Action: op, Path: noun.Path})},
		}, nil
	})
	noun.Revision = c.token(revision)
	return config.State{Config: noun, Rollout: config.Rollout{Path: noun.Path}}, err
}

func errConfigExists(op string, old *view.Config) error {
	if old.Rollout.Deleted {
		return config.Errorf(config.Exists, op, old.Meta.Path.String(), "there is a deleted config of this name; undelete it, or publish to it")
	}
	return config.Errorf(config.Exists, op, old.Meta.Path.String(), "there is a config of this name already")
}

// newConfig checks a config that is to be made and fills what was left out.
func (c *Center) newConfig(noun config.Config) (config.Config, error) {
	if err := noun.Path.Require(config.LevelConfig); err != nil {
		return noun, err
	}
	if err := c.checkMetadata(noun.File, noun.Description, noun.Labels); err != nil {
		return noun, err
	}
	switch noun.Kind {
	case "":
		noun.Kind = config.KindFile
	case config.KindFile:
	case config.KindFlag:
		return noun, config.Errorf(config.Unsupported, "", "", "flags are not offered yet; make a config of kind file")
	default:
		return noun, config.Errorf(config.Invalid, "", "", "kind %q: use file or flag", noun.Kind)
	}
	if noun.Format == "" {
		f, ok := c.formats.ForFile(noun.FileName())
		if !ok {
			return noun, config.Errorf(config.Invalid, "", "", "no format claims the file ending of %q; say which format it is: %s",
				noun.FileName(), strings.Join(c.formats.Names(), ", "))
		}
		noun.Format = f.Name()
	}
	if _, err := c.formats.Get(noun.Format); err != nil {
		return noun, err
	}
	noun.Revision = ""
	return noun, nil
}

// ConfigPatch changes what is not nil.
type ConfigPatch struct {
	Path        config.Path
	Format      *string
	File        *string
	Description *string
	Labels      *map[string]string
	Expected    config.Token
}

// UpdateConfig changes metadata. Nothing that is served changes by it; a new
// Format is that of the next release.
func (c *Center) UpdateConfig(ctx context.Context, p ConfigPatch) (config.State, error) {
	const op = "config.update"
	id, err := c.authorize(ctx, op, auth.Edit, p.Path)
	if err != nil {
		return config.State{}, err
	}
	if err := c.checkPatch(p); err != nil {
		return config.State{}, located(op, p.Path.String(), err)
	}
	var state config.State
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		cfg, err := configAt(snap, p.Path)
		if err != nil {
			return store.Txn{}, err
		}
		if err := c.expect(op, p.Path.String(), p.Expected, cfg.MetaRevision); err != nil {
			return store.Txn{}, err
		}
		state = c.showConfig(cfg)
		noun := cfg.Meta
		set(&noun.Format, p.Format)
		set(&noun.File, p.File)
		set(&noun.Description, p.Description)
		set(&noun.Labels, p.Labels)
		noun.UpdatedBy, noun.UpdatedAt = c.stamp(id)
		state.Config = noun
		key := record.Configs.Key(p.Path.String())
		return store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: cfg.MetaRevision}},
			Writes: []store.Write{{Key: key, Value: record.Encode(noun)}, c.audited(ctx, audit.Record{Action: op, Path: p.Path})},
		}, nil
	})
	state.Revision = c.token(revision)
	return state, err
}

func (c *Center) checkPatch(p ConfigPatch) error {
	if p.Format != nil {
		if _, err := c.formats.Get(*p.Format); err != nil {
			return err
		}
	}
	var labels map[string]string
	if p.Labels != nil {
		labels = *p.Labels
	}
	return c.checkMetadata(deref(p.File), deref(p.Description), labels)
}

// The bounds of a config's labels.
const (
	maxLabels      = 64
	maxLabelLength = 256
)

func (c *Center) checkMetadata(file, description string, labels map[string]string) error {
	if err := config.ValidateFile(file); err != nil {
		return err
	}
	if len(labels) > maxLabels {
		return config.Errorf(config.Invalid, "", "", "%d labels; at most %d are taken", len(labels), maxLabels)
	}
	for k, v := range maps.All(labels) {
		if k == "" || len(k) > maxLabelLength || len(v) > maxLabelLength {
			return config.Errorf(config.Invalid, "", "", "a label's key and value have at most %d bytes, and the key is not empty", maxLabelLength)
		}
	}
	return c.checkComment("", "", description)
}

func (c *Center) checkComment(op, path, text string) error {
	if len(text) > c.limits.CommentLength {
		return config.Errorf(config.TooLarge, op, path, "a comment or description has at most %d bytes (limit comment_length); this one has %d", c.limits.CommentLength, len(text))
	}
	return nil
}

// checkCount holds the limit on an env's configs. Nodes count for themselves,
// so racing creations may pass it by a few.
func (c *Center) checkCount(snap *view.Snapshot, env config.Path, more int) error {
	if count := snap.CountConfigs(env) + more; count > c.limits.ConfigsPerEnv {
		return config.Errorf(config.Exhausted, "", env.String(), "the env would hold %d configs; the limit configs_per_env is %d", count, c.limits.ConfigsPerEnv)
	}
	return nil
}

// configAt finds a config that is there, deleted or not.
func configAt(snap *view.Snapshot, path config.Path) (*view.Config, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return nil, err
	}
	cfg, ok := snap.Config(path)
	if !ok || cfg.MetaRevision == 0 {
		return nil, errNoConfig(path)
	}
	return cfg, nil
}

// shows reports whether the view shows a config, or does so once it has caught up.
// It comes before what the store is asked directly, which would also tell of a
// tenant that is being imported.
func (c *Center) shows(ctx context.Context, path config.Path) (bool, error) {
	if cfg, ok := c.view.Snapshot().Config(path); ok && cfg.MetaRevision != 0 {
		return true, nil
	}
	if _, err := c.catchUp(ctx); err != nil {
		return false, err
	}
	cfg, ok := c.view.Snapshot().Config(path)
	return ok && cfg.MetaRevision != 0, nil
}

func (c *Center) showConfig(cfg *view.Config) config.State {
	state := config.State{Config: cfg.Meta, Rollout: cfg.Rollout, HasDraft: cfg.DraftRevision != 0}
	state.Rollout.Path = cfg.Meta.Path
	state.Revision = c.token(cfg.MetaRevision)
	return state
}
