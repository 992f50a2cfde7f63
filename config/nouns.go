package config

import (
	"strings"
	"time"
)

// Token is an opaque position in the order of all changes, as clients see it.
// They keep it and send it back; they never parse or compare it.
type Token string

// Kind says what a config is.
type Kind string

// The kinds of config.
const (
	KindFile Kind = "file"
	KindFlag Kind = "flag"
)

// Tenant is the outermost scope; nothing is shared between tenants.
type Tenant struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Closing     bool      `json:"closing,omitempty"` // being deleted: nothing new may be made in it
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	Revision    Token     `json:"revision,omitempty"`
}

// App is one application of a tenant.
type App struct {
	Tenant      string    `json:"tenant"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Closing     bool      `json:"closing,omitempty"` // being deleted: nothing new may be made in it
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	Revision    Token     `json:"revision,omitempty"`
}

// Path returns the app's place in the tree.
func (a App) Path() Path { return Path{Tenant: a.Tenant, App: a.Name} }

// EnvKind says what an env is for.
type EnvKind string

// The kinds of env; a custom one is any other word that is a valid env name.
const (
	EnvDev  EnvKind = "dev"
	EnvTest EnvKind = "test"
	EnvProd EnvKind = "prod"
)

// Env is one environment of an app.
type Env struct {
	Tenant      string  `json:"tenant"`
	App         string  `json:"app"`
	Name        string  `json:"name"`
	Kind        EnvKind `json:"kind"`
	Description string  `json:"description,omitempty"`
	// Protected envs refuse deletion and want a comment on every publish.
	Protected bool `json:"protected"`
	Closing   bool `json:"closing,omitempty"` // being deleted: nothing new may be made in it
	// Order is the place in the app's promotion order; lower comes first.
	Order int `json:"order"`
	// Freezes are when nothing is released in it.
	Freezes   []Freeze  `json:"freezes,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	Revision  Token     `json:"revision,omitempty"`
}

// Path returns the env's place in the tree.
func (e Env) Path() Path { return Path{Tenant: e.Tenant, App: e.App, Env: e.Name} }

// Config is what is known about one managed file or flag apart from its
// content: its metadata. What is released is its Rollout.
type Config struct {
	Path   Path   `json:"path"`
	Kind   Kind   `json:"kind"`
	Format string `json:"format"`
	// File is where the config lies in a directory export, "rules/node.yml";
	// empty means its name.
	File        string            `json:"file,omitempty"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	CreatedBy   string            `json:"created_by"`
	UpdatedAt   time.Time         `json:"updated_at"`
	UpdatedBy   string            `json:"updated_by"`
	Revision    Token             `json:"revision,omitempty"`
}

// FileName returns where the config lies in a directory export.
func (c Config) FileName() string {
	if c.File != "" {
		return c.File
	}
	return c.Path.Name
}

// ValidateFile checks a config's place in a directory export: relative, with
// forward slashes, no empty, "." or ".." parts, no control characters.
func ValidateFile(file string) error {
	if file == "" {
		return nil
	}
	bad := len(file) > 512 || strings.HasPrefix(file, "/") || strings.ContainsAny(file, "\\:") ||
		strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
	for part := range strings.SplitSeq(file, "/") {
		bad = bad || part == "" || part == "." || part == ".."
	}
	if bad {
		return Errorf(Invalid, "", clip(file), "file %q: want a relative path with forward slashes, without '..', ':' or control characters, of at most 512 bytes", clip(file))
	}
	return nil
}

// Draft is the one editable working copy of a config.
type Draft struct {
	Path   Path   `json:"path"`
	Format string `json:"format"`
	// BaseVersion is the release that the draft started from; 0 for none.
	BaseVersion int64     `json:"base_version"`
	Author      string    `json:"author"`
	SavedAt     time.Time `json:"saved_at"`
	// Revision makes the next save, publish or delete conditional.
	Revision Token  `json:"revision,omitempty"`
	Content  []byte `json:"-"`
}

// SourceKind says how a release came to be.
type SourceKind string

// The sources of a release.
const (
	SourcePublish   SourceKind = "publish"
	SourceRollback  SourceKind = "rollback"
	SourcePromotion SourceKind = "promotion"
	SourceImport    SourceKind = "import"
)

// Source says where a release's content came from.
type Source struct {
	Kind SourceKind `json:"kind"`
	// Version is the release rolled back to, or the one promoted.
	Version int64 `json:"version,omitempty"`
	// From is the path promoted from.
	From string `json:"from,omitempty"`
}

// Release is an immutable published version of a config, without its content.
type Release struct {
	Path      Path      `json:"path"`
	Version   int64     `json:"version"`
	Format    string    `json:"format"`
	Digest    string    `json:"digest"` // lower-case hex SHA-256 of the content
	Size      int64     `json:"size"`   // bytes
	Source    Source    `json:"source"`
	Comment   string    `json:"comment,omitempty"`
	Author    string    `json:"author"`
	Time      time.Time `json:"time"`
	ChangeSet string    `json:"change_set"`
}

// State is a config with what is released of it: what listings show.
type State struct {
	Config
	Rollout  Rollout `json:"rollout"`
	HasDraft bool    `json:"has_draft"`
}

// ChangeSet is one atomic publish of one or many configs of a tenant.
type ChangeSet struct {
	ID      string    `json:"id"`
	Tenant  string    `json:"tenant"`
	Action  string    `json:"action"` // publish, rollback, promotion, import
	Author  string    `json:"author"`
	Time    time.Time `json:"time"`
	Comment string    `json:"comment,omitempty"`
	// Items are the releases made, in the order asked for.
	Items []ChangeItem `json:"items"`
	// Launch is what brings the releases out, if not everybody gets them at once.
	Launch *Launch `json:"launch,omitempty"`
	// Ended are the ids of the launches that it put an end to.
	Ended []string `json:"ended,omitempty"`
	// Revision is where the change set became visible.
	Revision Token `json:"revision,omitempty"`
}

// ChangeItem is one config of a change set.
type ChangeItem struct {
	Path    Path   `json:"path"`
	Version int64  `json:"version"`
	Format  string `json:"format"`
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`
	// Unchanged items had this content already and got no new release.
	Unchanged bool `json:"unchanged,omitempty"`
	// Deleted items are served no longer; Version is the last one.
	Deleted bool `json:"deleted,omitempty"`
}

// Page is one page of a listing.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next continues the listing; empty on the last page.
	Next string `json:"next,omitempty"`
}
