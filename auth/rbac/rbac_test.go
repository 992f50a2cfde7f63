package rbac_test

import (
	"fmt"
	"testing"

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
