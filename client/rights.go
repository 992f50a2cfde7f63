package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Grant gives a role at a scope and everything below it.
type Grant struct {
	Role  string      `json:"role"`
	Scope config.Path `json:"scope"`
	// Pattern confines it to some of what lies below the scope, "*/prod" or
	// "prod/db-*".
	Pattern string `json:"pattern,omitempty"`
	// Deny takes away there what the role allows, whatever else gives it.
	Deny bool `json:"deny,omitempty"`
}

// Role describes a role.
type Role struct {
	Name        string       `json:"name"`
	Verbs       []string     `json:"verbs"`
	Description string       `json:"description"`
	Builtin     bool         `json:"builtin"`
	CreatedAt   time.Time    `json:"created_at,omitzero"`
	CreatedBy   string       `json:"created_by,omitempty"`
	Revision    config.Token `json:"revision,omitempty"`
}

// Roles lists the roles that there are.
func (c *Client) Roles(ctx context.Context) iter.Seq2[Role, error] {
	return list[Role](ctx, c, "/v1/roles", nil)
}

// CreateRole makes a role of a Name, Verbs and a Description.
func (c *Client) CreateRole(ctx context.Context, r Role) (Role, error) {
	in := struct {
		Name        string   `json:"name"`
		Verbs       []string `json:"verbs"`
		Description string   `json:"description,omitempty"`
	}{r.Name, append([]string{}, r.Verbs...), r.Description}
	return post[Role](ctx, c, "/v1/roles", in)
}

// RolePatch changes a role that was made. What is nil stays as it is.
type RolePatch struct {
	Description *string
	Verbs       []string // all that it allows from now on
	// Expected makes the change conditional on the revision that was seen.
	Expected config.Token
}

// UpdateRole changes what a role allows, at once wherever it is bound.
func (c *Client) UpdateRole(ctx context.Context, name string, p RolePatch) (Role, error) {
	in := struct {
		Description *string  `json:"description,omitempty"`
		Verbs       []string `json:"verbs,omitempty"`
	}{p.Description, p.Verbs}
	return patch[Role](ctx, c, "/v1/roles/"+url.PathEscape(name), p.Expected, in)
}

// DeleteRole deletes a role that was made and is bound nowhere. expected makes it
// conditional on the revision that was seen; "" does not.
func (c *Client) DeleteRole(ctx context.Context, name string, expected config.Token) error {
	return remove(ctx, c, "/v1/roles/"+url.PathEscape(name), expected)
}

// Binding grants a user, or the members of a group, a role at a scope, or denies it.
type Binding struct {
	ID string `json:"id"`
	// One of the two is set. A name with a colon is a provider's: "corp:alice".
	User      string       `json:"user,omitempty"`
	Group     string       `json:"group,omitempty"`
	Role      string       `json:"role"`
	Scope     config.Path  `json:"scope"`
	Pattern   string       `json:"pattern,omitempty"`
	Deny      bool         `json:"deny,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	CreatedBy string       `json:"created_by"`
	Revision  config.Token `json:"revision,omitempty"`
}

// Grant returns what the binding gives, or takes away.
func (b *Binding) Grant() Grant {
	return Grant{Role: b.Role, Scope: b.Scope, Pattern: b.Pattern, Deny: b.Deny}
}

// Bindings lists the bindings of a user, or with "" of all.
func (c *Client) Bindings(ctx context.Context, user string) iter.Seq2[Binding, error] {
	return c.FindBindings(ctx, BindingFilter{User: user})
}

// BindingFilter selects bindings; what is empty or nil selects nothing out.
type BindingFilter struct {
	User, Group, Role string
	Scope             config.Path // at this path and below
	Pattern           string
	Deny              *bool
}

// FindBindings lists the bindings that a filter selects.
func (c *Client) FindBindings(ctx context.Context, f BindingFilter) iter.Seq2[Binding, error] {
	query := values("user", f.User, "group", f.Group, "role", f.Role, "scope", f.Scope.String(), "pattern", f.Pattern)
	if f.Deny != nil {
		query.Set("deny", strconv.FormatBool(*f.Deny))
	}
	return list[Binding](ctx, c, "/v1/bindings", paged(query))
}

// CreateBinding grants a user a role at a scope, or denies it; the root scope is
// everything.
func (c *Client) CreateBinding(ctx context.Context, user string, g Grant) (Binding, error) {
	in := struct {
		User string `json:"user"`
		Grant
	}{user, g}
	return post[Binding](ctx, c, "/v1/bindings", in)
}

// CreateGroupBinding is CreateBinding for the members of a group.
func (c *Client) CreateGroupBinding(ctx context.Context, group string, g Grant) (Binding, error) {
	in := struct {
		Group string `json:"group"`
		Grant
	}{group, g}
	return post[Binding](ctx, c, "/v1/bindings", in)
}

// DeleteBinding takes a grant, or a denial, away.
func (c *Client) DeleteBinding(ctx context.Context, id string) error {
	return remove(ctx, c, "/v1/bindings/"+url.PathEscape(id), "")
}

// Explanation says why something is allowed or not.
type Explanation struct {
	Allowed bool `json:"allowed"`
	// Because are the grants that decide; none if no grant reaches.
	Because []Reason `json:"because"`
	Why     string   `json:"why"` // the same for people
}

// Reason is a grant that decided, and by what it is had.
type Reason struct {
	Grant
	Group string `json:"group,omitempty"` // "" if it is bound to the user itself
	// Narrowing says that it is one of those that narrow a token.
	Narrowing bool `json:"narrowing,omitempty"`
}

// CanI asks whether the caller may do what a verb says, "publish", at a path.
func (c *Client) CanI(ctx context.Context, verb string, path config.Path) (Explanation, error) {
	return c.can(ctx, values("verb", verb, "path", path.String()))
}

// Can asks the same about somebody else, for who manages rights at the path.
func (c *Client) Can(ctx context.Context, user, verb string, path config.Path) (Explanation, error) {
	return c.can(ctx, values("as", user, "verb", verb, "path", path.String()))
}

func (c *Client) can(ctx context.Context, query url.Values) (Explanation, error) {
	var out Explanation
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/auth/can-i", query: query}, &out)
	return out, err
}

// Holder is a user or a group that may do something, and by which grants.
type Holder struct {
	User    string   `json:"user,omitempty"`
	Group   string   `json:"group,omitempty"`
	Service bool     `json:"service,omitempty"`
	Because []Reason `json:"because"`
}

// WhoCan lists the groups and users that may do what a verb says at a path, for
// who manages rights there.
func (c *Client) WhoCan(ctx context.Context, verb string, path config.Path) iter.Seq2[Holder, error] {
	return list[Holder](ctx, c, "/v1/auth/who-can", paged(values("verb", verb, "path", path.String())))
}
