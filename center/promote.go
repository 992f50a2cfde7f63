package center

import (
	"context"
	"slices"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// Promote asks for what one env serves to be released in another of its app.
type Promote struct {
	From, To config.Path // envs
	Names    []string    // the configs; none means all that From serves
	Comment  string
	Backward bool // allow an env that comes earlier in the order of promotion
	DryRun   bool // only tell what would be released
	ReleaseOptions
}

// Promote releases the stable releases of one env in another, as one change
// set. What is the same already is left alone, and listed as unchanged.
func (c *Center) Promote(ctx context.Context, p Promote) (config.ChangeSet, error) {
	const op = "config.promote"
	if _, err := c.authorize(ctx, op, auth.Read, p.From); err != nil {
		return config.ChangeSet{}, err
	}
	if _, err := c.authorize(ctx, op, auth.Publish, p.To); err != nil {
		return config.ChangeSet{}, err
	}
	if _, err := c.catchUp(ctx); err != nil { // promote what is released now, not what this node saw last
		return config.ChangeSet{}, located(op, p.From.String(), err)
	}
	snap := c.view.Snapshot()
	if err := checkPromotion(snap, p); err != nil {
		return config.ChangeSet{}, located(op, p.To.String(), err)
	}
	sources, err := promotionSources(snap, p)
	if err != nil {
		return config.ChangeSet{}, located(op, p.From.String(), err)
	}
	set, items, err := c.promotionItems(ctx, snap, p, sources)
	if err != nil {
		return config.ChangeSet{}, located(op, p.From.String(), err)
	}
	if len(items) == 0 {
		return set, nil
	}
	publish := Publish{Tenant: p.To.Tenant, Items: items, Comment: p.Comment, ReleaseOptions: p.ReleaseOptions}
	if p.DryRun {
		return set, c.dryRun(ctx, op, publish)
	}
	made, err := c.release(ctx, op, publish)
	if err == nil {
		made.Items = append(made.Items, slices.DeleteFunc(set.Items, func(i config.ChangeItem) bool { return !i.Unchanged })...)
	}
	return made, err
}

func checkPromotion(snap *view.Snapshot, p Promote) error {
	if err := p.From.Require(config.LevelEnv); err != nil {
		return err
	}
	if err := p.To.Require(config.LevelEnv); err != nil {
		return err
	}
	if p.From.Parent() != p.To.Parent() || p.From == p.To {
		return config.Errorf(config.Invalid, "", "", "promotion goes between two envs of one app, not from %s to %s", p.From, p.To)
	}
	from, ok := snap.Env(p.From)
	if !ok {
		return errNoScope("", p.From)
	}
	to, ok := snap.Env(p.To)
	if !ok {
		return errNoScope("", p.To)
	}
	if to.Order < from.Order && !p.Backward {
		return config.Errorf(config.Invalid, "", "", "%s comes before %s in the order of promotion; ask for it to go backward if that is meant", to.Name, from.Name)
	}
	return nil
}

// promotionSources finds the configs to promote, all of which serve something.
func promotionSources(snap *view.Snapshot, p Promote) ([]*view.Config, error) {
	var sources []*view.Config
	if len(p.Names) == 0 {
		for cfg := range snap.Configs(p.From, "") {
			if cfg.MetaRevision != 0 && !cfg.Rollout.Deleted && cfg.Rollout.Stable != nil {
				sources = append(sources, cfg)
			}
		}
		return sources, nil
	}
	for _, name := range p.Names {
		cfg, err := servedAt(snap, p.From.Join(name))
		if err != nil {
			return nil, err
		}
		sources = append(sources, cfg)
	}
	return sources, nil
}

// promotionItems makes the items of what differs, and the change set as it
// would be. Only what differs is read.
func (c *Center) promotionItems(ctx context.Context, snap *view.Snapshot, p Promote, sources []*view.Config) (config.ChangeSet, []PublishItem, error) {
	set := config.ChangeSet{Tenant: p.To.Tenant, Action: string(config.SourcePromotion), Comment: p.Comment, Items: []config.ChangeItem{}}
	var items []PublishItem
	for _, cfg := range sources {
		stable := cfg.Rollout.Stable
		to := p.To.Join(cfg.Meta.Path.Name)
		var latest int64
		target, _ := snap.Config(to)
		if target != nil {
			latest = target.Rollout.Latest
		}
		change := config.ChangeItem{Path: to, Version: latest + 1, Format: stable.Format, Digest: stable.Digest, Size: stable.Size}
		if target != nil && target.MetaRevision != 0 && !target.Rollout.Deleted && target.Rollout.Stable != nil &&
			target.Rollout.Stable.Digest == stable.Digest && target.Rollout.Stable.Format == stable.Format {
			change.Version, change.Unchanged = latest, true
			set.Items = append(set.Items, change)
			continue
		}
		set.Items = append(set.Items, change)
		content, err := c.view.Content(ctx, stable)
		if err != nil {
			return set, nil, err
		}
		items = append(items, PublishItem{
			Path: to, Content: content, Format: stable.Format, checkedAs: stable.Format,
			File: cfg.Meta.File, Description: cfg.Meta.Description, Labels: cfg.Meta.Labels,
			source: config.Source{Kind: config.SourcePromotion, Version: stable.Version, From: cfg.Meta.Path.String()},
		})
	}
	return set, items, nil
}

// servedAt finds a config that serves something.
func servedAt(snap *view.Snapshot, path config.Path) (*view.Config, error) {
	cfg, err := configAt(snap, path)
	switch {
	case err != nil:
		return nil, err
	case cfg.Rollout.Deleted:
		return nil, errDeleted(path)
	case cfg.Rollout.Stable == nil:
		return nil, errNoRelease(path)
	}
	return cfg, nil
}
