package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/config"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// fixture is a directory with one user and one token of its.
type fixture struct {
	auth.Authenticator
	directory *authtest.Directory
	clock     *clock
	token     auth.Token
	right     auth.Credentials
}

func open(tb testing.TB) *fixture {
	tb.Helper()
	id, full, hash := auth.NewBearer()
	f := &fixture{
		directory: authtest.NewDirectory(auth.User{Name: "ci", Service: true}),
		clock:     &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)},
		token:     auth.Token{ID: id, User: "ci", SecretHash: hash},
		right:     auth.Credentials{Token: full, Address: "192.0.2.7"},
	}
	f.directory.PutToken(f.token)
	var s token.Settings
	s.Defaults()
	a, err := s.Open(tb.Context(), auth.Env{Directory: f.directory, Now: f.clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	f.Authenticator = a
	return f
}

// wrong returns the right credentials with another text.
func (f *fixture) wrong(change func(text string) string) auth.Credentials {
	c := f.right
	c.Token = config.NewSecret(change(c.Token.Reveal()))
	return c
}

func (f *fixture) wrongs() map[string]auth.Credentials {
	_, stranger, _ := auth.NewBearer()
	return map[string]auth.Credentials{
		"unknown":          f.wrong(func(string) string { return stranger.Reveal() }),
		"another's secret": f.wrong(func(s string) string { return s[:16] + stranger.Reveal()[16:] }),
		"another's id":     f.wrong(func(s string) string { return stranger.Reveal()[:16] + s[16:] }),
		"cut":              f.wrong(func(s string) string { return s[:len(s)-1] }),
		"the prefix alone": f.wrong(func(string) string { return "sp_" }),
		"with white space": f.wrong(func(s string) string { return s + "\n" }),
	}
}

func TestConformance(t *testing.T) {
	authtest.Authenticator(t, func(t *testing.T) authtest.Proof {
		f := open(t)
		return authtest.Proof{
			Authenticator: f, Directory: f.directory, User: "ci", Method: token.Name, Right: f.right, Wrong: f.wrongs(),
			Foreign: map[string]auth.Credentials{
				"a password":          {Username: "ci", Password: config.NewSecret("correct horse")},
				"another's sort":      {Token: config.NewSecret("eyJhbGciOiJIUzI1NiJ9.e30.x")},
				"an upper-case one":   {Token: config.NewSecret("SP_")},
				"a token as a name":   {Username: f.right.Token.Reveal()},
				"a token as password": {Username: "ci", Password: f.right.Token},
			},
		}
	})
}

func TestIdentityTellsOfTheToken(t *testing.T) {
	viewer := []auth.Grant{authtest.Grant(t, auth.RoleViewer, "acme")}
	tests := []struct {
		name   string
		change func(*auth.Token)
		want   auth.Identity
	}{
		{"an API token", func(*auth.Token) {}, auth.Identity{}},
		{"a session", func(tok *auth.Token) { tok.Session = true }, auth.Identity{Session: true}},
		{"a session of somebody known elsewhere", func(tok *auth.Token) {
			tok.Session, tok.User, tok.Provider, tok.Groups = true, "corp:alice", "corp", []string{"corp:ops"}
		}, auth.Identity{Subject: "corp:alice", Provider: "corp", Groups: []string{"corp:ops"}, Session: true}},
		{"a narrowed one", func(tok *auth.Token) { tok.Grants = viewer }, auth.Identity{Narrow: viewer}},
		{"an empty list of grants narrows nothing", func(tok *auth.Token) { tok.Grants = []auth.Grant{} }, auth.Identity{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			test.change(&f.token)
			f.directory.PutToken(f.token)
			test.want.Subject, test.want.Method, test.want.TokenID = f.token.User, "token", f.token.ID
			got, ok, err := f.Authenticate(t.Context(), f.right)
			if err != nil || !ok {
				t.Fatalf("want it proved, got taken %v, %v", ok, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExpiredIsSaidOnlyToWhoHasTheSecret(t *testing.T) {
	f := open(t)
	f.token.ExpiresAt = f.clock.now.Add(time.Hour)
	f.directory.PutToken(f.token)
	if _, _, err := f.Authenticate(t.Context(), f.right); err != nil {
		t.Fatalf("want it good before its time, got %v", err)
	}
	f.clock.now = f.token.ExpiresAt
	_, _, err := f.Authenticate(t.Context(), f.right)
	if config.KindOf(err) != config.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Errorf("want unauthenticated with expired in its text, got %v", err)
	}
	for name, c := range f.wrongs() {
		if _, _, err := f.Authenticate(t.Context(), c); err == nil || strings.Contains(err.Error(), "expired") {
			t.Errorf("%s: want an error that does not tell of expiry, got %v", name, err)
		}
	}
}

// Only a session can be of somebody whom a provider vouches for.
func TestTokenOfNobodyHereIsRefused(t *testing.T) {
	for name, change := range map[string]func(*auth.Token){
		"an API token": func(tok *auth.Token) { tok.Provider = "corp" },
		"no provider":  func(tok *auth.Token) { tok.Session = true },
	} {
		f := open(t)
		f.token.User = "corp:alice"
		change(&f.token)
		f.directory.PutToken(f.token)
		if id, _, err := f.Authenticate(t.Context(), f.right); config.KindOf(err) != config.Unauthenticated || !id.Anonymous() {
			t.Errorf("%s: want unauthenticated, got %+v, %v", name, id, err)
		}
	}
}

// noter is a directory that remembers what it is told of use.
type noter struct {
	*authtest.Directory
	idle  bool
	noted []string
}

func (n *noter) NoteUse(session *auth.Token, _ time.Time) bool {
	n.noted = append(n.noted, session.ID)
	return !n.idle
}

func TestUseIsNoted(t *testing.T) {
	tests := []struct {
		name   string
		change func(*auth.Token)
		wrong  bool
		want   int
	}{
		{"of a session that can idle out", func(tok *auth.Token) { tok.Session, tok.IdleAfter = true, 60 }, false, 1},
		{"of none that cannot", func(tok *auth.Token) { tok.Session = true }, false, 0},
		{"of none without its secret", func(tok *auth.Token) { tok.Session, tok.IdleAfter = true, 60 }, true, 0},
		{"of none that has expired", func(tok *auth.Token) {
			tok.Session, tok.IdleAfter, tok.ExpiresAt = true, 60, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		}, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			test.change(&f.token)
			f.directory.PutToken(f.token)
			n := &noter{Directory: f.directory}
			a := reopen(t, n, f.clock)
			c := f.right
			if test.wrong {
				c = f.wrongs()["another's secret"]
			}
			_, _, err := a.Authenticate(t.Context(), c)
			if refused := err != nil; len(n.noted) != test.want || refused != (test.wrong || !f.token.ExpiresAt.IsZero()) {
				t.Errorf("want %d uses noted, got %v, %v", test.want, n.noted, err)
			}
		})
	}
}

func reopen(tb testing.TB, d auth.Directory, c *clock) auth.Authenticator {
	tb.Helper()
	var s token.Settings
	s.Defaults()
	a, err := s.Open(tb.Context(), auth.Env{Directory: d, Now: c.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Where nothing remembers use, what the store says of it decides.
func TestIdleSessionIsRefusedAndSaidToBe(t *testing.T) {
	f := open(t)
	f.token.Session, f.token.IdleAfter, f.token.CreatedAt = true, 3600, f.clock.now
	f.directory.PutToken(f.token)
	noting := &noter{Directory: f.directory}
	for name, a := range map[string]auth.Authenticator{"by the store": f, "by the node": reopen(t, noting, f.clock)} {
		f.clock.now = f.token.CreatedAt.Add(time.Hour - 1)
		noting.idle = false
		if _, _, err := a.Authenticate(t.Context(), f.right); err != nil {
			t.Errorf("%s: want it good before its time, got %v", name, err)
		}
		f.clock.now = f.token.CreatedAt.Add(time.Hour)
		noting.idle = true
		id, ok, err := a.Authenticate(t.Context(), f.right)
		if !ok || !id.Anonymous() || config.KindOf(err) != config.Unauthenticated || !strings.Contains(err.Error(), "not used for 1h0m0s") {
			t.Errorf("%s: want unauthenticated, as it was not used for an hour; got %+v, %v", name, id, err)
		}
		for wrong, c := range f.wrongs() {
			if _, _, err := a.Authenticate(t.Context(), c); err == nil || strings.Contains(err.Error(), "not used") {
				t.Errorf("%s, %s: want an error that does not tell of use, got %v", name, wrong, err)
			}
		}
	}
}

func TestRevokedIsRefusedAtOnce(t *testing.T) {
	f := open(t)
	f.directory.DeleteToken(f.token.ID)
	if _, _, err := f.Authenticate(t.Context(), f.right); config.KindOf(err) != config.Unauthenticated {
		t.Errorf("want unauthenticated, got %v", err)
	}
}

func TestFailuresAreSlowedByAddress(t *testing.T) {
	f := open(t)
	bad := f.wrongs()["unknown"]
	for range 30 {
		if _, _, err := f.Authenticate(t.Context(), bad); config.KindOf(err) != config.Unauthenticated {
			t.Fatalf("want the first failures answered, got %v", err)
		}
	}
	_, _, err := f.Authenticate(t.Context(), bad)
	var again *auth.RetryAfter
	if !errors.As(err, &again) || again.Wait != time.Second {
		t.Errorf("want a wait of 1s, got %v", err)
	}
	elsewhere := bad
	elsewhere.Address = "192.0.2.8"
	if _, _, err := f.Authenticate(t.Context(), elsewhere); config.KindOf(err) != config.Unauthenticated {
		t.Errorf("want another address answered, got %v", err)
	}
	if _, _, err := f.Authenticate(t.Context(), f.right); err != nil {
		t.Errorf("want a right token to pass from the same address, got %v", err)
	}
	f.clock.now = f.clock.now.Add(again.Wait)
	if _, _, err := f.Authenticate(t.Context(), bad); config.KindOf(err) != config.Unauthenticated {
		t.Errorf("want an answer after the wait, got %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	var s token.Settings
	s.Defaults()
	if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Internal {
		t.Errorf("want an internal error without a directory, got %v", err)
	}
	s.PerAddress.Failures = 0
	_, err := s.Open(t.Context(), auth.Env{Directory: authtest.NewDirectory()})
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.token.per_address.failures") {
		t.Errorf("want the setting refused by its name, got %v", err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	f := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Authenticate(b.Context(), f.right); err != nil {
			b.Fatal(err)
		}
	}
}
