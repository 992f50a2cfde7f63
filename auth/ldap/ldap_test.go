package ldap

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "correct horse battery"
	address  = "192.0.2.7"
	alice    = "corp:alice"
)

func credentials(user, password string) auth.Credentials {
	return auth.Credentials{Username: user, Password: config.NewSecret(password), Address: address}
}

// defaults are settings for the directory of the tests, without its address.
func defaults() *Settings {
	s := new(Settings)
	s.Defaults()
	s.Provider = "corp"
	s.BaseDN = "ou=people,dc=example,dc=org"
	s.BindDN, s.BindPassword = "cn=setpoint,dc=example,dc=org", config.NewSecret("service secret")
	s.GroupBaseDN = "ou=groups,dc=example,dc=org"
	return s
}

// over makes settings for the server, by LDAPS.
func over(server *slapd, change ...func(*Settings)) *Settings {
	s := defaults()
	s.URL, s.CAFile = "ldaps://"+server.secure, server.ca
	for _, f := range change {
		f(s)
	}
	return s
}

func direct(s *Settings) {
	s.BindDN, s.BindPassword, s.BaseDN = "", config.Secret{}, ""
	s.UserDN = "uid={username},ou=people,dc=example,dc=org"
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type fixture struct {
	*Authenticator
	clock *clock
	users *authtest.Directory
	log   *record
}

// record is a log that a test can read.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func opened(tb testing.TB, s *Settings) *fixture {
	tb.Helper()
	f := &fixture{
		clock: &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)},
		users: authtest.NewDirectory(auth.User{Name: "local", PasswordHash: "x"}),
		log:   new(record),
	}
	a, err := s.Open(tb.Context(), auth.Env{Directory: f.users, Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	f.Authenticator = a.(*Authenticator)
	tb.Cleanup(func() { f.Close() })
	return f
}

// login returns what comes of a user name and password.
func (f *fixture) login(t *testing.T, user, password string) (auth.Identity, error) {
	t.Helper()
	id, ok, err := f.Authenticate(t.Context(), credentials(user, password))
	if !ok || id.Anonymous() != (err != nil) {
		t.Fatalf("want it taken, with an identity or an error; got %+v, taken %v, %v", id, ok, err)
	}
	return id, err
}

func wantKind(t *testing.T, what string, want config.ErrorKind, err error) {
	t.Helper()
	if err == nil || config.KindOf(err) != want {
		t.Errorf("%s: want %s, got %v", what, want, err)
	}
}

func wantIdentity(t *testing.T, want, got auth.Identity) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// aliceIn is who alice is, in groups.
func aliceIn(groups ...string) auth.Identity {
	return auth.Identity{Subject: alice, Provider: "corp", Groups: groups, Method: Name}
}

func TestConformance(t *testing.T) {
	server := startSlapd(t)
	modes := map[string]func(*Settings){"search and bind": func(*Settings) {}, "direct bind": direct}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			authtest.Authenticator(t, func(t *testing.T) authtest.Proof {
				return authtest.Proof{
					Authenticator: opened(t, over(server, mode)), User: alice, External: true, Method: Name,
					Right: credentials(alice, password),
					Wrong: map[string]auth.Credentials{
						"wrong password":        credentials(alice, "incorrect horse"),
						"another's password":    credentials(alice, "another secret"),
						"no password":           credentials(alice, ""),
						"password and a NUL":    credentials(alice, password+"\x00"),
						"password too long":     credentials(alice, strings.Repeat(password, 100)),
						"unknown user":          credentials("corp:nobody", password),
						"no name":               credentials("corp:", password),
						"no password there":     credentials("corp:nopassword", "x"),
						"two names":             credentials("corp:carol", "carols secret"),
						"anybody":               credentials("corp:*", password),
						"beginning":             credentials("corp:al*", password),
						"closes the filter":     credentials("corp:*)(uid=*", password),
						"closes it after alice": credentials("corp:alice)(objectClass=*", password),
						"or":                    credentials("corp:x)(|(uid=alice", password),
						"escaped star":          credentials(`corp:\2a`, password),
						"NUL":                   credentials("corp:alice\x00", password),
						"NUL and more":          credentials("corp:alice\x00)(uid=*", password),
						"escaped NUL":           credentials(`corp:alice\00`, password),
						"another part":          credentials("corp:alice,ou=people", password),
						"a whole DN":            credentials("corp:uid=alice,ou=people,dc=example,dc=org", password),
						"another place":         credentials("corp:setpoint,dc=example,dc=org", "service secret"),
						"two attributes":        credentials("corp:alice+cn=Alice Example", password),
						"as hexadecimal":        credentials("corp:#0405616c696365", password),
						"no UTF-8":              credentials("corp:alice\xff", password),
						"long":                  credentials("corp:"+strings.Repeat("a", 100_000), password),
					},
					Foreign: map[string]auth.Credentials{
						"a bearer token":         {Token: config.NewSecret("sp_x")},
						"another provider":       credentials("home:alice", password),
						"another's in capitals":  credentials("CORP:alice", password),
						"a bare name":            credentials("alice", password),
						"a user that is here":    credentials("local", password),
						"a password and no user": credentials("", password),
					},
				}
			})
		})
	}
}

