package graphql

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// station is a whole node over real TLS, with a tenant and users, for the tests of
// subscriptions.
type station struct {
	*protocoltest.Node
	t      testing.TB
	api    *api
	app    string // the token of a client of acme/shop/prod
	nobody string // that of one without rights
	stop   func()
}

const (
	pathA        = "acme/shop/prod/a.yaml"
	pathB        = "acme/shop/prod/b.yaml"
	veraPassword = "correct horse battery"
)

// launch runs a node with tenant acme, app shop, envs prod and test, and the user
// vera, who has a password and sees acme/shop.
func launch(t testing.TB, adjust ...func(*Settings)) *station {
	t.Helper()
	n := &station{t: t, Node: protocoltest.Start(t, func() protocol.Driver {
		s := new(Settings)
		s.Defaults()
		for _, f := range adjust {
			f(s)
		}
		return s
	})}
	n.api, _ = n.Opened.(*api)
	n.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sockettest.Patience)
		defer cancel()
		n.must(n.api.Close(ctx))
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
	_, err = n.Center.CreateUser(ctx, center.NewUser{Name: "vera", Password: config.NewSecret(veraPassword)})
	n.must(err)
	_, err = n.Center.CreateBinding(ctx, auth.Binding{User: "vera", Role: auth.RoleViewer, Scope: config.Path{Tenant: "acme", App: "shop"}})
	n.must(err)
	return n
}

func (n *station) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *station) admin() context.Context {
	return auth.WithIdentity(n.t.Context(), auth.Identity{Subject: center.AdminUser, Method: "basic"})
}

// user makes a service user and returns its token.
func (n *station) user(name string, grants ...auth.Grant) string {
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

// revoke revokes a user's only token.
func (n *station) revoke(user string) {
	n.t.Helper()
	tokens, err := n.Center.Tokens(n.admin(), user, center.PageRequest{})
	n.must(err)
	n.must(n.Center.RevokeToken(n.admin(), tokens.Items[0].ID))
}

// withdraw takes the rights on prod from the user app.
func (n *station) withdraw() {
	n.t.Helper()
	bindings, err := n.Center.Bindings(n.admin(), center.BindingsRequest{User: "app"})
	n.must(err)
	for _, b := range bindings.Items {
		if b.Scope.Env == "prod" {
			n.must(n.Center.DeleteBinding(n.admin(), b.ID))
		}
	}
}

// publish releases content.
func (n *station) publish(path, content string) config.ChangeSet {
	n.t.Helper()
	p, err := config.ParsePath(path)
	n.must(err)
	set, err := n.Center.Publish(n.admin(), center.Publish{
		Tenant: p.Tenant, Items: []center.PublishItem{{Path: p, Content: []byte(content)}},
	})
	n.must(err)
	return set
}

// opened returns how many WebSocket connections there are.
func (n *station) opened() int { return n.api.transport.hub.Connections() }

// streaming returns how many requests are being answered by events.
func (n *station) streaming() int {
	e := n.api.transport.events
	e.gate.Lock()
	defer e.gate.Unlock()
	return e.open
}

// until waits for what must come to be.
func (n *station) until(what string, holds func() bool) {
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

// try sends a handshake and returns the answer, whatever it is.
func (n *station) try(d dial) *listener {
	n.t.Helper()
	c, err := dialNode(n.t, n.Node, d)
	n.must(err)
	n.t.Cleanup(func() { c.Conn.Close() })
	return c
}

// connect opens a connection that must be let in.
func (n *station) connect(d dial) *listener {
	n.t.Helper()
	c := n.try(d)
	if c.Answer.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(c.Answer.Body)
		n.t.Fatalf("want a connection, got %d %s", c.Answer.StatusCode, body)
	}
	return c
}

// greeted opens a connection with a token, and is let in.
func (n *station) greeted(token string) *listener {
	n.t.Helper()
	c := n.connect(dial{})
	c.Say(`{"type":"connection_init","payload":{"token":"` + token + `"}}`)
	c.next("", "connection_ack")
	return c
}
