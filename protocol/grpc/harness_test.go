package grpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var prod = config.Path{Tenant: "acme", App: "shop", Env: "prod"}

// node is a whole node with the env acme/shop/prod.
type node struct {
	*protocoltest.Node
	t    testing.TB
	api  *api
	root context.Context // of the user admin, for calls in process
}

func start(t testing.TB, adjust ...func(*Settings)) *node {
	t.Helper()
	return startOn(t, func(*protocol.Host) {}, adjust...)
}

// changed is a driver that is lent something else by its host.
type changed struct {
	*Settings
	change func(*protocol.Host)
}

func (c changed) Open(ctx context.Context, host protocol.Host) (protocol.Protocol, error) {
	c.change(&host)
	return c.Settings.Open(ctx, host)
}

// startOn is start on another host.
func startOn(t testing.TB, change func(*protocol.Host), adjust ...func(*Settings)) *node {
	t.Helper()
	n := &node{t: t}
	n.Node = protocoltest.Start(t, func() protocol.Driver {
		s := driver("127.0.0.1:0")().(*Settings)
		for _, f := range adjust {
			f(s)
		}
		return changed{s, change}
	})
	n.api = n.Opened.(*api)
	n.root = auth.WithIdentity(t.Context(), auth.Identity{Subject: center.AdminUser, Method: "basic"})
	_, err := n.Center.CreateTenant(n.root, config.Tenant{Name: prod.Tenant})
	n.must(err)
	_, err = n.Center.CreateApp(n.root, config.App{Tenant: prod.Tenant, Name: prod.App})
	n.must(err)
	_, err = n.Center.CreateEnv(n.root, config.Env{Tenant: prod.Tenant, App: prod.App, Name: prod.Env})
	n.must(err)
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// user makes a service user with the grants, and connects as it.
func (n *node) user(name string, grants ...auth.Grant) *client {
	n.t.Helper()
	_, err := n.Center.CreateUser(n.root, center.NewUser{Name: name, Service: true})
	n.must(err)
	for _, g := range grants {
		_, err := n.Center.CreateBinding(n.root, auth.Binding{User: name, Role: g.Role, Scope: g.Scope})
		n.must(err)
	}
	_, secret, err := n.Center.CreateToken(n.root, center.NewToken{User: name})
	n.must(err)
	return n.dial(protocoltest.Caller{Token: secret, Instance: config.Client{ID: name}})
}

func (n *node) dial(as protocoltest.Caller) *client {
	return dial(n.t, n.api.address.String(), n.TLS, as)
}

// admin connects as somebody who may do everything.
func (n *node) admin() *client {
	return n.user("root", auth.Grant{Role: auth.RoleAdmin}, auth.Grant{Role: auth.RoleAuditor})
}

// app connects as an application of prod.
func (n *node) app() *client { return n.user("app", auth.Grant{Role: auth.RoleClient, Scope: prod}) }

// publish releases contents in prod: pairs of a name and a content.
func (n *node) publish(pairs ...string) config.ChangeSet {
	n.t.Helper()
	p := center.Publish{Tenant: prod.Tenant}
	for i := 0; i+1 < len(pairs); i += 2 {
		p.Items = append(p.Items, center.PublishItem{Path: prod.Join(pairs[i]), Content: []byte(pairs[i+1])})
	}
	set, err := n.Center.Publish(n.root, p)
	n.must(err)
	return set
}

func (n *node) ctx() context.Context {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	n.t.Cleanup(cancel)
	return ctx
}

// refused fails unless an error has the code, and returns its detail.
func refused(t testing.TB, what string, want codes.Code, err error) *setpointv1.ErrorDetail {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != want {
		t.Fatalf("%s: want %s, got %v", what, want, err)
	}
	for _, d := range s.Details() {
		if detail, is := d.(*setpointv1.ErrorDetail); is {
			return detail
		}
	}
	t.Fatalf("%s: want a detail, got %v", what, s.Proto())
	return nil
}

// watching is an open watch.
type watching struct {
	*node
	rpc.BidiStreamingClient[setpointv1.WatchRequest, setpointv1.WatchResponse]
}

// watch opens a watch and says hello.
func (n *node) watch(c *client, hello *setpointv1.WatchHello) *watching {
	n.t.Helper()
	w := n.open(c)
	w.say(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{Hello: hello}})
	if welcome := w.next().GetWelcome(); welcome == nil || welcome.GetRetryAfter().AsDuration() < time.Second {
		n.t.Fatalf("want a welcome that says when to come back, got %v", welcome)
	}
	return w
}

func (n *node) open(c *client) *watching {
	n.t.Helper()
	w, err := c.data.Watch(n.ctx())
	n.must(err)
	return &watching{n, w}
}

func (w *watching) say(m *setpointv1.WatchRequest) {
	w.t.Helper()
	w.must(w.Send(m))
}

func (w *watching) subscribe(s *setpointv1.WatchSubscribe) {
	w.t.Helper()
	w.say(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Subscribe{Subscribe: s}})
}

func (w *watching) next() *setpointv1.WatchResponse {
	w.t.Helper()
	m, err := w.Recv()
	w.must(err)
	return m
}

// told is what a message says, in a line.
func told(m *setpointv1.WatchResponse) string {
	id := m.GetSubscriptionId()
	switch e := m.GetEvent().(type) {
	case *setpointv1.WatchResponse_Changes:
		c := e.Changes
		text := fmt.Sprintf("%d:", id)
		for _, f := range []struct {
			set  bool
			name string
		}{{c.GetReset_(), " reset"}, {c.GetPartial(), " partial"}, {c.GetCurrent(), " current"}} {
			if f.set {
				text += f.name
			}
		}
		for _, s := range c.GetServed() {
			text += fmt.Sprintf(" %s@%d=%q", mustPath(s.GetPath()).Name, s.GetVersion(), s.GetContent())
		}
		for _, path := range c.GetRemoved() {
			text += " -" + mustPath(path).Name
		}
		return text
	case *setpointv1.WatchResponse_SubscriptionEnded:
		if e.SubscriptionEnded.GetError() == nil {
			return fmt.Sprintf("%d: ended", id)
		}
		return fmt.Sprintf("%d: ended: %s", id, e.SubscriptionEnded.GetError().GetKind())
	case *setpointv1.WatchResponse_ReportsRefused:
		return fmt.Sprintf("refused %d: %s", len(e.ReportsRefused.GetReports()), e.ReportsRefused.GetError().GetKind())
	case *setpointv1.WatchResponse_Heartbeat:
		return "heartbeat"
	case *setpointv1.WatchResponse_GoingAway:
		return "going away"
	}
	return fmt.Sprint(m)
}

// hears fails unless the next messages say this.
func (w *watching) hears(want ...string) {
	w.t.Helper()
	for _, line := range want {
		if got := told(w.next()); got != line {
			w.t.Fatalf("want %q, got %q", line, got)
		}
	}
}
