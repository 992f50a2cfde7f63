package center_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/cache"
	cachememory "github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainHasher stands in for argon2id, which is too slow to be hashed with in
// every test; the real one has tests of its own.
type plainHasher struct{}

func (plainHasher) Hash(_ context.Context, p config.Secret) (string, error) {
	if len(p.Reveal()) < 10 {
		return "", config.Errorf(config.Invalid, "", "", "the password is too short")
	}
	return "plain:" + p.Reveal(), nil
}

// node is one center with its own view, as each node of a cluster has.
type node struct {
	*center.Center
	t         testing.TB
	view      *view.View
	store     store.Store
	directory *center.Directory
}

// start prepares an empty store and runs a node on it.
func start(t testing.TB, adjust ...func(*center.Limits)) *node {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	if _, created, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil || !created {
		t.Fatalf("bootstrap: created %v, %v", created, err)
	}
	return join(t, s, adjust...)
}

// join runs a further node on a store.
func join(t testing.TB, s store.Store, adjust ...func(*center.Limits)) *node {
	t.Helper()
	return joinWith(t, s, func(o *center.Options) {
		for _, f := range adjust {
			f(&o.Limits)
		}
	})
}

// joinWith is join with other parts than the usual ones.
func joinWith(t testing.TB, s store.Store, change func(*center.Options)) *node {
	t.Helper()
	var cacheSettings cachememory.Settings
	cacheSettings.Defaults()
	contents, err := cacheSettings.Open(t.Context(), cache.Env{})
	if err != nil {
		t.Fatal(err)
	}
	var limits center.Limits
	limits.Defaults()
	log := slog.New(slog.DiscardHandler)
	v := view.New(view.Options{Store: s, Cache: contents, Log: log})
	directory := center.NewDirectory(log)
	v.Tail(directory.Sections(), directory.Apply)
	options := center.Options{
		Store: s, View: v, Formats: format.NewSet(json.New(), yaml.New()),
		Directory: directory, Authorizer: rbac.New(directory), Passwords: plainHasher{}, Limits: limits, Log: log,
	}
	change(&options)
	c := center.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{}, 2)
	go func() { v.Run(ctx); stopped <- struct{}{} }()
	go func() { c.Run(ctx); stopped <- struct{}{} }()
	t.Cleanup(func() {
		cancel()
		<-stopped
		<-stopped
		contents.Close()
	})
	<-v.Ready()
	return &node{Center: c, t: t, view: v, store: s, directory: directory}
}

// as returns a context in which the user acts.
func (n *node) as(user string) context.Context {
	return auth.WithIdentity(n.t.Context(), auth.Identity{Subject: user, Method: "basic"})
}

func (n *node) admin() context.Context { return n.as(center.AdminUser) }

// house makes tenant acme with app shop and its envs dev, test and prod.
func (n *node) house() {
	n.t.Helper()
	_, err := n.CreateTenant(n.admin(), config.Tenant{Name: "acme"})
	n.must(err)
	_, err = n.CreateApp(n.admin(), config.App{Tenant: "acme", Name: "shop"})
	n.must(err)
	for _, env := range []string{"dev", "test", "prod"} {
		_, err = n.CreateEnv(n.admin(), config.Env{Tenant: "acme", App: "shop", Name: env})
		n.must(err)
	}
}

// user makes a user with roles, each given as "role@scope".
func (n *node) user(name string, grants ...auth.Grant) context.Context {
	n.t.Helper()
	_, err := n.CreateUser(n.admin(), center.NewUser{Name: name, Password: config.NewSecret("correct horse battery")})
	n.must(err)
	for _, g := range grants {
		_, err := n.CreateBinding(n.admin(), auth.Binding{User: name, Role: g.Role, Scope: g.Scope})
		n.must(err)
	}
	return n.as(name)
}

// publish releases content and returns the version.
func (n *node) publish(p, content string) int64 {
	n.t.Helper()
	set, err := n.Publish(n.admin(), one(p, content))
	n.must(err)
	return set.Items[0].Version
}

// served returns what a client is served, with its version; "" and 0 if nothing is.
func (n *node) served(p string) (string, int64) {
	n.t.Helper()
	got, err := n.Get(n.admin(), center.Read{Path: path(n.t, p)})
	if config.KindOf(err) == config.NotFound && err != nil {
		return "", 0
	}
	n.must(err)
	content, err := n.Content(n.admin(), got.Release)
	n.must(err)
	return string(content), got.Release.Version
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) wantServed(p, content string, version int64) {
	n.t.Helper()
	if got, v := n.served(p); got != content || v != version {
		n.t.Errorf("served %s: want %q at %d, got %q at %d", p, content, version, got, v)
	}
}

func wantKind(t *testing.T, want config.ErrorKind, err error) *config.Error {
	t.Helper()
	if err == nil || config.KindOf(err) != want {
		t.Errorf("want an error of kind %s, got %v", want, err)
	}
	return config.AsError(err)
}

func one(p, content string) center.Publish {
	parsed, err := config.ParsePath(p)
	if err != nil {
		panic(err)
	}
	return center.Publish{Tenant: parsed.Tenant, Items: []center.PublishItem{{Path: parsed, Content: []byte(content)}}}
}

func path(t testing.TB, s string) config.Path {
	t.Helper()
	p, err := config.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ptr[T any](v T) *T { return &v }

// at returns a time some hours from now.
func (n *node) at(hours int) time.Time { return time.Now().Add(time.Duration(hours) * time.Hour) }
