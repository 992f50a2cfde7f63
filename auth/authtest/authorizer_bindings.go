package authtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
)

func groups(t *testing.T, d *Directory, a auth.Authorizer) {
	alice := auth.Identity{Subject: "alice"}
	d.BindGroup("platform", Grant(t, auth.RoleViewer, "acme"))
	d.BindGroup("alice", Grant(t, auth.RoleViewer, "")) // a group is no user of its name
	check(t, a, alice, "in no group", "acme", false, false)
	check(t, a, auth.Identity{Subject: "alice", Groups: []string{"platform"}}, "a group that only the caller says", "acme", false, false)
	d.PutUser(auth.User{Name: "alice", Groups: []string{"ops", "platform"}})
	check(t, a, alice, "in the group", "acme/checkout", true, true)
	check(t, a, alice, "in the group", "", false, true)
	d.Bind("platform", Grant(t, auth.RoleViewer, "")) // nor is a user a group
	check(t, a, alice, "a user has the group's name", "globex", false, false)
	d.BindGroup("ops", Grant(t, auth.RoleViewer, "globex"))
	check(t, a, alice, "the other group has more", "globex", true, true)
	d.PutUser(auth.User{Name: "alice", Groups: []string{"ops"}})
	check(t, a, alice, "left the group", "acme", false, false)
	d.PutUser(auth.User{Name: "alice", Groups: []string{"ops"}, Disabled: true})
	check(t, a, alice, "disabled", "globex", false, false)
}

func externals(t *testing.T, d *Directory, a auth.Authorizer) {
	d.Bind("alice", Grant(t, auth.RoleViewer, ""))
	d.BindGroup("platform", Grant(t, auth.RoleViewer, ""))
	d.BindGroup("corp:platform", Grant(t, auth.RoleViewer, "acme"))
	as := func(groups ...string) auth.Identity {
		return auth.Identity{Subject: "corp:alice", Provider: "corp", Groups: groups}
	}
	check(t, a, as(), "without a binding", "acme", false, false)
	check(t, a, as("corp:platform"), "through a group", "acme/checkout", true, true)
	check(t, a, as("corp:others"), "with another group", "acme", false, false)
	check(t, a, as("corp:others", "corp:platform"), "with two groups", "acme", true, true)
	check(t, a, as(), "without groups again", "acme", false, false)
	check(t, a, auth.Identity{Subject: "corp:alice"}, "as if it were kept here", "acme", false, false)
	d.Bind("corp:alice", Grant(t, auth.RoleViewer, "globex"))
	check(t, a, as(), "by its name", "globex", true, true)
	check(t, a, as("corp:platform"), "by its name and a group", "", false, true)
	narrow := as("corp:platform")
	narrow.Narrow = []auth.Grant{Grant(t, auth.RoleViewer, "acme/checkout")}
	check(t, a, narrow, "narrowed", "acme/checkout", true, true)
	check(t, a, narrow, "narrowed", "globex", false, false)
	same := []string{"corp:platform"}
	check(t, a, as(same...), "before its groups change", "acme", true, true)
	same[0] = "corp:others"
	check(t, a, as(same...), "with as many groups, but others", "acme", false, false)
}

