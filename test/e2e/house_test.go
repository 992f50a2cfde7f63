package e2e

import (
	"errors"
	"iter"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// path reads a path that the test wrote.
func path(t testing.TB, text string) config.Path {
	t.Helper()
	return program.Path(t, text)
}

// build makes envs with the tenants and apps above them.
func build(t testing.TB, c *client.Client, envs ...string) {
	t.Helper()
	program.Envs(t, c, envs...)
}

// publish releases one config.
func publish(t testing.TB, c *client.Client, at, content string) config.ChangeSet {
	t.Helper()
	set, err := c.Publish(t.Context(), client.Publish{Items: []client.PublishItem{{Path: path(t, at), Content: []byte(content)}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// person makes a user with a password and roles; it returns a session of its.
func (s *server) person(name, password string, grants ...client.Grant) config.Secret {
	s.t.Helper()
	secret := s.secret(config.NewSecret(password))
	root := s.root()
	if _, err := root.CreateUser(s.t.Context(), client.NewUser{Name: name, Password: secret}); err != nil {
		s.t.Fatal(err)
	}
	s.grant(name, grants...)
	return s.login(name, secret)
}

// program makes a service user with roles and a token.
func (s *server) program(name string, grants ...client.Grant) client.CreatedToken {
	s.t.Helper()
	root := s.root()
	if _, err := root.CreateUser(s.t.Context(), client.NewUser{Name: name, Service: true}); err != nil {
		s.t.Fatal(err)
	}
	s.grant(name, grants...)
	token, err := root.CreateToken(s.t.Context(), client.NewToken{User: name})
	if err != nil {
		s.t.Fatal(err)
	}
	s.secret(token.Secret)
	return token
}

func (s *server) grant(name string, grants ...client.Grant) {
	s.t.Helper()
	for _, g := range grants {
		if _, err := s.root().CreateBinding(s.t.Context(), name, g); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) login(name string, password config.Secret) config.Secret {
	s.t.Helper()
	session, err := s.as(config.Secret{}).Login(s.t.Context(), name, password, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.secret(session.Token)
}

// problemOf returns the error that the server answered with, if it is one of
// the kind.
func problemOf(t testing.TB, want config.ErrorKind, err error) *config.Error {
	t.Helper()
	var e *config.Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("want an error of kind %s, got %v", want, err)
	}
	return e
}

// collect reads a listing to its end.
func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	all, err := program.Collect(seq)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
