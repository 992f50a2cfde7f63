package oidc

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/oidctest"
	"github.com/setpointhq/setpoint/config"
)

func TestLoginWithABrowserIsRenewedAndLeft(t *testing.T) {
	e := oidctest.Start(t)
	f := openFor(t, e, nil)
	v := login(t, e, f.provider)
	wantIdentity(t, v.Identity, "corp:"+oidctest.UserID, "corp:dev", "corp:platform")
	if v.Renewal.Empty() || v.Until.Before(f.clock.Now().Add(9*time.Minute)) {
		t.Fatalf("want it to be renewed in ten minutes, got %+v", v)
	}

	e.Regroup([]string{"ops"})
	again, err := f.provider.Renew(t.Context(), v.Renewal)
	if err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, again.Identity, "corp:"+oidctest.UserID, "corp:ops")
	_, err = f.provider.Renew(t.Context(), v.Renewal)
	wantKind(t, "a refresh token that was used", config.Unauthenticated, err)

	page, ok := f.provider.LeavePage(again.Renewal, "")
	if !ok || !strings.Contains(page, "id_token_hint=") {
		t.Fatalf("want a page to log out with a hint, got %q, %v", page, ok)
	}
	left, body := oidctest.Visit(t, e.Browser(t), page, nil)
	if left.StatusCode != http.StatusOK || !strings.Contains(body, "signed out") {
		t.Errorf("want to be signed out, got %s: %s", left.Status, body)
	}
	_, err = f.provider.Renew(t.Context(), again.Renewal)
	wantKind(t, "renewing after the logout", config.Unauthenticated, err)
	if page, _ := f.provider.LeavePage(config.Secret{}, after); !strings.Contains(page, "client_id=web") || !strings.Contains(page, url.QueryEscape(after)) {
		t.Errorf("want a page without a hint, got %q", page)
	}
	var kept renewal
	if err := json.Unmarshal([]byte(again.Renewal.Reveal()), &kept); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{kept.Refresh, kept.IDToken, "web-secret"} {
		if strings.Contains(f.logs.String(), secret) {
			t.Errorf("want no secret in the log, got %s", f.logs)
		}
	}
}

func TestNamesByAnotherClaim(t *testing.T) {
	e := oidctest.Start(t)
	f := openFor(t, e, func(s *Settings) { s.SubjectClaim, s.GroupsClaim = "preferred_username", "" })
	wantIdentity(t, login(t, e, f.provider).Identity, "corp:"+oidctest.User)
	f = openFor(t, e, func(s *Settings) { s.SubjectClaim = "email" })
	e.Regroup("one")
	wantIdentity(t, login(t, e, f.provider).Identity, "corp:test-user2@zitadel.ch", "corp:one")
}

func TestACodeIsGoodForOneLoginOnce(t *testing.T) {
	e := oidctest.Start(t)
	p := openFor(t, e, nil).provider
	page, state, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	answer := e.Login(t, page)
	_, other, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	finish := func(callback string, state config.Secret, change func(url.Values)) error {
		a := url.Values{"code": {answer.Get("code")}, "state": {answer.Get("state")}}
		change(a)
		_, err := p.Finish(t.Context(), callback, state, a)
		return err
	}
	nothing := func(url.Values) {}
	s, _ := decodeState(state)
	spoiled := s
	spoiled.verifier[0] ^= 1
	wantKind(t, "the state of another login", config.Unauthenticated, finish(callback, other, nothing))
	wantKind(t, "no state", config.Unauthenticated, finish(callback, config.Secret{}, nothing))
	wantKind(t, "another callback", config.Unauthenticated, finish(after, state, nothing))
	wantKind(t, "no code", config.Unauthenticated, finish(callback, state, func(a url.Values) { a.Del("code") }))
	wantKind(t, "two codes", config.Unauthenticated, finish(callback, state, func(a url.Values) { a.Add("code", "x") }))
	wantKind(t, "an error", config.Unauthenticated, finish(callback, state, func(a url.Values) { a.Set("error", "access_denied") }))
	wantKind(t, "another issuer", config.Unauthenticated, finish(callback, state, func(a url.Values) { a.Set("iss", "https://elsewhere.example") }))
	wantKind(t, "an answer too long", config.Unauthenticated, finish(callback, state, func(a url.Values) { a.Set("x", strings.Repeat("x", mostAnswered)) }))
	wantKind(t, "another verifier", config.Unauthenticated, finish(callback, spoiled.encode(), nothing))
	if err := finish(callback, state, nothing); err != nil {
		t.Errorf("want the right answer taken, got %v", err)
	}
	wantKind(t, "the same again", config.Unauthenticated, finish(callback, state, nothing))
}