func patterns(t *testing.T, d *Directory, a auth.Authorizer) {
	tests := []struct {
		scope, pattern, path string
		allowed, reaches     bool
	}{
		{"acme", "*/prod", "acme/checkout/prod", true, true},
		{"acme", "*/prod", "acme/checkout/prod/app.yaml", true, true},
		{"acme", "*/prod", "acme/checkout/test", false, false},
		{"acme", "*/prod", "acme/checkout/test/app.yaml", false, false},
		{"acme", "*/prod", "acme/checkout", false, true},
		{"acme", "*/prod", "acme", false, true},
		{"acme", "*/prod", "", false, true},
		{"acme", "*/prod", "globex", false, false},
		{"acme", "*", "acme", false, true},
		{"acme", "*", "acme/checkout", true, true},
		{"acme", "checkout/*/db-*", "acme/checkout/prod", false, true},
		{"acme", "checkout/*/db-*", "acme/search/prod", false, false},
		{"acme", "checkout/*/db-*", "acme/checkout/prod/db-1", true, true},
		{"acme", "checkout/*/db-*", "acme/checkout/prod/db-", true, true},
		{"acme", "checkout/*/db-*", "acme/checkout/prod/db", false, false},
		{"acme/checkout", "prod/db-*", "acme/checkout/prod/db-1", true, true},
		{"acme/checkout", "prod/db-*", "acme/checkout/test", false, false},
		{"acme/checkout/prod", "*", "acme/checkout/prod", false, true},
		{"acme/checkout/prod", "app.yaml", "acme/checkout/prod/app.yaml", true, true},
		{"acme/checkout/prod", "app.yaml", "acme/checkout/prod/app.yaml2", false, false},
	}
	for _, test := range tests {
		d.Unbind("alice")
		d.Bind("alice", Grant(t, auth.RoleAuditor, ""), Patterned(t, auth.RoleViewer, test.scope, test.pattern))
		check(t, a, auth.Identity{Subject: "alice"}, "granted "+test.pattern+" of "+test.scope, test.path, test.allowed, test.reaches)
		d.Unbind("alice")
		d.Bind("alice", Grant(t, auth.RoleAdmin, ""))
		id := auth.Identity{Subject: "alice", Narrow: []auth.Grant{Patterned(t, auth.RoleViewer, test.scope, test.pattern)}}
		check(t, a, id, "narrowed to "+test.pattern+" of "+test.scope, test.path, test.allowed, test.reaches)
	}
	d.Unbind("alice")
	d.Bind("alice", Patterned(t, auth.RoleViewer, "acme", "*/prod"))
	id := auth.Identity{Subject: "alice", Narrow: []auth.Grant{Patterned(t, auth.RoleViewer, "acme", "checkout/*")}}
	check(t, a, id, "where two patterns meet", "acme/checkout/prod", true, true)
	check(t, a, id, "above where two patterns meet", "acme", false, true)
	id.Narrow[0].Pattern = "*/test"
	check(t, a, id, "above two patterns that never meet", "acme", false, false)
}

