package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/setpointhq/setpoint/config"
)

// Publish is one atomic change set: all of its items, or none.
type Publish struct {
	Items   []PublishItem // of one tenant
	Comment string
	ReleaseOptions
}

// PublishItem is one config to release.
type PublishItem struct {
	Path config.Path
	// Content is what to release; with FromDraft it is the draft instead.
	Content   []byte
	FromDraft bool
	// DraftRevision is the draft as it was seen; "" takes whatever it is now.
	DraftRevision config.Token
	// Format and File are used where the config has none yet.
	Format, File string
	// ExpectedVersion is the version that must be the current one; 0 for never
	// released, nil for any.
	ExpectedVersion *int64
	// SkipUnchanged makes no release where the content is the same.
	SkipUnchanged bool
}

type wireItem struct {
	Path config.Path `json:"path"`
	wireContent
	FromDraft       bool         `json:"from_draft,omitempty"`
	DraftRevision   config.Token `json:"draft_revision,omitempty"`
	Format          string       `json:"format,omitempty"`
	File            string       `json:"file,omitempty"`
	ExpectedVersion *int64       `json:"expected_version,omitempty"`
	SkipUnchanged   bool         `json:"skip_unchanged,omitempty"`
}

// Publish releases a change set. Configs that are not there are created.
func (c *Client) Publish(ctx context.Context, p Publish) (config.ChangeSet, error) {
	if len(p.Items) == 0 {
		return config.ChangeSet{}, config.Errorf(config.Invalid, "publish", "", "nothing to publish")
	}
	in := struct {
		Comment string     `json:"comment,omitempty"`
		Items   []wireItem `json:"items"`
		ReleaseOptions
	}{Comment: p.Comment, ReleaseOptions: p.ReleaseOptions}
	tenant := p.Items[0].Path.Tenant
	for _, item := range p.Items {
		if err := item.Path.Require(config.LevelConfig); err != nil {
			return config.ChangeSet{}, err
		}
		if item.Path.Tenant != tenant {
			return config.ChangeSet{}, config.Errorf(config.Invalid, "publish", item.Path.String(), "one change set is of one tenant; the others are of %s", tenant)
		}
		w := wireItem{
			Path: item.Path, FromDraft: item.FromDraft, DraftRevision: item.DraftRevision, Format: item.Format,
			File: item.File, ExpectedVersion: item.ExpectedVersion, SkipUnchanged: item.SkipUnchanged,
		}
		if !item.FromDraft {
			w.wireContent = contentOf(item.Content)
		}
		in.Items = append(in.Items, w)
	}
	return post[config.ChangeSet](ctx, c, at(config.Path{Tenant: tenant}, "changesets"), in)
}

// ChangeSets lists what was published in a tenant, newest first.
func (c *Client) ChangeSets(ctx context.Context, tenant string) iter.Seq2[config.ChangeSet, error] {
	return list[config.ChangeSet](ctx, c, at(config.Path{Tenant: tenant}, "changesets"), paged(values()))
}

// Rollback says which release of a config to bring back.
type Rollback struct {
	Path config.Path `json:"-"`
	// Version 0 means: away from what was changed last. If launches are under way
	// that is what they bring out; else the release that was stable before comes
	// back.
	Version         int64  `json:"version,omitempty"`
	Comment         string `json:"comment,omitempty"`
	ExpectedVersion *int64 `json:"expected_version,omitempty"` // as in PublishItem
}

// Rollback serves everybody an earlier content again, at once: it aborts every
// launch of the config and makes a new release with the old content, unless the
// stable release holds that. No freeze holds it up.
func (c *Client) Rollback(ctx context.Context, r Rollback) (config.ChangeSet, error) {
	if err := r.Path.Require(config.LevelConfig); err != nil {
		return config.ChangeSet{}, err
	}
	return post[config.ChangeSet](ctx, c, at(r.Path, "rollback"), r)
}

// Promote says what to carry from one env of an app to another.
type Promote struct {
	App      config.Path `json:"-"`
	From     string      `json:"from_env"`
	To       string      `json:"to_env"`
	Names    []string    `json:"names,omitempty"` // none for all
	Comment  string      `json:"comment,omitempty"`
	Backward bool        `json:"backward,omitempty"` // allow it against the promotion order
	DryRun   bool        `json:"dry_run,omitempty"`
	ReleaseOptions
}

// Promote releases in one env what is released in another.
func (c *Client) Promote(ctx context.Context, p Promote) (config.ChangeSet, error) {
	if err := p.App.Require(config.LevelApp); err != nil {
		return config.ChangeSet{}, err
	}
	return post[config.ChangeSet](ctx, c, at(p.App, "promote"), p)
}

// Releases lists a config's releases, newest first, without content.
func (c *Client) Releases(ctx context.Context, path config.Path) iter.Seq2[config.Release, error] {
	return list[config.Release](ctx, c, at(path, "releases"), paged(values()))
}

// Release returns one release with its content.
func (c *Client) Release(ctx context.Context, path config.Path, version int64) (Release, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return Release{}, err
	}
	w, err := get[wireRelease](ctx, c, at(path, "releases", strconv.FormatInt(version, 10)))
	return w.release(), err
}

// Rollout returns which release which client gets.
func (c *Client) Rollout(ctx context.Context, path config.Path) (config.Rollout, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return config.Rollout{}, err
	}
	return get[config.Rollout](ctx, c, at(path, "rollout"))
}

// Diff is how two contents differ.
type Diff struct {
	From    DiffSide `json:"from"`
	To      DiffSide `json:"to"`
	Equal   bool     `json:"equal"`
	Unified string   `json:"unified"` // the lines, as diff -u prints them
	// Structural says that Changes holds what differs by place in the document.
	Structural bool         `json:"structural"`
	Changes    []DiffChange `json:"changes"`
}

// DiffSide is what one side of a Diff is.
type DiffSide struct {
	Path    config.Path `json:"path"`
	Version int64       `json:"version,omitempty"` // 0 where there is no release
	Draft   bool        `json:"draft,omitempty"`
	Digest  string      `json:"digest,omitempty"`
	Format  string      `json:"format,omitempty"`
	Missing bool        `json:"missing,omitempty"` // nothing was released yet
}

// DiffChange is one place where two documents differ.
type DiffChange struct {
	Op string `json:"op"` // what happened to it
	// Path is the JSON Pointer (RFC 6901) of the value; FromPath is where it was,
	// if that was elsewhere.
	Path     string `json:"path"`
	FromPath string `json:"from_path,omitempty"`
	// From and To are the values, long ones clipped, and their kinds.
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	FromKind string `json:"from_kind,omitempty"`
	ToKind   string `json:"to_kind,omitempty"`
	// FromLine and ToLine are where they begin, from 1; 0 if that is unknown.
	FromLine int `json:"from_line,omitempty"`
	ToLine   int `json:"to_line,omitempty"`
}

// Diff compares two contents of a config. Each is a version number, "draft",
// "released", "env:NAME" or "path:TENANT/APP/ENV/NAME"; "" is "released" for
// from and "draft" for to.
func (c *Client) Diff(ctx context.Context, path config.Path, from, to string) (Diff, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return Diff{}, err
	}
	var d Diff
	r := request{
		method: http.MethodGet, path: at(path, "diff"), query: values("from", from, "to", to),
		header: http.Header{"Accept": {"application/json"}},
	}
	_, err := c.call(ctx, r, &d)
	return d, err
}
