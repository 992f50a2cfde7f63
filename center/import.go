package center

import (
	"context"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// Import asks for files to be released in an env.
type Import struct {
	Env     config.Path
	Files   []ImportFile
	Comment string
	DryRun  bool // only tell what would happen
	// Prune deletes the env's configs that no file stands for, in the same change set.
	Prune bool
	ReleaseOptions
}

// ImportFile is one file of a directory or archive.
type ImportFile struct {
	File    string // relative, with forward slashes
	Content []byte
}

// ImportResult tells what an import did, or would do.
type ImportResult struct {
	ChangeSet config.ChangeSet `json:"change_set"`
	Created   int              `json:"created"`
	Changed   int              `json:"changed"`
	Unchanged int              `json:"unchanged"`
	Pruned    int              `json:"pruned"`
}

// Import releases files as one change set: what is new is created, what is
// served already is left alone. Names come from config.NameForFile.
func (c *Center) Import(ctx context.Context, r Import) (ImportResult, error) {
	const op = "config.import"
	if _, err := c.authorize(ctx, op, auth.Publish, r.Env); err != nil {
		return ImportResult{}, err
	}
	if err := r.Env.Require(config.LevelEnv); err != nil {
		return ImportResult{}, located(op, r.Env.String(), err)
	}
	if _, err := c.catchUp(ctx); err != nil {
		return ImportResult{}, located(op, r.Env.String(), err)
	}
	snap := c.view.Snapshot()
	if _, ok := snap.Env(r.Env); !ok {
		return ImportResult{}, errNoScope(op, r.Env)
	}
	p, err := importItems(snap, r)
	if err != nil {
		return ImportResult{}, located(op, r.Env.String(), err)
	}
	result := tally(snap, p)
	if r.DryRun {
		return result, c.dryRun(ctx, op, p)
	}
	set, err := c.release(ctx, op, p)
	result.ChangeSet = set
	return result, err
}

func importItems(snap *view.Snapshot, r Import) (Publish, error) {
	p := Publish{Tenant: r.Env.Tenant, Comment: r.Comment, ReleaseOptions: r.ReleaseOptions}
	fileOf := make(map[string]string, len(r.Files))
	for _, f := range r.Files {
		file := strings.TrimPrefix(f.File, "./")
		if err := config.ValidateFile(file); err != nil {
			return p, err
		}
		name, err := config.NameForFile(file)
		if err != nil {
			return p, err
		}
		if other, taken := fileOf[name]; taken {
			return p, config.Errorf(config.Invalid, "", "", "files %q and %q would both be the config %s; rename one", other, file, name)
		}
		fileOf[name] = file
		path := r.Env.Join(name)
		if cfg, _ := snap.Config(path); cfg != nil && cfg.MetaRevision != 0 && cfg.Meta.FileName() != file {
			return p, config.Errorf(config.Conflict, "", path.String(), "the config stands for the file %q already, not for %q", cfg.Meta.FileName(), file)
		}
		item := PublishItem{Path: path, Content: f.Content, SkipUnchanged: true, source: config.Source{Kind: config.SourceImport, From: file}}
		if file != name {
			item.File = file
		}
		p.Items = append(p.Items, item)
	}
	if r.Prune {
		for cfg := range snap.Configs(r.Env, "") {
			if _, kept := fileOf[cfg.Meta.Path.Name]; !kept && cfg.MetaRevision != 0 && !cfg.Rollout.Deleted {
				p.withdraw = append(p.withdraw, cfg.Meta.Path)
			}
		}
	}
	return p, nil
}

func tally(snap *view.Snapshot, p Publish) ImportResult {
	result := ImportResult{Pruned: len(p.withdraw), ChangeSet: config.ChangeSet{
		Tenant: p.Tenant, Action: string(config.SourceImport), Comment: p.Comment, Items: []config.ChangeItem{},
	}}
	for _, item := range p.Items {
		change := config.ChangeItem{Path: item.Path, Digest: digestOf(item.Content), Size: int64(len(item.Content))}
		cfg, _ := snap.Config(item.Path)
		switch {
		case cfg == nil || cfg.MetaRevision == 0:
			result.Created++
		case !cfg.Rollout.Deleted && cfg.Rollout.Stable != nil && cfg.Rollout.Stable.Digest == change.Digest:
			result.Unchanged++
			change.Unchanged = true
		default:
			result.Changed++
		}
		if cfg != nil {
			change.Version, change.Format = cfg.Rollout.Latest, cfg.Meta.Format
		}
		if !change.Unchanged {
			change.Version++
		}
		result.ChangeSet.Items = append(result.ChangeSet.Items, change)
	}
	return result
}

// dryRun finds what would be refused: one that says yes to what cannot be would be
// of no use.
func (c *Center) dryRun(ctx context.Context, op string, p Publish) error {
	if err := c.checkChangeSet(op, p); err != nil {
		return err
	}
	_, _, err := c.buildChangeSet(ctx, op, c.view.Snapshot(), p)
	return err
}
