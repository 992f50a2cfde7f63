// Package model holds the types of the schema that are no nouns of the domain: what
// the data plane tells, and what is asked for where a noun does not fit.
package model

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

type (
	// ConfigPage is a page of configs.
	ConfigPage = config.Page[config.State]
	// ReleasePage is a page of releases.
	ReleasePage = config.Page[config.Release]
	// ChangeSetPage is a page of change sets.
	ChangeSetPage = config.Page[config.ChangeSet]
	// LaunchPage is a page of launches.
	LaunchPage = config.Page[config.Launch]
	// TenantPage is a page of tenants.
	TenantPage = config.Page[config.Tenant]
	// AppPage is a page of apps.
	AppPage = config.Page[config.App]
	// AccessTokenPage is a page of tokens.
	AccessTokenPage = config.Page[auth.Token]
	// UserPage is a page of users.
	UserPage = config.Page[auth.User]
	// AccessHolderPage is a page of those who may do something.
	AccessHolderPage = config.Page[center.Holder]
	// BindingPage is a page of bindings.
	BindingPage = config.Page[auth.Binding]
	// AuditRecordPage is a page of audit records.
	AuditRecordPage = config.Page[audit.Record]
	// JoinTokenPage is a page of join tokens.
	JoinTokenPage = config.Page[config.JoinToken]
)

// Version is what the server is.
type Version struct {
	Version   string
	GoVersion string
	Time      time.Time
}

// SavedDraft is a draft as it was kept.
type SavedDraft struct {
	Draft    config.Draft
	Problems []config.Problem
}

// ReleaseContent is a release with its content.
type ReleaseContent struct {
	Release config.Release
	Bytes   []byte
}

// Content returns the content if it is text.
func (r *ReleaseContent) Content(ctx context.Context) (*string, error) {
	return TextOf(ctx, r.Bytes)
}

// ContentBase64 returns the content.
func (r *ReleaseContent) ContentBase64(ctx context.Context) ([]byte, error) {
	return BytesOf(ctx, r.Bytes)
}

// CreatedToken is a new token or session.
type CreatedToken struct {
	Secret config.Secret
	Token  auth.Token
}

// Text returns what is UTF-8; nil if it is not.
func Text(content []byte) *string {
	if !utf8.Valid(content) {
		return nil
	}
	s := string(content)
	return &s
}

// NotNil returns content, of which there is some although it is empty.
func NotNil(content []byte) []byte {
	if content == nil {
		return []byte{}
	}
	return content
}

// InstanceState is what instances are listed by.
type InstanceState string

// The states of instances.
const (
	InstanceApplied InstanceState = InstanceState(center.InstanceApplied)
	InstanceRefused InstanceState = InstanceState(center.InstanceRefused)
	InstanceSilent  InstanceState = InstanceState(center.InstanceSilent)
)

// ValidateContentInput is content to be checked.
type ValidateContentInput struct {
	Path          config.Path
	Format        string
	Content       *string
	ContentBase64 []byte
}

// SaveDraftInput is a draft to be kept.
type SaveDraftInput struct {
	Path             config.Path
	Content          *string
	ContentBase64    []byte
	Format           string
	ExpectedRevision *config.Token
}

// ExplainInput says which client of which config is asked about, and when.
type ExplainInput struct {
	Path     config.Path
	Instance string
	Labels   map[string]string
	Slot     string
	Address  string
	At       config.Token
	Time     time.Time
}

// UpdateTenantInput says what is to be different of a tenant.
type UpdateTenantInput struct {
	Name             string
	Description      *string
	ExpectedRevision config.Token
}

// UpdateAppInput says what is to be different of an app.
type UpdateAppInput struct {
	Path             config.Path
	Description      *string
	ExpectedRevision config.Token
}

// CreateEnvInput describes an env to make.
type CreateEnvInput struct {
	App         config.Path
	Name        string
	Kind        config.EnvKind
	Description string
	Protected   bool
	Order       int
	Freezes     []config.Freeze
}

// LoginInput is who somebody is, and the proof of it.
type LoginInput struct {
	Username string
	Password config.Secret
	TTL      time.Duration
}

// ImportEnvInput is an archive, and what is to be done with it.
type ImportEnvInput struct {
	Env     config.Path
	Archive []byte
	Comment string
	DryRun  bool
	Prune   bool
	Options center.ReleaseOptions
}
