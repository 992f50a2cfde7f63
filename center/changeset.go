package center

import (
	"context"
	"slices"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// changeSetBuilder turns items into one transaction, on one snapshot.
type changeSetBuilder struct {
	center   *Center
	snap     *view.Snapshot
	op       string
	set      config.ChangeSet
	txn      store.Txn
	envs     map[config.Path]int // the envs touched, and how many configs are new in each
	problems []config.Problem
	err      error
}

// buildChangeSet builds the whole of p, or finds why it is refused.
func (c *Center) buildChangeSet(ctx context.Context, op string, snap *view.Snapshot, p Publish) (store.Txn, config.ChangeSet, error) {
	b := changeSetBuilder{center: c, snap: snap, op: op, envs: map[config.Path]int{}}
	b.begin(ctx, p)
	for i := range p.Items {
		b.add(&p.Items[i])
	}
	for _, path := range p.withdraw {
		b.withdraw(path)
	}
	txn, err := b.finish(ctx)
	return txn, b.set, err
}

func (b *changeSetBuilder) begin(ctx context.Context, p Publish) {
	author, now := b.center.stamp(auth.FromContext(ctx))
	b.set = config.ChangeSet{
		ID: auditID(now), Tenant: p.Tenant, Action: changeSetAction(b.op),
		Author: author, Time: now, Comment: p.Comment,
		Items: make([]config.ChangeItem, 0, len(p.Items)),
	}
}

// add builds one item. It goes on after malformed content, so that the caller
// learns of every problem at once, and stops at any other error.
func (b *changeSetBuilder) add(item *PublishItem) {
	if b.err != nil {
		return
	}
	if err := b.addItem(item); err != nil {
		b.err = located(b.op, item.Path.String(), err)
	}
}

func (b *changeSetBuilder) addItem(item *PublishItem) error {
	if err := b.needEnv(item.Path.At(config.LevelEnv)); err != nil {
		return err
	}
	current, _ := b.snap.Config(item.Path)
	if current == nil {
		current = &view.Config{}
	}
	rollout := current.Rollout
	if item.ExpectedVersion != nil && *item.ExpectedVersion != rollout.Latest {
		return &config.Error{Kind: config.Conflict, Current: rollout.Latest,
			Err: errExpected(*item.ExpectedVersion, rollout.Latest)}
	}
	meta, err := b.metadata(item, current)
	if err != nil {
		return err
	}
	if !b.check(item, meta.Format) {
		return nil
	}
	if item.SkipUnchanged && !rollout.Deleted && rollout.Stable != nil &&
		rollout.Stable.Digest == item.digest && rollout.Stable.Format == meta.Format && current.MetaRevision != 0 {
		b.unchanged(rollout.Stable)
	} else {
		b.put(item, meta, rollout, current.RolloutRevision)
	}
	b.dropDraft(item)
	return nil
}

// needEnv makes the transaction conditional on the env as it is now.
func (b *changeSetBuilder) needEnv(path config.Path) error {
	if _, known := b.envs[path]; known {
		return nil
	}
	env, ok := b.snap.Env(path)
	if !ok {
		return config.Errorf(config.NotFound, "", "", "there is no env %s; create it first", path)
	}
	if env.Closing {
		return errClosing(path)
	}
	if env.Protected && b.set.Comment == "" {
		return config.Errorf(config.Invalid, "", "", "env %s is protected: say why, in a comment", path)
	}
	b.envs[path] = 0
	b.txn.Conds = append(b.txn.Conds, store.Cond{Key: record.Envs.Key(path.String()), Revision: env.ModRevision})
	return nil
}

// metadata finds the config's metadata, and adds the write that creates it or
// changes its format.
func (b *changeSetBuilder) metadata(item *PublishItem, current *view.Config) (config.Config, error) {
	key := record.Configs.Key(item.Path.String())
	b.txn.Conds = append(b.txn.Conds, store.Cond{Key: key, Revision: current.MetaRevision})
	meta := current.Meta
	if current.MetaRevision == 0 {
		var err error
		meta, err = b.center.newConfig(config.Config{
			Path: item.Path, Kind: config.KindFile, Format: item.Format, File: item.File,
			Description: item.Description, Labels: item.Labels,
		})
		if err != nil {
			return meta, err
		}
		env := item.Path.At(config.LevelEnv)
		b.envs[env]++
		if err := b.center.checkCount(b.snap, env, b.envs[env]); err != nil {
			return meta, err
		}
		meta.CreatedAt, meta.CreatedBy = b.set.Time, b.set.Author
	} else if item.Format == "" || item.Format == meta.Format {
		return meta, nil
	}
	if item.Format != "" {
		meta.Format = item.Format
	}
	meta.UpdatedAt, meta.UpdatedBy = b.set.Time, b.set.Author
	b.txn.Writes = append(b.txn.Writes, store.Write{Key: key, Value: record.Encode(meta)})
	return meta, nil
}

// check gathers the content's problems; false if it may not be published.
func (b *changeSetBuilder) check(item *PublishItem, formatName string) bool {
	if item.checkedAs == formatName {
		return true
	}
	f, err := b.center.formats.Get(formatName)
	if err != nil {
		b.err = located(b.op, item.Path.String(), err)
		return false
	}
	sound := true
	for _, problem := range f.Check(item.Content) {
		if problem.Severity == config.SeverityError {
			problem.Path = item.Path.String()
			b.problems = append(b.problems, problem)
			sound = false
		}
	}
	if sound {
		item.checkedAs = formatName
	}
	return sound
}

func (b *changeSetBuilder) unchanged(r *config.Release) {
	b.set.Items = append(b.set.Items, config.ChangeItem{
		Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest, Size: r.Size, Unchanged: true,
	})
}

// put adds the release and the rollout that makes it stable.
func (b *changeSetBuilder) put(item *PublishItem, meta config.Config, rollout config.Rollout, revision int64) {
	release := config.Release{
		Path: item.Path, Version: rollout.Latest + 1, Format: meta.Format,
		Digest: item.digest, Size: int64(len(item.Content)), Source: item.source,
		Comment: b.set.Comment, Author: b.set.Author, Time: b.set.Time, ChangeSet: b.set.ID,
	}
	next := config.Rollout{
		Path: item.Path, Latest: release.Version, Stable: &release, Candidates: rollout.Candidates,
	}
	b.retire(&rollout, &next)
	value, separate := record.EncodeRelease(release, item.Content)
	key := record.Rollouts.Key(item.Path.String())
	b.txn.Conds = append(b.txn.Conds, store.Cond{Key: key, Revision: revision})
	b.txn.Writes = append(b.txn.Writes,
		store.Write{Key: record.ReleaseKey(item.Path, release.Version), Value: value},
		store.Write{Key: key, Value: record.Encode(next)})
	if separate != nil {
		b.txn.Writes = append(b.txn.Writes, store.Write{Key: record.ContentKey(item.Path, release.Version), Value: separate})
	}
	b.set.Items = append(b.set.Items, config.ChangeItem{
		Path: item.Path, Version: release.Version, Format: release.Format, Digest: release.Digest, Size: release.Size,
	})
}

// retireAtOnce bounds how many releases one commit drops, for when the number
// kept is lowered; the next publishes drop the rest.
const retireAtOnce = 100

// retire drops the releases that fall out of the number kept, and those past it
// that only the rollout before this one used, in the same commit.
func (b *changeSetBuilder) retire(before, next *config.Rollout) {
	next.Oldest = max(before.Oldest, 1)
	if kept := next.Latest - int64(b.center.limits.KeepReleases) + 1; kept > next.Oldest {
		next.Oldest = min(kept, next.Oldest+retireAtOnce)
	}
	drop := func(v int64) {
		if !next.InUse(v) {
			b.txn.Writes = append(b.txn.Writes,
				store.Write{Key: record.ReleaseKey(next.Path, v), Delete: true},
				store.Write{Key: record.ContentKey(next.Path, v), Delete: true})
		}
	}
	for v := max(before.Oldest, 1); v < next.Oldest; v++ {
		drop(v)
	}
	for v := range before.Served() {
		if v.Version < before.Oldest {
			drop(v.Version)
		}
	}
}

// withdraw adds the deletion of a config that no longer has a place in the env.
func (b *changeSetBuilder) withdraw(path config.Path) {
	if b.err != nil {
		return
	}
	cfg, err := b.center.changeable(b.snap, path, nil, b.set.Comment)
	if err != nil {
		b.err = located(b.op, path.String(), err)
		return
	}
	next := cfg.Rollout
	next.Path = path
	next.Deleted, next.DeletedBy, next.DeletedAt = true, b.set.Author, b.set.Time
	key := record.Rollouts.Key(path.String())
	b.txn.Conds = append(b.txn.Conds, store.Cond{Key: key, Revision: cfg.RolloutRevision})
	b.txn.Writes = append(b.txn.Writes, store.Write{Key: key, Value: record.Encode(next)})
	b.set.Items = append(b.set.Items, config.ChangeItem{Path: path, Version: next.Latest, Deleted: true})
}

// dropDraft removes the draft that was published, if it still is the same.
func (b *changeSetBuilder) dropDraft(item *PublishItem) {
	if !item.FromDraft {
		return
	}
	key := record.Drafts.Key(item.Path.String())
	b.txn.Conds = append(b.txn.Conds, store.Cond{Key: key, Revision: item.draftRevision})
	b.txn.Writes = append(b.txn.Writes, store.Write{Key: key, Delete: true})
}

// finish returns the transaction, with the audit record, or why there is none.
func (b *changeSetBuilder) finish(ctx context.Context) (store.Txn, error) {
	if len(b.problems) > 0 {
		return store.Txn{}, b.malformed()
	}
	if b.err != nil {
		return store.Txn{}, b.err
	}
	if len(b.txn.Writes) == 0 {
		return store.Txn{}, nil
	}
	made := slices.Clone(b.set.Items)
	made = slices.DeleteFunc(made, func(i config.ChangeItem) bool { return i.Unchanged })
	path := config.Path{Tenant: b.set.Tenant}
	if len(b.set.Items) == 1 {
		path = b.set.Items[0].Path
	}
	b.txn.Writes = append(b.txn.Writes, b.center.audited(ctx, audit.Record{
		ID: b.set.ID, Time: b.set.Time, Action: b.op, Path: path, Comment: b.set.Comment, Items: made,
	}))
	return b.txn, nil
}

func (b *changeSetBuilder) malformed() error {
	path := b.set.Tenant
	if first := b.problems[0].Path; !slices.ContainsFunc(b.problems, func(p config.Problem) bool { return p.Path != first }) {
		path = first
	}
	return &config.Error{Op: b.op, Kind: config.Invalid, Path: path, Problems: b.problems,
		Err: errMalformed(b.problems)}
}
