// Package oidc lets a provider of OpenID Connect vouch for people: they log in
// on its pages, by the authorization code flow with PKCE or with a device code,
// and their sessions are renewed for as long as it agrees. If introspection is
// on, its access tokens prove identities too.
//
// It keeps no session and no user. The provider need not be up when the node
// starts: what it offers is looked up when it is first needed.
package oidc

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method, and the usual
// name of its provider.
const Name = "oidc"

const place = "auth." + Name

// Settings of the oidc driver.
type Settings struct {
	Name             string            `yaml:"name" doc:"the name of the provider, which is in front of its users' and groups' names: oidc:alice"`
	Issuer           string            `yaml:"issuer" doc:"the https URL that the provider gives as its issuer, exactly"`
	ClientID         string            `yaml:"client_id" doc:"the name under which this installation is registered with the provider"`
	ClientSecret     config.Secret     `yaml:"client_secret" doc:"the secret of that registration; empty for a public client"`
	ClientSecretFile string            `yaml:"client_secret_file" doc:"a file with that secret, instead; it is read again for each use"`
	Scopes           []string          `yaml:"scopes" doc:"what to ask for at a login; groups and offline_access are left out where the provider lists its scopes without them"`
	SubjectClaim     string            `yaml:"subject_claim" doc:"the claim that names a user. sub is never given to somebody else; others, such as preferred_username, may be, and email must be verified"`
	GroupsClaim      string            `yaml:"groups_claim" doc:"the claim with the names of the user's groups; dots lead into objects, realm_access.roles; empty: groups are not taken"`
	Audience         string            `yaml:"audience" doc:"introspect: whom an access token must be for; empty means this client"`
	CAFile           string            `yaml:"ca_file" doc:"PEM file with the authorities that may vouch for the provider's certificate; empty means the system's"`
	Timeout          time.Duration     `yaml:"timeout" doc:"how long the provider may take for an answer"`
	RenewEvery       time.Duration     `yaml:"renew_every" doc:"after which time the provider is asked anew whether it still vouches for a session, and for which groups"`
	Introspect       bool              `yaml:"introspect" doc:"take the provider's access tokens as bearer tokens, and ask it about each (RFC 7662)"`
	Remember         time.Duration     `yaml:"remember" doc:"introspect: how long an answer is believed, never past the token's end; 0 asks each time"`
	RememberMost     int               `yaml:"remember_most" doc:"introspect: how many tokens are remembered at most"`
	PerAddress       throttle.Settings `yaml:"per_address" doc:"introspect: how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Scopes with a meaning here.
const (
	scopeOpenID  = "openid"
	scopeGroups  = "groups"
	scopeOffline = "offline_access"
)

// Defaults fills every field but those that have none.
func (s *Settings) Defaults() {
	*s = Settings{
		Name:         Name,
		Scopes:       []string{scopeOpenID, "profile", "email", scopeGroups, scopeOffline},
		SubjectClaim: "sub", GroupsClaim: "groups",
		Timeout: 10 * time.Second, RenewEvery: 10 * time.Minute,
		Remember: 30 * time.Second, RememberMost: 10_000,
	}
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // a fleet with one expired deployment may share one address
}

// The bounds of settings.
const (
	mostTimeout    = time.Minute
	leastRenew     = time.Minute
	mostRenew      = 24 * time.Hour
	mostRemember   = 10 * time.Minute
	mostRemembered = 1_000_000
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	return errors.Join(
		want(auth.CheckProvider(s.Name) == nil, "name", "use lower-case letters, digits and '-', at most 63; is %.64q", s.Name),
		want(s.Issuer != "", "issuer", "is missing; give the https URL of the provider, as its discovery document has it"),
		want(s.Issuer == "" || secure(s.Issuer) && !strings.ContainsAny(s.Issuer, "?#"), "issuer", "must be an https URL without query and fragment, is %.200q", s.Issuer),
		want(s.ClientID != "", "client_id", "is missing; register this installation with the provider"),
		want(s.ClientSecret.Empty() || s.ClientSecretFile == "", "client_secret_file", "client_secret and client_secret_file exclude each other"),
		want(slices.Contains(s.Scopes, scopeOpenID), "scopes", "must have %s among them", scopeOpenID),
		want(!slices.ContainsFunc(s.Scopes, badScope), "scopes", "must each be a word without spaces"),
		want(s.SubjectClaim != "", "subject_claim", "is missing; sub is safe"),
		want(s.Timeout > 0 && s.Timeout <= mostTimeout, "timeout", "must be more than 0 and at most %s, is %s", mostTimeout, s.Timeout),
		want(s.RenewEvery >= leastRenew && s.RenewEvery <= mostRenew, "renew_every", "must be from %s to %s, is %s", leastRenew, mostRenew, s.RenewEvery),
		want(!s.Introspect || !s.ClientSecret.Empty() || s.ClientSecretFile != "", "introspect", "needs client_secret or client_secret_file"),
		want(s.Remember >= 0 && s.Remember <= mostRemember, "remember", "must be from 0 to %s, is %s", mostRemember, s.Remember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostRemembered, "remember_most", "must be from 1 to %d, is %d", mostRemembered, s.RememberMost),
		s.PerAddress.Validate(place+".per_address"),
	)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

func badScope(s string) bool { return s == "" || strings.ContainsAny(s, " \t\r\n\"\\") }

// secure reports whether the text is a whole https URL that names no user.
func secure(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// secret returns the client's secret as it is now.
func (s *Settings) secret() (string, error) {
	if s.ClientSecretFile == "" {
		return s.ClientSecret.Reveal(), nil
	}
	b, err := os.ReadFile(s.ClientSecretFile)
	if err != nil {
		return "", config.Errorf(config.Invalid, "settings", place+".client_secret_file", "%w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", config.Errorf(config.Invalid, "settings", place+".client_secret_file", "%s is empty", s.ClientSecretFile)
	}
	return text, nil
}

// Open returns the working driver, an *Authenticator. It does not ask the
// provider for anything yet.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if _, err := s.secret(); err != nil {
		return nil, err
	}
	env = env.WithDefaults()
	p, err := newProvider(*s, env)
	if err != nil {
		return nil, err
	}
	return newAuthenticator(p, env), nil
}

var _ auth.Driver = (*Settings)(nil)
