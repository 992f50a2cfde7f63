package authtest

import (
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Authorizer checks that a driver keeps the contract of auth.Authorizer, with
// built-in roles and made ones, groups, patterns and denials, and that of
// auth.Explainer if it is one. open returns a driver that decides by the directory.
func Authorizer(t *testing.T, open func(t *testing.T, d auth.Directory) auth.Authorizer) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, *Directory, auth.Authorizer)
	}{
		{"what each role may do", roles},
		{"where a grant holds", scopes},
		{"what a narrowed identity keeps", narrowed},
		{"who may do nothing whatever is granted", nobodies},
		{"several verbs are each wanted", severalVerbs},
		{"a change holds from the next decision on", changes},
		{"what users have through their groups", groups},
		{"what those have who are known elsewhere", externals},
		{"where a grant with a pattern holds", patterns},
		{"a denial beats every allowance", denials},
		{"what a made role gives, and no longer gives", madeRoles},
		{"changes hold at once while many decide", changesAmongMany},
		{"why something is allowed or not", explanations},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := NewDirectory(auth.User{Name: "alice"})
			test.run(t, d, open(t, d))
		})
	}
}

// rolesTable is for people to read and to check against the documentation.
const rolesTable = `
           fetch  read  edit  publish  manage  grant  audit  report  operate  rollout  approve
client       x     .     .       .       .       .      .      x        .        .        .
viewer       x     x     .       .       .       .      .      .        .        .        .
editor       x     x     x       .       .       .      .      .        .        .        .
publisher    x     x     x       x       .       .      .      .        .        x        .
operator     x     x     .       .       .       .      .      .        .        x        .
approver     x     x     .       .       .       .      .      .        .        .        x
admin        x     x     x       x       x       x      x      x        x        x        x
auditor      .     .     .       .       .       .      x      .        .        .        .
unheard-of   .     .     .       .       .       .      .      .        .        .        .
`

func roles(t *testing.T, d *Directory, a auth.Authorizer) {
	lines := strings.Split(strings.TrimSpace(rolesTable), "\n")
	verbs := strings.Fields(lines[0])
	if want, got := len(auth.Verbs()), len(verbs); want != got {
		t.Fatalf("want every verb in the table, %d, got %d", want, got)
	}
	at := Path(t, "acme/checkout/prod/app.yaml")
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		d.Unbind("alice")
		d.Bind("alice", Grant(t, auth.Role(cells[0]), "acme/checkout"))
		for i, verb := range auth.Verbs() {
			if verb.String() != verbs[i] {
				t.Fatalf("want the verbs in the table in their order, %s, got %s", verb, verbs[i])
			}
			want := cells[i+1] == "x"
			if got := a.Allowed(auth.Identity{Subject: "alice"}, verb, at); got != want {
				t.Errorf("%s may %s: want %v, got %v", cells[0], verb, want, got)
			}
			if got := a.Reaches(auth.Identity{Subject: "alice"}, verb, at); got != want {
				t.Errorf("%s reaches %s: want %v, got %v", cells[0], verb, want, got)
			}
		}
	}
}

func scopes(t *testing.T, d *Directory, a auth.Authorizer) {
	tests := []struct {
		scope, path      string
		allowed, reaches bool
	}{
		{"", "", true, true},
		{"", "acme", true, true},
		{"", "acme/checkout/prod/app.yaml", true, true},
		{"acme", "", false, true},
		{"acme", "acme", true, true},
		{"acme", "acme/checkout/prod", true, true},
		{"acme", "acme-labs", false, false},
		{"acme", "globex/checkout", false, false},
		{"acme/checkout", "acme", false, true},
		{"acme/checkout", "acme/checkout/prod/app.yaml", true, true},
		{"acme/checkout", "acme/search", false, false},
		{"acme/checkout/prod", "acme/checkout/prod/app.yaml", true, true},
		{"acme/checkout/prod", "acme/checkout/test/app.yaml", false, false},
		{"acme/checkout/prod", "acme/checkout", false, true},
		{"acme/checkout/prod/app.yaml", "acme/checkout/prod/app.yaml", true, true},
		{"acme/checkout/prod/app.yaml", "acme/checkout/prod/app.yml", false, false},
		{"acme/checkout/prod/app.yaml", "acme/checkout/prod", false, true},
		{"acme/checkout/prod/app.yaml", "", false, true},
	}
	for _, test := range tests {
		d.Unbind("alice")
		d.Bind("alice", Grant(t, auth.RoleAuditor, ""), Grant(t, auth.RoleViewer, test.scope))
		check(t, a, auth.Identity{Subject: "alice"}, "granted at "+quote(test.scope), test.path, test.allowed, test.reaches)
	}
}

