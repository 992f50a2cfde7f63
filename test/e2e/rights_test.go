package e2e

import (
	"context"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// pull turns a watch into a function to call, which is bounded in time.
func pull(seq iter.Seq2[client.Event, error]) (next func() (client.Event, error, bool), stop func()) {
	return iter.Pull2(seq)
}

// TestRightsThatEndCutOffWatches takes rights away in every way that there is
// while a watch is open, and wants the watch to end with the reason, and a new
// one to be refused.
func TestRightsThatEndCutOffWatches(t *testing.T) {
	s := start(t, "PROTOCOLS_REST_HEARTBEAT=100ms")
	root := s.root()
	build(t, root, "acme/shop/prod")
	at := path(t, "acme/shop/prod/app.yaml")
	publish(t, root, at.String(), "a: 1\n")
	reader := client.Grant{Role: "client", Scope: path(t, "acme/shop/prod")}
	const password = "an old long password"
	off := true

	tests := map[string]struct {
		want  config.ErrorKind
		begin func(t *testing.T, name string) *client.Client // who watches
		end   func(t *testing.T, name string)
	}{
		"binding removed": {config.Denied,
			func(_ *testing.T, name string) *client.Client { return s.as(s.program(name, reader).Secret) },
			func(t *testing.T, name string) {
				for _, b := range collect(t, root.Bindings(t.Context(), name)) {
					if err := root.DeleteBinding(t.Context(), b.ID); err != nil {
						t.Fatal(err)
					}
				}
			}},
		"token revoked": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return s.as(s.program(name, reader).Secret) },
			func(t *testing.T, name string) {
				for _, token := range collect(t, root.Tokens(t.Context(), name)) {
					if err := root.RevokeToken(t.Context(), token.ID); err != nil {
						t.Fatal(err)
					}
				}
			}},
		"token expired": {config.Unauthenticated,
			func(t *testing.T, name string) *client.Client {
				s.program(name, reader)
				token, err := root.CreateToken(t.Context(), client.NewToken{User: name, TTL: 3 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				return s.as(s.secret(token.Secret))
			},
			func(*testing.T, string) {}},
		"user disabled": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return s.as(s.program(name, reader).Secret) },
			func(t *testing.T, name string) {
				if _, err := root.UpdateUser(t.Context(), name, client.UserPatch{Disabled: &off}); err != nil {
					t.Fatal(err)
				}
			}},
		"user deleted": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return s.as(s.program(name, reader).Secret) },
			func(t *testing.T, name string) {
				if err := root.DeleteUser(t.Context(), name, ""); err != nil {
					t.Fatal(err)
				}
			}},
		"logged out": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return s.as(s.person(name, password, reader)) },
			func(t *testing.T, name string) {
				for _, token := range collect(t, root.Tokens(t.Context(), name)) {
					if err := root.RevokeToken(t.Context(), token.ID); err != nil {
						t.Fatal(err)
					}
				}
			}},
		"password changed": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return s.as(s.person(name, password, reader)) },
			func(t *testing.T, name string) { setPassword(t, s, name, password) }},
		"user disabled, password sent with every request": {config.Unauthenticated,
			func(_ *testing.T, name string) *client.Client { return basicOf(s, name, password, reader) },
			func(t *testing.T, name string) {
				if _, err := root.UpdateUser(t.Context(), name, client.UserPatch{Disabled: &off}); err != nil {
					t.Fatal(err)
				}
			}},
	}
	i := 0
	for name, test := range tests {
		user := "user-" + string(rune('a'+i))
		i++
		t.Run(name, func(t *testing.T) {
			c := test.begin(t, user)
			err := watchUntilCut(t, c, at, func() { test.end(t, user) })
			// Which is noticed first, that the right is gone or who had it, is chance.
			if kind := config.KindOf(err); kind != config.Denied && kind != test.want {
				t.Errorf("want the watch cut off as %s, got %v", test.want, err)
			}
			_, err = c.Get(t.Context(), at, client.ReadOptions{})
			problemOf(t, test.want, err)
		})
	}
}

// watchUntilCut watches a config, has something happen once the watch is up to
// date, and returns the error that the watch ends with.
func watchUntilCut(t *testing.T, c *client.Client, at config.Path, happen func()) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience/4)
	defer cancel()
	next, stop := pull(c.Watch(ctx, client.WatchRequest{Patterns: []string{at.String()}, OnRetry: func(err error, _ time.Duration) {
		t.Errorf("want the reason why, not a disconnect: %v", err)
	}}))
	defer stop()
	for {
		e, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Current {
			break
		}
	}
	happen()
	for {
		e, err, _ := next()
		if err != nil {
			return err
		}
		if len(e.Changes) > 0 {
			t.Errorf("want nothing more to come, got %+v", e)
		}
	}
}

// basicOf is a client that sends name and password with every request.
func basicOf(s *server, name, password string, grants ...client.Grant) *client.Client {
	s.person(name, password, grants...)
	return s.as(config.Secret{}, func(o *client.Options) { o.Username, o.Password = name, config.NewSecret(password) })
}

// setPassword has a user change its own password, which must end its other
// sessions at once.
func setPassword(t *testing.T, s *server, name, old string) {
	t.Helper()
	mine, other := s.login(name, config.NewSecret(old)), s.login(name, config.NewSecret(old))
	next := s.secret(config.NewSecret("a new long password"))
	if err := s.as(mine).SetPassword(t.Context(), config.NewSecret(old), next); err != nil {
		t.Fatal(err)
	}
	a := s.call(s.http(), "GET", "/v1/auth/whoami", nil, "Authorization", bearer(other))
	wantProblem(t, http.StatusUnauthorized, "unauthenticated", a)
	_, err := s.as(config.Secret{}).Login(t.Context(), name, config.NewSecret(old), 0)
	problemOf(t, config.Unauthenticated, err)
	s.login(name, next)
}
