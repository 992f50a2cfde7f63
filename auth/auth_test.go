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
		if err := auth.ValidateRole(info.Name); err != nil {
			t.Errorf("want the listed role %s valid, got %v", info.Name, err)
		}
		if diff := cmp.Diff(info.Name.Verbs().String(), strings.Join(info.Verbs, "+")); diff != "" || info.Description == "" {
			t.Errorf("%s: want a description and its verbs (-want +got):\n%s", info.Name, diff)
		}
	}
	err := auth.ValidateRole("root")
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), `no role "root"; there are admin, auditor`) {
		t.Errorf("want an unknown role refused and the known ones listed, got %v", err)
	}
	if got := auth.Role("").Verbs(); got != 0 {
		t.Errorf("want no verbs without a role, got %s", got)
	}
}