func narrowed(t *testing.T, d *Directory, a auth.Authorizer) {
	tests := []struct {
		own, narrow      string // viewer at these scopes; narrow "-" is a list without grants
		path             string
		allowed, reaches bool
	}{
		{"acme", "acme/checkout", "acme/checkout/prod", true, true},
		{"acme", "acme/checkout", "acme/search", false, false},
		{"acme", "acme/checkout", "acme", false, true},
		{"acme/checkout", "", "acme/checkout/prod", true, true},
		{"acme/checkout", "", "acme/search", false, false},
		{"acme/checkout", "acme/search", "acme/checkout", false, false},
		{"acme/checkout", "acme/search", "acme/search", false, false},
		{"acme/checkout", "acme/search", "acme", false, false}, // both reach it, but nowhere together
		{"acme", "-", "acme", false, false},
	}
	for _, test := range tests {
		d.Unbind("alice")
		d.Bind("alice", Grant(t, auth.RoleViewer, test.own))
		id := auth.Identity{Subject: "alice", Narrow: []auth.Grant{}}
		if test.narrow != "-" {
			// The role that does not fit must not lend its scope to the one that does.
			id.Narrow = []auth.Grant{Grant(t, auth.RoleAuditor, ""), Grant(t, auth.RoleViewer, test.narrow)}
		}
		check(t, a, id, "granted at "+quote(test.own)+", narrowed to "+quote(test.narrow), test.path, test.allowed, test.reaches)
	}
	t.Run("to another role", func(t *testing.T) {
		id := auth.Identity{Subject: "alice", Narrow: []auth.Grant{Grant(t, auth.RoleClient, "")}}
		check(t, a, id, "a viewer narrowed to client", "acme", false, false)
	})
}

func nobodies(t *testing.T, d *Directory, a auth.Authorizer) {
	d.PutUser(auth.User{Name: "mallory", Disabled: true})
	for _, subject := range []string{"", "mallory", "ghost"} {
		d.Bind(subject, Grant(t, auth.RoleAdmin, ""))
		check(t, a, auth.Identity{Subject: subject}, "subject "+quote(subject), "acme", false, false)
	}
	check(t, a, auth.Identity{Subject: "alice"}, "without a grant", "acme", false, false)
}

func severalVerbs(t *testing.T, d *Directory, a auth.Authorizer) {
	d.Bind("alice", Grant(t, auth.RoleViewer, "acme"), Grant(t, auth.RoleAuditor, ""))
	id, at := auth.Identity{Subject: "alice"}, Path(t, "acme")
	tests := []struct {
		verbs auth.Verb
		want  bool
	}{
		{auth.Fetch | auth.Read, true},
		{auth.Read | auth.ReadAudit, true},
		{auth.Read | auth.Edit, false},
		{auth.AllVerbs, false},
		{0, false},
		{auth.AllVerbs + 1, false},
	}
	for _, test := range tests {
		if got := a.Allowed(id, test.verbs, at); got != test.want {
			t.Errorf("allowed %q: want %v, got %v", test.verbs, test.want, got)
		}
		if got := a.Reaches(id, test.verbs, at); got != test.want {
			t.Errorf("reaches %q: want %v, got %v", test.verbs, test.want, got)
		}
	}
}

func changes(t *testing.T, d *Directory, a auth.Authorizer) {
	id := auth.Identity{Subject: "alice"}
	check(t, a, id, "before", "acme", false, false)
	d.Bind("alice", Grant(t, auth.RoleViewer, "acme"))
	check(t, a, id, "bound", "acme", true, true)
	d.PutUser(auth.User{Name: "alice", Disabled: true})
	check(t, a, id, "disabled", "acme", false, false)
	d.PutUser(auth.User{Name: "alice"})
	check(t, a, id, "enabled again", "acme", true, true)
	d.Unbind("alice")
	check(t, a, id, "unbound", "acme", false, false)
}

// check asks for Read, which a viewer has and an auditor has not.
func check(t *testing.T, a auth.Authorizer, id auth.Identity, who, path string, allowed, reaches bool) {
	t.Helper()
	at := Path(t, path)
	if got := a.Allowed(id, auth.Read, at); got != allowed {
		t.Errorf("%s: allowed at %s: want %v, got %v", who, place(at), allowed, got)
	}
	if got := a.Reaches(id, auth.Read, at); got != reaches {
		t.Errorf("%s: reaches %s: want %v, got %v", who, place(at), reaches, got)
	}
	if e, ok := a.(auth.Explainer); ok {
		if got := e.Explain(id, auth.Read, at); got.Allowed != allowed || got.Because == nil || got.Why == "" {
			t.Errorf("%s: explained at %s: want allowed %v, a list and a sentence, got %+v", who, place(at), allowed, got)
		}
	}
}

func place(p config.Path) string { return quote(p.String()) }

func quote(s string) string {
	if s == "" {
		return "the root"
	}
	return s
}
