package center

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// NewToken describes an API token to make.
type NewToken struct {
	User        string // empty: the caller
	Description string
	Grants      []auth.Grant  // narrow it; none: all that its user may do
	TTL         time.Duration // 0: no end
}

// maxTokenGrants bounds the grants of one token.
const maxTokenGrants = 100

// CreateToken makes an API token for the caller, or for a service user that the
// caller governs, and returns its text this once.
func (c *Center) CreateToken(ctx context.Context, n NewToken) (auth.Token, config.Secret, error) {
	const op = "token.create"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	if n.User == "" {
		n.User = id.Subject
	}
	if err := c.authorizeToken(ctx, op, id, n.User); err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	if err := c.checkNewToken(op, n); err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	t, text := c.newToken(ctx, auth.Token{User: n.User, Description: n.Description, Grants: n.Grants})
	if n.TTL > 0 {
		t.ExpiresAt = t.CreatedAt.Add(n.TTL)
	}
	if err := c.issue(ctx, op, t); err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	return t, text, nil
}

// authorizeToken decides who may make and revoke a user's tokens. A narrowed
// token may not: it could make one that is not.
func (c *Center) authorizeToken(ctx context.Context, op string, id auth.Identity, user string) error {
	if id.Narrow != nil {
		return config.Errorf(config.Denied, op, id.Subject, "a token that is narrowed cannot manage tokens")
	}
	if user == id.Subject && id.Provider != "" {
		return config.Errorf(config.Denied, op, user, "who is known to %s and not here has no API tokens: they would outlive what it says of you; make a service user, and a token for that", id.Provider)
	}
	if user == id.Subject {
		return nil
	}
	u, ok := c.directory.user(user)
	if !c.governs(id, user) || !c.outranks(id, user) || ok && !u.Service {
		return c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	if !ok {
		return errNoUser(op, user)
	}
	return nil
}

func (c *Center) checkNewToken(op string, n NewToken) error {
	if n.TTL < 0 || n.TTL > c.limits.TokenTTL {
		return config.Errorf(config.Invalid, op, n.User, "the token's life must be between 0 (no end) and %s (limit token_ttl)", c.limits.TokenTTL)
	}
	if len(n.Grants) > maxTokenGrants {
		return config.Errorf(config.Invalid, op, n.User, "%d grants; at most %d are taken", len(n.Grants), maxTokenGrants)
	}
	for _, g := range n.Grants {
		if err := c.checkRole(g.Role); err != nil {
			return located(op, n.User, err)
		}
		if err := g.Scope.Validate(); err != nil {
			return located(op, n.User, err)
		}
		if err := auth.CheckPattern(g.Scope, g.Pattern); err != nil {
			return located(op, n.User, err)
		}
		if g.Deny {
			return config.Errorf(config.Invalid, op, n.User, "a token's grants allow only; what they leave out it may not do")
		}
	}
	return c.checkComment(op, n.User, n.Description)
}

// newToken completes a token of the caller's making, and returns its text.
func (c *Center) newToken(ctx context.Context, t auth.Token) (auth.Token, config.Secret) {
	var text config.Secret
	t.ID, text, t.SecretHash = auth.NewBearer()
	t.CreatedBy, t.CreatedAt = c.stamp(auth.FromContext(ctx))
	return t, text
}

// issue stores a new token and drops its user's ended ones with the same commit.
func (c *Center) issue(ctx context.Context, op string, t auth.Token) error {
	_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		txn := store.Txn{Writes: []store.Write{
			{Key: record.Tokens.Key(t.ID), Value: record.EncodeToken(t)},
			c.audited(ctx, audit.Record{Action: op, Subject: t.User, Detail: detail(map[string]string{"token": t.ID, "provider": t.Provider})}),
		}}
		if t.Provider == "" {
			u, ok := c.directory.user(t.User)
			if !ok {
				return store.Txn{}, errNoUser(op, t.User)
			}
			// Conditional on the user as it is, so that no session outlives a
			// password change or a deletion that happens now.
			txn.Conds = []store.Cond{{Key: record.Users.Key(t.User), Revision: u.ModRevision}}
		}
		inFormat(&txn, slices.ContainsFunc(t.Grants, func(g auth.Grant) bool { return !g.Everywhere() }))
		dropped := 0
		c.dropTokens(&txn, t.User, func(old *auth.Token) bool {
			gone := dropped < maxTokensEnded && (old.Expired(c.now()) || c.directory.idledOut(old))
			if gone {
				dropped++
			}
			return gone
		})
		return txn, nil
	})
	return err
}

