package oidc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// hostile is a provider that answers as a test wants it to.
type hostile struct {
	*httptest.Server
	key     *rsa.PrivateKey
	pages   map[string]http.HandlerFunc // instead of the usual, by path
	say     map[string]any              // changes of the discovery document
	header  map[string]any              // of the ID token
	claims  map[string]any              // changes of it; nil removes
	granted map[string]any              // changes of the token endpoint's answer
	told    map[string]any              // the user info
	nonce   string
	posted  url.Values // the last form at the token endpoint
}

// hostileKey is made once, as that takes long.
var hostileKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func startHostile(t *testing.T) *hostile {
	t.Helper()
	key, err := hostileKey()
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{key: key, pages: map[string]http.HandlerFunc{}, header: map[string]any{"alg": "RS256", "kid": "k"}}
	h.Server = httptest.NewUnstartedServer(h)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if page, ok := h.pages[r.URL.Path]; ok {
		page(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(w, changed(map[string]any{
			"issuer": h.URL, "authorization_endpoint": h.URL + "/auth", "token_endpoint": h.URL + "/token",
			"jwks_uri": h.URL + "/keys", "userinfo_endpoint": h.URL + "/userinfo", "introspection_endpoint": h.URL + "/introspect",
			"device_authorization_endpoint": h.URL + "/device",
		}, h.say))
	case "/keys":
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &h.key.PublicKey, KeyID: "k", Use: "sig"}}})
	case "/token":
		_ = r.ParseForm()
		h.posted = r.PostForm
		answer(w, changed(map[string]any{
			"access_token": "an access token", "token_type": "Bearer", "refresh_token": "a refresh token", "id_token": h.idToken(),
		}, h.granted))
	case "/userinfo":
		answer(w, h.told)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func changed(m, by map[string]any) map[string]any {
	maps.Copy(m, by)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

func (h *hostile) idToken() string {
	head, _ := json.Marshal(h.header)
	body, _ := json.Marshal(changed(map[string]any{
		"iss": h.URL, "sub": "alice", "aud": "web", "nonce": h.nonce, "groups": []string{"dev"},
		"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
	}, h.claims))
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	if h.header["alg"] == "none" {
		return signed + "."
	}
	sum := sha256.Sum256([]byte(signed))
	signature, _ := rsa.SignPKCS1v15(nil, h.key, crypto.SHA256, sum[:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// login begins one and brings a code back.
func (h *hostile) login(ctx context.Context, p *Provider, more url.Values) (auth.Vouched, error) {
	page, state, err := p.Begin(ctx, callback)
	if err != nil {
		return auth.Vouched{}, err
	}
	u, err := url.Parse(page)
	if err != nil {
		return auth.Vouched{}, err
	}
	h.nonce = u.Query().Get("nonce")
	back := url.Values{"code": {"the secret code"}, "state": {u.Query().Get("state")}}
	maps.Copy(back, more)
	return p.Finish(ctx, callback, state, back)
}

func page(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func huge(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"access_token":"`)
	for range 2 * mostAnswer >> 10 {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<10))
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func TestLoginsWithAHostileProvider(t *testing.T) {
	var leaked atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer plain.Close()
	many := make([]string, auth.MaxExternalGroups+1)
	for i := range many {
		many[i] = fmt.Sprint("group-", i)
	}
	const no, down = config.Unauthenticated, config.Unavailable
	type claims = map[string]any
	tests := map[string]struct {
		kind  config.ErrorKind
		spoil func(*hostile)
	}{
		"another nonce":                {no, func(h *hostile) { h.claims = claims{"nonce": "another"} }},
		"no nonce":                     {no, func(h *hostile) { h.claims = claims{"nonce": nil} }},
		"another issuer":               {no, func(h *hostile) { h.claims = claims{"iss": "https://elsewhere.example"} }},
		"another audience":             {no, func(h *hostile) { h.claims = claims{"aud": "other"} }},
		"two audiences, no party":      {no, func(h *hostile) { h.claims = claims{"aud": []string{"web", "other"}} }},
		"another party":                {no, func(h *hostile) { h.claims = claims{"azp": "other"} }},
		"expired":                      {no, func(h *hostile) { h.claims = claims{"exp": time.Now().Add(-time.Minute).Unix()} }},
		"without an end":               {no, func(h *hostile) { h.claims = claims{"exp": nil} }},
		"without a subject":            {no, func(h *hostile) { h.claims = claims{"sub": nil} }},
		"a subject that is no text":    {no, func(h *hostile) { h.claims = claims{"sub": 7} }},
		"a subject of control signs":   {no, func(h *hostile) { h.claims = claims{"sub": "al\x00ice"} }},
		"a subject too long":           {no, func(h *hostile) { h.claims = claims{"sub": strings.Repeat("x", auth.MaxExternalName)} }},
		"another access token":         {no, func(h *hostile) { h.claims = claims{"at_hash": "AAAA"} }},
		"too many groups":              {no, func(h *hostile) { h.claims = claims{"groups": many} }},
		"groups that are no texts":     {no, func(h *hostile) { h.claims = claims{"groups": []int{1}} }},
		"groups that are no list":      {no, func(h *hostile) { h.claims = claims{"groups": claims{"a": 1}} }},
		"groups elsewhere":             {no, func(h *hostile) { h.claims, h.told = elsewhere(), claims{"sub": "alice"} }},
		"user info of somebody else":   {no, func(h *hostile) { h.claims, h.told = claims{"groups": nil}, claims{"sub": "bob"} }},
		"unsigned":                     {no, func(h *hostile) { h.header = claims{"alg": "none"} }},
		"signed by the client's key":   {no, func(h *hostile) { h.header = claims{"alg": "HS256", "kid": "k"} }},
		"signed by an unknown key":     {no, func(h *hostile) { h.header = claims{"alg": "RS256", "kid": "other"} }},
		"claimed to be ES256":          {no, func(h *hostile) { h.header = claims{"alg": "ES256", "kid": "k"} }},
		"no ID token":                  {no, func(h *hostile) { h.granted = claims{"id_token": nil} }},
		"a broken ID token":            {no, func(h *hostile) { h.granted = claims{"id_token": "a.b.c"} }},
		"the code is refused":          {no, func(h *hostile) { h.pages["/token"] = page(400, `{"error":"invalid_grant"}`) }},
		"the answer names no issuer":   {no, func(h *hostile) { h.say = claims{"authorization_response_iss_parameter_supported": true} }},
		"the client is unknown":        {down, func(h *hostile) { h.pages["/token"] = page(401, `{"error":"invalid_client"}`) }},
		"an error echoes the code":     {down, func(h *hostile) { h.pages["/token"] = page(400, `{"error":"x","error_description":"the secret code"}`) }},
		"no JSON":                      {down, func(h *hostile) { h.pages["/token"] = page(200, "<html>") }},
		"a server's error":             {down, func(h *hostile) { h.pages["/token"] = page(500, "") }},
		"a huge answer":                {down, func(h *hostile) { h.pages["/token"] = huge }},
		"huge keys":                    {down, func(h *hostile) { h.pages["/keys"] = huge }},
		"no keys":                      {down, func(h *hostile) { h.pages["/keys"] = page(503, "") }},
		"a huge discovery":             {down, func(h *hostile) { h.pages["/.well-known/openid-configuration"] = huge }},
		"the discovery of another":     {down, func(h *hostile) { h.say = claims{"issuer": "https://elsewhere.example"} }},
		"a token endpoint without TLS": {down, func(h *hostile) { h.say = claims{"token_endpoint": plain.URL} }},
		"keys without TLS":             {down, func(h *hostile) { h.say = claims{"jwks_uri": plain.URL} }},
		"a page that is a script":      {down, func(h *hostile) { h.say = claims{"authorization_endpoint": "javascript:alert(1)"} }},
		"no token endpoint":            {down, func(h *hostile) { h.say = claims{"token_endpoint": nil} }},
		"symmetric algorithms only":    {down, func(h *hostile) { h.say = claims{"id_token_signing_alg_values_supported": []string{"HS256", "none"}} }},
		"tokens redirect off TLS":      {down, func(h *hostile) { h.pages["/token"] = redirect(plain.URL) }},
		"keys redirect off TLS":        {down, func(h *hostile) { h.pages["/keys"] = redirect(plain.URL) }},
		"discovery redirects off TLS":  {down, func(h *hostile) { h.pages["/.well-known/openid-configuration"] = redirect(plain.URL) }},
		"user info redirects off TLS": {down, func(h *hostile) {
			h.claims, h.pages["/userinfo"] = claims{"groups": nil}, redirect(plain.URL)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startHostile(t)
			test.spoil(h)
			f := openAt(t, h.Server, nil)
			v, err := h.login(t.Context(), f.provider, nil)
			wantKind(t, name, test.kind, err)
			if !v.Identity.Anonymous() {
				t.Errorf("want nobody, got %+v", v)
			}
			for _, secret := range []string{"web-secret", "the secret code", "an access token"} {
				if strings.Contains(f.logs.String(), secret) || err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("want %q told nowhere, got %v and %s", secret, err, f.logs)
				}
			}
		})
	}
	if got := leaked.Load(); got != 0 {
		t.Errorf("want nothing sent without TLS, got %d requests", got)
	}
}

func elsewhere() map[string]any {
	return map[string]any{"groups": nil, "_claim_names": map[string]any{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.example"}}}
}

func TestWhatARightProviderMaySay(t *testing.T) {
	tests := map[string]struct {
		say    func(*hostile)
		groups []string
	}{
		"all that is usual":    {func(*hostile) {}, []string{"corp:dev"}},
		"this client as party": {func(h *hostile) { h.claims = map[string]any{"azp": "web", "aud": []string{"web", "x"}} }, []string{"corp:dev"}},
		"no groups at all": {func(h *hostile) {
			h.claims, h.say = map[string]any{"groups": nil}, map[string]any{"userinfo_endpoint": nil}
		}, nil},
		"groups twice and unusable": {func(h *hostile) { h.claims = map[string]any{"groups": []string{"b", "a", "b", "", "\n"}} }, []string{"corp:a", "corp:b"}},
		"groups in the user info": {func(h *hostile) {
			h.claims, h.told = map[string]any{"groups": nil}, map[string]any{"sub": "alice", "groups": []string{"ops"}}
		}, []string{"corp:ops"}},
		"the secret in the form": {func(h *hostile) {
			h.say = map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}
		}, []string{"corp:dev"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startHostile(t)
			test.say(h)
			v, err := h.login(t.Context(), openAt(t, h.Server, nil).provider, url.Values{"iss": {h.URL}})
			if err != nil {
				t.Fatal(err)
			}
			wantIdentity(t, v.Identity, "corp:alice", test.groups...)
			if inForm := h.posted.Get("client_secret") != ""; inForm != (name == "the secret in the form") {
				t.Errorf("want the secret sent as the provider wants it, got %v", h.posted)
			}
		})
	}
}

func TestGroupsInsideAnObject(t *testing.T) {
	h := startHostile(t)
	h.claims = map[string]any{"realm_access": map[string]any{"roles": []string{"admin"}}}
	f := openAt(t, h.Server, func(s *Settings) { s.GroupsClaim = "realm_access.roles" })
	v, err := h.login(t.Context(), f.provider, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, v.Identity, "corp:alice", "corp:admin")
}

func TestAnUnverifiedAddressNamesNobody(t *testing.T) {
	h := startHostile(t)
	f := openAt(t, h.Server, func(s *Settings) { s.SubjectClaim = "email" })
	h.claims = map[string]any{"email": "boss@corp.example", "email_verified": false}
	_, err := h.login(t.Context(), f.provider, nil)
	wantKind(t, "not verified", config.Unauthenticated, err)
	h.claims["email_verified"] = true
	v, err := h.login(t.Context(), f.provider, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, v.Identity, "corp:boss@corp.example", "corp:dev")
}

func TestASlowProviderHangsNobody(t *testing.T) {
	h := startHostile(t)
	h.pages["/.well-known/openid-configuration"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	f := openAt(t, h.Server, func(s *Settings) { s.Timeout = 50 * time.Millisecond })
	_, _, err := f.provider.Begin(t.Context(), callback)
	wantKind(t, "slow", config.Unavailable, err)

	f = openAt(t, h.Server, nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	for range 3 { // one asks, two wait for it
		go func() {
			_, _, err := f.provider.Begin(ctx, callback)
			failed <- err
		}()
	}
	cancel()
	for range 3 {
		wantKind(t, "gone", config.Canceled, <-failed)
	}
}

func TestARenewalIsOfTheSameUser(t *testing.T) {
	h := startHostile(t)
	p := openAt(t, h.Server, nil).provider
	v, err := h.login(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	renew := func() error {
		_, err := p.Renew(t.Context(), v.Renewal)
		return err
	}
	h.granted, h.told = map[string]any{"id_token": nil, "refresh_token": nil}, map[string]any{"sub": "alice", "groups": "new"}
	again, err := p.Renew(t.Context(), v.Renewal)
	if err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, again.Identity, "corp:alice", "corp:new")
	if r, _ := decodeRenewal(again.Renewal); r.Refresh != "a refresh token" || r.IDToken == "" {
		t.Errorf("want the old token and hint kept, got %v and a hint %v", r.Refresh != "", r.IDToken != "")
	}
	h.told["sub"] = "bob"
	wantKind(t, "user info of somebody else", config.Unauthenticated, renew())
	h.granted, h.claims = nil, map[string]any{"sub": "bob"}
	wantKind(t, "an ID token of somebody else", config.Unauthenticated, renew())
	h.pages["/token"] = page(503, "")
	wantKind(t, "the provider is down", config.Unavailable, renew())
	_, err = p.Renew(t.Context(), config.NewSecret("{}"))
	wantKind(t, "no renewal", config.Unauthenticated, err)
}

func TestIntrospectionsOfAHostileProvider(t *testing.T) {
	const no, down = config.Unauthenticated, config.Unavailable
	tests := map[string]struct {
		kind   config.ErrorKind
		answer string
	}{
		"not active":             {no, `{"active":false,"sub":"a","aud":"web"}`},
		"nothing said":           {no, `{}`},
		"for nobody":             {no, `{"active":true,"sub":"a"}`},
		"for somebody else":      {no, `{"active":true,"sub":"a","aud":["x"],"client_id":"y"}`},
		"of another issuer":      {no, `{"active":true,"sub":"a","aud":"web","iss":"https://x.example"}`},
		"expired":                {no, `{"active":true,"sub":"a","aud":"web","exp":1}`},
		"expired before time":    {no, `{"active":true,"sub":"a","aud":"web","exp":-1e300}`},
		"bound to a key":         {no, `{"active":true,"sub":"a","aud":"web","cnf":{"jkt":"x"}}`},
		"no bearer token":        {no, `{"active":true,"sub":"a","aud":"web","token_type":"DPoP"}`},
		"nobody":                 {no, `{"active":true,"aud":"web"}`},
		"active is a text":       {down, `{"active":"true","aud":"web"}`},
		"a list":                 {down, `[]`},
		"null":                   {down, `null`},
		"no JSON":                {down, `active`},
		"an audience of numbers": {down, `{"active":true,"aud":[1]}`},
	}
	for name, test := range tests {
		h := startHostile(t)
		h.pages["/introspect"] = page(200, test.answer)
		f := openAt(t, h.Server, func(s *Settings) { s.Introspect = true })
		id, ok, err := f.Authenticate(t.Context(), auth.Credentials{Token: config.NewSecret("an opaque token")})
		wantKind(t, name, test.kind, err)
		if !ok || !id.Anonymous() || strings.Contains(f.logs.String(), "an opaque token") {
			t.Errorf("%s: want it taken and nobody proved, got %v, %+v and the log %s", name, ok, id, f.logs)
		}
	}
}

func TestAnAnswerIsBelievedNoLongerThanTheTokenLives(t *testing.T) {
	h := startHostile(t)
	asked := 0
	h.pages["/introspect"] = func(w http.ResponseWriter, _ *http.Request) {
		asked++
		answer(w, map[string]any{"active": true, "sub": "alice", "aud": "web", "groups": "dev", "exp": time.Now().Add(10 * time.Second).Unix()})
	}
	f := openAt(t, h.Server, func(s *Settings) { s.Introspect = true })
	prove := func(want int) {
		t.Helper()
		_, _, err := f.Authenticate(t.Context(), auth.Credentials{Token: config.NewSecret("opaque")})
		if err != nil && want == 1 || asked != want {
			t.Errorf("want the provider asked %d times, got %d, %v", want, asked, err)
		}
	}
	prove(1)
	prove(1)
	f.clock.pass(11 * time.Second)
	prove(2)
}

func TestTheAnswerToAnotherLoginIsNotEvenAskedAbout(t *testing.T) {
	h := startHostile(t)
	p := openAt(t, h.Server, nil).provider
	_, err := h.login(t.Context(), p, url.Values{"state": {"another"}})
	wantKind(t, "another state", config.Unauthenticated, err)
	if h.posted != nil {
		t.Errorf("want the code shown to nobody, got %v", h.posted)
	}
}

func TestOnlyTLSIsSpokenAndNoRedirectFollowed(t *testing.T) {
	var leaked atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer plain.Close()
	h := startHostile(t)
	h.pages["/away"] = redirect(h.URL + "/taken")
	h.pages["/taken"] = func(http.ResponseWriter, *http.Request) { leaked.Add(1) }
	client := openAt(t, h.Server, nil).provider.http
	if answer, err := client.Get(plain.URL); err == nil {
		_ = answer.Body.Close()
		t.Errorf("want plain http refused, got %s", answer.Status)
	}
	answer, err := client.Get(h.URL + "/away")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusTemporaryRedirect || leaked.Load() != 0 {
		t.Errorf("want the redirect not followed, got %s and %d requests", answer.Status, leaked.Load())
	}
	untrusting := openAt(t, h.Server, func(s *Settings) { s.CAFile = "" }).provider
	_, _, err = untrusting.Begin(t.Context(), callback)
	wantKind(t, "an authority nobody knows", config.Unavailable, err)
}

func TestDevicesOfAHostileProvider(t *testing.T) {
	tests := map[string]struct {
		kind   config.ErrorKind
		answer string
	}{
		"nothing":               {config.Unavailable, `{}`},
		"a page without TLS":    {config.Unavailable, `{"device_code":"d","user_code":"u","verification_uri":"http://x.example"}`},
		"a link to a script":    {config.Unavailable, `{"device_code":"d","user_code":"u","verification_uri":"https://x.example","verification_uri_complete":"javascript:1"}`},
		"a code of escapes":     {config.Unavailable, `{"device_code":"d","user_code":"\u001b[2J","verification_uri":"https://x.example"}`},
		"times out of measure ": {config.Internal, `{"device_code":"d","user_code":"u","verification_uri":"https://x.example","expires_in":1e300,"interval":1e300}`},
	}
	for name, test := range tests {
		h := startHostile(t)
		h.pages["/device"] = page(200, test.answer)
		code, err := openAt(t, h.Server, nil).provider.BeginDevice(t.Context())
		if test.kind == config.Internal { // stands for none
			if err != nil || code.Expires != mostDevice || code.Interval != mostInterval {
				t.Errorf("%s: want it kept within bounds, got %+v, %v", name, code, err)
			}
			continue
		}
		wantKind(t, name, test.kind, err)
	}
	h := startHostile(t)
	h.say = map[string]any{"device_authorization_endpoint": nil}
	_, err := openAt(t, h.Server, nil).provider.BeginDevice(t.Context())
	wantKind(t, "not offered", config.Unsupported, err)
	for _, code := range []string{"slow_down", "authorization_pending"} {
		h.pages["/token"] = page(400, `{"error":"`+code+`"}`)
		_, done, wait, err := openAt(t, h.Server, nil).provider.PollDevice(t.Context(), config.NewSecret("d"))
		if done || err != nil || wait < usualInterval || code == "slow_down" && wait == usualInterval {
			t.Errorf("%s: want to wait, got %v, %s, %v", code, done, wait, err)
		}
	}
}
