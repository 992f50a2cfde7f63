package center_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// bind makes a binding as the admin.
func (n *node) bind(b auth.Binding) auth.Binding {
	n.t.Helper()
	made, err := n.CreateBinding(n.admin(), b)
	n.must(err)
	return made
}

// role makes a role as the admin.
func (n *node) role(name string, verbs ...string) auth.RoleInfo {
	n.t.Helper()
	made, err := n.CreateRole(n.admin(), auth.RoleInfo{Name: auth.Role(name), Verbs: verbs})
	n.must(err)
	return made
}

// external returns a context in which somebody whom a provider vouches for acts.
func (n *node) external(subject string, groups ...string) context.Context {
	provider, _, _ := auth.SplitExternal(subject)
	return auth.WithIdentity(n.t.Context(), auth.Identity{Subject: subject, Provider: provider, Groups: groups, Method: "jwt"})
}

// allowed reports what CanI says to the caller.
func (n *node) allowed(ctx context.Context, verb auth.Verb, p string) bool {
	n.t.Helper()
	x, err := n.CanI(ctx, verb, path(n.t, p))
	n.must(err)
	return x.Allowed
}

func TestRolesAreMadeChangedAndDeleted(t *testing.T) {
	n := start(t)
	n.house()
	made := n.role("releaser", "rollout", "fetch", "fetch")
	if diff := cmp.Diff([]string{"fetch", "rollout"}, made.Verbs); diff != "" || made.Revision == "" || made.CreatedBy != "admin" {
		t.Errorf("want the verbs in order, each once, got %+v:\n%s", made, diff)
	}
	bob := n.user("bob", grant(t, "releaser", "acme"))
	if !n.allowed(bob, auth.Rollout, "acme/shop") || n.allowed(bob, auth.Publish, "acme/shop") {
		t.Error("want bob to do what the role allows, and no more")
	}
	changed, err := n.UpdateRole(n.admin(), center.RolePatch{Name: "releaser", Verbs: []string{"fetch", "publish"}, Expected: made.Revision})
	n.must(err)
	if n.allowed(bob, auth.Rollout, "acme/shop") || !n.allowed(bob, auth.Publish, "acme/shop") {
		t.Error("want the change of the role to hold at once")
	}
	_, err = n.UpdateRole(n.admin(), center.RolePatch{Name: "releaser", Description: ptr("old"), Expected: made.Revision})
	wantKind(t, config.Conflict, err)
	if e := wantKind(t, config.Conflict, n.DeleteRole(n.admin(), "releaser", "")); !strings.Contains(e.Error(), "still bound, by binding") {
		t.Errorf("want the binding named, got %v", e)
	}
	n.must(n.DeleteUser(n.admin(), "bob", "")) // with his bindings
	n.must(n.DeleteRole(n.admin(), "releaser", changed.Revision))
	wantKind(t, config.NotFound, n.DeleteRole(n.admin(), "releaser", ""))
	roles, err := n.Roles(n.admin())
	n.must(err)
	if diff := cmp.Diff(auth.Roles(), roles); diff != "" {
		t.Errorf("want the built-in roles alone (-want +got):\n%s", diff)
	}
}

func TestRolesThatAreRefused(t *testing.T) {
	n := start(t)
	n.role("taken", "read")
	for name, test := range map[string]struct {
		role auth.RoleInfo
		want config.ErrorKind
	}{
		"a bad name":  {auth.RoleInfo{Name: "No Good", Verbs: []string{"read"}}, config.Invalid},
		"built in":    {auth.RoleInfo{Name: "admin", Verbs: []string{"read"}}, config.Exists},
		"there":       {auth.RoleInfo{Name: "taken", Verbs: []string{"read"}}, config.Exists},
		"no verbs":    {auth.RoleInfo{Name: "idle"}, config.Invalid},
		"no verb":     {auth.RoleInfo{Name: "root", Verbs: []string{"sudo"}}, config.Invalid},
		"a long text": {auth.RoleInfo{Name: "wordy", Verbs: []string{"read"}, Description: strings.Repeat("a", 5000)}, config.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.CreateRole(n.admin(), test.role)
			wantKind(t, test.want, err)
		})
	}
	_, err := n.UpdateRole(n.admin(), center.RolePatch{Name: "admin", Verbs: []string{"read"}})
	wantKind(t, config.Invalid, err)
	wantKind(t, config.Invalid, n.DeleteRole(n.admin(), "viewer", ""))
	_, err = n.CreateBinding(n.admin(), auth.Binding{User: "admin", Role: "nope"})
	if e := wantKind(t, config.Invalid, err); !strings.Contains(e.Error(), "publisher, taken, viewer") {
		t.Errorf("want the roles listed, made ones too, got %v", e)
	}
}

