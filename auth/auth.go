// Package auth defines who is calling and what they may do: identities, verbs,
// built-in roles, and the interfaces of the drivers that prove an identity
// (basic, token, …) and decide (rbac).
//
// It stores nothing: users, tokens and bindings come from a Directory.
package auth

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Identity is a proven caller. The zero Identity is nobody and may do nothing.
type Identity struct {
	// Subject names the user: "alice", or "corp:alice" if it is known elsewhere
	// and not here; empty for nobody.
	Subject string
	// Provider names who vouches for a subject that is known elsewhere, "corp";
	// empty for users that are kept here. What such a subject may do is what
	// bindings give its name and its groups, and nothing besides.
	Provider string
	// Groups are those that the provider says the subject is in, each with its
	// provider's name, "corp:platform", sorted. Groups of users that are kept here
	// are in the Directory.
	Groups []string
	// Method is the driver that proved it, "basic" or "token".
	Method string
	// TokenID is the API token used, if one was.
	TokenID string
	// Session says that the token came from a login.
	Session bool
	// Narrow, if not nil, limits what the subject's own grants allow: an act
	// needs a grant of the subject and one of these.
	Narrow []Grant
}

// Anonymous reports whether nobody was proved.
func (id Identity) Anonymous() bool { return id.Subject == "" }

// Request describes where a call came from, for audit and throttling.
type Request struct {
	ID      string // the request id, also in the answer and in the log
	Address string // the peer's IP address, without port
	Agent   string // the client program, as it says itself
}

type contextKey int

const (
	identityKey contextKey = iota
	requestKey
)

// WithIdentity puts a proven identity into the context.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey, id)
}

// FromContext returns the caller's identity; the zero Identity if there is none.
func FromContext(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey).(Identity)
	return id
}

// WithRequest puts the description of the call into the context.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey, r)
}

// RequestFrom returns the description of the call.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey).(Request)
	return r
}

// Credentials are what a caller sent to prove who it is.
type Credentials struct {
	Username string        // basic; "corp:alice" for a user of the provider corp
	Password config.Secret // basic
	Token    config.Secret // bearer
	// Certificates is the chain that the peer showed in the TLS handshake, its own
	// first. That it has the key is proved; whether anybody vouches for it is not.
	Certificates []*x509.Certificate
	Address      string // the peer's IP address, for throttling
}

// Authenticator proves identities. Drivers are asked in a stated order.
type Authenticator interface {
	// Authenticate returns the identity that the credentials prove. ok is false
	// if they are not of this driver's sort, so that the next one is asked. An
	// error is Unauthenticated with one and the same text whatever part was
	// wrong, or Throttled with a time to wait (errors.As *RetryAfter). With an
	// error the identity is zero and ok is true: nobody else is asked.
	Authenticate(ctx context.Context, c Credentials) (id Identity, ok bool, err error)
}

// Authorizer decides. It must be quick: every call of every method asks it. It
// denies nobody, users that are missing or disabled, and no verb at all; of a
// set of verbs it wants each to be allowed.
type Authorizer interface {
	// Allowed reports whether the identity may do the verb at the path.
	Allowed(id Identity, verb Verb, path config.Path) bool
	// Reaches reports whether the identity may do the verb at the path or
	// anywhere below it: whether a listing of the path shows it anything.
	Reaches(id Identity, verb Verb, path config.Path) bool
}

// PasswordHasher makes and checks password hashes.
type PasswordHasher interface {
	// Hash returns a salted hash in PHC string form. Invalid if the password
	// breaks the policy.
	Hash(ctx context.Context, password config.Secret) (string, error)
}

// PasswordPolicy is implemented by a PasswordHasher that can judge a password
// for a certain user, which Hash cannot: it does not know whose it will be.
type PasswordPolicy interface {
	// CheckPassword is Invalid, and says why, if the user may not take the
	// password. The text never holds the password.
	CheckPassword(user string, password config.Secret) error
}

