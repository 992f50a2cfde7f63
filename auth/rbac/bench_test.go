package rbac_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/config"
)

// company is a directory of 1,000 made roles and 10,000 bindings: of 500 users, 20
// groups kept here and 200 of a provider's, some with patterns, some that deny.
func company(tb testing.TB) (d *authtest.Directory, local, external auth.Identity, at config.Path) {
	tb.Helper()
	const users, own, theirs = 500, 20, 200
	role := func(i int) auth.Role { return auth.Role(fmt.Sprintf("role-%03d", i%1000)) }
	d = authtest.NewDirectory()
	roles := map[auth.Role]auth.Verb{}
	for i := range 1000 {
		roles[role(i)] = auth.Fetch | auth.Verbs()[i%len(auth.Verbs())]
	}
	d.PutRoles(roles)
	bound := map[string][]auth.Grant{}
	for i := range 10_000 {
		name := fmt.Sprintf("user-%03d", i%users)
		switch i % 4 {
		case 1:
			name = fmt.Sprintf("group-%02d", i/4%own)
		case 2:
			name = fmt.Sprintf("corp:team-%03d", i/4%theirs)
		}
		g := authtest.Grant(tb, role(i), fmt.Sprintf("tenant-%d/app-%03d", i%5, i%300))
		switch i % 7 {
		case 0:
			g.Pattern = "prod"
		case 1:
			g = authtest.Patterned(tb, g.Role, g.Scope.Tenant, "*/test/db-*")
		case 2:
			g = authtest.Denied(authtest.Patterned(tb, g.Role, g.Scope.String(), "*/secret-*"))
		case 3:
			g.Scope.Env, g.Scope.Name = "prod", fmt.Sprintf("service-%d.yaml", i%13)
		}
		bound[name] = append(bound[name], g)
	}
	at = authtest.Path(tb, "tenant-1/app-001/prod/service-1.yaml")
	last := authtest.Grant(tb, role(1), "tenant-1/app-001/prod")
	bound["group-07"] = append(bound["group-07"], last)
	bound["corp:team-019"] = append(bound["corp:team-019"], last)
	for name, grants := range bound {
		if name[:5] == "group" || name[:5] == "corp:" {
			d.BindGroup(name, grants...)
			continue
		}
		d.Bind(name, grants...)
	}
	groups, teams := make([]string, 0, own), make([]string, 0, 20)
	for i := range own {
		groups = append(groups, fmt.Sprintf("group-%02d", i))
		teams = append(teams, fmt.Sprintf("corp:team-%03d", i))
	}
	for i := range users {
		d.PutUser(auth.User{Name: fmt.Sprintf("user-%03d", i), Groups: groups})
	}
	local = auth.Identity{Subject: "user-400", Method: "token", TokenID: "abcdefghijkl"}
	external = auth.Identity{Subject: "corp:alice@example.com", Provider: "corp", Groups: teams, Method: "oidc"}
	return d, local, external, at
}

// askers are the identities of the company that are measured.
func askers(local, external auth.Identity, at config.Path) []struct {
	name string
	id   auth.Identity
} {
	narrow := []auth.Grant{
		{Role: auth.RoleViewer, Scope: config.Path{Tenant: "tenant-2"}},
		{Role: "role-003", Scope: at.At(config.LevelApp), Pattern: "test"},
		{Role: auth.RoleClient, Scope: at.Parent()},
	}
	localNarrow, externalNarrow, again := local, external, external
	localNarrow.Narrow, externalNarrow.Narrow = narrow, narrow
	again.Groups = make([]string, len(external.Groups)) // as each call decodes them anew
	for i, g := range external.Groups {
		again.Groups[i] = string(slices.Clone([]byte(g)))
	}
	return []struct {
		name string
		id   auth.Identity
	}{
		{"local", local}, {"local narrowed", localNarrow}, {"external", external},
		{"external decoded anew", again}, {"external narrowed", externalNarrow},
	}
}

func TestDecidingAllocatesNothing(t *testing.T) {
	d, local, external, at := company(t)
	a := rbac.New(d)
	for _, asker := range askers(local, external, at) {
		got := testing.AllocsPerRun(100, func() {
			if !a.Allowed(asker.id, auth.Fetch, at) || !a.Reaches(asker.id, auth.Fetch, at.At(config.LevelTenant)) {
				t.Error("want it allowed")
			}
		})
		if got != 0 {
			t.Errorf("%s: want no allocations, got %v", asker.name, got)
		}
	}
}

// BenchmarkCompany measures decisions in an installation of the size that
// documentation promises.
func BenchmarkCompany(b *testing.B) {
	d, local, external, at := company(b)
	a := rbac.New(d)
	for _, asker := range askers(local, external, at) {
		b.Run("allowed/"+asker.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !a.Allowed(asker.id, auth.Fetch, at) {
					b.Fatal("denied")
				}
			}
		})
		b.Run("reaches/"+asker.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !a.Reaches(asker.id, auth.Fetch, at.At(config.LevelTenant)) {
					b.Fatal("denied")
				}
			}
		})
	}
	b.Run("allowed/local at once by all cores", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !a.Allowed(local, auth.Fetch, at) {
					b.Error("denied")
				}
			}
		})
	})
	b.Run("after a change of somebody else's", func(b *testing.B) {
		other := &renewed{Directory: d}
		a := rbac.New(other)
		for b.Loop() {
			other.generation++
			a.Allowed(local, auth.Fetch, at)
		}
	})
	b.Run("compiled for the first time", func(b *testing.B) {
		for b.Loop() {
			rbac.New(d).Allowed(local, auth.Fetch, at)
		}
	})
}

// renewed says that something has changed, though nothing has.
type renewed struct {
	*authtest.Directory
	generation uint64
}

func (r *renewed) Generation() uint64 { return r.generation }
