package rbac_test

import (
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/auth/rbac"
)

func TestSentences(t *testing.T) {
	d := authtest.NewDirectory(auth.User{Name: "alice", Groups: []string{"platform"}}, auth.User{Name: "mallory", Disabled: true})
	a := rbac.New(d)
	d.BindGroup("platform", authtest.Grant(t, auth.RolePublisher, "acme/checkout"), authtest.Denied(authtest.Patterned(t, auth.RolePublisher, "acme", "*/secret")))
	d.Bind("alice", authtest.Grant(t, auth.RoleAuditor, ""), authtest.Denied(authtest.Grant(t, auth.RoleClient, "globex")))
	for range 5 {
		d.Bind("alice", authtest.Grant(t, auth.RoleApprover, "initech"))
	}
	alice := auth.Identity{Subject: "alice"}
	narrowed := func(grants ...auth.Grant) auth.Identity {
		return auth.Identity{Subject: "alice", Narrow: append([]auth.Grant{}, grants...)}
	}
	tests := []struct {
		id   auth.Identity
		verb auth.Verb
		path string
		want string
	}{
		{alice, auth.Publish, "acme/checkout/prod", "allowed by role publisher at acme/checkout through group platform"},
		{alice, auth.ReadAudit, "", "allowed by role auditor at the whole installation"},
		{alice, auth.Approve, "initech", "allowed by role approver at initech, role approver at initech, role approver at initech and 2 more"},
		{alice, auth.Publish, "acme/checkout/secret/app.yaml", "denied: role publisher at acme/*/secret is denied to group platform"},
		{alice, auth.Fetch, "globex", "denied: role client at globex is denied to the user itself"},
		{alice, auth.Publish, "acme/search", "no binding of alice or its groups gives publish at acme/search"},
		{alice, auth.Read | auth.Manage | auth.Operate, "acme/checkout", "no binding of alice or its groups gives manage+operate at acme/checkout"},
		{alice, auth.AllVerbs + 1, "", "no binding of alice or its groups gives an unknown right at the whole installation"},
		{alice, 0, "", "no verb was asked for"},
		{auth.Identity{}, auth.Read, "", "nobody has logged in"},
		{auth.Identity{Subject: "mallory"}, auth.Read, "", "the user mallory is disabled"},
		{auth.Identity{Subject: "ghost"}, auth.Read, "", "there is no user ghost"},
		{
			auth.Identity{Subject: "corp:bob", Provider: "corp", Groups: []string{"platform"}}, auth.Rollout, "acme/checkout",
			"allowed by role publisher at acme/checkout through group platform",
		},
		{
			narrowed(authtest.Grant(t, auth.RoleEditor, "acme")), auth.Edit, "acme/checkout",
			"allowed by role publisher at acme/checkout through group platform, and by what the token is narrowed to: role editor at acme",
		},
		{
			narrowed(authtest.Grant(t, auth.RoleClient, "acme"), authtest.Grant(t, auth.RoleViewer, "globex")), auth.Publish, "acme/checkout",
			"the token is narrowed to role client at acme, role viewer at globex, which does not give publish at acme/checkout",
		},
		{narrowed(), auth.Publish, "acme/checkout", "the token is narrowed to nothing, which does not give publish at acme/checkout"},
		{
			narrowed(authtest.Denied(authtest.Grant(t, auth.RoleEditor, ""))), auth.Edit, "acme/checkout",
			"denied: the token is narrowed, and may not use role editor at the whole installation",
		},
	}
	for _, test := range tests {
		got := a.Explain(test.id, test.verb, authtest.Path(t, test.path))
		if got.Why != test.want {
			t.Errorf("%s may %s at %q:\nwant %s\n got %s", test.id.Subject, test.verb, test.path, test.want, got.Why)
		}
	}
}