// Directory is where drivers look up what is stored. Answers come from memory
// and are current to the node's view of the store; they must not be modified.
type Directory interface {
	User(name string) (*User, bool)
	Token(id string) (*Token, bool)
	// Grants returns what bindings give the subject by its name.
	Grants(subject string) []Grant
	// GroupGrants returns what bindings give the members of a group.
	GroupGrants(group string) []Grant
	// Verbs returns what a role allows, built in or made; nothing if it is unknown.
	Verbs(role Role) Verb
	// Generation changes with every change of users, roles and bindings, so that
	// what was compiled of them can be told to be old. It never returns to a
	// former value.
	Generation() uint64
}

// User is a person or, with Service, a program that has no password.
type User struct {
	Name        string `json:"name"`
	Service     bool   `json:"service"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled"`
	// Groups that it is in, sorted; what is bound to a group its members have.
	Groups    []string     `json:"groups,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	CreatedBy string       `json:"created_by"`
	Revision  config.Token `json:"revision,omitempty"`
	// PasswordHash is in PHC string form; empty for service users.
	PasswordHash string `json:"-"`
}

// Token is an API token or a login's session, without its secret.
type Token struct {
	ID          string `json:"id"`
	User        string `json:"user"`
	Description string `json:"description,omitempty"`
	// Session tokens come from a login.
	Session bool `json:"session"`
	// Provider vouched for the user of a session that is known elsewhere, and
	// said that it is in Groups.
	Provider string   `json:"provider,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// Grants narrow the token; empty means all that its user may do.
	Grants    []Grant   `json:"grants,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// IdleAfter ends a session that was not used for so long; 0 never does.
	IdleAfter config.Seconds `json:"idle_after,omitempty"`
	// UsedAt is about when a session was used last: it is noted now and then.
	UsedAt time.Time `json:"used_at,omitzero"`
	// SecretHash is the SHA-256 of the token's secret, which has 256 random bits.
	SecretHash []byte `json:"-"`
	// RenewAt is when the provider of a session is to vouch anew; zero for never.
	RenewAt time.Time `json:"-"`
	// RenewBy is when it must have; until then the session goes on as it was.
	RenewBy time.Time `json:"-"`
	// Renewal is what the provider needs for it, sealed: see SealRenewal.
	Renewal []byte `json:"-"`
}

// Expired reports whether the token is past its time.
func (t *Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// Grant gives a role at a scope and everything below it.
type Grant struct {
	Role  Role        `json:"role"`
	Scope config.Path `json:"scope"`
	// Pattern, if not empty, confines the grant to some of what lies below the
	// scope, and all that lies below that: "*/prod" at an app's tenant are its envs
	// of that name, "*/prod/db-*" some of their configs. See CheckPattern.
	Pattern string `json:"pattern,omitempty"`
	// Deny takes the role's verbs away there, whatever else gives them.
	Deny bool `json:"deny,omitempty"`
}

// Binding grants a user, or the members of a group, a role at a scope, or denies it.
type Binding struct {
	ID string `json:"id"`
	// One of the two is set. A name with a colon is a provider's: "corp:alice".
	User      string       `json:"user,omitempty"`
	Group     string       `json:"group,omitempty"`
	Role      Role         `json:"role"`
	Scope     config.Path  `json:"scope"`
	Pattern   string       `json:"pattern,omitempty"` // as in Grant
	Deny      bool         `json:"deny,omitempty"`    // as in Grant
	CreatedAt time.Time    `json:"created_at"`
	CreatedBy string       `json:"created_by"`
	Revision  config.Token `json:"revision,omitempty"`
}

// Grant returns what the binding gives, or takes away.
func (b *Binding) Grant() Grant {
	return Grant{Role: b.Role, Scope: b.Scope, Pattern: b.Pattern, Deny: b.Deny}
}
