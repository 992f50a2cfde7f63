package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Authenticator has one Provider and, if introspection is on, proves who sends
// an access token of it. It starts no goroutine that outlives a call for longer
// than the timeout.
type Authenticator struct {
	provider   *Provider
	now        func() time.Time
	key        [sha256.Size]byte
	remembered *recent.Map[digest, proved]
	perAddress *throttle.Limiter
}

// digest stands for a token in this process only.
type digest [sha256.Size]byte

// proved is what a token proves, and until when.
type proved struct {
	id    auth.Identity
	until time.Time
}

func newAuthenticator(p *Provider, env auth.Env) *Authenticator {
	a := &Authenticator{
		provider: p, now: env.Now,
		remembered: recent.New[digest, proved](p.settings.RememberMost, p.settings.Remember, env.Now),
		perAddress: throttle.New(p.settings.PerAddress, env.Now),
	}
	_, _ = rand.Read(a.key[:]) // never fails: it would end the program
	return a
}

// Providers implements auth.Federation.
func (a *Authenticator) Providers() []auth.Provider { return []auth.Provider{a.provider} }

// Close ends idle connections to the provider. It may be used on.
func (a *Authenticator) Close() error {
	a.provider.http.CloseIdleConnections()
	return nil
}

// Authenticate proves an access token by asking the provider about it, or by
// its answer of a moment ago.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	if !a.provider.settings.Introspect || c.Token.Empty() || auth.IsBearer(c.Token) {
		return auth.Identity{}, false, nil
	}
	d := a.digest(c.Token.Reveal())
	if known, ok := a.remembered.Get(d); ok && a.now().Before(known.until) {
		return known.id, true, nil
	}
	if a.foreign(c.Token.Reveal()) {
		return auth.Identity{}, false, nil
	}
	network := throttle.Network(c.Address)
	if err := throttle.Check(a.perAddress.Wait(network)); err != nil {
		return auth.Identity{}, true, err
	}
	ctx, cancel := a.provider.within(ctx)
	defer cancel()
	known, err := a.provider.introspect(ctx, c.Token.Reveal())
	if err != nil {
		err = a.provider.failed(ctx, "introspect", err)
		if config.KindOf(err) == config.Unauthenticated {
			a.perAddress.Fail(network)
			err = config.Errorf(config.Unauthenticated, op, "", "the token is not valid; it may have expired, or be for somebody else")
		}
		return auth.Identity{}, true, err
	}
	if a.now().Before(known.until) {
		a.remembered.Put(d, known)
	}
	return known.id, true, nil
}

// foreign reports whether the token is a JWT that says it is another issuer's.
func (a *Authenticator) foreign(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > mostToken {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &said) == nil && said.Issuer != "" && said.Issuer != a.provider.settings.Issuer
}

// digest is SHA-256 over a key that never leaves the process and the token. As
// nobody sees a digest, it needs none of what HMAC adds.
func (a *Authenticator) digest(token string) digest {
	var room [sha256.Size + 2048]byte // most tokens fit in, without an allocation
	b := append(append(room[:0], a.key[:]...), token...)
	defer clear(b)
	return sha256.Sum256(b)
}

// mostToken is the longest access token that is asked about, in bytes.
const mostToken = 16 << 10

// activity is an answer about a token (RFC 7662 §2.2), of which the claims are
// taken besides.
type activity struct {
	Active   bool            `json:"active"`
	Issuer   string          `json:"iss"`
	Audience texts           `json:"aud"`
	ClientID string          `json:"client_id"`
	Type     string          `json:"token_type"`
	Expires  float64         `json:"exp"`
	Bound    json.RawMessage `json:"cnf"`
}

func (p *Provider) introspect(ctx context.Context, token string) (proved, error) {
	if len(token) > mostToken {
		return proved{}, reject("the token is too long")
	}
	d, err := p.discover(ctx)
	if err != nil {
		return proved{}, err
	}
	if d.Introspection == "" {
		return proved{}, errors.New("its discovery document names no introspection endpoint")
	}
	var raw json.RawMessage
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if err := p.post(ctx, d, d.Introspection, form, &raw); err != nil {
		return proved{}, err
	}
	var about activity
	said := claims{}
	if json.Unmarshal(raw, &about) != nil || json.Unmarshal(raw, &said) != nil || said == nil {
		return proved{}, errors.New("the answer to an introspection cannot be read")
	}
	until, err := p.accept(&about)
	if err != nil {
		return proved{}, err
	}
	if said, err = p.complete(ctx, d, said, token); err != nil {
		return proved{}, err
	}
	id, err := p.identity(said)
	return proved{id: id, until: until}, err
}

// accept returns the end of a token that is good here.
func (p *Provider) accept(about *activity) (time.Time, error) {
	s := &p.settings
	forUs := slices.Contains(about.Audience, s.Audience)
	if s.Audience == "" {
		forUs = slices.Contains(about.Audience, s.ClientID) || about.ClientID == s.ClientID
	}
	until := p.now().Add(s.Remember)
	if about.Expires != 0 {
		end := time.Unix(int64(min(max(about.Expires, 0), math.MaxInt32*100)), 0)
		if !p.now().Before(end) {
			return time.Time{}, reject("the token has expired")
		}
		if end.Before(until) {
			until = end
		}
	}
	switch {
	case !about.Active:
		return time.Time{}, reject("the provider says that the token is not active")
	case about.Issuer != "" && about.Issuer != s.Issuer:
		return time.Time{}, reject("the token is of the issuer %.200q", about.Issuer)
	case !forUs:
		return time.Time{}, reject("the token is for somebody else: audience %.200q, client %.100q", about.Audience, about.ClientID)
	case about.Type != "" && !strings.EqualFold(about.Type, "Bearer"), len(about.Bound) > 0 && string(about.Bound) != "null":
		return time.Time{}, reject("the token is no bearer token")
	}
	return until, nil
}

// complete looks for a missing name or groups in the user info. Programs have
// none, which is no error.
func (p *Provider) complete(ctx context.Context, d *discovered, said claims, token string) (claims, error) {
	if !p.lacks(said) {
		return said, nil
	}
	more, err := p.userInfo(ctx, d, token)
	var no *rejection
	switch {
	case errors.As(err, &no):
		return said, nil
	case err != nil:
		return nil, err
	case more == nil || said.text("sub") == "" || more.text("sub") != said.text("sub"):
		return said, nil
	}
	maps.Copy(more, said)
	return more, nil
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Federation    = (*Authenticator)(nil)
)