// Somebody who grants rights on the whole installation without having them all
// comes by no other right: not by a role, a group, a password or a token.
func TestGrantingRightsIsNotHavingThem(t *testing.T) {
	n := start(t)
	n.house()
	n.role("desk", "grant", "read")
	desk := n.user("desk", grant(t, "desk", ""))
	n.user("bob")
	n.role("small", "read")
	n.bind(auth.Binding{Group: "small", Role: "small"})
	n.bind(auth.Binding{Group: "admins", Role: auth.RoleAdmin, Scope: path(t, "acme")})
	_, err := n.CreateUser(n.admin(), center.NewUser{Name: "svc", Service: true})
	n.must(err)
	n.bind(auth.Binding{User: "svc", Role: auth.RolePublisher, Scope: path(t, "acme")})
	n.role("tight", "publish")
	denial := n.bind(auth.Binding{User: "bob", Role: "tight", Scope: path(t, "acme"), Deny: true})
	password := config.NewSecret("taken over by desk")
	for name, act := range map[string]func() error{
		"a role": func() error {
			_, err := n.CreateRole(desk, auth.RoleInfo{Name: "x", Verbs: []string{"publish"}})
			return err
		},
		"a wider role": func() error {
			_, err := n.UpdateRole(desk, center.RolePatch{Name: "small", Verbs: []string{"publish"}})
			return err
		},
		"a narrower denial": func() error {
			_, err := n.UpdateRole(desk, center.RolePatch{Name: "tight", Verbs: []string{"read"}})
			return err
		},
		"a denial lifted": func() error { return n.DeleteBinding(desk, denial.ID) },
		"a binding": func() error {
			_, err := n.CreateBinding(desk, auth.Binding{User: "bob", Role: auth.RolePublisher})
			return err
		},
		"a group": func() error {
			_, err := n.UpdateUser(desk, center.UserPatch{Name: "bob", Groups: &[]string{"admins"}})
			return err
		},
		"a new member": func() error {
			_, err := n.CreateUser(desk, center.NewUser{Name: "new", Service: true, Groups: []string{"admins"}})
			return err
		},
		"the admin's password": func() error {
			_, err := n.UpdateUser(desk, center.UserPatch{Name: "admin", Password: &password})
			return err
		},
		"a program's token": func() error { _, _, err := n.CreateToken(desk, center.NewToken{User: "svc"}); return err },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, config.Denied, act()) })
	}
	_, err = n.UpdateUser(desk, center.UserPatch{Name: "bob", Groups: &[]string{"small"}, Password: &password})
	n.must(err) // which is no more than it has
	n.must(n.DeleteBinding(n.admin(), denial.ID))
}

func TestBindingsToGroups(t *testing.T) {
	n := start(t)
	n.house()
	n.user("bob")
	b := n.bind(auth.Binding{Group: "devs", Role: auth.RoleEditor, Scope: path(t, "acme")})
	if n.allowed(n.as("bob"), auth.Edit, "acme/shop") {
		t.Error("want nothing for bob, who is in no group")
	}
	u, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Groups: &[]string{"ops", "devs", "devs"}})
	n.must(err)
	if diff := cmp.Diff([]string{"devs", "ops"}, u.Groups); diff != "" || !n.allowed(n.as("bob"), auth.Edit, "acme/shop") {
		t.Errorf("want bob in the groups, and to edit:\n%s", diff)
	}
	me, err := n.WhoAmI(n.as("bob"))
	n.must(err)
	want := []auth.Reason{{Grant: grant(t, "editor", "acme"), Group: "devs"}}
	if diff := cmp.Diff(want, me.GroupGrants); diff != "" || !cmp.Equal(u.Groups, me.Groups) {
		t.Errorf("who am i: %+v (-want +got):\n%s", me, diff)
	}
	again := n.bind(auth.Binding{Group: "devs", Role: auth.RoleEditor, Scope: path(t, "acme")})
	if again.ID != b.ID {
		t.Errorf("want the binding that is there, got %+v", again)
	}
	page, err := n.Bindings(n.admin(), center.BindingsRequest{Group: "devs"})
	n.must(err)
	if len(page.Items) != 1 || page.Items[0].ID != b.ID {
		t.Errorf("want the group's binding alone, got %+v", page.Items)
	}
	// A description leaves the groups; an empty list takes them.
	_, err = n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Description: ptr("Bob")})
	n.must(err)
	if !n.allowed(n.as("bob"), auth.Edit, "acme/shop") {
		t.Error("want bob in his groups still")
	}
	_, err = n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Groups: &[]string{}})
	n.must(err)
	if n.allowed(n.as("bob"), auth.Edit, "acme/shop") {
		t.Error("want nothing for bob, who left the group")
	}
}

