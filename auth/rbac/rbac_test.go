package rbac_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/config"
)

func TestConformance(t *testing.T) {
	authtest.Authorizer(t, func(t *testing.T, d auth.Directory) auth.Authorizer {
		var s rbac.Settings
		s.Defaults()
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		a, err := s.Open(t.Context(), auth.Env{Directory: d})
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
}

func TestOpenWantsADirectory(t *testing.T) {
	var s rbac.Settings
	if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Internal {
		t.Errorf("want an internal error, got %v", err)
	}
}

// model decides slowly and plainly: paths are text, verbs are names, and what
// is reached is found by trying every place there is.
type model struct {
	users  map[string]bool // whether disabled
	grants map[string][]auth.Grant
}

var modelVerbs = map[auth.Role]string{
	"client":    "fetch report",
	"viewer":    "fetch read",
	"editor":    "fetch read edit",
	"publisher": "fetch read edit publish rollout",
	"operator":  "fetch read rollout",
	"approver":  "fetch read approve",
	"admin":     "fetch read edit publish manage grant audit report operate rollout approve",
	"auditor":   "audit",
}

func below(scope, path string) bool {
	return scope == "" || path == scope || strings.HasPrefix(path, scope+"/")
}

func (m model) any(grants []auth.Grant, verb auth.Verb, path string) bool {
	for _, g := range grants {
		for _, name := range strings.Fields(modelVerbs[g.Role]) {
			if name == verb.String() && below(g.Scope.String(), path) {
				return true
			}
		}
	}
	return false
}

func (m model) allowed(id auth.Identity, verb auth.Verb, path string) bool {
	disabled, known := m.users[id.Subject]
	return id.Subject != "" && known && !disabled && m.any(m.grants[id.Subject], verb, path) &&
		(id.Narrow == nil || m.any(id.Narrow, verb, path))
}

func (m model) reaches(id auth.Identity, verb auth.Verb, path string) bool {
	for _, p := range everywhere() {
		if below(path, p.String()) && m.allowed(id, verb, p.String()) {
			return true
		}
	}
	return false
}

// everywhere lists a small world: two names at each level, one of which begins
// with the other.
func everywhere() []config.Path {
	all := []config.Path{{}}
	for i := 0; i < len(all); i++ {
		if all[i].Level() < config.LevelConfig {
			all = append(all, all[i].Join("a"), all[i].Join("ab"))
		}
	}
	return all
}

func TestDecidesAsTheModelDoes(t *testing.T) {
	subjects := []string{"", "alice", "bob", "ghost"}
	places := everywhere()
	roles := []auth.Role{"client", "viewer", "editor", "publisher", "admin", "auditor", "unheard-of", ""}
	grant := rapid.Custom(func(t *rapid.T) auth.Grant {
		return auth.Grant{Role: rapid.SampledFrom(roles).Draw(t, "role"), Scope: rapid.SampledFrom(places).Draw(t, "scope")}
	})
	grants := rapid.SliceOfN(grant, 0, 6)

	rapid.Check(t, func(t *rapid.T) {
		m := model{users: map[string]bool{"alice": false, "bob": rapid.Bool().Draw(t, "bob is disabled")}, grants: map[string][]auth.Grant{}}
		d := authtest.NewDirectory(auth.User{Name: "alice"}, auth.User{Name: "bob", Disabled: m.users["bob"]})
		for _, subject := range subjects {
			m.grants[subject] = grants.Draw(t, "grants of "+subject)
			d.Bind(subject, m.grants[subject]...)
		}
		id := auth.Identity{Subject: rapid.SampledFrom(subjects).Draw(t, "subject")}
		if rapid.Bool().Draw(t, "is narrowed") {
			id.Narrow = append([]auth.Grant{}, grants.Draw(t, "narrow")...)
		}
		a := rbac.New(d)
		for _, place := range places {
			for _, verb := range auth.Verbs() {
				if want, got := m.allowed(id, verb, place.String()), a.Allowed(id, verb, place); want != got {
					t.Fatalf("allowed %s at %q: want %v, got %v", verb, place, want, got)
				}
				if want, got := m.reaches(id, verb, place.String()), a.Reaches(id, verb, place); want != got {
					t.Fatalf("reaches %s at %q: want %v, got %v", verb, place, want, got)
				}
			}
		}
	})
}

func TestDecidingAllocatesNothing(t *testing.T) {
	a, id, at := bound(t, 10)
	id.Narrow = []auth.Grant{{Role: auth.RoleClient, Scope: at}}
	got := testing.AllocsPerRun(100, func() {
		a.Allowed(id, auth.Fetch, at)
		a.Reaches(id, auth.Fetch, at)
	})
	if got != 0 {
		t.Errorf("want no allocations, got %v", got)
	}
}

// bound returns an identity with so many bindings, of which the last one alone
// holds at the path.
func bound(tb testing.TB, bindings int) (*rbac.Authorizer, auth.Identity, config.Path) {
	tb.Helper()
	d := authtest.NewDirectory(auth.User{Name: "alice"})
	grants := make([]auth.Grant, bindings)
	for i := range grants {
		grants[i] = authtest.Grant(tb, auth.RoleEditor, fmt.Sprintf("acme/app-%04d/prod", i))
	}
	d.Bind("alice", grants...)
	return rbac.New(d), auth.Identity{Subject: "alice"}, authtest.Path(tb, fmt.Sprintf("acme/app-%04d/prod/application.yaml", bindings-1))
}

func BenchmarkAllowed(b *testing.B) {
	for _, bindings := range []int{1, 10, 1000} {
		a, id, at := bound(b, bindings)
		b.Run(fmt.Sprintf("bindings=%d", bindings), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !a.Allowed(id, auth.Fetch, at) {
					b.Fatal("denied")
				}
			}
		})
		b.Run(fmt.Sprintf("bindings=%d/narrowed", bindings), func(b *testing.B) {
			id := id
			id.Narrow = []auth.Grant{{Role: auth.RoleClient, Scope: at.Parent()}}
			b.ReportAllocs()
			for b.Loop() {
				if !a.Allowed(id, auth.Fetch, at) {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkReaches(b *testing.B) {
	for _, bindings := range []int{10, 1000} {
		a, id, at := bound(b, bindings)
		id.Narrow = []auth.Grant{{Role: auth.RoleClient, Scope: at.Parent()}}
		b.Run(fmt.Sprintf("bindings=%d", bindings), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !a.Reaches(id, auth.Fetch, at.At(config.LevelTenant)) {
					b.Fatal("denied")
				}
			}
		})
	}
}