// Tokens lists a user's tokens and sessions: the caller's, or those of a user
// that it governs.
func (c *Center) Tokens(ctx context.Context, user string, r PageRequest) (config.Page[auth.Token], error) {
	const op = "token.list"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return config.Page[auth.Token]{}, err
	}
	if user == "" {
		user = id.Subject
	}
	if user != id.Subject && !c.governs(id, user) {
		return config.Page[auth.Token]{}, c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	all := func(yield func(*auth.Token) bool) {
		for _, t := range sorted(c.directory.state.Load().tokens, r.After) {
			if !yield(t) {
				return
			}
		}
	}
	return pageOf(r, all, func(t *auth.Token) (auth.Token, string, bool) { return *t, t.ID, t.User == user }), nil
}

// RevokeToken ends a token or session of the caller's, or of a user that it governs.
func (c *Center) RevokeToken(ctx context.Context, tokenID string) error {
	const op = "token.revoke"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return err
	}
	t, ok := c.directory.Token(tokenID)
	if ok && t.User != id.Subject && !c.governs(id, t.User) || !ok && !c.authz.Allowed(id, auth.GrantRights, config.Path{}) {
		return c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	if id.Narrow != nil && tokenID != id.TokenID {
		return config.Errorf(config.Denied, op, id.Subject, "a token that is narrowed can revoke itself only")
	}
	_, err = c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		t, ok := c.directory.Token(tokenID)
		if !ok {
			return store.Txn{}, config.Errorf(config.NotFound, op, "", "there is no such token")
		}
		return store.Txn{Writes: []store.Write{
			{Key: record.Tokens.Key(tokenID), Delete: true},
			c.audited(ctx, audit.Record{Action: op, Subject: t.User, Detail: map[string]string{"token": tokenID}}),
		}}, nil
	})
	return err
}

// LoginFailed records an attempt to prove an identity that failed. The name is
// what the caller claimed.
func (c *Center) LoginFailed(ctx context.Context, name string) {
	actor := actorOf(ctx)
	actor.RequestID = ""
	if len(name) > 128 {
		name = name[:128]
	}
	actor.Subject = name
	c.refusals.add(refusal{actor: actor, action: "auth.login", outcome: audit.Failed})
}

// Logout ends the session, or revokes the token, that the caller uses.
func (c *Center) Logout(ctx context.Context) error {
	const op = "auth.logout"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return err
	}
	if id.TokenID == "" {
		return config.Errorf(config.Invalid, op, id.Subject, "there is no session to end: the request carried a password")
	}
	return c.RevokeToken(ctx, id.TokenID)
}

// WhoAmI is what a caller may know of itself.
type WhoAmI struct {
	User      string       `json:"user"`
	Provider  string       `json:"provider,omitempty"` // who vouches for a user known elsewhere
	Groups    []string     `json:"groups,omitempty"`
	Method    string       `json:"method"`
	TokenID   string       `json:"token_id,omitempty"`
	Session   bool         `json:"session"`
	ExpiresAt time.Time    `json:"expires_at,omitzero"`
	Grants    []auth.Grant `json:"grants"`
	// GroupGrants are what its groups are given, or denied, each with its group.
	GroupGrants []auth.Reason `json:"group_grants,omitempty"`
	// Narrow, if there, limits the grants: an act needs one of each.
	Narrow []auth.Grant `json:"narrow,omitempty"`
}

// WhoAmI tells the caller who it is and what it may do.
func (c *Center) WhoAmI(ctx context.Context) (WhoAmI, error) {
	id, err := c.authenticated(ctx, "auth.whoami")
	if err != nil {
		return WhoAmI{}, err
	}
	answer := WhoAmI{
		User: id.Subject, Provider: id.Provider, Groups: c.groupsOf(id), GroupGrants: c.groupGrants(id), Method: id.Method, TokenID: id.TokenID, Session: id.Session,
		Grants: c.directory.Grants(id.Subject), Narrow: id.Narrow,
	}
	if answer.Grants == nil {
		answer.Grants = []auth.Grant{}
	}
	if t, ok := c.directory.Token(id.TokenID); ok {
		answer.ExpiresAt = t.ExpiresAt
	}
	return answer, nil
}