func TestBindingsWithPatternsAndDenials(t *testing.T) {
	n := start(t)
	n.house()
	bob := n.user("bob")
	n.bind(auth.Binding{User: "bob", Role: auth.RoleViewer, Scope: path(t, "acme"), Pattern: "*/dev"})
	if !n.allowed(bob, auth.Read, "acme/shop/dev") || n.allowed(bob, auth.Read, "acme/shop/prod") {
		t.Error("want dev alone")
	}
	n.bind(auth.Binding{User: "bob", Role: auth.RoleAdmin, Scope: path(t, "acme")})
	denial := n.bind(auth.Binding{User: "bob", Role: auth.RoleAdmin, Scope: path(t, "acme"), Pattern: "*/prod", Deny: true})
	if !n.allowed(bob, auth.Publish, "acme/shop/test") || n.allowed(bob, auth.Read, "acme/shop/prod/a.yaml") {
		t.Error("want all but prod")
	}
	_, err := n.CreateUser(bob, center.NewUser{Name: "svc", Service: true})
	n.must(err)
	give := func(scope, pattern string) error {
		_, err := n.CreateBinding(bob, auth.Binding{User: "svc", Role: auth.RoleViewer, Scope: path(t, scope), Pattern: pattern})
		return err
	}
	n.must(give("acme/shop/dev", ""))
	n.must(give("acme", "*/dev"))
	wantKind(t, config.Denied, give("acme", "")) // it has prod in it
	wantKind(t, config.Denied, give("acme/shop", "prod"))
	wantKind(t, config.Denied, give("acme", "shop/*"))
	wantKind(t, config.Denied, n.DeleteBinding(bob, denial.ID)) // his own
	_, _, err = n.CreateToken(bob, center.NewToken{User: "svc"})
	n.must(err)
	n.bind(auth.Binding{User: "svc", Role: auth.RoleViewer, Scope: path(t, "acme/shop/prod")})
	_, _, err = n.CreateToken(bob, center.NewToken{User: "svc"})
	wantKind(t, config.Denied, err)
	for _, test := range []struct{ pattern, deny, want int }{{0, 0, 1}, {1, 0, 2}, {1, 1, 1}} {
		r := center.BindingsRequest{User: "bob", Deny: ptr(test.deny == 1)}
		if test.pattern == 0 {
			r.Pattern, r.Role = ptr("*/dev"), auth.RoleViewer
		}
		page, err := n.Bindings(n.admin(), r)
		n.must(err)
		if len(page.Items) != test.want {
			t.Errorf("%+v: want %d bindings, got %+v", test, test.want, page.Items)
		}
	}
	n.must(n.DeleteBinding(n.admin(), denial.ID))
}

func TestBindingsThatAreRefused(t *testing.T) {
	n := start(t)
	n.house()
	for name, b := range map[string]auth.Binding{
		"nobody":           {Role: auth.RoleViewer},
		"both":             {User: "admin", Group: "g", Role: auth.RoleViewer},
		"a bad group":      {Group: "a b", Role: auth.RoleViewer},
		"a bad external":   {User: "Corp:x", Role: auth.RoleViewer},
		"a pattern atop":   {User: "admin", Role: auth.RoleViewer, Pattern: "*"},
		"too deep":         {User: "admin", Role: auth.RoleViewer, Scope: path(t, "acme/shop"), Pattern: "a/b/c"},
		"denies all grant": {User: "admin", Role: auth.RoleAdmin, Deny: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.CreateBinding(n.admin(), b)
			wantKind(t, config.Invalid, err)
		})
	}
}

