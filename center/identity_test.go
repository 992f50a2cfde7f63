package center_test

import (
	"context"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func grant(t *testing.T, role, scope string) auth.Grant {
	t.Helper()
	return auth.Grant{Role: auth.Role(role), Scope: path(t, scope)}
}

func TestTheLastAdminStays(t *testing.T) {
	n := start(t)
	wantKind(t, config.Conflict, n.DeleteUser(n.admin(), "admin", ""))
	_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "admin", Disabled: ptr(true)})
	wantKind(t, config.Conflict, err)
	wantKind(t, config.Conflict, n.DeleteBinding(n.admin(), "admin"))
	n.user("second", grant(t, "admin", ""))
	n.must(n.DeleteUser(n.admin(), "admin", ""))
	wantKind(t, config.Conflict, n.DeleteUser(n.as("second"), "second", ""))
}

func TestNobodyGrantsMoreThanTheyHave(t *testing.T) {
	n := start(t)
	n.house()
	tenantAdmin := n.user("ann", grant(t, "admin", "acme"))
	n.user("bob")
	bind := func(role, scope string) error {
		_, err := n.CreateBinding(tenantAdmin, auth.Binding{User: "bob", Role: auth.Role(role), Scope: path(t, scope)})
		return err
	}
	n.must(bind("admin", "acme/shop"))
	wantKind(t, config.Denied, bind("admin", ""))
	wantKind(t, config.Denied, bind("viewer", "globex"))
	_, err := n.UpdateUser(tenantAdmin, center.UserPatch{Name: "bob", Password: ptr(config.NewSecret("taken over by ann"))})
	wantKind(t, config.Denied, err)
	_, err = n.CreateUser(tenantAdmin, center.NewUser{Name: "carl", Password: config.NewSecret("long enough to do")})
	wantKind(t, config.Denied, err)
	wantKind(t, config.Denied, n.DeleteUser(tenantAdmin, "bob", ""))
}

func TestTenantAdminRunsItsServiceUsers(t *testing.T) {
	n := start(t)
	n.house()
	ann := n.user("ann", grant(t, "admin", "acme"))
	_, err := n.CreateUser(ann, center.NewUser{Name: "svc", Service: true})
	n.must(err)
	_, _, err = n.CreateToken(ann, center.NewToken{User: "svc"})
	wantKind(t, config.Denied, err) // nothing ties svc to acme yet
	_, err = n.CreateBinding(ann, auth.Binding{User: "svc", Role: auth.RoleClient, Scope: path(t, "acme/shop/dev")})
	n.must(err)
	token, text, err := n.CreateToken(ann, center.NewToken{User: "svc", TTL: time.Hour})
	n.must(err)
	if text.Empty() || token.ExpiresAt.IsZero() {
		t.Errorf("want a token with an end, got %+v", token)
	}
	n.must(n.RevokeToken(ann, token.ID))
	// Once svc has rights elsewhere as well, ann governs it no longer.
	_, err = n.CreateTenant(n.admin(), config.Tenant{Name: "globex"})
	n.must(err)
	_, err = n.CreateBinding(n.admin(), auth.Binding{User: "svc", Role: auth.RoleClient, Scope: path(t, "globex")})
	n.must(err)
	_, _, err = n.CreateToken(ann, center.NewToken{User: "svc"})
	wantKind(t, config.Denied, err)
}

func TestNarrowedTokenCannotWiden(t *testing.T) {
	n := start(t)
	n.house()
	ctx := auth.WithIdentity(t.Context(), auth.Identity{
		Subject: "admin", Method: "token", TokenID: "t", Narrow: []auth.Grant{grant(t, "viewer", "acme")},
	})
	_, err := n.Tenant(ctx, "acme")
	n.must(err)
	_, err = n.Publish(ctx, one(app, "1"))
	wantKind(t, config.Denied, err)
	_, _, err = n.CreateToken(ctx, center.NewToken{})
	wantKind(t, config.Denied, err)
	wantKind(t, config.Denied, n.SetPassword(ctx, config.NewSecret("something long enough")))
	_, err = n.CreateUser(ctx, center.NewUser{Name: "x", Service: true})
	wantKind(t, config.Denied, err)
}

