package jwt

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func good() Settings {
	var s Settings
	s.Defaults()
	s.Issuer, s.JWKSURL, s.Audiences = issuerName, "https://issuer.example/keys", []string{audience}
	return s
}

func TestSettingsRefuse(t *testing.T) {
	tests := []struct {
		field  string
		change func(*Settings)
	}{
		{"name", func(s *Settings) { s.Name = "Corp:x" }},
		{"name", func(s *Settings) { s.Name = "" }},
		{"issuer", func(s *Settings) { s.Issuer = "" }},
		{"jwks_url", func(s *Settings) { s.JWKSURL = "" }},
		{"jwks_url", func(s *Settings) { s.JWKSFile = "keys.json" }},
		{"jwks_url", func(s *Settings) { s.JWKSURL = "http://issuer.example/keys" }},
		{"jwks_url", func(s *Settings) { s.JWKSURL = "https://me:secret@issuer.example/keys" }},
		{"jwks_url", func(s *Settings) { s.JWKSURL = "https:///keys" }},
		{"jwks_url", func(s *Settings) { s.JWKSURL = "file:///keys" }},
		{"ca_file", func(s *Settings) { s.JWKSURL, s.JWKSFile, s.CAFile = "", "keys.json", "ca.pem" }},
		{"audiences", func(s *Settings) { s.Audiences = nil }},
		{"audiences", func(s *Settings) { s.Audiences = []string{""} }},
		{"algorithms", func(s *Settings) { s.Algorithms = nil }},
		{"algorithms", func(s *Settings) { s.Algorithms = []string{"none"} }},
		{"algorithms", func(s *Settings) { s.Algorithms = []string{"RS256", "HS256"} }},
		{"subject_claim", func(s *Settings) { s.SubjectClaim = "" }},
		{"required_claims", func(s *Settings) { s.RequiredClaims = map[string]string{"org": ""} }},
		{"clock_skew", func(s *Settings) { s.ClockSkew = time.Hour }},
		{"max_lifetime", func(s *Settings) { s.MaxLifetime = -1 }},
		{"max_age", func(s *Settings) { s.MaxAge = -1 }},
		{"refresh", func(s *Settings) { s.Refresh = 0 }},
		{"refetch_wait", func(s *Settings) { s.RefetchWait = 0 }},
		{"keep_keys", func(s *Settings) { s.KeepKeys = time.Second }},
		{"timeout", func(s *Settings) { s.Timeout = time.Hour }},
		{"remember", func(s *Settings) { s.Remember = 2 * time.Hour }},
		{"remember_most", func(s *Settings) { s.RememberMost = 0 }},
		{"per_address.failures", func(s *Settings) { s.PerAddress.Failures = 0 }},
	}
	for _, test := range tests {
		s := good()
		test.change(&s)
		_, err := s.Open(t.Context(), auth.Env{})
		if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.jwt."+test.field+": ") {
			t.Errorf("want %s refused, got %v", test.field, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("want no password in the text, got %v", err)
		}
	}
	s := good()
	if err := s.Validate(); err != nil {
		t.Errorf("want good settings taken, got %v", err)
	}
}

func TestCAFileHasToBeGood(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, nil)
	for _, path := range []string{empty, empty + ".missing"} {
		s := good()
		s.CAFile = path
		if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("%s: want it refused, got %v", path, err)
		}
	}
}

func TestItTellsItsProvider(t *testing.T) {
	f := setUp(t)
	federation, ok := f.Authenticator.(auth.Federation)
	if !ok || len(federation.Providers()) != 1 || federation.Providers()[0].Provider() != "corp" {
		t.Errorf("want the provider corp, got %v", federation)
	}
}
