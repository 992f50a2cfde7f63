package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	goidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/setpointhq/setpoint/auth"
)

// claims are what a provider says of somebody.
type claims map[string]any

// find returns a claim by its name or, if none has it, by the path of dots.
func (c claims) find(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, _ := c[first].(map[string]any)
	return claims(inner).find(rest)
}

func (c claims) text(name string) string {
	s, _ := c.find(name).(string)
	return s
}

// expected is what an answer of the provider must agree with.
type expected struct {
	nonce   string // of a login with a browser
	subject string // the claim sub, of a session that is renewed
	hint    string // the ID token that the session has, if no new one comes
}

// vouch makes an identity of what was granted.
func (p *Provider) vouch(ctx context.Context, d *discovered, got tokens, want expected) (auth.Vouched, error) {
	said, subject, err := p.signed(ctx, d, got, want)
	if err != nil {
		return auth.Vouched{}, err
	}
	if got.ID == "" || p.lacks(said) {
		more, err := p.userInfo(ctx, d, got.Access)
		switch {
		case err != nil:
			return auth.Vouched{}, err
		case more == nil && got.ID == "", more != nil && more.text("sub") != subject:
			return auth.Vouched{}, reject("the provider's user info is missing, or is of somebody else")
		case more != nil:
			maps.Copy(more, said) // what is signed goes before
			said = more
		}
	}
	id, err := p.identity(said)
	if err != nil {
		return auth.Vouched{}, err
	}
	if got.ID == "" {
		got.ID = want.hint
	}
	v := auth.Vouched{Identity: id, Renewal: (&renewal{Subject: subject, Refresh: got.Refresh, IDToken: got.ID}).encode()}
	if !v.Renewal.Empty() {
		v.Until = p.now().Add(p.settings.RenewEvery)
	}
	return v, nil
}

// signed returns the claims of the ID token and whom it is about. A renewal may
// come without one, and is then of whom it was before.
func (p *Provider) signed(ctx context.Context, d *discovered, got tokens, want expected) (claims, string, error) {
	switch {
	case got.ID == "" && want.subject == "":
		return nil, "", reject("the provider granted no ID token")
	case got.ID == "":
		return claims{}, want.subject, nil
	}
	said, err := p.verify(ctx, d, got, want.nonce)
	if err != nil {
		return nil, "", err
	}
	subject := said.text("sub")
	if subject == "" || want.subject != "" && subject != want.subject {
		return nil, "", reject("the ID token names nobody, or somebody else than before")
	}
	return said, subject, nil
}

// lacks reports whether something is to be looked for elsewhere.
func (p *Provider) lacks(said claims) bool {
	return said.text(p.settings.SubjectClaim) == "" ||
		p.settings.GroupsClaim != "" && said.find(p.settings.GroupsClaim) == nil
}

// verify returns the claims of an ID token of this provider for this client.
func (p *Provider) verify(ctx context.Context, d *discovered, got tokens, nonce string) (claims, error) {
	keys := &asked{KeySet: d.keys}
	token, err := goidc.NewVerifier(p.settings.Issuer, keys, &goidc.Config{
		ClientID: p.settings.ClientID, SupportedSigningAlgs: d.algorithms, Now: p.now,
	}).Verify(ctx, got.ID)
	switch {
	case keys.unreachable != nil:
		return nil, keys.unreachable
	case err != nil:
		return nil, reject("%s", brief(err))
	case !same(token.Nonce, nonce) && nonce != "":
		return nil, reject("the ID token is of another login: its nonce is wrong")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(got.Access) != nil:
		return nil, reject("the access token does not belong to the ID token")
	}
	said := claims{}
	if err := token.Claims(&said); err != nil {
		return nil, reject("the claims cannot be read")
	}
	party, has := said["azp"]
	if (has || len(token.Audience) > 1) && party != any(p.settings.ClientID) {
		return nil, reject("the ID token was made for another client of the provider")
	}
	return said, nil
}

// asked notes whether the keys could be asked for, which the verifier does not
// tell from a wrong signature.
type asked struct {
	goidc.KeySet
	unreachable error
}

// VerifySignature implements oidc.KeySet.
func (k *asked) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if errors.Unwrap(err) != nil { // a wrong signature has no cause
		k.unreachable = err
	}
	return payload, err
}

// userInfo asks for what the provider says of who has the access token; nothing
// if it does not offer that.
func (p *Provider) userInfo(ctx context.Context, d *discovered, access string) (claims, error) {
	if d.UserInfo == "" || access == "" {
		return nil, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.UserInfo, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+access)
	said := claims{}
	err = p.do(r, map[string][]string{"access_token": {access}}, &said)
	var no *refusal
	if errors.As(err, &no) && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden) {
		return nil, reject("the provider does not tell about the user: %s", no)
	}
	return said, err
}

// identity names who the claims are about. Groups that nothing can be bound to
// are left out; more than may be kept are refused as a whole, since those left
// out could be denied something.
func (p *Provider) identity(said claims) (auth.Identity, error) {
	subject := auth.External(p.name, said.text(p.settings.SubjectClaim))
	if err := auth.CheckExternal(subject); err != nil {
		return auth.Identity{}, reject("the claim %q cannot name a user: %s", p.settings.SubjectClaim, brief(err))
	}
	if p.settings.SubjectClaim == "email" && !verified(said["email_verified"]) {
		return auth.Identity{}, reject("the provider has not verified the email address that would name the user")
	}
	groups, err := p.groups(said)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{Subject: subject, Provider: p.name, Groups: groups, Method: Name}, nil
}

// verified takes the text too, as some providers send it.
func verified(v any) bool { return v == true || v == "true" }

func (p *Provider) groups(said claims) ([]string, error) {
	claim := p.settings.GroupsClaim
	if claim == "" {
		return nil, nil
	}
	var names []any
	switch v := said.find(claim).(type) {
	case nil:
		if elsewhere, _ := said["_claim_names"].(map[string]any); elsewhere[claim] != nil {
			return nil, reject("the user is in so many groups that the provider does not list them; have it list only those of this application")
		}
	case string:
		names = []any{v}
	case []any:
		names = v
	default:
		return nil, reject("the claim %q is no list of groups", claim)
	}
	if len(names) > auth.MaxExternalGroups {
		return nil, reject("the user is in %d groups, more than %d; have the provider list only those of this application", len(names), auth.MaxExternalGroups)
	}
	var groups []string
	for _, v := range names {
		name, ok := v.(string)
		if !ok {
			return nil, reject("the claim %q is no list of groups", claim)
		}
		if name = auth.External(p.name, name); auth.CheckExternal(name) == nil {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// texts takes a claim that may be a text or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// refused returns the code of a *refusal; empty for other errors, and none.
func refused(err error) string {
	var no *refusal
	if errors.As(err, &no) {
		return no.Code
	}
	return ""
}

func joined(scopes []string) string { return strings.Join(scopes, " ") }

// shown reports whether a person can read and type the code.
func shown(code string) bool {
	return code != "" && len(code) <= 64 && !strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' })
}
