package center_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// Whatever way the last admin would lose the installation, it is refused; with a
// second one, by a group or a role that was made, it is not.
func TestTheLastAdminStaysWhateverIsChanged(t *testing.T) {
	everything := []string{"fetch", "read", "edit", "publish", "manage", "grant", "audit", "report", "operate", "rollout", "approve"}
	ways := map[string]func(n *node) error{
		"disabled": func(n *node) error {
			_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "admin", Disabled: ptr(true)})
			return err
		},
		"deleted": func(n *node) error { return n.DeleteUser(n.admin(), "admin", "") },
		"unbound": func(n *node) error { return n.DeleteBinding(n.admin(), "admin") },
		"denied": func(n *node) error {
			_, err := n.CreateBinding(n.admin(), auth.Binding{User: "admin", Role: auth.RoleAuditor, Deny: true})
			return err
		},
		"in a group": func(n *node) error {
			_, err := n.UpdateUser(n.admin(), center.UserPatch{Name: "admin", Groups: &[]string{"shut"}})
			return err
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			n.bind(auth.Binding{Group: "shut", Role: auth.RoleAuditor, Deny: true})
			wantKind(t, config.Conflict, way(n))
			n.role("all", everything...)
			n.bind(auth.Binding{Group: "chiefs", Role: "all"})
			_, err := n.CreateUser(n.admin(), center.NewUser{Name: "second", Password: config.NewSecret("correct horse battery"), Groups: []string{"chiefs"}})
			n.must(err)
			n.must(way(n))
			_, err = n.UpdateRole(n.as("second"), center.RolePatch{Name: "all", Verbs: everything[1:]})
			wantKind(t, config.Conflict, err)
			_, err = n.UpdateUser(n.as("second"), center.UserPatch{Name: "second", Groups: &[]string{}})
			wantKind(t, config.Conflict, err)
			wantKind(t, config.Conflict, n.DeleteUser(n.as("second"), "second", ""))
		})
	}
}

// A role that is denied to the last admin, or to anybody on the whole installation,
// does not come to hold more.
func TestADeniedRoleGrowsNotOverTheLastAdmin(t *testing.T) {
	n := start(t)
	n.user("bob")
	n.role("shut", "audit")
	n.bind(auth.Binding{User: "bob", Role: "shut", Deny: true})
	_, err := n.UpdateRole(n.admin(), center.RolePatch{Name: "shut", Verbs: []string{"audit", "grant"}})
	wantKind(t, config.Conflict, err)
	_, err = n.UpdateRole(n.admin(), center.RolePatch{Name: "shut", Verbs: []string{"audit", "edit"}})
	n.must(err)
}

func TestCanISaysWhatTheCallerMay(t *testing.T) {
	n := start(t)
	n.house()
	bob := n.user("bob", grant(t, "viewer", "acme/shop"))
	for _, test := range []struct {
		verb auth.Verb
		path string
		want bool
	}{
		{auth.Read, "acme/shop/dev", true}, {auth.Read | auth.Fetch, "acme/shop", true}, {auth.Read, "acme", false},
		{auth.Edit, "acme/shop", false}, {auth.Read | auth.Edit, "acme/shop", false}, {auth.Read, "ghost", false},
	} {
		x, err := n.CanI(bob, test.verb, path(t, test.path))
		n.must(err)
		if x.Allowed != test.want || x.Why == "" || x.Because == nil {
			t.Errorf("%s at %s: want %v and why, got %+v", test.verb, test.path, test.want, x)
		}
		seen, err := n.CanSubject(n.admin(), "bob", test.verb, path(t, test.path))
		n.must(err)
		if diff := cmp.Diff(x, seen); diff != "" {
			t.Errorf("%s at %s: want the same for who grants rights (-want +got):\n%s", test.verb, test.path, diff)
		}
	}
	_, err := n.CanI(bob, 0, path(t, "acme"))
	wantKind(t, config.Invalid, err)
	_, err = n.CanI(bob, auth.AllVerbs+1, path(t, "acme"))
	wantKind(t, config.Invalid, err)
	_, err = n.CanI(bob, auth.Read, config.Path{Env: "x"})
	wantKind(t, config.Invalid, err)
	_, err = n.CanSubject(n.admin(), "ghost", auth.Read, path(t, "acme"))
	wantKind(t, config.NotFound, err)
	_, err = n.CanSubject(n.admin(), "corp:", auth.Read, path(t, "acme"))
	wantKind(t, config.Invalid, err)
	_, err = n.CanSubject(bob, "bob", auth.Read, path(t, "acme/shop"))
	wantKind(t, config.Denied, err)
}

func TestWhoCanListsUsersAndGroups(t *testing.T) {
	n := start(t)
	n.house()
	ann := n.user("ann", grant(t, "admin", "acme"))
	n.user("bob", grant(t, "viewer", "acme"))
	n.user("idle")
	_, err := n.CreateUser(n.admin(), center.NewUser{Name: "svc", Service: true, Groups: []string{"programs"}})
	n.must(err)
	n.bind(auth.Binding{Group: "programs", Role: auth.RoleClient, Scope: path(t, "acme")})
	n.bind(auth.Binding{Group: "corp:platform", Role: auth.RoleViewer, Scope: path(t, "acme")})
	n.bind(auth.Binding{User: "corp:alice", Role: auth.RoleClient, Scope: path(t, "acme/shop")})
	n.bind(auth.Binding{User: "bob", Role: auth.RoleClient, Scope: path(t, "acme/shop"), Pattern: "prod", Deny: true})
	n.user("gone", grant(t, "viewer", "acme"))
	_, err = n.UpdateUser(n.admin(), center.UserPatch{Name: "gone", Disabled: ptr(true)})
	n.must(err)
	for at, want := range map[string][]string{
		"acme/shop/dev":  {"corp:platform", "programs", "admin", "ann", "bob", "corp:alice", "svc"},
		"acme/shop/prod": {"corp:platform", "programs", "admin", "ann", "corp:alice", "svc"},
		"acme":           {"corp:platform", "programs", "admin", "ann", "bob", "svc"},
	} {
		var got []string
		r := center.PageRequest{Limit: 2}
		for {
			page, err := n.WhoCan(ann, auth.Fetch, path(t, at), r)
			n.must(err)
			for _, h := range page.Items {
				got = append(got, h.Group+h.User)
				if h.Because == nil || h.Service != (h.User == "svc") {
					t.Errorf("%s: got %+v", at, h)
				}
			}
			if r.After = page.Next; r.After == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", at, diff)
		}
	}
	_, err = n.WhoCan(ann, 0, path(t, "acme"), pages)
	wantKind(t, config.Invalid, err)
	_, err = n.WhoCan(ann, auth.Fetch, config.Path{}, pages)
	wantKind(t, config.Denied, err)
}
