package basic

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

const password = "correct horse battery"

// quick are parameters below what settings accept, so that the tests that are
// not about hashing do not spend their time on it.
func quick() params { return params{memory: 64, time: 1, threads: 1} }

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

type fixture struct {
	*Authenticator
	directory *authtest.Directory
	clock     *clock
	alice     auth.User
}

func openWith(tb testing.TB, p params) *fixture {
	tb.Helper()
	f := &fixture{
		clock: &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)},
		alice: auth.User{Name: "alice", PasswordHash: newHash(p, []byte(password)).String()},
	}
	f.directory = authtest.NewDirectory(f.alice)
	var s Settings
	s.Defaults()
	a, err := s.Open(tb.Context(), auth.Env{Directory: f.directory, Now: f.clock.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	f.Authenticator = a.(*Authenticator)
	f.params, f.dummy = p, dummyHash(p)
	return f
}

// login returns what comes of a user name and password from an address.
func (f *fixture) login(t *testing.T, user, password, address string) error {
	t.Helper()
	id, ok, err := f.Authenticate(t.Context(), credentials(user, password, address))
	if !ok || id.Anonymous() != (err != nil) {
		t.Fatalf("want it taken, with an identity or an error; got %+v, taken %v, %v", id, ok, err)
	}
	return err
}

func credentials(user, password, address string) auth.Credentials {
	return auth.Credentials{Username: user, Password: config.NewSecret(password), Address: address}
}

func wantKind(t *testing.T, what string, want config.ErrorKind, err error) {
	t.Helper()
	if err == nil || config.KindOf(err) != want {
		t.Errorf("%s: want %s, got %v", what, want, err)
	}
}

func TestConformance(t *testing.T) {
	authtest.Authenticator(t, func(t *testing.T) authtest.Proof {
		f := openWith(t, quick())
		f.directory.PutUser(auth.User{Name: "robot", Service: true})
		f.directory.PutUser(auth.User{Name: "fallen", Disabled: true, PasswordHash: f.alice.PasswordHash})
		f.directory.PutUser(auth.User{Name: "broken", PasswordHash: "$2a$10$not-argon2id"})
		const address = "192.0.2.7"
		return authtest.Proof{
			Authenticator: f, Directory: f.directory, User: "alice", Method: Name,
			Right: credentials("alice", password, address),
			Wrong: map[string]auth.Credentials{
				"wrong password":    credentials("alice", "incorrect horse", address),
				"no password":       credentials("alice", "", address),
				"password and more": credentials("alice", password+" ", address),
				"password too long": credentials("alice", strings.Repeat(password, 100), address),
				"unknown user":      credentials("bob", password, address),
				"no user":           credentials("", password, address),
				"another case":      credentials("Alice", password, address),
				"service user":      credentials("robot", password, address),
				"disabled user":     credentials("fallen", password, address),
				"unreadable hash":   credentials("broken", password, address),
			},
			Foreign: map[string]auth.Credentials{
				"a bearer token":                  {Token: config.NewSecret("sp_x")},
				"a provider's user":               credentials("corp:alice", password, address),
				"a provider's user, no password":  credentials("corp:alice", "", address),
				"a name that is only a separator": credentials(":", password, address),
			},
		}
	})
}

func TestDefaultsAreAsStrongAsOWASPAsks(t *testing.T) {
	f := openWith(t, params{memory: 19456, time: 2, threads: 1})
	hash, err := f.Hash(t.Context(), config.NewSecret("another long password"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(hash, want) {
		t.Errorf("want %s…, got %s", want, hash)
	}
	f.directory.PutUser(auth.User{Name: "bob", PasswordHash: hash})
	if err := f.login(t, "bob", "another long password", ""); err != nil {
		t.Errorf("want the new password to work, got %v", err)
	}
	wantKind(t, "another password", config.Unauthenticated, f.login(t, "bob", password, ""))
}

func TestStoredParametersAreHonoured(t *testing.T) {
	f := openWith(t, quick())
	f.alice.PasswordHash = newHash(params{memory: 128, time: 3, threads: 2}, []byte(password)).String()
	f.directory.PutUser(f.alice)
	if err := f.login(t, "alice", password, ""); err != nil {
		t.Errorf("want a hash of other parameters checked by them, got %v", err)
	}
}

func TestRememberedPasswordIsNotHashedAgain(t *testing.T) {
	f := openWith(t, quick())
	if err := f.login(t, "alice", password, ""); err != nil {
		t.Fatal(err)
	}
	for range cap(f.slots) { // no hash can be computed from here on
		f.slots <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	try := func(c auth.Credentials) error {
		_, _, err := f.Authenticate(gone, c)
		return err
	}
	right := credentials("alice", password, "192.0.2.9")
	if err := try(right); err != nil {
		t.Errorf("want it remembered, from any address, got %v", err)
	}
	wantKind(t, "another password", config.Canceled, try(credentials("alice", password+"!", "")))
	f.directory.PutUser(auth.User{Name: "alicec", PasswordHash: f.alice.PasswordHash})
	wantKind(t, "the boundary moved", config.Canceled, try(credentials("alicec", password[1:], "")))

	changed := f.alice
	changed.PasswordHash = newHash(quick(), []byte(password)).String()
	f.directory.PutUser(changed)
	wantKind(t, "after the hash changed", config.Canceled, try(right))
	f.directory.PutUser(f.alice)
	f.clock.now = f.clock.now.Add(time.Minute)
	wantKind(t, "after a minute", config.Canceled, try(right))
}

func TestServiceUserIsForgottenAtOnce(t *testing.T) {
	f := openWith(t, quick())
	if err := f.login(t, "alice", password, ""); err != nil {
		t.Fatal(err)
	}
	f.alice.Service = true
	f.directory.PutUser(f.alice)
	wantKind(t, "made a service user", config.Unauthenticated, f.login(t, "alice", password, ""))
}

func TestPasswordsAreNotCutOff(t *testing.T) {
	f := openWith(t, quick())
	longest := strings.Repeat("x", longestPassword)
	f.alice.PasswordHash = newHash(quick(), []byte(longest)).String()
	f.directory.PutUser(f.alice)
	wantKind(t, "a longer password", config.Unauthenticated, f.login(t, "alice", longest+"x", ""))
	if err := f.login(t, "alice", longest, ""); err != nil {
		t.Errorf("want the longest password to pass, got %v", err)
	}
}

func TestOneHashServesAllWhoSendTheSameAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openWith(t, quick())
		for range cap(f.slots) {
			f.slots <- struct{}{}
		}
		answers := make(chan error, 2)
		for range cap(answers) {
			go func() {
				_, _, err := f.Authenticate(t.Context(), credentials("alice", password, ""))
				answers <- err
			}()
		}
		synctest.Wait()
		// Both wait. Were either hashed now, the failures would make it wait longer.
		for range 5 {
			f.perUser.Fail("alice")
		}
		f.remembered.put(f.remembered.digest("alice", password), f.alice.PasswordHash)
		<-f.slots
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("want it proved by what another hashed, got %v", err)
			}
		}
	})
}

func TestWaitingForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openWith(t, quick())
		f.queue = 2
		for range cap(f.slots) {
			f.slots <- struct{}{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answers := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := f.Hash(ctx, config.NewSecret(password))
				answers <- err
			}()
		}
		synctest.Wait()
		_, err := f.Hash(ctx, config.NewSecret(password))
		var again *auth.RetryAfter
		if !errors.As(err, &again) || config.KindOf(err) != config.Throttled {
			t.Errorf("want one too many to be told to come back, got %v", err)
		}
		<-f.slots
		if err := <-answers; err != nil {
			t.Errorf("want one to get the turn that is free, got %v", err)
		}
		// Its slot goes to the other waiter or, once that is through, stays free.
		if err := <-answers; err != nil {
			t.Errorf("want the other to follow, got %v", err)
		}

		f.slots <- struct{}{}
		_, err = f.Hash(ctx, config.NewSecret(password))
		wantKind(t, "no turn in time", config.Timeout, err)
		if got := f.waiting.Load(); got != 0 {
			t.Errorf("want nobody left waiting, got %d", got)
		}
	})
}

func TestSettingsAreValidated(t *testing.T) {
	tests := map[string]func(*Settings){
		"auth.basic.memory":                   func(s *Settings) { s.Memory = 4 * plugin.MiB },
		"auth.basic.memory: too much":         func(s *Settings) { s.Memory = plugin.GiB },
		"auth.basic.memory: not whole":        func(s *Settings) { s.Memory++ },
		"auth.basic.time":                     func(s *Settings) { s.Time = 0 },
		"auth.basic.time: too few passes":     func(s *Settings) { s.Time = 1 },
		"auth.basic.time: too much in all":    func(s *Settings) { s.Memory, s.Time = 256*plugin.MiB, 16 },
		"auth.basic.threads":                  func(s *Settings) { s.Threads = 0 },
		"auth.basic.concurrent":               func(s *Settings) { s.Concurrent = -1 },
		"auth.basic.queue":                    func(s *Settings) { s.Queue = 0 },
		"auth.basic.remember":                 func(s *Settings) { s.Remember = 2 * time.Hour },
		"auth.basic.remember_most":            func(s *Settings) { s.RememberMost = 0 },
		"auth.basic.minimum_length":           func(s *Settings) { s.MinimumLength = 4 },
		"auth.basic.per_user.failures":        func(s *Settings) { s.PerUser.Failures = 0 },
		"auth.basic.per_address.longest_wait": func(s *Settings) { s.PerAddress.LongestWait = 24 * time.Hour },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			var s Settings
			s.Defaults()
			spoil(&s)
			_, err := s.Open(t.Context(), auth.Env{Directory: authtest.NewDirectory()})
			field, _, _ := strings.Cut(name, ":")
			if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), field+":") {
				t.Errorf("want invalid with the name of the setting, got %v", err)
			}
		})
	}
	var s Settings
	s.Defaults()
	_, err := s.Open(t.Context(), auth.Env{})
	wantKind(t, "without a directory", config.Internal, err)
}

func BenchmarkAuthenticateRemembered(b *testing.B) {
	f := openWith(b, quick())
	c := credentials("alice", password, "192.0.2.7")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	f := openWith(b, params{memory: 19456, time: 2, threads: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Hash(b.Context(), config.NewSecret(password)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestUnknownUsersCostOneHashLikeWrongPasswords(t *testing.T) {
	f := openWith(t, quick())
	for _, name := range []string{"alice", "nobody"} {
		t.Run(name, func(t *testing.T) {
			for range cap(f.slots) { // no hash can be computed from here on
				f.slots <- struct{}{}
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			_, _, err := f.Authenticate(gone, credentials(name, "incorrect horse", ""))
			wantKind(t, "a guess that cannot be hashed", config.Canceled, err)
			for range cap(f.slots) {
				<-f.slots
			}
		})
	}
	if f.dummy.params != f.params {
		t.Errorf("want unknown users' passwords hashed with the parameters of known ones, %+v, got %+v", f.params, f.dummy.params)
	}
}
