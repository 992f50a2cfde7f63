package ldap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

func TestSettingsAreValidated(t *testing.T) {
	secret := config.NewSecret("x")
	tests := map[string]struct {
		field  string
		change func(*Settings)
	}{
		"no provider":              {"name", func(s *Settings) { s.Provider = "" }},
		"a provider with a colon":  {"name", func(s *Settings) { s.Provider = "a:b" }},
		"no url":                   {"url", func(s *Settings) { s.URL = "" }},
		"another scheme":           {"url", func(s *Settings) { s.URL = "https://ldap.example.org" }},
		"no host":                  {"url", func(s *Settings) { s.URL = "ldaps://" }},
		"no port":                  {"url", func(s *Settings) { s.URL = "ldaps://host:x" }},
		"a password in the url":    {"url", func(s *Settings) { s.URL = "ldaps://user:x@host" }},
		"a base in the url":        {"url", func(s *Settings) { s.URL = "ldaps://host/dc=example" }},
		"plain":                    {"url", func(s *Settings) { s.URL = "ldap://127.0.0.1" }},
		"plain, elsewhere":         {"plain_loopback", func(s *Settings) { s.URL, s.PlainLoopback = "ldap://192.0.2.1", true }},
		"plain, a name":            {"plain_loopback", func(s *Settings) { s.URL, s.PlainLoopback = "ldap://localhost", true }},
		"TLS in TLS":               {"start_tls", func(s *Settings) { s.StartTLS = true }},
		"no base":                  {"base_dn", func(s *Settings) { s.BaseDN = "" }},
		"base is no DN":            {"base_dn", func(s *Settings) { s.BaseDN = "example.org" }},
		"bind_dn is no DN":         {"bind_dn", func(s *Settings) { s.BindDN = "setpoint" }},
		"no bind password":         {"bind_password", func(s *Settings) { s.BindPassword = config.Secret{} }},
		"a password for nobody":    {"bind_password", func(s *Settings) { s.BindDN = "" }},
		"two passwords":            {"bind_password_file", func(s *Settings) { s.BindPasswordFile = "x" }},
		"both modes":               {"user_dn", func(s *Settings) { s.UserDN = "uid={username},dc=example" }},
		"user_dn without a name":   {"user_dn", func(s *Settings) { direct(s); s.UserDN = "uid=x,dc=example" }},
		"user_dn with two":         {"user_dn", func(s *Settings) { direct(s); s.UserDN = "uid={username},cn={username}" }},
		"user_dn is no DN":         {"user_dn", func(s *Settings) { direct(s); s.UserDN = "{username}@example.org" }},
		"user_dn, attribute":       {"user_dn", func(s *Settings) { direct(s); s.UserDN = "{username}=x,dc=example" }},
		"filter without a name":    {"user_filter", func(s *Settings) { s.UserFilter = "(uid=x)" }},
		"filter is none":           {"user_filter", func(s *Settings) { s.UserFilter = "uid={username}" }},
		"filter, attribute":        {"user_filter", func(s *Settings) { s.UserFilter = "({username}" }},
		"no attribute":             {"user_attribute", func(s *Settings) { s.UserAttribute = "" }},
		"attribute is none":        {"user_attribute", func(s *Settings) { s.UserAttribute = "*" }},
		"group base is no DN":      {"group_base_dn", func(s *Settings) { s.GroupBaseDN = "groups" }},
		"member_of anywhere":       {"group_base_dn", func(s *Settings) { s.MemberOf, s.GroupBaseDN = "memberOf", "" }},
		"group filter":             {"group_filter", func(s *Settings) { s.GroupFilter = "(member=x)" }},
		"group attribute":          {"group_attribute", func(s *Settings) { s.GroupAttribute = "c n" }},
		"member_of is none":        {"member_of", func(s *Settings) { s.MemberOf = "(x)" }},
		"nested less than nothing": {"nested", func(s *Settings) { s.Nested = -1 }},
		"nested without end":       {"nested", func(s *Settings) { s.Nested = 11 }},
		"no time to connect":       {"connect_timeout", func(s *Settings) { s.ConnectTimeout = 0 }},
		"a question for ever":      {"request_timeout", func(s *Settings) { s.RequestTimeout = time.Hour }},
		"a login for ever":         {"timeout", func(s *Settings) { s.Timeout = time.Hour }},
		"no connection":            {"connections", func(s *Settings) { s.Connections = 0 }},
		"too many connections":     {"connections", func(s *Settings) { s.Connections = 257 }},
		"idle":                     {"idle_time", func(s *Settings) { s.IdleTime = -1 }},
		"remembered for long":      {"remember", func(s *Settings) { s.Remember = 2 * time.Hour }},
		"nobody remembered":        {"remember_most", func(s *Settings) { s.RememberMost = 0 }},
		"per user":                 {"per_user.failures", func(s *Settings) { s.PerUser.Failures = 0 }},
		"per address":              {"per_address.failures", func(s *Settings) { s.PerAddress.Failures = 0 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := defaults()
			s.URL, s.BindPassword = "ldaps://directory.example.org", secret
			if err := s.Validate(); err != nil {
				t.Fatalf("want the settings right before the change, got %v", err)
			}
			test.change(s)
			err := s.Validate()
			if want := place + "." + test.field; config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), want) {
				t.Errorf("want invalid for %s, got %v", want, err)
			}
			if _, err := s.Open(t.Context(), auth.Env{Directory: authtest.NewDirectory()}); config.KindOf(err) != config.Invalid {
				t.Errorf("want it not opened, got %v", err)
			}
		})
	}
}

func TestSettingsThatAreRight(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"ldaps":        func(s *Settings) { s.URL = "ldaps://directory.example.org:1636/" },
		"start tls":    func(s *Settings) { s.URL, s.StartTLS = "ldap://directory.example.org", true },
		"plain, IPv4":  func(s *Settings) { s.URL, s.PlainLoopback = "ldap://127.0.0.1:389", true },
		"plain, IPv6":  func(s *Settings) { s.URL, s.PlainLoopback = "ldap://[::1]:389", true },
		"nobody looks": func(s *Settings) { s.BindDN, s.BindPassword = "", config.Secret{} },
		"direct":       direct,
		"Active Directory": func(s *Settings) {
			s.UserFilter, s.UserAttribute = "(&(objectCategory=person)(sAMAccountName={username}))", "sAMAccountName"
			s.GroupFilter, s.Nested = "(member:1.2.840.113556.1.4.1941:={dn})", 0
		},
	} {
		s := defaults()
		s.URL = "ldaps://directory.example.org"
		change(s)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: want it right, got %v", name, err)
		}
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := auth.Env{Directory: authtest.NewDirectory()}
	for _, file := range []string{empty, empty + ".missing"} {
		s := defaults()
		s.URL, s.CAFile = "ldaps://directory.example.org", file
		_, err := s.Open(t.Context(), env)
		wantKind(t, file, config.Invalid, err)
	}
	s := defaults()
	s.URL = "ldaps://directory.example.org"
	_, err := s.Open(t.Context(), auth.Env{})
	wantKind(t, "no users", config.Internal, err)
}

func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"ldaps://host":       "host:636",
		"ldap://host":        "host:389",
		"ldaps://host:1636":  "host:1636",
		"ldaps://[::1]":      "[::1]:636",
		"ldap://[::1]:1389/": "[::1]:1389",
	} {
		if _, got, _, err := (&Settings{URL: url}).address(); err != nil || got != want {
			t.Errorf("%s: want %s, got %s, %v", url, want, got, err)
		}
	}
}