func TestGroups(t *testing.T) {
	server := startSlapd(t)
	all := []string{"corp:circle", "corp:engineering", "corp:everyone", "corp:platform"}
	tests := []struct {
		name   string
		change func(*Settings)
		want   []string
	}{
		{"nested, and in a circle", func(*Settings) {}, all},
		{"own only", func(s *Settings) { s.Nested = 0 }, all[3:]},
		{"one level", func(s *Settings) { s.Nested = 1 }, []string{all[1], all[3]}},
		{"none", func(s *Settings) { s.GroupBaseDN = "" }, nil},
		{"by another attribute", func(s *Settings) { s.GroupAttribute = "description" }, nil},
		{"memberOf, nested", func(s *Settings) { s.MemberOf = "memberOf" }, all},
		{"memberOf, own only", func(s *Settings) { s.MemberOf, s.Nested = "memberof", 0 }, all[3:]},
		{"memberOf, below another entry", func(s *Settings) { s.MemberOf, s.GroupBaseDN = "memberOf", "ou=elsewhere,dc=example,dc=org" }, []string{"corp:admins"}},
		{"direct", direct, all},
		{"direct, memberOf", func(s *Settings) { direct(s); s.MemberOf = "memberOf" }, all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := opened(t, over(server, test.change))
			id, err := f.login(t, alice, password)
			if err != nil {
				t.Fatalf("%v\n%s", err, f.log)
			}
			wantIdentity(t, aliceIn(test.want...), id)
		})
	}
}

