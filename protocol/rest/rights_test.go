package rest

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func TestRoles(t *testing.T) {
	s := start(t)
	r := s.do(request{method: "POST", path: "/v1/roles", json: map[string]any{"name": "releaser", "verbs": []string{"rollout", "read"}, "description": "brings out"}})
	var role auth.RoleInfo
	s.into(http.StatusCreated, r, &role)
	if diff := cmp.Diff([]string{"read", "rollout"}, role.Verbs); diff != "" || role.Builtin || r.Header.Get("ETag") == "" {
		t.Errorf("got %+v, %s", role, diff)
	}
	s.problem(http.StatusConflict, "already_exists", s.do(request{method: "POST", path: "/v1/roles", json: map[string]any{"name": "releaser", "verbs": []string{"read"}}}))
	seen := map[string]string{"If-Match": r.Header.Get("ETag")}
	s.into(http.StatusOK, s.do(request{method: "PATCH", path: "/v1/roles/releaser", json: map[string]any{"verbs": []string{"read"}}, header: seen}), &role)
	if diff := cmp.Diff([]string{"read"}, role.Verbs); diff != "" || role.Description != "brings out" {
		t.Errorf("got %+v, %s", role, diff)
	}
	if again := s.do(request{method: "DELETE", path: "/v1/roles/releaser", header: seen}); again.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("want 412 for what was changed since, got %d: %s", again.StatusCode, again.body)
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "PATCH", path: "/v1/roles/releaser", json: map[string]any{"verbs": []string{}}}))
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "PATCH", path: "/v1/roles/releaser", auth: s.viewer, json: map[string]any{"verbs": []string{"read"}}}))
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: "/v1/roles/releaser"}), nil)
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "DELETE", path: "/v1/roles/releaser"}))
}

func TestBindingsOfGroupsWithPatternsAndDenials(t *testing.T) {
	s := start(t)
	var u auth.User
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/users", json: map[string]any{"name": "svc", "service": true, "groups": []string{"ops", "devs"}}}), &u)
	if diff := cmp.Diff([]string{"devs", "ops"}, u.Groups); diff != "" {
		t.Error(diff)
	}
	for _, body := range []map[string]any{
		{"group": "devs", "role": "editor", "scope": "acme", "pattern": "*/test"},
		{"group": "devs", "role": "editor", "scope": "acme/shop", "deny": true},
		{"user": "corp:alice@example.com", "role": "viewer", "scope": "acme"},
	} {
		s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/bindings", json: body}), nil)
	}
	for query, want := range map[string]int{
		"group=devs": 2, "group=devs&deny=true": 1, "group=devs&deny=false": 1, "pattern=*/test": 1,
		"user=corp:alice@example.com": 1, "group=devs&role=viewer": 0, "group=ops": 0,
	} {
		var page config.Page[auth.Binding]
		s.into(http.StatusOK, s.do(request{path: "/v1/bindings?" + query}), &page)
		if len(page.Items) != want {
			t.Errorf("%s: want %d bindings, got %+v", query, want, page.Items)
		}
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/bindings?deny=maybe"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/bindings", json: map[string]any{"user": "svc", "group": "devs", "role": "viewer", "scope": "acme"}}))
	s.into(http.StatusOK, s.do(request{method: "PATCH", path: "/v1/users/svc", json: map[string]any{"groups": []string{}}}), &u)
	var got auth.User
	s.into(http.StatusOK, s.do(request{path: "/v1/users/svc"}), &got)
	if len(got.Groups) != 0 {
		t.Errorf("want no groups, got %+v", got)
	}
	var made mintedToken
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/tokens", json: map[string]any{
		"grants": []any{map[string]any{"role": "viewer", "scope": "acme", "pattern": "*/test"}}}}), &made)
	s.problem(http.StatusForbidden, "denied", s.do(request{path: prod, auth: "Bearer " + made.Secret}))
}

func TestWhoCanDoWhat(t *testing.T) {
	s := start(t)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/users", json: map[string]any{"name": "alice", "password": password}}), nil)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/bindings", json: map[string]any{"user": "alice", "role": "editor", "scope": "acme"}}), nil)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/bindings", json: map[string]any{"group": "corp:devs", "role": "editor", "scope": "acme"}}), nil)
	alice := basicAuth("alice", password)
	for query, want := range map[string]bool{"verb=edit&path=acme/shop": true, "verb=publish&path=acme/shop": false, "verb=read": false} {
		for _, r := range []request{{path: "/v1/auth/can-i?" + query, auth: alice}, {path: "/v1/auth/can-i?as=alice&" + query}} {
			var x auth.Explanation
			s.into(http.StatusOK, s.do(r), &x)
			if x.Allowed != want || x.Why == "" {
				t.Errorf("%s: want %v and why, got %+v", r.path, want, x)
			}
		}
	}
	s.problem(http.StatusForbidden, "denied", s.do(request{path: "/v1/auth/can-i?verb=read&path=acme&as=bob", auth: alice}))
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/auth/can-i?verb=read&path=acme&as=ghost"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/auth/can-i?verb=sudo"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/auth/can-i"}))
	var page config.Page[center.Holder]
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/who-can?verb=edit&path=acme/shop&limit=2"}), &page)
	if len(page.Items) != 2 || page.Items[0].Group != "corp:devs" || page.Next == "" {
		t.Errorf("want the group first, and more to come, got %+v", page)
	}
	s.problem(http.StatusForbidden, "denied", s.do(request{path: "/v1/auth/who-can?verb=edit&path=acme", auth: alice}))
}
