package oidc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func testProvider(name string) *Provider {
	return &Provider{name: name, settings: Settings{Issuer: "https://id.example", ClientID: "web"}}
}

func TestStatesAreOfOnePurpose(t *testing.T) {
	p := testProvider("corp")
	s := newState(p.purpose(callback))
	got, ok := decodeState(s.encode())
	if !ok || got != s {
		t.Errorf("want %v back, got %v, %v", s, got, ok)
	}
	if other := newState(s.purpose); other.state == s.state || other.nonce == s.nonce || other.verifier == s.verifier {
		t.Error("want each state made anew")
	}
	if p.purpose(after) == s.purpose || testProvider("other").purpose(callback) == s.purpose {
		t.Error("want another purpose for another callback and another provider")
	}
	if got := len(s.encode().Reveal()); got > 200 {
		t.Errorf("want it to fit in a cookie, got %d bytes", got)
	}
}

func FuzzDecodeState(f *testing.F) {
	s := newState([stateSize]byte{1})
	good := s.encode().Reveal()
	for _, seed := range []string{good, "", statePrefix, good[:len(good)-1], good + "A", good[:40] + "\n" + good[41:], "o2." + good[3:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := decodeState(config.NewSecret(text))
		if ok && s.encode().Reveal() != text {
			t.Errorf("want only what was encoded taken, got %q", text)
		}
		if !ok && s != (state{}) {
			t.Error("want nothing of a state that is not one")
		}
	})
}

func FuzzDecodeRenewal(f *testing.F) {
	good := (&renewal{Subject: "alice", Refresh: "r", IDToken: "i"}).encode().Reveal()
	for _, seed := range []string{good, "", "{}", "null", `{"sub":"x"}`, `{"sub":1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := decodeRenewal(config.NewSecret(text))
		if ok && (r.Subject == "" || r.Refresh == "") {
			t.Errorf("want a subject and a token, got %q", text)
		}
	})
}

func TestRenewalsAreBounded(t *testing.T) {
	r := renewal{Subject: "alice", Refresh: "r", IDToken: strings.Repeat("x", mostHint+1)}
	if got, ok := decodeRenewal(r.encode()); !ok || got.IDToken != "" {
		t.Errorf("want a hint that is too long left out, got %v, %d bytes", ok, len(got.IDToken))
	}
	r.Refresh = strings.Repeat("x", mostRefresh+1)
	if !r.encode().Empty() {
		t.Error("want a refresh token that is too long not kept")
	}
}

func TestCallbacks(t *testing.T) {
	for address, want := range map[string]bool{
		callback:                            true,
		"http://localhost:8080/x":           true,
		"http://127.0.0.1/x":                true,
		"http://[::1]:1/x":                  true,
		"http://setpoint.example/":          false,
		"http://localhost.evil.example/":    false,
		"https://user@setpoint.example/":    false,
		"https://setpoint.example/#x":       false,
		"javascript:alert(1)":               false,
		"/callback":                         false,
		"":                                  false,
		"ftp://localhost/x":                 false,
		"https://setpoint.example/%zz":      false,
		"custom://localhost/auth/callback/": false,
	} {
		if got := returnable(address); got != want {
			t.Errorf("%s: want %v, got %v", address, want, got)
		}
	}
	_, _, err := testProvider("corp").beginAt(t)
	wantKind(t, "a callback without TLS", config.Invalid, err)
}

func (p *Provider) beginAt(t *testing.T) (string, config.Secret, error) {
	return p.Begin(t.Context(), "http://setpoint.example/")
}

func TestSettingsAreValidated(t *testing.T) {
	tests := map[string]func(*Settings){
		"auth.oidc.name":                   func(s *Settings) { s.Name = "Corp:x" },
		"auth.oidc.issuer":                 func(s *Settings) { s.Issuer = "" },
		"auth.oidc.issuer: no TLS":         func(s *Settings) { s.Issuer = "http://id.example" },
		"auth.oidc.issuer: a query":        func(s *Settings) { s.Issuer = "https://id.example?x" },
		"auth.oidc.client_id":              func(s *Settings) { s.ClientID = "" },
		"auth.oidc.client_secret_file":     func(s *Settings) { s.ClientSecretFile = "x" },
		"auth.oidc.scopes":                 func(s *Settings) { s.Scopes = []string{"profile"} },
		"auth.oidc.scopes: two in one":     func(s *Settings) { s.Scopes = []string{"openid", "a b"} },
		"auth.oidc.subject_claim":          func(s *Settings) { s.SubjectClaim = "" },
		"auth.oidc.timeout":                func(s *Settings) { s.Timeout = 0 },
		"auth.oidc.renew_every":            func(s *Settings) { s.RenewEvery = time.Second },
		"auth.oidc.introspect":             func(s *Settings) { s.Introspect, s.ClientSecret = true, config.Secret{} },
		"auth.oidc.remember":               func(s *Settings) { s.Remember = time.Hour },
		"auth.oidc.remember_most":          func(s *Settings) { s.RememberMost = 0 },
		"auth.oidc.per_address.failures":   func(s *Settings) { s.PerAddress.Failures = 0 },
		"auth.oidc.ca_file":                func(s *Settings) { s.CAFile = "/does/not/exist" },
		"auth.oidc.ca_file: no PEM":        func(s *Settings) { s.CAFile = os.DevNull },
		"auth.oidc.client_secret_file: -":  func(s *Settings) { s.ClientSecret, s.ClientSecretFile = config.Secret{}, "/does/not/exist" },
		"auth.oidc.client_secret_file: 0b": func(s *Settings) { s.ClientSecret, s.ClientSecretFile = config.Secret{}, os.DevNull },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			s := valid()
			spoil(&s)
			_, err := s.Open(t.Context(), auth.Env{})
			field, _, _ := strings.Cut(name, ":")
			if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), field+":") {
				t.Errorf("want invalid with the name of the setting, got %v", err)
			}
		})
	}
	s := valid()
	if _, err := s.Open(t.Context(), auth.Env{}); err != nil {
		t.Errorf("want the defaults to be valid, got %v", err)
	}
}

func valid() Settings {
	var s Settings
	s.Defaults()
	s.Issuer, s.ClientID, s.ClientSecret = "https://id.example", "web", config.NewSecret("secret")
	return s
}

func TestTheSecretIsReadAnewFromItsFile(t *testing.T) {
	s := valid()
	s.ClientSecret, s.ClientSecretFile = config.Secret{}, filepath.Join(t.TempDir(), "secret")
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(s.ClientSecretFile, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.secret(); got != want || err != nil {
			t.Errorf("want %s, got %q, %v", want, got, err)
		}
	}
}

func BenchmarkAuthenticateRemembered(b *testing.B) {
	s := valid()
	s.Introspect = true
	opened, err := s.Open(b.Context(), auth.Env{})
	if err != nil {
		b.Fatal(err)
	}
	a := opened.(*Authenticator)
	c := auth.Credentials{Token: config.NewSecret(strings.Repeat("x", 40))}
	a.remembered.Put(a.digest(c.Token.Reveal()), proved{id: auth.Identity{Subject: "oidc:alice"}, until: time.Now().Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
