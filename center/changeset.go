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
	publish  *Publish
	edits    *edits
	launch   *launchEdit         // brings the releases out; nil if everybody gets them at once
	envs     map[config.Path]int // the envs touched, and how many configs are new in each
	problems []config.Problem
	err      error
}

// buildChangeSet builds the whole of p, or finds why it is refused.
func (c *Center) buildChangeSet(ctx context.Context, op string, snap *view.Snapshot, p Publish) (store.Txn, config.ChangeSet, error) {
	b := changeSetBuilder{center: c, snap: snap, op: op, publish: &p, envs: map[config.Path]int{}}
	b.begin(ctx, p)
	for i := range p.Items {
		b.add(ctx, &p.Items[i])
	}
	for _, path := range p.withdraw {
		b.withdraw(ctx, path)
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
	b.edits = b.center.edit(b.snap, author, now)
	if p.launches() {
		b.launch = newLaunch(&b.set, &p)
	}
}

// add builds one item. It goes on after malformed content, so that the caller
// learns of every problem at once, and stops at any other error.
func (b *changeSetBuilder) add(ctx context.Context, item *PublishItem) {
	if b.err != nil {
		return
	}
	if err := b.addItem(ctx, item); err != nil {
		b.err = located(b.op, item.Path.String(), err)
	}
}

func (b *changeSetBuilder) addItem(ctx context.Context, item *PublishItem) error {
	if err := b.needEnv(ctx, item.Path.At(config.LevelEnv)); err != nil {
		return err
	}
	edit := b.edits.look(item.Path)
	current, rollout := edit.seen, &edit.seen.Rollout
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
	skip := item.SkipUnchanged || b.publish.rollback && len(rollout.Candidates) > 0 // to end the launches is enough
	if skip && !rollout.Deleted && rollout.Stable != nil &&
		rollout.Stable.Digest == item.digest && rollout.Stable.Format == meta.Format && current.MetaRevision != 0 {
		b.unchanged(rollout.Stable)
		if b.publish.rollback || b.publish.OnRunning == SupersedeRunning {
			err = b.meet(item.Path, edit)
		}
	} else {
		err = b.put(item, meta, edit)
	}
	if err != nil {
		return err
	}
	b.dropDraft(item)
	return nil
}

// needEnv makes the transaction conditional on the env as it is now.
func (b *changeSetBuilder) needEnv(ctx context.Context, path config.Path) error {
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
		return errUncommented(path)
	}
	if !b.publish.rollback {
		if err := b.center.thawed(ctx, b.op, env, b.publish.OverrideFreeze); err != nil {
			return err
		}
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

// put adds the release and, to the rollout, that it is the stable one or a
// candidate.
func (b *changeSetBuilder) put(item *PublishItem, meta config.Config, edit *rolloutEdit) error {
	if err := b.meet(item.Path, edit); err != nil {
		return err
	}
	next := &b.edits.rollout(item.Path).next
	release := config.Release{
		Path: item.Path, Version: next.Latest + 1, Format: meta.Format,
		Digest: item.digest, Size: int64(len(item.Content)), Source: item.source,
		Comment: b.set.Comment, Author: b.set.Author, Time: b.set.Time, ChangeSet: b.set.ID,
	}
	next.Latest = release.Version
	if b.launch != nil {
		b.stage(edit, release)
	} else {
		edit.stabilize(&release)
		next.Deleted, next.DeletedAt, next.DeletedBy = false, config.Rollout{}.DeletedAt, ""
	}
	value, separate := record.EncodeRelease(release, item.Content)
	b.txn.Writes = append(b.txn.Writes, store.Write{Key: record.ReleaseKey(item.Path, release.Version), Value: value})
	if separate != nil {
		b.txn.Writes = append(b.txn.Writes, store.Write{Key: record.ContentKey(item.Path, release.Version), Value: separate})
	}
	b.set.Items = append(b.set.Items, config.ChangeItem{
		Path: item.Path, Version: release.Version, Format: release.Format, Digest: release.Digest, Size: release.Size,
	})
	return nil
}

// withdraw adds the deletion of a config that no longer has a place in the env.
func (b *changeSetBuilder) withdraw(ctx context.Context, path config.Path) {
	if b.err != nil {
		return
	}
	if _, err := b.center.changeable(ctx, b.snap, change{
		op: b.op, path: path, comment: b.set.Comment, override: b.publish.OverrideFreeze,
	}); err != nil {
		b.err = located(b.op, path.String(), err)
		return
	}
	edit := b.edits.rollout(path)
	if b.err = located(b.op, path.String(), b.meet(path, edit)); b.err != nil {
		return
	}
	edit.next.Deleted, edit.next.DeletedBy, edit.next.DeletedAt = true, b.set.Author, b.set.Time
	b.set.Items = append(b.set.Items, config.ChangeItem{Path: path, Version: edit.next.Latest, Deleted: true})
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
	if err := b.begun(); err != nil {
		return store.Txn{}, located(b.op, b.set.Tenant, err)
	}
	if len(b.txn.Writes) == 0 && len(b.edits.ended) == 0 {
		return store.Txn{}, nil
	}
	b.edits.into(&b.txn)
	b.set.Ended = b.edits.ended
	made := slices.Clone(b.set.Items)
	made = slices.DeleteFunc(made, func(i config.ChangeItem) bool { return i.Unchanged })
	path := config.Path{Tenant: b.set.Tenant}
	if len(b.set.Items) == 1 {
		path = b.set.Items[0].Path
	}
	b.txn.Writes = append(b.txn.Writes, b.center.audited(ctx, audit.Record{
		ID: b.set.ID, Time: b.set.Time, Action: b.op, Path: path, Comment: b.set.Comment, Items: made, Detail: b.detail(),
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
