package rbac

import (
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

// FuzzATreeHoldsAsGrantsCover compares the compiled form with what defines it,
// whatever a pattern says, be it one that nobody could have bound.
func FuzzATreeHoldsAsGrantsCover(f *testing.F) {
	for _, pattern := range []string{"", "*", "*/prod", "checkout/*/db-*", "/", "a//b", "*/", "**", "a*b", "*/*/*/*", "prod*"} {
		f.Add("acme", pattern, "acme/checkout/prod/db-1")
		f.Add("", pattern, "acme/checkout")
		f.Add("acme/checkout/prod/db-1", pattern, "acme/checkout/prod/db-1")
	}
	f.Fuzz(func(t *testing.T, scope, pattern, at string) {
		in, err := config.ParsePath(scope)
		if err != nil {
			return
		}
		path, err := config.ParsePath(at)
		if err != nil {
			return
		}
		g := auth.Grant{Role: auth.RoleViewer, Scope: in, Pattern: pattern}
		d := authtest.NewDirectory(auth.User{Name: "alice"})
		d.Bind("alice", g)
		a, alice := New(d), auth.Identity{Subject: "alice"}
		want := g.Covers(path)
		if got := a.Allowed(alice, auth.Read, path); want != got {
			t.Errorf("%q of %q allows at %q: want %v, got %v", pattern, scope, at, want, got)
		}
		if want && !a.Reaches(alice, auth.Read, path.Parent()) {
			t.Errorf("%q of %q: want %q reached, as it is allowed below", pattern, scope, path.Parent())
		}
		d.Bind("alice", auth.Grant{Role: auth.RoleAdmin}, authtest.Denied(g))
		if got := a.Allowed(alice, auth.Read, path); want == got {
			t.Errorf("%q of %q denies at %q: want %v, got %v", pattern, scope, at, want, !got)
		}
	})
}

func TestBoxesMeet(t *testing.T) {
	tests := []struct {
		one, other string // patterns of the tenant acme
		meets      bool
		covers     bool // whether one covers the other
	}{
		{"*", "checkout", true, true},
		{"checkout", "*", true, false},
		{"checkout", "search", false, false},
		{"*/prod", "checkout", true, false},
		{"*/prod", "checkout/prod/app.yaml", true, true},
		{"*/prod", "checkout/*", true, false},
		{"*/prod", "*/test", false, false},
		{"*/*/db-*", "*/prod/db-1*", true, true},
		{"*/*/db-1*", "*/*/db-2*", false, false},
		{"*/*/db-*", "*/*/db-", true, true},
		{"*/*/db-*", "*/*/d*", true, false},
	}
	for _, test := range tests {
		g, h := authtest.Patterned(t, "", "acme", test.one), authtest.Patterned(t, "", "acme", test.other)
		one, _ := boxOf(&g)
		other, _ := boxOf(&h)
		there, meets := one.meet(&other)
		back, also := other.meet(&one)
		if meets != test.meets || also != meets || there != back {
			t.Errorf("%s and %s: want them to meet %v, both ways alike; got %v %+v, %v %+v", test.one, test.other, test.meets, meets, there, also, back)
		}
		if got := one.covers(&other); got != test.covers {
			t.Errorf("%s covers %s: want %v, got %v", test.one, test.other, test.covers, got)
		}
		if meets && (!one.covers(&there) || !other.covers(&there)) {
			t.Errorf("%s and %s: want what they have in common within both, got %+v", test.one, test.other, there)
		}
	}
}
