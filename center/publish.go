package center

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// Publish asks for one change set: all its items become visible at one
// revision, or none does.
type Publish struct {
	Tenant  string
	Items   []PublishItem
	Comment string
	ReleaseOptions

	withdraw []config.Path // configs deleted with the same commit
	rollback bool          // takes back: ends what is under way, whatever the freezes
}

// PublishItem is one config of a change set. A config that is not there yet is
// created by it.
type PublishItem struct {
	Path    config.Path
	Content []byte
	// FromDraft publishes the draft in place of Content, and drops it with the
	// same commit. DraftRevision, if set, must be the draft's.
	FromDraft     bool
	DraftRevision config.Token
	// Format changes the config's format; empty keeps it or, for a new config,
	// goes by the file ending.
	Format string
	// File, Description and Labels are taken when the config is created.
	File        string
	Description string
	Labels      map[string]string
	// ExpectedVersion, if set, must be the latest version; 0 means none yet.
	ExpectedVersion *int64
	// SkipUnchanged makes no release if the content is served already.
	SkipUnchanged bool

	// Set by the verbs that publish on someone's behalf.
	source        config.Source
	draftRevision int64
	digest        string
	checkedAs     string // the format that Content was found well-formed in
}

// Publish makes new releases, atomically. The errors: Invalid with the problems
// of every item whose content is malformed; Conflict with the current version;
// TooLarge and Exhausted by the limits.
func (c *Center) Publish(ctx context.Context, p Publish) (config.ChangeSet, error) {
	const op = "config.publish"
	for _, item := range p.Items {
		if _, err := c.authorize(ctx, op, auth.Publish, item.Path); err != nil {
			return config.ChangeSet{}, err
		}
	}
	if _, err := c.authenticated(ctx, op); err != nil { // a change set of no items is anybody's
		return config.ChangeSet{}, err
	}
	for i := range p.Items {
		if err := c.takeDraft(ctx, &p.Items[i]); err != nil {
			return config.ChangeSet{}, located(op, p.Items[i].Path.String(), err)
		}
		p.Items[i].source = config.Source{Kind: config.SourcePublish}
	}
	return c.release(ctx, op, p)
}

// takeDraft replaces FromDraft by the draft's content.
func (c *Center) takeDraft(ctx context.Context, item *PublishItem) error {
	if !item.FromDraft {
		return nil
	}
	if err := item.Path.Require(config.LevelConfig); err != nil {
		return err
	}
	draft, revision, err := c.loadDraft(ctx, item.Path)
	if err != nil {
		return err
	}
	if err := c.expect("", item.Path.String(), item.DraftRevision, revision); err != nil {
		return err
	}
	item.Content, item.draftRevision = draft.Content, revision
	if item.Format == "" {
		item.Format = draft.Format
	}
	return nil
}

// release is the one way in which releases come to be: checks what can be
// checked without the state, then builds and commits the change set.
func (c *Center) release(ctx context.Context, op string, p Publish) (config.ChangeSet, error) {
	if err := c.checkChangeSet(op, p); err != nil {
		return config.ChangeSet{}, err
	}
	paths := slices.Clone(p.withdraw)
	for i := range p.Items {
		paths = append(paths, p.Items[i].Path)
	}
	giveBack, err := c.turns.take(ctx, paths)
	if err != nil {
		return config.ChangeSet{}, located(op, p.Tenant, err)
	}
	defer giveBack()
	var set config.ChangeSet
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (txn store.Txn, err error) {
		txn, set, err = c.buildChangeSet(ctx, op, snap, p)
		return txn, err
	})
	if err != nil {
		return config.ChangeSet{}, err
	}
	set.Revision = c.token(revision)
	if set.Launch != nil {
		set.Launch.Revision = set.Revision
	}
	return set, nil
}

// checkChangeSet refuses what breaks a rule whatever the state, and takes the
// digests of what it lets through.
func (c *Center) checkChangeSet(op string, p Publish) error {
	switch {
	case len(p.Items)+len(p.withdraw) == 0:
		return config.Errorf(config.Invalid, op, p.Tenant, "the change set has no items")
	case len(p.Items)+len(p.withdraw) > c.limits.ChangeSetConfigs:
		return config.Errorf(config.TooLarge, op, p.Tenant, "the change set has %d configs; the limit change_set_configs is %d", len(p.Items)+len(p.withdraw), c.limits.ChangeSetConfigs)
	}
	if err := c.checkComment(op, p.Tenant, p.Comment); err != nil {
		return err
	}
	if err := c.checkOptions(&p); err != nil {
		return located(op, p.Tenant, err)
	}
	seen := make(map[config.Path]bool, len(p.Items))
	var total int64
	for i := range p.Items {
		item := &p.Items[i]
		if err := c.checkItem(item, p.Tenant); err != nil {
			return located(op, item.Path.String(), err)
		}
		if seen[item.Path] {
			return config.Errorf(config.Invalid, op, item.Path.String(), "the change set names this config twice")
		}
		seen[item.Path] = true
		item.digest = digestOf(item.Content)
		total += int64(len(item.Content))
	}
	if total > int64(c.limits.ChangeSetSize) {
		return config.Errorf(config.TooLarge, op, p.Tenant, "the change set holds %d bytes; the limit change_set_size is %s", total, c.limits.ChangeSetSize)
	}
	return nil
}

func (c *Center) checkItem(item *PublishItem, tenant string) error {
	if err := item.Path.Require(config.LevelConfig); err != nil {
		return err
	}
	if item.Path.Tenant != tenant {
		return config.Errorf(config.Invalid, "", "", "the change set is of tenant %q; it cannot hold another tenant's config", tenant)
	}
	if err := c.checkMetadata(item.File, item.Description, item.Labels); err != nil {
		return err
	}
	return c.checkSize(item.Content)
}

func (c *Center) checkSize(content []byte) error {
	if size := int64(len(content)); size > int64(c.limits.ConfigSize) {
		return config.Errorf(config.TooLarge, "", "", "the content has %d bytes; the limit config_size is %s", size, c.limits.ConfigSize)
	}
	return nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