func denials(t *testing.T, d *Directory, a auth.Authorizer) {
	d.PutUser(auth.User{Name: "alice", Groups: []string{"platform"}})
	allow, deny := Grant(t, auth.RoleViewer, "acme"), Denied(Grant(t, auth.RoleViewer, "acme/checkout"))
	tests := []struct {
		name             string
		own, group       []auth.Grant
		path             string
		allowed, reaches bool
	}{
		{"both its own", []auth.Grant{allow, deny}, nil, "acme/checkout/prod", false, false},
		{"both of the group", nil, []auth.Grant{deny, allow}, "acme/checkout", false, false},
		{"the group is denied what it has itself", []auth.Grant{allow}, []auth.Grant{deny}, "acme/checkout", false, false},
		{"it is denied what its group has", []auth.Grant{deny}, []auth.Grant{allow}, "acme/checkout", false, false},
		{"beside the denial", []auth.Grant{allow}, []auth.Grant{deny}, "acme/search", true, true},
		{"above the denial", []auth.Grant{allow}, []auth.Grant{deny}, "acme", true, true},
		{"denied above, granted anew below", []auth.Grant{Denied(allow), Grant(t, auth.RoleAdmin, "acme/checkout")}, nil, "acme", false, false},
		{"all that is granted is denied", []auth.Grant{deny, Grant(t, auth.RoleViewer, "acme/checkout/prod")}, nil, "acme", false, false},
		{"some of what is granted is denied", []auth.Grant{Grant(t, auth.RoleViewer, "acme/checkout"), Denied(Grant(t, auth.RoleViewer, "acme/checkout/prod"))}, nil, "acme", false, true},
		{"other verbs are denied", []auth.Grant{allow}, []auth.Grant{Denied(Grant(t, auth.RoleAuditor, ""))}, "acme", true, true},
		{"denied by a pattern", []auth.Grant{allow, Denied(Patterned(t, auth.RoleViewer, "acme", "*/prod"))}, nil, "acme/checkout/prod/app.yaml", false, false},
		{"beside what a pattern denies", []auth.Grant{allow, Denied(Patterned(t, auth.RoleViewer, "acme", "*/prod"))}, nil, "acme/checkout/test", true, true},
		{"a pattern's grant within a pattern's denial", []auth.Grant{Patterned(t, auth.RoleViewer, "acme", "checkout/prod/db-*")}, []auth.Grant{Denied(Patterned(t, auth.RoleViewer, "acme", "*/prod"))}, "acme", false, false},
		{"a pattern's grant, some of it denied", []auth.Grant{Patterned(t, auth.RoleViewer, "acme", "*/prod")}, []auth.Grant{Denied(Patterned(t, auth.RoleViewer, "acme", "checkout/*"))}, "acme", false, true},
		{"a denial allows nothing", []auth.Grant{Denied(allow)}, nil, "acme", false, false},
	}
	for _, test := range tests {
		d.Unbind("alice")
		d.UnbindGroup("platform")
		d.Bind("alice", test.own...)
		d.BindGroup("platform", test.group...)
		check(t, a, auth.Identity{Subject: "alice"}, test.name, test.path, test.allowed, test.reaches)
	}
	d.Unbind("alice")
	d.UnbindGroup("platform")
	d.Bind("alice", allow)
	id := auth.Identity{Subject: "alice", Narrow: []auth.Grant{allow, deny}}
	check(t, a, id, "what narrows it denies", "acme/checkout", false, false)
	check(t, a, id, "beside what narrows it denies", "acme/search", true, true)
}

func madeRoles(t *testing.T, d *Directory, a auth.Authorizer) {
	alice := auth.Identity{Subject: "alice"}
	d.Bind("alice", Grant(t, "release-readers", "acme"))
	check(t, a, alice, "before the role is made", "acme", false, false)
	d.PutRole("release-readers", auth.Read|auth.Approve)
	check(t, a, alice, "made", "acme", true, true)
	if !a.Allowed(alice, auth.Read|auth.Approve, Path(t, "acme")) || a.Allowed(alice, auth.Fetch, Path(t, "acme")) {
		t.Error("want a made role to give its verbs, and no other")
	}
	d.PutRole("release-readers", auth.Approve)
	check(t, a, alice, "with less", "acme", false, false)
	d.PutRole("release-readers", auth.Read)
	narrow := auth.Identity{Subject: "alice", Narrow: []auth.Grant{Grant(t, "release-readers", "")}}
	check(t, a, narrow, "narrowed to it", "acme", true, true)
	d.DeleteRole("release-readers")
	check(t, a, alice, "removed", "acme", false, false)
	check(t, a, narrow, "narrowed to what was removed", "acme", false, false)
}

// changesAmongMany lets some change what they alone may do, and look at once, while
// others ask for all of them.
func changesAmongMany(t *testing.T, d *Directory, a auth.Authorizer) {
	at, done := Path(t, "acme"), make(chan struct{})
	names := []string{"corp:a", "corp:b", "corp:c"}
	as := func(name string) auth.Identity {
		return auth.Identity{Subject: name, Provider: "corp", Groups: []string{name + "-team"}}
	}
	var changers, readers sync.WaitGroup
	for _, name := range names {
		changers.Go(func() {
			for range 200 {
				d.BindGroup(name+"-team", Grant(t, auth.RoleViewer, "acme"))
				if !a.Allowed(as(name), auth.Read, at) {
					t.Errorf("%s: want it allowed at once", name)
				}
				d.Bind(name, Denied(Grant(t, auth.RoleViewer, "")))
				if a.Allowed(as(name), auth.Read, at) || a.Reaches(as(name), auth.Read, at) {
					t.Errorf("%s: want it denied at once", name)
				}
				d.Unbind(name)
				d.UnbindGroup(name + "-team")
				if a.Reaches(as(name), auth.Read, at) {
					t.Errorf("%s: want nothing reached at once", name)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					for _, name := range names {
						a.Allowed(as(name), auth.Read, at)
						a.Reaches(as(name), auth.Read, at)
					}
				}
			}
		})
	}
	changers.Wait()
	close(done)
	readers.Wait()
}

