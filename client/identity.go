package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Session is the outcome of a login.
type Session struct {
	// Token is the session's secret, for Options.Token.
	Token     config.Secret `json:"token"`
	ID        string        `json:"id"`
	User      string        `json:"user"`
	ExpiresAt time.Time     `json:"expires_at"`
}

// Login proves a password and begins a session. The Client goes on as whom it
// was. ttl 0 takes the server's.
func (c *Client) Login(ctx context.Context, username string, password config.Secret, ttl time.Duration) (Session, error) {
	in := struct {
		Username string `json:"username"`
		Password string `json:"password"`
		TTL      string `json:"ttl,omitempty"`
	}{username, password.Reveal(), ttlText(ttl)}
	var s Session
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/login", in: in, anonymous: true}, &s)
	return s, err
}

func ttlText(ttl time.Duration) string {
	if ttl == 0 {
		return ""
	}
	return ttl.String()
}

// Logout ends the session whose token the Client uses.
func (c *Client) Logout(ctx context.Context) error {
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/logout"}, nil)
	return err
}

// WhoAmI is who the server takes the caller for.
type WhoAmI struct {
	User string `json:"user"`
	// Provider vouches for a user who is known elsewhere; empty for others.
	Provider string   `json:"provider,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Method   string   `json:"method"`
	TokenID  string   `json:"token_id,omitempty"`
	Session  bool     `json:"session"`
	Grants   []Grant  `json:"grants"`
	// GroupGrants are what Groups are given, or denied.
	GroupGrants []Reason `json:"group_grants,omitempty"`
	// Narrow, if any, limits Grants: those of the token in use.
	Narrow    []Grant   `json:"narrow,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// WhoAmI asks who the caller is.
func (c *Client) WhoAmI(ctx context.Context) (WhoAmI, error) {
	return get[WhoAmI](ctx, c, "/v1/auth/whoami")
}

// SetPassword changes the caller's own password.
func (c *Client) SetPassword(ctx context.Context, old, password config.Secret) error {
	in := struct {
		Old string `json:"old"`
		New string `json:"new"`
	}{old.Reveal(), password.Reveal()}
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/password", in: in}, nil)
	return err
}

// User is a person or, with Service, a program that has no password.
type User struct {
	Name        string       `json:"name"`
	Service     bool         `json:"service"`
	Description string       `json:"description,omitempty"`
	Disabled    bool         `json:"disabled"`
	Groups      []string     `json:"groups,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	CreatedBy   string       `json:"created_by"`
	Revision    config.Token `json:"revision,omitempty"`
}

// Users lists the users.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] {
	return list[User](ctx, c, "/v1/users", paged(values()))
}

// User returns one user.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	return get[User](ctx, c, "/v1/users/"+url.PathEscape(name))
}

// NewUser is a user to create. Service users have no Password.
type NewUser struct {
	Name        string
	Service     bool
	Description string
	Password    config.Secret
	Groups      []string
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, n NewUser) (User, error) {
	in := struct {
		Name        string   `json:"name"`
		Service     bool     `json:"service,omitempty"`
		Description string   `json:"description,omitempty"`
		Password    string   `json:"password,omitempty"`
		Groups      []string `json:"groups,omitempty"`
	}{n.Name, n.Service, n.Description, n.Password.Reveal(), n.Groups}
	return post[User](ctx, c, "/v1/users", in)
}

// UserPatch changes a user. What is nil stays as it is.
type UserPatch struct {
	Description *string
	Disabled    *bool
	Password    *config.Secret
	Groups      *[]string // all that it is in from now on
	// Expected makes the change conditional on the revision that was seen.
	Expected config.Token
}

// UpdateUser changes a user.
func (c *Client) UpdateUser(ctx context.Context, name string, p UserPatch) (User, error) {
	in := struct {
		Description *string   `json:"description,omitempty"`
		Disabled    *bool     `json:"disabled,omitempty"`
		Password    *string   `json:"password,omitempty"`
		Groups      *[]string `json:"groups,omitempty"`
	}{Description: p.Description, Disabled: p.Disabled, Groups: p.Groups}
	if p.Password != nil {
		text := p.Password.Reveal()
		in.Password = &text
	}
	return patch[User](ctx, c, "/v1/users/"+url.PathEscape(name), p.Expected, in)
}

// DeleteUser deletes a user with its tokens and bindings. expected makes it
// conditional on the revision that was seen; "" does not.
func (c *Client) DeleteUser(ctx context.Context, name string, expected config.Token) error {
	return remove(ctx, c, "/v1/users/"+url.PathEscape(name), expected)
}

// Token is an API token or a session, without its secret.
type Token struct {
	ID          string    `json:"id"`
	User        string    `json:"user"`
	Description string    `json:"description,omitempty"`
	Session     bool      `json:"session"`
	Grants      []Grant   `json:"grants,omitempty"` // none for all that its user may do
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

// Tokens lists the tokens of a user; "" for the caller's own.
func (c *Client) Tokens(ctx context.Context, user string) iter.Seq2[Token, error] {
	return list[Token](ctx, c, "/v1/tokens", paged(values("user", user)))
}

// NewToken is a token to create.
type NewToken struct {
	User        string        // "" for the caller
	Description string        //
	Grants      []Grant       // narrow the token; none for all that its user may do
	TTL         time.Duration // 0: without end
}

// CreatedToken is a new token with its secret, which is shown this once.
type CreatedToken struct {
	Token
	Secret config.Secret `json:"-"`
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (CreatedToken, error) {
	in := struct {
		User        string  `json:"user,omitempty"`
		Description string  `json:"description,omitempty"`
		Grants      []Grant `json:"grants,omitempty"`
		TTL         string  `json:"ttl,omitempty"`
	}{n.User, n.Description, n.Grants, ttlText(n.TTL)}
	out, err := post[struct {
		Token
		Secret config.Secret `json:"token"`
	}](ctx, c, "/v1/tokens", in)
	return CreatedToken{Token: out.Token, Secret: out.Secret}, err
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return remove(ctx, c, "/v1/tokens/"+url.PathEscape(id), "")
}