func TestNameIsTheDirectorysSpelling(t *testing.T) {
	server := startSlapd(t)
	both := func(s *Settings) { s.UserFilter = "(|(uid={username})(mail={username}))" }
	modes := map[string]func(*Settings){"search": both, "direct": direct}
	for mode, change := range modes {
		f := opened(t, over(server, change))
		spellings := []string{"corp:alice", "corp:ALICE", "corp:Alice"}
		if mode == "search" {
			spellings = append(spellings, "corp:alice@example.org", "corp:Alice@Example.org")
		}
		for _, spelling := range spellings {
			id, err := f.login(t, spelling, password)
			if err != nil || id.Subject != alice {
				t.Errorf("%s, %s: want %s, got %+v, %v", mode, spelling, alice, id, err)
			}
		}
		odd := `corp:o'hara, "x"+#(*)\`
		if id, err := f.login(t, odd, "odd secret"); err != nil || id.Subject != odd {
			t.Errorf("%s: want %s, got %+v, %v\n%s", mode, odd, id, err, f.log)
		}
	}
	f := opened(t, over(server, both))
	_, err := f.login(t, "corp:shared@example.org", "another secret")
	wantKind(t, "a name that two users have", config.Unauthenticated, err)
	if !strings.Contains(f.log.String(), "several users") {
		t.Errorf("want the operator told, got the log %s", f.log)
	}
}

func TestGuessesAreCountedForTheUserWhateverTheSpelling(t *testing.T) {
	f := opened(t, over(startSlapd(t), func(s *Settings) {
		s.UserFilter = "(|(uid={username})(mail={username}))"
		s.PerUser.Failures = 3
	}))
	for _, name := range []string{"corp:alice", "corp:ALICE", "corp:alice@example.org"} {
		_, err := f.login(t, name, "wrong")
		wantKind(t, name, config.Unauthenticated, err)
	}
	_, err := f.login(t, "corp:alice@Example.org", password)
	wantKind(t, "after three", config.Throttled, err)
	f.clock.pass(time.Minute)
	if _, err := f.login(t, alice, password); err != nil {
		t.Errorf("want it to pass after a wait, got %v", err)
	}
}

func TestStrangersCannotKeepAUserOut(t *testing.T) {
	f := opened(t, over(startSlapd(t)))
	if _, err := f.login(t, alice, password); err != nil {
		t.Fatal(err)
	}
	f.clock.pass(time.Hour) // the password is no longer remembered, the address is
	stranger := func(password string) error {
		c := credentials(alice, password)
		c.Address = "198.51.100.1"
		_, _, err := f.Authenticate(t.Context(), c)
		return err
	}
	for range 5 {
		wantKind(t, "a guess", config.Unauthenticated, stranger("guess"))
	}
	wantKind(t, "from elsewhere", config.Throttled, stranger(password))
	if _, err := f.login(t, alice, password); err != nil {
		t.Errorf("want the user in from where it came before, got %v", err)
	}
	f.clock.pass(time.Hour)
	for range 5 {
		_, err := f.login(t, alice, "guess")
		wantKind(t, "a guess from there", config.Unauthenticated, err)
	}
	_, err := f.login(t, alice, password)
	wantKind(t, "after guesses from there", config.Throttled, err)
}

func TestStartTLS(t *testing.T) {
	server := startSlapd(t)
	start := func(s *Settings) { s.URL, s.StartTLS = "ldap://"+server.plain, true }
	named := func(s *Settings) { s.ServerName = "directory.example.org" }
	for name, change := range map[string]func(*Settings){
		"search": start, "direct": func(s *Settings) { start(s); direct(s) }, "by another name": func(s *Settings) { start(s); named(s) },
		"ldaps by another name": named,
	} {
		t.Run(name, func(t *testing.T) {
			f := opened(t, over(server, change))
			if _, err := f.login(t, alice, password); err != nil {
				t.Errorf("want it proved, got %v\n%s", err, f.log)
			}
		})
	}
}

func TestBareNames(t *testing.T) {
	f := opened(t, over(startSlapd(t), func(s *Settings) { s.AcceptBare = true }))
	id, err := f.login(t, "alice", password)
	if err != nil || id.Subject != alice {
		t.Errorf("want %s, got %+v, %v", alice, id, err)
	}
	f.users.PutUser(auth.User{Name: "alice"})
	if id, ok, err := f.Authenticate(t.Context(), credentials("alice", password)); ok || err != nil || !id.Anonymous() {
		t.Errorf("want a user that is kept here left to basic, remembered or not; got %+v, taken %v, %v", id, ok, err)
	}
	if _, err := f.login(t, alice, password); err != nil {
		t.Errorf("want the provider's user proved by its full name, got %v", err)
	}
}

func TestPasswordFileIsReadForEachConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	f := opened(t, over(startSlapd(t), func(s *Settings) { s.BindPassword, s.BindPasswordFile, s.Remember = config.Secret{}, file, 0 }))
	for _, bad := range []string{"wrong", "\n", strings.Repeat("x", 2000)} {
		write(bad)
		_, err := f.login(t, alice, password)
		wantKind(t, "the driver's own password is wrong", config.Unavailable, err)
	}
	write("service secret\n")
	if _, err := f.login(t, alice, password); err != nil {
		t.Errorf("want it proved with the new password, got %v", err)
	}
	if strings.Contains(f.log.String(), "secret") || strings.Contains(f.log.String(), "horse") {
		t.Errorf("want no password in the log, got %s", f.log)
	}
}

func TestRememberedWhileTheDirectoryIsDown(t *testing.T) {
	server := startSlapd(t)
	f := opened(t, over(server))
	want, err := f.login(t, alice, password)
	if err != nil {
		t.Fatal(err)
	}
	server.stop(t)
	got, err := f.login(t, alice, password)
	if err != nil {
		t.Fatalf("want it remembered, got %v", err)
	}
	wantIdentity(t, want, got)
	_, err = f.login(t, alice, password+"!")
	wantKind(t, "another password while it is down", config.Unavailable, err)
	f.clock.pass(time.Minute)
	_, err = f.login(t, alice, password)
	wantKind(t, "after a minute", config.Unavailable, err)
	if wait := f.perUser.Wait(" name alice"); wait != 0 {
		t.Errorf("want nothing counted while the directory did not decide, got a wait of %s", wait)
	}
}

func TestDirectoryThatCannotBeReachedIsLeftAloneForAMoment(t *testing.T) {
	server := startFake(t, obliging)
	s := server.settings(func(s *Settings) { s.Remember = 0 })
	address := server.listener.Addr().String()
	server.stop()
	f := opened(t, s)
	_, err := f.login(t, alice, password)
	wantKind(t, "nobody there", config.Unavailable, err)

	again := startFake(t, obliging)
	f.dialer.address = again.listener.Addr().String() // in the place of the other
	if f.dialer.tls.RootCAs, err = authorities(again.ca); err != nil {
		t.Fatal(err)
	}
	_, err = f.login(t, alice, password)
	wantKind(t, "a moment later", config.Unavailable, err)
	if saw := again.saw(); len(saw) != 0 || !strings.Contains(f.log.String(), address) {
		t.Errorf("want it not tried, and the log to say what was; it saw %q, got the log %s", saw, f.log)
	}
	f.clock.pass(retryAfter)
	if _, err := f.login(t, alice, password); err != nil {
		t.Errorf("want it tried again, got %v", err)
	}
}

func TestPooledConnections(t *testing.T) {
	f := opened(t, over(startSlapd(t), func(s *Settings) { s.Remember = 0 }))
	login := func() {
		t.Helper()
		if _, err := f.login(t, alice, password); err != nil {
			t.Fatalf("%v\n%s", err, f.log)
		}
	}
	login()
	first := f.pool.idle[0]
	who, err := first.ldap.WhoAmI(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "dn:cn=setpoint,dc=example,dc=org", who.AuthzID; got != want {
		t.Errorf("want the kept connection bound as the driver, %s, got %s", want, got)
	}
	login()
	if f.pool.idle[0] != first || len(f.pool.idle) != 1 {
		t.Errorf("want the connection used again, got %d others", len(f.pool.idle))
	}
	_ = first.tcp.Close() // as a directory that ends what is idle
	login()
	if f.pool.idle[0] == first {
		t.Error("want a broken connection replaced")
	}
	second := f.pool.idle[0]
	f.clock.pass(time.Minute)
	login()
	if f.pool.idle[0] == second {
		t.Error("want a connection that was idle for long replaced")
	}
	f.Close()
	login()
	if len(f.pool.idle) != 0 {
		t.Error("want nothing kept after Close")
	}
}

func TestManyLoginsAtOnceStayWithinBounds(t *testing.T) {
	f := opened(t, over(startSlapd(t), func(s *Settings) { s.Connections, s.Remember = 2, 0 }))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, _, err := f.Authenticate(t.Context(), credentials(alice, password)); err != nil {
				t.Errorf("want each proved in its turn, got %v", err)
			}
		})
	}
	all.Wait()
	if n := len(f.pool.idle); n > 2 {
		t.Errorf("want at most 2 connections kept, got %d", n)
	}
	if n := f.waiting.Load(); n != 0 {
		t.Errorf("want nobody left waiting, got %d", n)
	}
}

func TestWaitingForATurnEnds(t *testing.T) {
	f := opened(t, over(&slapd{secure: "127.0.0.1:1", ca: newAuthority(t).file}, func(s *Settings) { s.Connections = 1 }))
	f.slots <- struct{}{}
	f.settings.Timeout = time.Millisecond
	_, err := f.login(t, alice, password)
	wantKind(t, "no turn in time", config.Unavailable, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = f.Authenticate(gone, credentials(alice, password))
	wantKind(t, "the caller went away", config.Canceled, err)
	f.waiting.Store(longestQueue)
	_, err = f.login(t, alice, password)
	wantKind(t, "the queue is full", config.Throttled, err)
}

func BenchmarkRemembered(b *testing.B) {
	f := opened(b, over(&slapd{secure: "127.0.0.1:1", ca: newAuthority(b).file}))
	c := credentials(alice, password)
	f.remembered.right.Put(f.remembered.digest(c.Username, password), aliceIn("corp:platform"))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAsked(b *testing.B) {
	f := opened(b, over(startSlapd(b), func(s *Settings) { s.Remember = 0 }))
	for b.Loop() {
		if _, _, err := f.Authenticate(b.Context(), credentials(alice, password)); err != nil {
			b.Fatal(err)
		}
	}
}