func TestPasswordChangeEndsSessions(t *testing.T) {
	n := start(t)
	bob := n.user("bob")
	session, _, err := n.Login(bob, 0)
	n.must(err)
	kept, _, err := n.CreateToken(bob, center.NewToken{})
	n.must(err)
	own, err := n.Tokens(bob, "", pages)
	n.must(err)
	if len(own.Items) != 2 {
		t.Errorf("want bob to see his session and his token, got %+v", own.Items)
	}
	n.must(n.SetPassword(bob, config.NewSecret("a new one, long enough")))
	if _, ok := n.directory.Token(session.ID); ok {
		t.Error("the session outlived the password")
	}
	if _, ok := n.directory.Token(kept.ID); !ok {
		t.Error("the API token, made on purpose, should stay")
	}
	n.must(n.DeleteUser(n.admin(), "bob", ""))
	if _, ok := n.directory.Token(kept.ID); ok {
		t.Error("the token outlived its user")
	}
}

func TestRevokedRightTakesEffectAtOnce(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "1")
	bob := n.user("bob")
	b, err := n.CreateBinding(n.admin(), auth.Binding{User: "bob", Role: auth.RoleClient, Scope: path(t, "acme")})
	n.must(err)
	watch, err := n.Watch(bob, center.WatchRequest{Patterns: []string{"acme/shop/dev"}}, func() {})
	n.must(err)
	defer watch.Close()
	if _, ok, err := watch.Next(); !ok || err != nil {
		t.Fatalf("want a snapshot, got %v, %v", ok, err)
	}
	n.must(n.DeleteBinding(n.admin(), b.ID))
	_, err = n.Get(bob, center.Read{Path: path(t, app)})
	wantKind(t, config.Denied, err)
	_, _, err = watch.Next()
	wantKind(t, config.Denied, err)
}

// Whoever knew the old password loses the watches opened with it, at the next
// look; watches opened with a token are the token's affair.
func TestPasswordEndsWatchesOpenedWithIt(t *testing.T) {
	for name, end := range map[string]func(n *node, bob context.Context) error{
		"changed": func(n *node, bob context.Context) error {
			return n.SetPassword(bob, config.NewSecret("a new one, long enough"))
		},
		"disabled": func(n *node, _ context.Context) error {
			_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Disabled: ptr(true)})
			return err
		},
		"deleted": func(n *node, _ context.Context) error { return n.DeleteUser(n.admin(), "bob", "") },
		"only described": func(n *node, _ context.Context) error {
			_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Description: ptr("the builder")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			n.house()
			n.publish(app, "1")
			bob := n.user("bob", auth.Grant{Role: auth.RoleClient, Scope: path(t, "acme")})
			watches := map[string]*center.Watch{}
			for how, ctx := range map[string]context.Context{
				"basic": bob,
				"token": auth.WithIdentity(t.Context(), auth.Identity{Subject: "bob", Method: "token", TokenID: "x"}),
			} {
				watch, err := n.Watch(ctx, center.WatchRequest{Patterns: []string{"acme/shop/dev"}}, func() {})
				n.must(err)
				defer watch.Close()
				if _, ok, err := watch.Next(); !ok || err != nil {
					t.Fatalf("want a snapshot, got %v, %v", ok, err)
				}
				watches[how] = watch
			}
			n.must(end(n, bob))
			_, _, err := watches["basic"].Next()
			if name == "only described" {
				n.must(err)
			} else {
				wantKind(t, config.Unauthenticated, err)
			}
			if _, _, err := watches["token"].Next(); err != nil && config.KindOf(err) != config.Denied {
				t.Errorf("of a token: got %v", err)
			}
		})
	}
}

func TestRefusedActsAreRecordedOnceASecond(t *testing.T) {
	n := start(t)
	n.house()
	mallory := n.user("mallory")
	for range 1000 {
		_, err := n.Get(mallory, center.Read{Path: path(t, app)})
		wantKind(t, config.Denied, err)
	}
	watch := n.store.Watch(t.Context(), "a/acme/", 0)
	var seen int64
	for batch, err := range watch {
		n.must(err)
		for range batch.Events {
			records, err := n.Audit(n.admin(), center.AuditRequest{Tenant: "acme", Actor: "mallory"})
			n.must(err)
			seen = 0
			for _, r := range records.Items {
				if r.Outcome != audit.Denied || r.Action != "config.read" {
					t.Errorf("unexpected record %+v", r)
				}
				seen += r.Count
			}
			if len(records.Items) > 10 {
				t.Errorf("want a few records that count, got %d", len(records.Items))
			}
		}
		if seen == 1000 {
			return
		}
	}
	t.Errorf("want 1000 attempts on record, got %d", seen)
}
