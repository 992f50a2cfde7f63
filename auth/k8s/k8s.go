package k8s

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/digest"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Authenticator proves service accounts of one cluster. It needs no closing: a
// connection that nobody uses ends by itself.
type Authenticator struct {
	name, issuer string
	audiences    []string
	reviewer     *reviewer
	timeout      time.Duration
	turns        chan struct{} // one token for each review under way
	digests      *digest.Maker
	remembered   *recent.Map[digest.Digest, proof]
	perAddress   *throttle.Limiter
	log          *slog.Logger
	now          func() time.Time
}

// proof is whom a token proved, and when it ends.
type proof struct {
	identity auth.Identity
	until    time.Time // zero for never
}

func (p proof) good(now time.Time) bool { return p.until.IsZero() || now.Before(p.until) }

func open(s Settings, server string, env auth.Env) (*Authenticator, error) {
	r, err := newReviewer(s, server)
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		name: s.Name, issuer: s.Issuer, audiences: slices.Clone(s.Audiences),
		reviewer:   r,
		timeout:    s.Timeout,
		turns:      make(chan struct{}, s.Concurrent),
		digests:    digest.New(),
		remembered: recent.New[digest.Digest, proof](s.RememberMost, s.Remember, env.Now),
		perAddress: throttle.New(s.PerAddress, env.Now),
		log:        env.Log.With("provider", s.Name),
		now:        env.Now,
	}, nil
}

// Authenticate proves a token of a service account. One that was reviewed a short
// time ago costs a look into memory, and passes while others fail from its
// address; a new one has to be asked about, so failures make its address wait.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	text := c.Token.Reveal()
	if !looksLikeOne(text) {
		return auth.Identity{}, false, nil
	}
	d := a.digests.Of(text)
	if p, ok := a.recall(d); ok {
		return p.identity, true, nil
	}
	said, ok := a.mine(text)
	if !ok {
		return auth.Identity{}, false, nil
	}
	network := throttle.Network(c.Address)
	if err := throttle.Check(a.perAddress.Wait(network)); err != nil {
		return auth.Identity{}, true, err
	}
	p, err := a.prove(ctx, c.Token, said, d)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		a.perAddress.Fail(network)
		a.log.Info("a token of a service account was refused", "reason", refused.reason, "address", c.Address)
		return auth.Identity{}, true, config.Errorf(config.Unauthenticated, "authenticate", "", "the token is not valid; it may have expired, or be meant for another service")
	case err != nil:
		return auth.Identity{}, true, err
	}
	return p.identity, true, nil
}

func (a *Authenticator) recall(d digest.Digest) (proof, bool) {
	p, ok := a.remembered.Get(d)
	return p, ok && p.good(a.now())
}

// refusal says why a token proves nobody, for the log.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error {
	return &refusal{reason: fmt.Sprintf("%.300s", fmt.Sprintf(format, args...))}
}

// prove has the token reviewed, when it is the call's turn.
func (a *Authenticator) prove(ctx context.Context, token config.Secret, said claims, d digest.Digest) (proof, error) {
	p := proof{until: said.ends()}
	if !p.good(a.now()) { // by its own word, so nobody needs to be asked
		return proof{}, refuse("the token has expired")
	}
	bounded, cancel := context.WithTimeout(ctx, a.timeout) // waiting included
	defer cancel()
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-bounded.Done():
		return proof{}, a.unavailable(ctx, errors.New("too many reviews are under way"))
	}
	// While this call waited, others may have proved the same.
	if p, ok := a.recall(d); ok {
		return p, nil
	}
	status, err := a.reviewer.review(bounded, token, a.audiences)
	if err != nil {
		return proof{}, a.unavailable(ctx, err)
	}
	if p.identity, err = a.identity(status); err != nil {
		return proof{}, err
	}
	a.remembered.Put(d, p)
	return p, nil
}

// unavailable is the answer while a token can be neither proved nor refused. A
// caller that stopped waiting is told so.
func (a *Authenticator) unavailable(ctx context.Context, reason error) error {
	if err := ctx.Err(); err != nil {
		return config.Errorf(config.KindOf(err), "authenticate", "", "waiting for the review of the token: %w", err)
	}
	a.log.Warn("the cluster's API server cannot review tokens", "error", reason)
	return config.Errorf(config.Unavailable, "authenticate", "", "the cluster %s cannot be asked about the token just now; try again later", a.name)
}

const accountPrefix = "system:serviceaccount:"

// identity is whom the review proved.
func (a *Authenticator) identity(s *status) (auth.Identity, error) {
	if !s.Authenticated {
		return auth.Identity{}, refuse("the cluster does not know the token: %s", s.Error)
	}
	// A server that knows no audiences says none, and has checked none.
	if !slices.ContainsFunc(a.audiences, func(one string) bool { return slices.Contains(s.Audiences, one) }) {
		return auth.Identity{}, refuse("the token is meant for another audience")
	}
	namespace, account, ok := strings.Cut(strings.TrimPrefix(s.User.Username, accountPrefix), ":")
	if !ok || !strings.HasPrefix(s.User.Username, accountPrefix) || !plain(namespace) || !plain(account) {
		return auth.Identity{}, refuse("%q is no service account", s.User.Username)
	}
	subject := auth.External(a.name, namespace+"/"+account)
	if err := auth.CheckExternal(subject); err != nil {
		return auth.Identity{}, refuse("%v", err)
	}
	if len(s.User.Groups) > auth.MaxExternalGroups {
		return auth.Identity{}, refuse("the account is in %d groups, more than the %d that are taken", len(s.User.Groups), auth.MaxExternalGroups)
	}
	var groups []string
	for _, name := range s.User.Groups {
		if group := auth.External(a.name, name); auth.CheckExternal(group) == nil {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return auth.Identity{Subject: subject, Provider: a.name, Groups: slices.Compact(groups), Method: Name}, nil
}

// plain reports whether a part of the name cannot be taken for more than one.
func plain(part string) bool { return part != "" && !strings.ContainsAny(part, ":/") }

// maxToken is the longest token that is sent on, in bytes.
const maxToken = 16 << 10

// claims are what a token says of itself. Until the API server has reviewed it,
// it decides only whether to ask.
type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	End     int64  `json:"exp"`
}

// ends is the end of the token; zero if it has none, as tokens of old.
func (c claims) ends() time.Time {
	if c.End == 0 {
		return time.Time{}
	}
	return time.Unix(c.End, 0)
}

// looksLikeOne reports whether the text can be a JWT at all: three parts, of
// which the first begins as a JSON object does in base64.
func looksLikeOne(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2 && len(text) <= maxToken
}

// mine reports whether a JWT names a service account of the cluster.
func (a *Authenticator) mine(text string) (claims, bool) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return claims{}, false
	}
	_, rest, _ := strings.Cut(text, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return claims{}, false
	}
	var c claims
	if err := json.Unmarshal(raw, &c); err != nil {
		return claims{}, false
	}
	return c, strings.HasPrefix(c.Subject, accountPrefix) && (a.issuer == "" || c.Issuer == a.issuer)
}

// Provider is the cluster's name here.
func (a *Authenticator) Provider() string { return a.name }

// Providers returns the one that there is.
func (a *Authenticator) Providers() []auth.Provider { return []auth.Provider{a} }

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Federation    = (*Authenticator)(nil)
)