// explanations is for drivers that can say why; others have nothing to keep.
func explanations(t *testing.T, d *Directory, a auth.Authorizer) {
	e, ok := a.(auth.Explainer)
	if !ok {
		t.Logf("%T does not say why", a)
		return
	}
	publisher, deny := Grant(t, auth.RolePublisher, "acme/checkout"), Denied(Patterned(t, auth.RolePublisher, "acme", "*/prod"))
	client := Grant(t, auth.RoleClient, "acme")
	d.PutUser(auth.User{Name: "alice", Groups: []string{"platform"}})
	d.PutUser(auth.User{Name: "mallory", Disabled: true})
	d.Bind("alice", client, Grant(t, auth.RoleAuditor, ""))
	d.BindGroup("platform", publisher, deny)
	tests := []struct {
		name    string
		id      auth.Identity
		verb    auth.Verb
		path    string
		allowed bool
		because []auth.Reason
		why     []string // parts of the sentence
	}{
		{"through a group", auth.Identity{Subject: "alice"}, auth.Publish, "acme/checkout", true,
			[]auth.Reason{{Grant: publisher, Group: "platform"}}, []string{"publisher", "acme/checkout", "platform"}},
		{"by its name and through a group", auth.Identity{Subject: "alice"}, auth.Fetch, "acme/checkout/test", true,
			[]auth.Reason{{Grant: client}, {Grant: publisher, Group: "platform"}}, []string{"client", "publisher"}},
		{"denied to a group", auth.Identity{Subject: "alice"}, auth.Publish, "acme/checkout/prod", false,
			[]auth.Reason{{Grant: deny, Group: "platform"}}, []string{"denied", "publisher", "acme/*/prod", "platform"}},
		{"given by nothing", auth.Identity{Subject: "alice"}, auth.Manage, "acme", false, []auth.Reason{}, []string{"alice", "manage", "acme"}},
		{"a disabled user", auth.Identity{Subject: "mallory"}, auth.Read, "acme", false, []auth.Reason{}, []string{"mallory", "disabled"}},
		{"an unknown user", auth.Identity{Subject: "ghost"}, auth.Read, "acme", false, []auth.Reason{}, []string{"ghost"}},
		{"narrowed to what gives it", auth.Identity{Subject: "alice", Narrow: []auth.Grant{client}}, auth.Report, "acme/search", true,
			[]auth.Reason{{Grant: client}, {Grant: client, Narrowing: true}}, []string{"client", "narrowed"}},
		{"narrowed to what does not", auth.Identity{Subject: "alice", Narrow: []auth.Grant{client}}, auth.Publish, "acme/checkout", false,
			[]auth.Reason{}, []string{"narrowed", "client", "publish"}},
	}
	for _, test := range tests {
		got := e.Explain(test.id, test.verb, Path(t, test.path))
		if got.Allowed != test.allowed || !cmp.Equal(test.because, got.Because) {
			t.Errorf("%s: want allowed %v; because (-want +got):\n%s%+v", test.name, test.allowed, cmp.Diff(test.because, got.Because), got)
		}
		for _, part := range test.why {
			if !strings.Contains(got.Why, part) {
				t.Errorf("%s: want %q in the sentence, got %q", test.name, part, got.Why)
			}
		}
	}
}
