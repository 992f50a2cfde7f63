package protocoltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// patience ends a scenario that would wait for ever, and is far longer than any
// protocol needs.
const patience = 30 * time.Second

// actor is a client by its parts. What the protocol lacks is nil: the needs of a
// scenario name what it calls.
type actor struct {
	Scopes
	Configs
	Drafts
	Releases
	Launches
	Foresight
	Instances
	Reads
	Watches
	Reports
	client Client
}

func newActor(c Client) *actor {
	a := &actor{client: c}
	a.Scopes, _ = c.(Scopes)
	a.Configs, _ = c.(Configs)
	a.Drafts, _ = c.(Drafts)
	a.Releases, _ = c.(Releases)
	a.Launches, _ = c.(Launches)
	a.Foresight, _ = c.(Foresight)
	a.Instances, _ = c.(Instances)
	a.Reads, _ = c.(Reads)
	a.Watches, _ = c.(Watches)
	a.Reports, _ = c.(Reports)
	return a
}

// stage is where one scenario plays: a tenant of its own with the app shop and
// the envs dev, test and prod.
type stage struct {
	testing.TB
	ctx   context.Context
	node  *Node
	proto Protocol

	app, dev, prod config.Path
	// arrange is the admin in process, for what the scenario is not about.
	arrange *actor
	newest  string // the user made last
}

func newStage(tb testing.TB, p Protocol, n *Node) *stage {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), orElse(p.patience, patience))
	tb.Cleanup(cancel)
	s := &stage{TB: tb, ctx: ctx, node: n, proto: p}
	s.arrange = newActor(newReference(n, n.admin))
	s.app = config.Path{Tenant: n.tenant(), App: "shop"}
	s.dev, s.prod = s.app.Join("dev"), s.app.Join("prod")
	s.found(s.app)
	return s
}

// found makes a tenant with an app and its envs.
func (s *stage) found(app config.Path) {
	s.Helper()
	_, err := s.arrange.CreateTenant(s.ctx, config.Tenant{Name: app.Tenant})
	s.ok(err)
	_, err = s.arrange.CreateApp(s.ctx, config.App{Tenant: app.Tenant, Name: app.App})
	s.ok(err)
	for _, env := range []string{"dev", "test", "prod"} {
		_, err = s.arrange.CreateEnv(s.ctx, config.Env{Tenant: app.Tenant, App: app.App, Name: env})
		s.ok(err)
	}
}

// as connects by the protocol.
func (s *stage) as(c Caller) *actor {
	s.Helper()
	client := s.proto.Connect(s, s.node, c)
	s.Cleanup(client.Close)
	return newActor(client)
}

// admin may do everything.
func (s *stage) admin() *actor { return s.as(s.node.admin) }

// application is an application of prod, as the instance, and its token's id.
func (s *stage) application(instance config.Client) (*actor, string) {
	caller, token := s.user(auth.Grant{Role: auth.RoleClient, Scope: s.prod})
	caller.Instance = instance
	return s.as(caller), token
}

// user makes a service user.
func (s *stage) user(grants ...auth.Grant) (Caller, string) {
	s.Helper()
	s.newest = fmt.Sprintf("user-%d", s.node.users.Add(1))
	return s.node.user(s, s.newest, grants...)
}

// ok ends the scenario at an error.
func (s *stage) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// publish releases contents in prod, in process: pairs of a name and a content.
func (s *stage) publish(pairs ...string) config.ChangeSet {
	s.Helper()
	set, err := s.arrange.Publish(s.ctx, s.items(pairs...))
	s.ok(err)
	return set
}

// items asks for contents of prod to be released.
func (s *stage) items(pairs ...string) center.Publish {
	p := center.Publish{Tenant: s.app.Tenant}
	for i := 0; i+1 < len(pairs); i += 2 {
		p.Items = append(p.Items, center.PublishItem{Path: s.prod.Join(pairs[i]), Content: []byte(pairs[i+1])})
	}
	return p
}

// want compares; nil and empty are the same, and times are if they are the same
// moment.
func (s *stage) want(what string, want, got any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0), cmpopts.IgnoreUnexported(center.Publish{})); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused fails unless the error is of the kind.
func (s *stage) refused(what string, want config.ErrorKind, err error) *config.Error {
	s.Helper()
	var e *config.Error
	if !errors.As(err, &e) {
		s.Fatalf("%s: want a *config.Error of kind %s, got %v (%T)", what, want, err, err)
	}
	if e.Kind != want {
		s.Errorf("%s: want kind %s, got %s: %v", what, want, e.Kind, err)
	}
	return e
}

// sameError fails unless a protocol refuses as the center does.
func (s *stage) sameError(what string, want, got error) {
	s.Helper()
	if (want == nil) != (got == nil) {
		s.Errorf("%s: want error %v, got %v", what, want, got)
		return
	}
	if want == nil {
		return
	}
	if diff := cmp.Diff(told(want), told(got)); diff != "" {
		s.Errorf("%s: the error (-want +got):\n%s", what, diff)
	}
}

// told is what an error tells a client.
func told(err error) config.Error {
	e := *config.AsError(err)
	text := e.Detail()
	e.Op, e.Err = "", errorText(text)
	if e.Kind == config.Internal { // its words are the protocol's own
		e.Err = nil
	}
	if len(e.Problems) == 0 {
		e.Problems = nil
	}
	return e
}

// errorText is an error that is equal to one of the same text.
type errorText string

func (e errorText) Error() string { return string(e) }

// renamed returns the error as it would be of another path.
func renamed(err error, from, to string) error {
	e := *config.AsError(err)
	e.Path = strings.ReplaceAll(e.Path, from, to)
	e.Err = errorText(strings.ReplaceAll(e.Detail(), from, to))
	return &e
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func ptr[T any](v T) *T { return &v }
