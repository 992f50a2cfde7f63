package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/setpointhq/setpoint/config"
)

// ConfigFilter narrows a listing of configs.
type ConfigFilter struct {
	Prefix  string // of the name
	Deleted bool   // deleted configs too
}

// Configs lists the configs of an env.
func (c *Client) Configs(ctx context.Context, env config.Path, f ConfigFilter) iter.Seq2[config.State, error] {
	query := values("prefix", f.Prefix, "deleted", flag(f.Deleted))
	return list[config.State](ctx, c, at(env.At(config.LevelEnv), "configs"), paged(query))
}

// Config returns a config's metadata and what is released of it.
func (c *Client) Config(ctx context.Context, path config.Path) (config.State, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return config.State{}, err
	}
	return get[config.State](ctx, c, at(path))
}

// CreateConfig makes a config without content, of a Path, Kind, Format, File,
// Description and Labels. Without a Format the server takes it from the ending
// of the name.
func (c *Client) CreateConfig(ctx context.Context, n config.Config) (config.State, error) {
	if err := n.Path.Require(config.LevelConfig); err != nil {
		return config.State{}, err
	}
	in := struct {
		Name        string            `json:"name"`
		Kind        config.Kind       `json:"kind,omitempty"`
		Format      string            `json:"format,omitempty"`
		File        string            `json:"file,omitempty"`
		Description string            `json:"description,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
	}{n.Path.Name, n.Kind, n.Format, n.File, n.Description, n.Labels}
	return post[config.State](ctx, c, at(n.Path.Parent(), "configs"), in)
}

// ConfigPatch changes a config's metadata. What is nil stays as it is.
type ConfigPatch struct {
	Format      *string            `json:"format,omitempty"`
	File        *string            `json:"file,omitempty"`
	Description *string            `json:"description,omitempty"`
	Labels      *map[string]string `json:"labels,omitempty"`
	// Expected makes the change conditional on the revision that was seen.
	Expected config.Token `json:"-"`
}

// UpdateConfig changes a config's metadata.
func (c *Client) UpdateConfig(ctx context.Context, path config.Path, p ConfigPatch) (config.State, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return config.State{}, err
	}
	return patch[config.State](ctx, c, at(path), p.Expected, p)
}

// DeleteConfig says how to delete a config.
type DeleteConfig struct {
	Path    config.Path
	Comment string
	// ExpectedVersion makes it conditional on what is released; nil does not.
	ExpectedVersion *int64
	// Purge removes the history as well, for good.
	Purge bool
	// OverrideFreeze deletes although the env is frozen; it takes the right to
	// manage it.
	OverrideFreeze bool
}

// DeleteConfig stops serving a config and aborts its launches. Its history is
// kept unless purged.
func (c *Client) DeleteConfig(ctx context.Context, d DeleteConfig) error {
	if err := d.Path.Require(config.LevelConfig); err != nil {
		return err
	}
	query := values("comment", d.Comment, "purge", flag(d.Purge), "override_freeze", flag(d.OverrideFreeze))
	if d.ExpectedVersion != nil {
		query.Set("expected_version", strconv.FormatInt(*d.ExpectedVersion, 10))
	}
	_, err := c.call(ctx, request{method: http.MethodDelete, path: at(d.Path), query: query}, nil)
	return err
}

// UndeleteConfig serves a deleted config's last release again.
func (c *Client) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return config.State{}, err
	}
	return post[config.State](ctx, c, at(path, "undelete"), commented{Comment: comment})
}

type commented struct {
	Comment string `json:"comment,omitempty"`
}

// Draft is the one editable working copy of a config, with its content.
type Draft struct{ config.Draft }

// Draft returns a config's working copy with its content.
func (c *Client) Draft(ctx context.Context, path config.Path) (Draft, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return Draft{}, err
	}
	w, err := get[wireDraft](ctx, c, at(path, "draft"))
	return w.draft(), err
}

// SaveDraft says what to save as a config's working copy.
type SaveDraft struct {
	Path    config.Path
	Content []byte
	Format  string // "" keeps the config's
	// Expected makes the save conditional: on the draft's revision that was
	// seen, or with "" on there being no draft. nil does not.
	Expected *config.Token
}

// SaveDraft saves a working copy and returns the problems found in it, which do
// not keep it from being saved.
func (c *Client) SaveDraft(ctx context.Context, s SaveDraft) (Draft, []config.Problem, error) {
	if err := s.Path.Require(config.LevelConfig); err != nil {
		return Draft{}, nil, err
	}
	r := request{method: http.MethodPut, path: at(s.Path, "draft"), in: newChecked(s.Content, s.Format)}
	switch {
	case s.Expected == nil:
	case *s.Expected == "":
		r.header = http.Header{"If-None-Match": {"*"}}
	default:
		r.header = ifMatch(*s.Expected)
	}
	var out struct {
		Draft    wireDraft        `json:"draft"`
		Problems []config.Problem `json:"problems"`
	}
	_, err := c.call(ctx, r, &out)
	return out.Draft.draft(), out.Problems, err
}

// DeleteDraft drops a working copy. expected makes it conditional on the
// revision that was seen; "" does not.
func (c *Client) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	if err := path.Require(config.LevelConfig); err != nil {
		return err
	}
	return remove(ctx, c, at(path, "draft"), expected)
}

// Validate checks content as if it were to be published at path, and saves
// nothing. format "" is the config's.
func (c *Client) Validate(ctx context.Context, path config.Path, format string, content []byte) ([]config.Problem, error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return nil, err
	}
	out, err := post[struct {
		Problems []config.Problem `json:"problems"`
	}](ctx, c, at(path, "validate"), newChecked(content, format))
	return out.Problems, err
}

type checked struct {
	wireContent
	Format string `json:"format,omitempty"`
}

func newChecked(content []byte, format string) checked {
	return checked{wireContent: contentOf(content), Format: format}
}