// Who was given rights from above is not shut out by those who run what is below.
func TestDenialsReachNotAbove(t *testing.T) {
	n := start(t)
	n.house()
	ann := n.user("ann", grant(t, "admin", "acme"))
	n.user("rex", grant(t, "auditor", ""))
	n.user("bob", grant(t, "viewer", "acme/shop"))
	n.bind(auth.Binding{Group: "corp:auditors", Role: auth.RoleAuditor})
	n.bind(auth.Binding{Group: "watchers", Role: auth.RoleAuditor})
	_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Groups: &[]string{"watchers", "devs"}})
	n.must(err)
	deny := func(b auth.Binding) error {
		b.Scope, b.Deny = path(t, "acme"), true
		_, err := n.CreateBinding(ann, b)
		return err
	}
	wantKind(t, config.Denied, deny(auth.Binding{User: "rex", Role: auth.RoleAuditor}))
	wantKind(t, config.Denied, deny(auth.Binding{User: "admin", Role: auth.RoleAdmin}))
	wantKind(t, config.Denied, deny(auth.Binding{User: "corp:eve", Role: auth.RoleAuditor}))
	wantKind(t, config.Denied, deny(auth.Binding{User: "bob", Role: auth.RoleAuditor}))
	wantKind(t, config.Denied, deny(auth.Binding{Group: "devs", Role: auth.RoleAuditor}))
	n.must(deny(auth.Binding{User: "bob", Role: auth.RoleViewer}))
	n.must(deny(auth.Binding{User: "other:eve", Role: auth.RoleAuditor}))
}

func TestExternalIdentitiesHaveWhatBindingsGive(t *testing.T) {
	n := start(t)
	n.house()
	alice := n.external("corp:alice", "corp:platform")
	if n.allowed(alice, auth.Read, "acme") {
		t.Error("want nothing without a binding")
	}
	n.bind(auth.Binding{Group: "corp:platform", Role: auth.RoleViewer, Scope: path(t, "acme")})
	n.bind(auth.Binding{User: "corp:alice", Role: auth.RoleEditor, Scope: path(t, "acme/shop/dev")})
	if !n.allowed(alice, auth.Read, "acme") || !n.allowed(alice, auth.Edit, "acme/shop/dev") || n.allowed(alice, auth.Edit, "acme/shop/prod") {
		t.Error("want what the bindings give to her and her group")
	}
	me, err := n.WhoAmI(alice)
	n.must(err)
	if me.Provider != "corp" || len(me.Groups) != 1 || len(me.GroupGrants) != 1 || len(me.Grants) != 1 {
		t.Errorf("who am i: got %+v", me)
	}
	_, _, err = n.CreateToken(alice, center.NewToken{})
	if e := wantKind(t, config.Denied, err); !strings.Contains(e.Error(), "make a service user") {
		t.Errorf("want it said what to do, got %v", e)
	}
	wantKind(t, config.Denied, n.SetPassword(alice, config.NewSecret("something long enough")))
}

func TestUsersGroupsThatAreRefused(t *testing.T) {
	n := start(t)
	n.house()
	ann := n.user("ann", grant(t, "admin", "acme"))
	n.user("bob")
	many := make([]string, 101)
	for i := range many {
		many[i] = "g" + strings.Repeat("x", i)
	}
	for name, groups := range map[string][]string{"too many": many, "a bad name": {"a b"}, "a provider's": {"corp:platform"}, "empty": {""}} {
		t.Run(name, func(t *testing.T) {
			_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "bob", Groups: &groups})
			wantKind(t, config.Invalid, err)
			_, err = n.CreateUser(n.admin(), center.NewUser{Name: "new", Service: true, Groups: groups})
			wantKind(t, config.Invalid, err)
		})
	}
	_, err := n.CreateUser(ann, center.NewUser{Name: "svc", Service: true, Groups: []string{"free"}})
	wantKind(t, config.Denied, err)
	_, err = n.CreateUser(ann, center.NewUser{Name: "svc", Service: true})
	n.must(err)
	_, err = n.CreateBinding(ann, auth.Binding{User: "svc", Role: auth.RoleClient, Scope: path(t, "acme")})
	n.must(err)
	_, err = n.UpdateUser(ann, center.UserPatch{Name: "svc", Groups: &[]string{"free"}})
	wantKind(t, config.Denied, err)
	// A group that has rights elsewhere takes the service user out of ann's hands.
	_, _, err = n.CreateToken(ann, center.NewToken{User: "svc"})
	n.must(err)
	n.bind(auth.Binding{Group: "ops", Role: auth.RoleViewer})
	_, err = n.UpdateUser(n.admin(), center.UserPatch{Name: "svc", Groups: &[]string{"ops"}})
	n.must(err)
	_, _, err = n.CreateToken(ann, center.NewToken{User: "svc"})
	wantKind(t, config.Denied, err)
	wantKind(t, config.Denied, n.DeleteUser(ann, "svc", ""))
}
