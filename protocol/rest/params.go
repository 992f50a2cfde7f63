package rest

import (
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// What many inputs and answers have in common. The types are exported because
// huma reads embedded structs only if they are.

// TenantPath names a tenant.
type TenantPath struct {
	Tenant string `path:"tenant" doc:"tenant" example:"acme" maxLength:"63"`
}

// AppPath names an app.
type AppPath struct {
	TenantPath
	App string `path:"app" doc:"app" example:"checkout" maxLength:"63"`
}

func (p AppPath) path() config.Path { return config.Path{Tenant: p.Tenant, App: p.App} }

// EnvPath names an env.
type EnvPath struct {
	AppPath
	Env string `path:"env" doc:"env" example:"prod" maxLength:"63"`
}

func (p EnvPath) path() config.Path { return p.AppPath.path().Join(p.Env) }

// ConfigPath names a config.
type ConfigPath struct {
	EnvPath
	Name string `path:"name" doc:"config" example:"application.yaml" maxLength:"128"`
}

func (p ConfigPath) path() config.Path { return p.EnvPath.path().Join(p.Name) }

// PageQuery asks for a page of a listing.
type PageQuery struct {
	Limit int    `query:"limit" doc:"most items to return; 0 means 100" minimum:"0" maximum:"1000"`
	After string `query:"after" doc:"where to go on: next of the page before" maxLength:"1024"`
}

func (q PageQuery) request() center.PageRequest {
	return center.PageRequest{Limit: q.Limit, After: q.After}
}

// Condition makes a change conditional on what was seen.
type Condition struct {
	IfMatch string `header:"If-Match" doc:"the ETag that the resource must still have" maxLength:"256"`
}

func (c Condition) token() (config.Token, error) { return tokenOf("If-Match", c.IfMatch) }

// tokenOf reads an entity tag that is a revision; "" for none. "*" asks for
// nothing that the operation does not want anyway.
func tokenOf(header, value string) (config.Token, error) {
	value = strings.TrimSpace(value)
	if value == "" || value == "*" {
		return "", nil
	}
	if len(value) < 3 || value[0] != '"' || value[len(value)-1] != '"' || strings.Contains(value[1:len(value)-1], `"`) {
		return "", malformed(header, `want one ETag in double quotes, as an answer gave it`)
	}
	return config.Token(value[1 : len(value)-1]), nil
}

func tagOf(t config.Token) string { return `"` + string(t) + `"` }

// ExpectedVersion makes a change conditional on the latest version.
type ExpectedVersion struct {
	Expected string `query:"expected_version" doc:"the version that must be the latest; 0 for none" pattern:"^[0-9]{1,18}$" patternDescription:"a version number"`
}

func (v ExpectedVersion) version() *int64 {
	n, err := strconv.ParseInt(v.Expected, 10, 64)
	if err != nil { // the pattern leaves only the empty string
		return nil
	}
	return &n
}

// Content is the content of a config in JSON: as text, or as base64 where it is
// no UTF-8.
type Content fragment.Content

// contentOf renders bytes.
func contentOf(content []byte) Content { return Content(fragment.ContentOf(content)) }

// bytes returns the content; given is false if there is none.
func (c Content) bytes() (content []byte, given bool, err error) {
	switch {
	case c.Text != nil && c.Base64 != nil:
		return nil, false, malformed("body.content_base64", "send content or content_base64, not both")
	case c.Text != nil:
		return []byte(*c.Text), true, nil
	case c.Base64 != nil:
		return c.Base64, true, nil
	}
	return nil, false, nil
}

// required is bytes where there must be content.
func (c Content) required() ([]byte, error) {
	content, given, err := c.bytes()
	if err == nil && !given {
		err = malformed("body.content", "send content, or content_base64")
	}
	return content, err
}

// Duration is a time span in text, "720h".
type Duration struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	span, err := time.ParseDuration(string(b))
	if err != nil || span <= 0 {
		return malformed("ttl", `want a time span like "720h" or "30m"`)
	}
	d.Duration = span
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// answered is an answer with a JSON body.
type answered[T any] struct {
	Body T
}

func answer[T any](body T, err error) (*answered[T], error) {
	if err != nil {
		return nil, err
	}
	return &answered[T]{Body: body}, nil
}

// tagged is an answer with a JSON body and its ETag.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"the revision, for If-Match"`
	Body T
}

func tag[T any](body T, revision config.Token, err error) (*tagged[T], error) {
	if err != nil {
		return nil, err
	}
	return &tagged[T]{ETag: tagOf(revision), Body: body}, nil
}

// empty is an answer without a body.
type empty struct{}

func done(err error) (*empty, error) {
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}
