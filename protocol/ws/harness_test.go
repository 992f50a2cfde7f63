package ws

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a whole node over real TLS, with a tenant and users.
type node struct {
	*protocoltest.Node
	t       testing.TB
	gateway *gateway
	app     string // the token of a client of acme/shop/prod
	nobody  string // that of one without rights
	stop    func()
}

const password = "correct horse battery"

// start runs a node with tenant acme, app shop, envs prod and test, and the user
// vera, who has a password and sees acme/shop.
func start(t testing.TB, adjust ...func(*Settings)) *node {
	t.Helper()
	n := &node{t: t, Node: protocoltest.Start(t, func() protocol.Driver {
		s := new(Settings)
		s.Defaults()
		for _, f := range adjust {
			f(s)
		}
		return s
	})}
	n.gateway, _ = n.Opened.(*gateway)
	n.furnish()
	return n
}

// furnish makes scopes and users.
func (n *node) furnish() {
	n.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sockettest.Patience)
		defer cancel()
		n.must(n.gateway.Close(ctx))
	})
	ctx := n.admin()
	_, err := n.Center.CreateTenant(ctx, config.Tenant{Name: "acme"})
	n.must(err)
	_, err = n.Center.CreateApp(ctx, config.App{Tenant: "acme", Name: "shop"})
	n.must(err)
	for _, env := range []string{"prod", "test"} {
		_, err = n.Center.CreateEnv(ctx, config.Env{Tenant: "acme", App: "shop", Name: env})
		n.must(err)
	}
	n.app = n.user("app", auth.Grant{Role: auth.RoleClient, Scope: config.Path{Tenant: "acme", App: "shop", Env: "prod"}})
	n.nobody = n.user("nobody")
	_, err = n.Center.CreateUser(ctx, center.NewUser{Name: "vera", Password: config.NewSecret(password)})
	n.must(err)
	_, err = n.Center.CreateBinding(ctx, auth.Binding{User: "vera", Role: auth.RoleViewer, Scope: config.Path{Tenant: "acme", App: "shop"}})
	n.must(err)
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) admin() context.Context {
	return auth.WithIdentity(n.t.Context(), auth.Identity{Subject: center.AdminUser, Method: "basic"})
}

// user makes a service user and returns its token.
func (n *node) user(name string, grants ...auth.Grant) string {
	n.t.Helper()
	ctx := n.admin()
	_, err := n.Center.CreateUser(ctx, center.NewUser{Name: name, Service: true})
	n.must(err)
	for _, g := range grants {
		_, err := n.Center.CreateBinding(ctx, auth.Binding{User: name, Role: g.Role, Scope: g.Scope})
		n.must(err)
	}
	_, secret, err := n.Center.CreateToken(ctx, center.NewToken{User: name})
	n.must(err)
	return secret.Reveal()
}

// publish releases content.
func (n *node) publish(path, content string) config.ChangeSet {
	n.t.Helper()
	p, err := config.ParsePath(path)
	n.must(err)
	set, err := n.Center.Publish(n.admin(), center.Publish{
		Tenant: p.Tenant, Items: []center.PublishItem{{Path: p, Content: []byte(content)}},
	})
	n.must(err)
	return set
}

// open returns how many connections there are.
func (g *gateway) opened() int {
	return g.hub.Connections()
}

// until waits for what must come to be.
func (n *node) until(what string, holds func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(sockettest.Patience); !holds(); {
		select {
		case <-n.t.Context().Done():
			n.t.Fatalf("%s did not come to be", what)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s did not come to be", what)
		}
	}
}
