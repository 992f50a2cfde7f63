// Package token proves identities by bearer tokens: API tokens and the sessions
// of logins, whose secrets are stored hashed. A right token always passes, as
// nobody can guess one; failures are counted by address only to keep noise down.
package token

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "token"

const place = "auth." + Name

// Settings of the token driver.
type Settings struct {
	PerAddress throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // a fleet with one expired deployment may share one address
}

// Validate refuses what would be senseless.
func (s *Settings) Validate() error { return s.PerAddress.Validate(place + ".per_address") }

// Open returns the working driver, an *Authenticator.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if env.Directory == nil {
		return nil, config.Errorf(config.Internal, "open", place, "opened without a directory of tokens")
	}
	env = env.WithDefaults()
	uses, _ := env.Directory.(auth.UseNoter)
	renewer, _ := env.Directory.(auth.SessionRenewer)
	return &Authenticator{directory: env.Directory, uses: uses, renewer: renewer, now: env.Now, perAddress: throttle.New(s.PerAddress, env.Now)}, nil
}

// Authenticator proves bearer tokens. It starts no goroutine and needs no closing.
type Authenticator struct {
	directory  auth.Directory
	uses       auth.UseNoter       // nil if the directory remembers no use
	renewer    auth.SessionRenewer // nil if sessions are not renewed
	now        func() time.Time
	perAddress *throttle.Limiter
}

// Authenticate proves a token. It reads nothing but memory, unless a session is
// due to be vouched for anew and its grace is over.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	if !auth.IsBearer(c.Token) {
		return auth.Identity{}, false, nil
	}
	t, ok := a.lookUp(c.Token)
	if !ok {
		return auth.Identity{}, true, a.refuse(c.Address)
	}
	// Only who has the secret learns what follows, so it is no guess and not counted.
	now := a.now()
	switch {
	case t.Expired(now):
		return auth.Identity{}, true, config.Errorf(config.Unauthenticated, "authenticate", "", "the token has expired; log in again, or have a new one made")
	case a.idle(t, now):
		return auth.Identity{}, true, config.Errorf(config.Unauthenticated, "authenticate", "", "the session has ended, as it was not used for %s; log in again", t.IdleLimit())
	}
	if t.Due(now) {
		var err error
		if t, err = a.renewed(ctx, t, c.Token); err != nil {
			return auth.Identity{}, true, err
		}
	}
	id := auth.Identity{Subject: t.User, Provider: t.Provider, Groups: t.Groups, Method: Name, TokenID: t.ID, Session: t.Session}
	if len(t.Grants) > 0 {
		id.Narrow = t.Grants
	}
	return id, true, nil
}

// idle reports whether the token was not used for longer than it may; if it was,
// it is used now.
func (a *Authenticator) idle(t *auth.Token, now time.Time) bool {
	switch {
	case t.IdleAfter <= 0:
		return false
	case a.uses == nil:
		return t.Idle(now)
	default:
		return !a.uses.NoteUse(t, now)
	}
}

// renewed returns the session as its provider vouches for it now.
func (a *Authenticator) renewed(ctx context.Context, t *auth.Token, secret config.Secret) (*auth.Token, error) {
	if a.renewer != nil {
		return a.renewer.RenewSession(ctx, t, secret)
	}
	if t.Overdue(a.now()) {
		return nil, config.Errorf(config.Unauthenticated, "authenticate", "", "the session is to be vouched for anew, which cannot be done here; log in again")
	}
	return t, nil
}

// lookUp returns the token that the text is the secret of, if its user may
// still act. Of users that are known elsewhere nothing is kept here: their
// provider has vouched for the whole session.
func (a *Authenticator) lookUp(text config.Secret) (*auth.Token, bool) {
	id, hash, ok := auth.ParseBearer(text)
	if !ok {
		return nil, false
	}
	t, ok := a.directory.Token(id)
	if !ok || !hash.Matches(t.SecretHash) {
		return nil, false
	}
	if t.Session && t.Provider != "" {
		return t, true
	}
	u, ok := a.directory.User(t.User)
	return t, ok && !u.Disabled
}

// refuse counts the failure and says the same whatever was wrong.
func (a *Authenticator) refuse(address string) error {
	network := throttle.Network(address)
	if err := throttle.Check(a.perAddress.Wait(network)); err != nil {
		return err
	}
	a.perAddress.Fail(network)
	return config.Errorf(config.Unauthenticated, "authenticate", "", "the token is not valid; it may have been revoked, or copied in part")
}

var (
	_ auth.Driver        = (*Settings)(nil)
	_ auth.Authenticator = (*Authenticator)(nil)
)
