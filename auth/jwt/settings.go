// Package jwt proves bearer tokens that somebody else signed: JSON Web Tokens of
// one issuer, whose public keys are in a JSON Web Key Set at a URL or in a file.
// Whoever such a token names is known elsewhere, and gets what bindings give to
// its name and its groups there.
//
// Only asymmetric signatures are taken, by keys of the set and by nothing that
// the token itself points at. It starts no goroutine: keys are fetched by the
// call that needs them, one fetch at a time.
package jwt

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "jwt"

const place = "auth." + Name

// Settings of the jwt driver.
type Settings struct {
	Name       string   `yaml:"name" doc:"what the issuer is called here: the user alice is then NAME:alice in bindings"`
	Issuer     string   `yaml:"issuer" doc:"the iss claim, exactly; tokens of other issuers are left to other drivers"`
	JWKSURL    string   `yaml:"jwks_url" doc:"where the issuer's public keys are, with https; this or jwks_file"`
	JWKSFile   string   `yaml:"jwks_file" doc:"a file with the issuer's public keys as a JSON Web Key Set, read again when it changes"`
	CAFile     string   `yaml:"ca_file" doc:"the PEM file of authorities to trust for jwks_url; without it, the system's"`
	Audiences  []string `yaml:"audiences" doc:"what the aud claim has to hold one of; at least one is needed, or tokens meant for other services would be good here"`
	Algorithms []string `yaml:"algorithms" doc:"signatures that are taken; only asymmetric ones can be"`

	SubjectClaim   string            `yaml:"subject_claim" doc:"the claim that names the user; dots lead into nested claims"`
	GroupsClaim    string            `yaml:"groups_claim" doc:"the claim that lists the user's groups, or has the one that there is; dots lead into nested claims, none takes no groups"`
	RequiredClaims map[string]string `yaml:"required_claims" doc:"claims that a token must have, with this value, or a list with it"`

	ClockSkew   time.Duration `yaml:"clock_skew" doc:"how far the issuer's clock may be off"`
	MaxLifetime time.Duration `yaml:"max_lifetime" doc:"tokens that are good for longer from now on are refused; 0 takes any"`
	MaxAge      time.Duration `yaml:"max_age" doc:"tokens issued longer ago are refused, and those that do not say when; 0 takes any"`

	Refresh     time.Duration `yaml:"refresh" doc:"how often the keys at jwks_url are fetched anew; an unknown key has them fetched at once"`
	RefetchWait time.Duration `yaml:"refetch_wait" doc:"the least time between two fetches, so that nobody can cause many"`
	KeepKeys    time.Duration `yaml:"keep_keys" doc:"how long the last good keys stay in use while no new ones can be had"`
	Timeout     time.Duration `yaml:"timeout" doc:"the longest that a fetch may take"`

	Remember     time.Duration     `yaml:"remember" doc:"how long a proved token is remembered, under a keyed digest, and not verified again; never beyond its end or its key's; 0 means not at all"`
	RememberMost int               `yaml:"remember_most" doc:"how many proved tokens are remembered at most"`
	PerAddress   throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Defaults fills every field; the issuer, its keys and the audiences have none.
func (s *Settings) Defaults() {
	*s = Settings{
		Name:         Name,
		Algorithms:   slices.Clone(algorithmNames),
		SubjectClaim: "sub",
		GroupsClaim:  "groups",
		ClockSkew:    time.Minute,
		MaxLifetime:  24 * time.Hour,
		Refresh:      10 * time.Minute,
		RefetchWait:  10 * time.Second,
		KeepKeys:     24 * time.Hour,
		Timeout:      5 * time.Second,
		Remember:     5 * time.Minute, RememberMost: 10_000,
	}
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // a fleet with one expired deployment may share one address
}

// algorithmNames are all that can be allowed. None and the HMACs are not there:
// who could check an HMAC could make one.
var algorithmNames = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// The bounds of settings.
const (
	mostSkew     = 5 * time.Minute
	mostRemember = time.Hour
	mostEntries  = 1_000_000
	mostTimeout  = 30 * time.Second
	mostRefresh  = 24 * time.Hour
	mostKeep     = 30 * 24 * time.Hour
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	return errors.Join(
		s.validateIssuer(),
		s.validateClaims(),
		between("clock_skew", s.ClockSkew, 0, mostSkew),
		want(s.MaxLifetime >= 0, "max_lifetime", "must not be negative, is %s", s.MaxLifetime),
		want(s.MaxAge >= 0, "max_age", "must not be negative, is %s", s.MaxAge),
		between("refresh", s.Refresh, time.Second, mostRefresh),
		between("refetch_wait", s.RefetchWait, time.Second, time.Hour),
		between("keep_keys", s.KeepKeys, s.Refresh, mostKeep),
		between("timeout", s.Timeout, 100*time.Millisecond, mostTimeout),
		between("remember", s.Remember, 0, mostRemember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostEntries, "remember_most", "must be from 1 to %d, is %d", mostEntries, s.RememberMost),
		s.PerAddress.Validate(place+".per_address"),
	)
}

func (s *Settings) validateIssuer() error {
	errs := []error{
		want(auth.CheckProvider(s.Name) == nil, "name", "%.64q: use lower-case letters, digits and '-', at most 63", s.Name),
		want(s.Issuer != "", "issuer", "must be given: the iss claim of the tokens to take"),
		want((s.JWKSURL == "") != (s.JWKSFile == ""), "jwks_url", "give one of jwks_url and jwks_file"),
		want(s.CAFile == "" || s.JWKSURL != "", "ca_file", "is for jwks_url, which is not given"),
		want(len(s.Algorithms) > 0, "algorithms", "must name at least one of %s", strings.Join(algorithmNames, ", ")),
	}
	if s.JWKSURL != "" {
		u, err := url.Parse(s.JWKSURL)
		good := err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
		errs = append(errs, want(good, "jwks_url", "must be an https URL without user and password"))
	}
	for _, name := range s.Algorithms {
		errs = append(errs, want(slices.Contains(algorithmNames, name), "algorithms", "%.20q cannot be taken; there are %s", name, strings.Join(algorithmNames, ", ")))
	}
	return errors.Join(errs...)
}

func (s *Settings) validateClaims() error {
	errs := []error{
		want(len(s.Audiences) > 0, "audiences", "must have at least one, or tokens meant for other services would be good here"),
		want(!slices.Contains(s.Audiences, ""), "audiences", "must not have an empty one"),
		want(s.SubjectClaim != "", "subject_claim", "must be given"),
	}
	for claim, value := range s.RequiredClaims {
		errs = append(errs, want(claim != "" && value != "", "required_claims", "must not have an empty claim or value"))
	}
	return errors.Join(errs...)
}

func between(field string, is, least, most time.Duration) error {
	return want(is >= least && is <= most, field, "must be from %s to %s, is %s", least, most, is)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// algorithms are those to allow, as the library has them.
func (s *Settings) algorithms() []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(s.Algorithms))
	for i, name := range s.Algorithms {
		out[i] = jose.SignatureAlgorithm(name)
	}
	return out
}

// Open returns the working driver, an *Authenticator. A file of keys must be
// there and good; a URL is first asked when a token needs it, so that a node
// starts without the issuer.
func (s *Settings) Open(ctx context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return open(ctx, *s, env.WithDefaults())
}

var _ auth.Driver = (*Settings)(nil)
