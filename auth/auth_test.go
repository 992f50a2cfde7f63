package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestContextCarriesIdentityAndRequest(t *testing.T) {
	if !auth.FromContext(t.Context()).Anonymous() {
		t.Error("want nobody in an empty context")
	}
	id, r := auth.Identity{Subject: "alice", Method: "token", TokenID: "x"}, auth.Request{ID: "1", Address: "192.0.2.1"}
	ctx := auth.WithRequest(auth.WithIdentity(t.Context(), id), r)
	if diff := cmp.Diff(id, auth.FromContext(ctx)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(r, auth.RequestFrom(ctx)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestTokenExpiresAtItsTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		expires time.Time
		want    bool
	}{
		{"never", time.Time{}, false},
		{"later", now.Add(1), false},
		{"now", now, true},
		{"before", now.Add(-1), true},
	}
	for _, test := range tests {
		if got := (&auth.Token{ExpiresAt: test.expires}).Expired(now); got != test.want {
			t.Errorf("%s: want %v, got %v", test.name, test.want, got)
		}
	}
}

func TestVerbsHaveNamesAndMakeUpAllVerbs(t *testing.T) {
	var all auth.Verb
	for _, v := range auth.Verbs() {
		if v.String() == "" || strings.Contains(v.String(), "+") || all&v != 0 {
			t.Errorf("want a single new verb with a name, got %d %q", v, v)
		}
		all |= v
	}
	if all != auth.AllVerbs {
		t.Errorf("want all verbs %b, got %b", auth.AllVerbs, all)
	}
	if got, want := (auth.Read | auth.Edit).String(), "read+edit"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestRoles(t *testing.T) {
	for _, info := range auth.Roles() {
		if diff := cmp.Diff(info.Name.Builtin().String(), strings.Join(info.Verbs, "+")); diff != "" || info.Description == "" {
			t.Errorf("%s: want a description and its verbs (-want +got):\n%s", info.Name, diff)
		}
	}
	if got := auth.Role("").Builtin(); got != 0 {
		t.Errorf("want no verbs without a role, got %s", got)
	}
}

func TestParseVerbs(t *testing.T) {
	got, err := auth.ParseVerbs([]string{"rollout", "read", "read"})
	if want := auth.Read | auth.Rollout; got != want || err != nil {
		t.Errorf("want %s, got %s, %v", want, got, err)
	}
	_, err = auth.ParseVerbs([]string{"read", "root"})
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), `no verb "root"; there are fetch, read`) {
		t.Errorf("want an unknown verb refused and the known ones listed, got %v", err)
	}
}

func TestAGrantCovers(t *testing.T) {
	tests := []struct {
		scope, pattern string
		covers, not    []string
	}{
		{"", "", []string{"", "acme", "acme/shop/prod/a.yaml"}, nil},
		{"acme/shop", "", []string{"acme/shop", "acme/shop/prod"}, []string{"acme", "acme/shop2/prod"}},
		{"acme", "*/prod", []string{"acme/shop/prod", "acme/shop/prod/a.yaml"}, []string{"acme", "acme/shop", "acme/shop/dev/a.yaml", "globex/shop/prod"}},
		{"acme/shop", "prod/db-*", []string{"acme/shop/prod/db-a.yaml"}, []string{"acme/shop/prod", "acme/shop/prod/a.yaml", "acme/shop/dev/db-a.yaml"}},
		{"acme/shop/prod", "a.yaml", []string{"acme/shop/prod/a.yaml"}, []string{"acme/shop/prod/a.yaml2", "acme/shop/prod"}},
		{"acme", "*/*/*", []string{"acme/shop/prod/a.yaml"}, []string{"acme/shop/prod"}},
	}
	for _, test := range tests {
		scope, err := config.ParsePath(test.scope)
		if err == nil {
			err = auth.CheckPattern(scope, test.pattern)
		}
		if err != nil {
			t.Fatal(err)
		}
		g := auth.Grant{Scope: scope, Pattern: test.pattern}
		for want, paths := range map[bool][]string{true: test.covers, false: test.not} {
			for _, at := range paths {
				path, err := config.ParsePath(at)
				if err != nil {
					t.Fatal(err)
				}
				if got := g.Covers(path); got != want {
					t.Errorf("%s %q covers %q: want %v, got %v", test.scope, test.pattern, at, want, got)
				}
			}
		}
	}
}

func TestCheckPatternRefuses(t *testing.T) {
	for _, test := range []struct{ scope, pattern string }{
		{"", "acme"}, {"acme/shop/prod/a.yaml", "*"}, {"acme", "*/prod/a/b"}, {"acme", "/prod"}, {"acme", "prod/"},
		{"acme", "sh*p"}, {"acme", "shop*"}, {"acme", "*/prod/*b"}, {"acme", "../prod"}, {"acme", "a//b"}, {"acme", " "},
	} {
		scope, err := config.ParsePath(test.scope)
		if err != nil {
			t.Fatal(err)
		}
		if err := auth.CheckPattern(scope, test.pattern); config.KindOf(err) != config.Invalid {
			t.Errorf("%q at %q: want it refused, got %v", test.pattern, test.scope, err)
		}
	}
}

func TestExternalNames(t *testing.T) {
	for _, good := range []string{"corp:alice@example.com", "k8s:system:serviceaccount:a:b", "mesh:spiffe://a/b", "corp:李雷", "corp:a b"} {
		if err := auth.CheckExternal(good); err != nil {
			t.Errorf("want %q taken, got %v", good, err)
		}
	}
	for _, bad := range []string{"alice", "corp:", ":alice", "Corp:alice", "corp:a\nb", "corp:" + strings.Repeat("a", 300), "corp:\xff"} {
		if err := auth.CheckExternal(bad); config.KindOf(err) != config.Invalid {
			t.Errorf("want %q refused, got %v", bad, err)
		}
	}
}