func TestLoginWithADevice(t *testing.T) {
	e := oidctest.Start(t)
	p := openFor(t, e, func(s *Settings) {
		s.ClientID, s.ClientSecret = oidctest.DeviceID, config.NewSecret(oidctest.DeviceSecret)
	}).provider
	for _, action := range []string{"allowed", "denied"} {
		code, err := p.BeginDevice(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code.Interval != 5*time.Second || code.Expires != 5*time.Minute || !strings.Contains(code.Complete, code.UserCode) {
			t.Errorf("want the provider's times and page, got %+v", code)
		}
		_, done, wait, err := p.PollDevice(t.Context(), code.Code)
		if err != nil || done || wait != 5*time.Second {
			t.Fatalf("want to wait for the person, got done %v, wait %s, %v", done, wait, err)
		}
		decide := e.Consent
		if action == "denied" {
			decide = e.Refuse
		}
		decide(t, code.Complete, code.UserCode)
		v, done, _, err := p.PollDevice(t.Context(), code.Code)
		if action == "denied" {
			wantKind(t, "denied", config.Unauthenticated, err)
			continue
		}
		if err != nil || !done {
			t.Fatalf("want it done, got %v, %v", done, err)
		}
		wantIdentity(t, v.Identity, "corp:"+oidctest.UserID, "corp:dev", "corp:platform")
	}
	_, _, _, err := p.PollDevice(t.Context(), config.NewSecret("unknown"))
	wantKind(t, "an unknown code", config.Unauthenticated, err)
}

func TestKeysRotateDuringUse(t *testing.T) {
	e := oidctest.Start(t)
	f := openFor(t, e, nil)
	login(t, e, f.provider)
	login(t, e, f.provider)
	if got := e.Count("/keys"); got != 1 {
		t.Errorf("want the keys asked for once, got %d times", got)
	}
	e.Rotate(t, "second")
	wantIdentity(t, login(t, e, f.provider).Identity, "corp:"+oidctest.UserID, "corp:dev", "corp:platform")
	if got := e.Count("/keys"); got != 2 {
		t.Errorf("want the new keys asked for once, got %d times", got)
	}
	f.clock.pass(believed)
	e.Maintain(true)
	if _, _, err := f.provider.Begin(t.Context(), callback); err != nil {
		t.Errorf("want what is known to stand in while the provider is down, got %v", err)
	}
}

func TestTheProviderMayBeDownAtTheStart(t *testing.T) {
	e := oidctest.Start(t)
	e.Maintain(true)
	f := openFor(t, e, nil)
	_, _, err := f.provider.Begin(t.Context(), callback)
	wantKind(t, "down", config.Unavailable, err)
	_, _, err = f.provider.Begin(t.Context(), callback)
	wantKind(t, "down a moment later", config.Unavailable, err)
	const discovery = "/.well-known/openid-configuration"
	if got := e.Count(discovery); got != 1 {
		t.Errorf("want it left alone for a moment, got asked %d times", got)
	}
	e.Maintain(false)
	f.clock.pass(restTime)
	wantIdentity(t, login(t, e, f.provider).Identity, "corp:"+oidctest.UserID, "corp:dev", "corp:platform")
}

// access returns an access token of the user, as another program has it.
func access(t *testing.T, e *oidctest.Provider, p *Provider) config.Secret {
	t.Helper()
	page, state, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	answer := e.Login(t, page)
	s, _ := decodeState(state)
	d, err := p.discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.tokens(t.Context(), d, url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {callback}, "code_verifier": {text(s.verifier)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config.NewSecret(got.Access)
}

func TestAccessTokensAreIntrospected(t *testing.T) {
	e := oidctest.Start(t)
	f := openFor(t, e, func(s *Settings) { s.Introspect, s.PerAddress.Failures = true, 2 })
	token := access(t, e, f.provider)
	prove := func(token config.Secret) (auth.Identity, error) {
		id, ok, err := f.Authenticate(t.Context(), auth.Credentials{Token: token, Address: "192.0.2.7"})
		if !ok {
			t.Fatalf("want it taken, got %+v, %v", id, err)
		}
		return id, err
	}
	const path = "/oauth/introspect"
	for range 3 {
		id, err := prove(token)
		if err != nil {
			t.Fatal(err)
		}
		wantIdentity(t, id, "corp:"+oidctest.UserID, "corp:dev", "corp:platform")
	}
	if got := e.Count(path); got != 1 {
		t.Errorf("want it asked about once, got %d times", got)
	}
	e.Maintain(true)
	f.clock.pass(31 * time.Second)
	_, err := prove(token)
	wantKind(t, "the provider is down", config.Unavailable, err)
	e.Maintain(false)
	if _, err := prove(token); err != nil {
		t.Errorf("want it asked about again, got %v", err)
	}
	wrong := config.NewSecret(token.Reveal() + "x")
	for range 2 {
		_, err = prove(wrong)
		wantKind(t, "a wrong token", config.Unauthenticated, err)
	}
	_, err = prove(wrong)
	wantKind(t, "guessing on", config.Throttled, err)
	if _, err := prove(token); err != nil {
		t.Errorf("want a token in good standing to pass while others guess, got %v", err)
	}
	f.clock.pass(6 * time.Minute)
	_, err = prove(token)
	wantKind(t, "an expired token", config.Unauthenticated, err)
	if strings.Contains(f.logs.String(), token.Reveal()) {
		t.Error("want no token in the log")
	}

	elsewhere := openFor(t, e, func(s *Settings) { s.Introspect, s.Audience = true, "https://api.example" })
	_, _, err = elsewhere.Authenticate(t.Context(), auth.Credentials{Token: token})
	wantKind(t, "a token for another audience", config.Unauthenticated, err)
}

func TestProgramsProveThemselvesWithClientCredentials(t *testing.T) {
	e := oidctest.Start(t)
	f := openFor(t, e, func(s *Settings) {
		s.Introspect, s.ClientID, s.ClientSecret = true, oidctest.RobotID, config.NewSecret(oidctest.RobotSecret)
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Issuer+"/oauth/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(oidctest.RobotID, oidctest.RobotSecret)
	answer, err := e.Browser(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	var got tokens
	if err := json.Unmarshal(body, &got); err != nil || got.Access == "" {
		t.Fatalf("want an access token, got %s", body)
	}
	e.Regroup(nil)
	id, ok, err := f.Authenticate(t.Context(), auth.Credentials{Token: config.NewSecret(got.Access)})
	if err != nil || !ok {
		t.Fatalf("want it proved, got %v, %v", ok, err)
	}
	wantIdentity(t, id, "corp:sid1")
}

func TestOtherCredentialsAreLeftToOthers(t *testing.T) {
	e := oidctest.Start(t)
	on := openFor(t, e, func(s *Settings) { s.Introspect = true })
	off := openFor(t, e, nil)
	const foreign = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.c2ln"
	tests := map[string]struct {
		f *fixture
		c auth.Credentials
	}{
		"an API token":          {on, auth.Credentials{Token: config.NewSecret("sp_abc")}},
		"nothing":               {on, auth.Credentials{}},
		"a password":            {on, auth.Credentials{Username: "corp:alice", Password: config.NewSecret("x")}},
		"another issuer's":      {on, auth.Credentials{Token: config.NewSecret(foreign)}},
		"introspection is off":  {off, auth.Credentials{Token: config.NewSecret("opaque")}},
		"an API token when off": {off, auth.Credentials{Token: config.NewSecret("sp_abc")}},
	}
	for name, test := range tests {
		if id, ok, err := test.f.Authenticate(t.Context(), test.c); ok || err != nil || !id.Anonymous() {
			t.Errorf("%s: want it left to others, got %+v, %v, %v", name, id, ok, err)
		}
	}
	if got := on.Providers(); len(got) != 1 || got[0].Provider() != "corp" {
		t.Errorf("want one provider, corp; got %v", got)
	}
}
