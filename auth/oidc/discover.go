package oidc

import (
	"context"
	"fmt"
	"slices"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/setpointhq/setpoint/config"
)

// How long what a provider says of itself is believed, and how long it is left
// alone after it could not be asked.
const (
	believed = time.Hour
	restTime = time.Second
)

// document is what a provider says of itself, in its discovery document.
type document struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Device        string   `json:"device_authorization_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint"`
	Introspection string   `json:"introspection_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	Scopes        []string `json:"scopes_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	AnswersIssuer bool     `json:"authorization_response_iss_parameter_supported"`
}

func (d *document) validate() error {
	for what, url := range map[string]string{"authorization": d.Authorization, "token": d.Token, "jwks": d.Keys} {
		if url == "" {
			return fmt.Errorf("the discovery document names no %s endpoint", what)
		}
	}
	for _, url := range []string{d.Authorization, d.Token, d.Keys, d.Device, d.UserInfo, d.Introspection, d.EndSession} {
		if url != "" && !secure(url) {
			return fmt.Errorf("the discovery document names %.200q, which is no https URL", url)
		}
	}
	return nil
}

// discovered is that with the keys of the provider, which are looked up when
// they are needed. A new one has forgotten the keys of the old.
type discovered struct {
	document
	keys       goidc.KeySet
	algorithms []string
	until      time.Time
}

// discover returns what the provider says of itself. One caller asks, others
// wait for it; what was known before stands in while it cannot be asked.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	if d := p.known.Load(); d != nil && p.now().Before(d.until) {
		return d, nil
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.turn }()
	old := p.known.Load()
	if old != nil && p.now().Before(old.until) {
		return old, nil
	}
	if p.now().Before(p.rests) {
		if old != nil {
			return old, nil
		}
		return nil, p.failure
	}
	d, err := p.askDiscovery(ctx)
	if err == nil {
		p.known.Store(d)
		return d, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // says nothing of the provider
	}
	p.log.Warn("an OpenID provider cannot be looked up", "provider", p.name, "issuer", p.settings.Issuer, "error", brief(err))
	p.failure, p.rests = err, p.now().Add(restTime)
	if old != nil {
		return old, nil
	}
	return nil, err
}

func (p *Provider) askDiscovery(ctx context.Context) (*discovered, error) {
	found, err := goidc.NewProvider(goidc.ClientContext(ctx, p.http), p.settings.Issuer)
	if err != nil {
		return nil, err
	}
	d := &discovered{until: p.now().Add(believed)}
	if err := found.Claims(&d.document); err != nil {
		return nil, err
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	for _, a := range d.Algorithms {
		if slices.Contains(safeAlgorithms(), a) {
			d.algorithms = append(d.algorithms, a)
		}
	}
	if len(d.algorithms) == 0 {
		if len(d.Algorithms) > 0 {
			return nil, fmt.Errorf("it signs ID tokens by none of %v", safeAlgorithms())
		}
		d.algorithms = []string{goidc.RS256} // which everyone must know
	}
	d.keys = goidc.NewRemoteKeySet(goidc.ClientContext(context.WithoutCancel(ctx), p.http), d.Keys)
	return d, nil
}

// safeAlgorithms are those with a key that only the provider has: neither
// "none" nor those whose key is the client's secret.
func safeAlgorithms() []string {
	return []string{
		goidc.RS256, goidc.RS384, goidc.RS512, goidc.PS256, goidc.PS384, goidc.PS512,
		goidc.ES256, goidc.ES384, goidc.ES512, goidc.EdDSA,
	}
}

// scopes returns what to ask for.
func (p *Provider) scopes(d *discovered) []string {
	return slices.DeleteFunc(slices.Clone(p.settings.Scopes), func(s string) bool {
		return (s == scopeGroups || s == scopeOffline) && len(d.Scopes) > 0 && !slices.Contains(d.Scopes, s)
	})
}

// brief is the text of an error, as much as a log should have of a stranger's.
func brief(err error) string {
	const most = 300
	if text := err.Error(); len(text) > most {
		return text[:most] + "…"
	}
	return err.Error()
}

func unsupported(what string) error {
	return config.Errorf(config.Unsupported, op, "", "the provider offers no %s", what)
}
