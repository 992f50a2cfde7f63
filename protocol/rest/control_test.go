package rest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	prod = "/v1/tenants/acme/apps/shop/envs/prod"
	file = prod + "/configs/app.yaml"
)

func TestScopes(t *testing.T) {
	s := start(t)
	type scope struct{ Name, Description string }
	for _, c := range []struct{ list, name string }{
		{"/v1/tenants", "globex"},
		{"/v1/tenants/globex/apps", "web"},
		{"/v1/tenants/globex/apps/web/envs", "dev"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var made, got scope
			r := s.do(request{method: "POST", path: c.list, json: map[string]any{"name": c.name, "description": "one"}})
			s.into(http.StatusCreated, r, &made)
			s.problem(http.StatusConflict, "already_exists", s.do(request{method: "POST", path: c.list, json: map[string]any{"name": c.name}}))
			one := c.list + "/" + c.name
			r = s.do(request{path: one})
			s.into(http.StatusOK, r, &got)
			if diff := cmp.Diff(made, got); diff != "" {
				t.Error(diff)
			}
			tag := r.Header.Get("ETag")
			r = s.do(request{method: "PATCH", path: one, json: map[string]any{"description": "two"}, header: map[string]string{"If-Match": tag}})
			s.into(http.StatusOK, r, &got)
			if got.Description != "two" || r.Header.Get("ETag") == tag {
				t.Errorf("want a new description and tag, got %+v %v", got, r.Header)
			}
			stale := map[string]string{"If-Match": tag}
			s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "PATCH", path: one, json: map[string]any{"description": "x"}, header: stale}))
			s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "DELETE", path: one, header: stale}))
			s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "DELETE", path: one, header: map[string]string{"If-Match": "bare"}}))
			var page config.Page[scope]
			s.into(http.StatusOK, s.do(request{path: c.list}), &page)
			if last := page.Items[len(page.Items)-1]; last.Name != c.name {
				t.Errorf("want %s in the list, got %+v", c.name, page)
			}
			s.problem(http.StatusNotFound, "not_found", s.do(request{path: c.list + "/nothing"}))
		})
	}
	for _, path := range []string{"/v1/tenants/globex/apps/web/envs/dev", "/v1/tenants/globex/apps/web", "/v1/tenants/globex"} {
		s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: path}), nil)
	}
	s.problem(http.StatusConflict, "conflict", s.do(request{method: "DELETE", path: "/v1/tenants/acme"}))
}

func TestEnvPatch(t *testing.T) {
	s := start(t)
	var e config.Env
	s.into(http.StatusOK, s.do(request{method: "PATCH", path: prod, json: map[string]any{"protected": true, "order": 70}}), &e)
	if !e.Protected || e.Order != 70 || e.Kind != config.EnvProd {
		t.Errorf("got %+v", e)
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 1"}}))
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 1", "comment": "why"}}), nil)
}

func TestPaging(t *testing.T) {
	s := start(t)
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		s.publish("acme/shop/prod/"+name, "x: 1\n")
	}
	var names []string
	for after := ""; ; {
		var page config.Page[config.State]
		s.into(http.StatusOK, s.do(request{path: prod + "/configs?limit=2&after=" + after}), &page)
		for _, item := range page.Items {
			names = append(names, item.Path.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"a.yaml", "b.yaml", "c.yaml"}, names); diff != "" {
		t.Error(diff)
	}
	var page config.Page[config.State]
	s.into(http.StatusOK, s.do(request{path: prod + "/configs?prefix=b"}), &page)
	if len(page.Items) != 1 {
		t.Errorf("want one by prefix, got %d", len(page.Items))
	}
	r := s.do(request{path: prod + "/configs?prefix=zzz"})
	if want := `{"items":[]}`; strings.TrimSpace(string(r.body)) != want {
		t.Errorf("want %s, got %s", want, r.body)
	}
}

func TestDraftToRelease(t *testing.T) {
	s := start(t)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: prod + "/configs", json: map[string]any{"name": "app.yaml", "description": "d", "labels": map[string]string{"team": "core"}}}), nil)

	none := map[string]string{"If-None-Match": "*"}
	var saved savedDraft
	r := s.do(request{method: "PUT", path: file + "/draft", json: map[string]any{"content": "a: [1\n"}, header: none})
	s.into(http.StatusOK, r, &saved)
	if len(saved.Problems) == 0 || saved.Problems[0].Line == 0 {
		t.Errorf("want a problem with its place, got %+v", saved)
	}
	first := r.Header.Get("ETag")
	s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "PUT", path: file + "/draft", json: map[string]any{"content": "x"}, header: none}))

	p := s.problem(http.StatusUnprocessableEntity, "invalid", s.do(request{method: "POST", path: file + "/releases", json: map[string]any{}}))
	if len(p.Problems) == 0 || p.Problems[0].Line == 0 || p.Problems[0].Excerpt == "" {
		t.Errorf("want problems with line and excerpt, got %+v", p)
	}
	r = s.do(request{method: "PUT", path: file + "/draft", json: map[string]any{"content": "a: [1]\n"}, header: map[string]string{"If-Match": first}})
	s.into(http.StatusOK, r, &saved)
	s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"draft_revision": strings.Trim(first, `"`)}}))

	var got fullDraft
	s.into(http.StatusOK, s.do(request{path: file + "/draft"}), &got)
	if got.Text == nil || *got.Text != "a: [1]\n" {
		t.Errorf("want the draft's content, got %+v", got)
	}
	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", json: map[string]any{
		"draft_revision": strings.Trim(r.Header.Get("ETag"), `"`), "comment": "first", "expected_version": 0}}), &set)
	if set.Items[0].Version != 1 || set.Revision == "" || set.Comment != "first" {
		t.Errorf("got %+v", set)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: file + "/draft"}))
	conflict := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 2", "expected_version": 0}}))
	if conflict.CurrentVersion != 1 {
		t.Errorf("want current version 1, got %+v", conflict)
	}
	s.into(http.StatusOK, s.do(request{method: "PUT", path: file + "/draft", json: map[string]any{"content": "a: 9\n"}}), nil)
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: file + "/draft"}), nil)
}

func TestValidate(t *testing.T) {
	s := start(t)
	var got findings
	s.into(http.StatusOK, s.do(request{method: "POST", path: file + "/validate", json: map[string]any{"content": "a: 1"}}), &got)
	if got.Problems == nil || len(got.Problems) != 0 {
		t.Errorf("want an empty list, got %+v", got)
	}
	s.into(http.StatusOK, s.do(request{method: "POST", path: file + "/validate", json: map[string]any{"content": "{", "format": "json"}}), &got)
	if len(got.Problems) == 0 {
		t.Error("want a problem, got none")
	}
}

func TestHistory(t *testing.T) {
	s := start(t)

	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 2\n")
	s.publish("acme/shop/test/app.yaml", "a: 3\n")

	var releases config.Page[config.Release]
	s.into(http.StatusOK, s.do(request{path: file + "/releases"}), &releases)
	if len(releases.Items) != 2 || releases.Items[0].Version != 2 {
		t.Errorf("want two, the newest first, got %+v", releases)
	}
	var one fullRelease
	s.into(http.StatusOK, s.do(request{path: file + "/releases/1"}), &one)
	if *one.Text != "a: 1\n" || one.Version != 1 {
		t.Errorf("got %+v", one)
	}
	r := s.do(request{path: file + "/releases/1/content"})
	if string(r.body) != "a: 1\n" || r.Header.Get("Setpoint-Version") != "1" || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %q %v", r.body, r.Header)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: file + "/releases/7"}))
	for _, version := range []string{"0", "-1", "x", "99999999999999999999"} {
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: file + "/releases/" + version}))
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: file + "/releases/" + version + "/content"}))
	}

	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/rollback", json: map[string]any{"version": 1, "expected_version": 2}}), &set)
	if set.Items[0].Version != 3 {
		t.Errorf("want version 3, got %+v", set)
	}
	var rollout config.Rollout
	s.into(http.StatusOK, s.do(request{path: file + "/rollout"}), &rollout)
	if rollout.Stable == nil || rollout.Stable.Version != 3 || rollout.Stable.Source.Version != 1 {
		t.Errorf("got %+v", rollout)
	}
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/tenants/acme/apps/shop/promote", json: map[string]any{"from_env": "test", "to_env": "prod"}}), &set)
	if set.Items[0].Version != 4 || set.Action != "promotion" {
		t.Errorf("got %+v", set)
	}
	var sets config.Page[config.ChangeSet]
	s.into(http.StatusOK, s.do(request{path: "/v1/tenants/acme/changesets?limit=2"}), &sets)
	if len(sets.Items) != 2 || sets.Items[0].Items[0].Version != 4 || sets.Next == "" {
		t.Errorf("got %+v", sets)
	}

}

func TestDiff(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 2\n")
	s.publish("acme/shop/test/app.yaml", "a: 3\n")
	s.into(http.StatusOK, s.do(request{method: "PUT", path: file + "/draft", json: map[string]any{"content": "a: 4\n"}}), nil)
	for query, want := range map[string][2]int64{
		"":                                   {2, 0},
		"?from=1&to=2":                       {1, 2},
		"?from=env:test&to=released":         {1, 2},
		"?from=path:acme/shop/test/app.yaml": {1, 0},
	} {
		var d center.Diff
		s.into(http.StatusOK, s.do(request{path: file + "/diff" + query}), &d)
		if got := [2]int64{d.From.Version, d.To.Version}; got != want || d.Equal {
			t.Errorf("%s: want %v, got %+v", query, want, d)
		}
	}
	r := s.do(request{path: file + "/diff?from=1&to=2", header: map[string]string{"Accept": "text/plain, application/json;q=0.5"}})
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || !strings.Contains(string(r.body), "+a: 2") {
		t.Errorf("want the unified text, got %v %q", r.Header, r.body)
	}
	for _, query := range []string{"?from=x", "?to=env:", "?from=-1", "?from=path:acme", "?from=path:..", "?until=3"} {
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: file + "/diff" + query}))
	}
}

func TestChangeSet(t *testing.T) {
	s := start(t)
	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/tenants/acme/changesets", json: map[string]any{
		"comment": "two", "items": []any{
			map[string]any{"path": "acme/shop/prod/a.yaml", "content": "a: 1\n"},
			map[string]any{"path": "acme/shop/test/b.json", "content_base64": base64.StdEncoding.EncodeToString([]byte(`{"b":1}`))},
		}}}), &set)
	if len(set.Items) != 2 || set.Items[1].Format != "json" {
		t.Errorf("got %+v", set)
	}
	for name, item := range map[string]map[string]any{
		"nothing":       {"path": "acme/shop/prod/a.yaml"},
		"both":          {"path": "acme/shop/prod/a.yaml", "content": "a: 1", "content_base64": "YQ=="},
		"and draft":     {"path": "acme/shop/prod/a.yaml", "content": "a: 1", "from_draft": true},
		"bad path":      {"path": "../etc", "content": "a: 1"},
		"unknown field": {"path": "acme/shop/prod/a.yaml", "content": "a: 1", "contnet": ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/tenants/acme/changesets", json: map[string]any{"items": []any{item}}}))
			if len(p.Problems) == 0 || !strings.HasPrefix(p.Problems[0].Path, "body") {
				t.Errorf("want the field named, got %+v", p)
			}
		})
	}
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: "/v1/tenants/acme/changesets", auth: s.viewer, json: map[string]any{
		"items": []any{map[string]any{"path": "acme/shop/prod/a.yaml", "content": "a: 2\n"}}}}))
}

func TestDeleteAndUndelete(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.problem(http.StatusConflict, "conflict", s.do(request{method: "DELETE", path: file + "?expected_version=7"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "DELETE", path: file + "?expected_version=x"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "DELETE", path: file + "?expcted_version=1"}))
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: file + "?expected_version=1&comment=gone"}), nil)
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/configs/acme/shop/prod/app.yaml"}))
	var page config.Page[config.State]
	s.into(http.StatusOK, s.do(request{path: prod + "/configs?deleted=true"}), &page)
	if len(page.Items) != 1 || !page.Items[0].Rollout.Deleted {
		t.Errorf("got %+v", page)
	}
	s.into(http.StatusOK, s.do(request{method: "POST", path: file + "/undelete", json: map[string]any{"comment": "back"}}), nil)
	s.into(http.StatusOK, s.do(request{path: "/v1/configs/acme/shop/prod/app.yaml"}), nil)
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: file + "?purge=true"}), nil)
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: file}))
}

func TestConfigMetadata(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	r := s.do(request{path: file})
	tag := r.Header.Get("ETag")
	var state config.State
	r = s.do(request{method: "PATCH", path: file, json: map[string]any{"labels": map[string]string{"a": "b"}, "file": "conf/app.yaml"}, header: map[string]string{"If-Match": tag}})
	s.into(http.StatusOK, r, &state)
	if state.Labels["a"] != "b" || state.File != "conf/app.yaml" {
		t.Errorf("got %+v", state)
	}
	s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "PATCH", path: file, json: map[string]any{"file": ""}, header: map[string]string{"If-Match": tag}}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "PATCH", path: file, json: map[string]any{"file": "../x"}}))
}

func TestArchives(t *testing.T) {
	s := start(t)
	files := map[string]string{"app.yaml": "a: 1\n", "rules/node.yml": "b: [1,\t2]\n"}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, content := range files {
		w, err := z.Create(name)
		s.must(err)
		_, err = io.WriteString(w, content)
		s.must(err)
	}
	s.must(z.Close())
	asZip := map[string]string{"Content-Type": "application/zip"}
	var result center.ImportResult
	s.into(http.StatusOK, s.do(request{method: "POST", path: prod + "/import?dry_run=true", body: buf.String(), header: asZip}), &result)
	if result.Created != 2 {
		t.Errorf("got %+v", result)
	}
	s.into(http.StatusOK, s.do(request{method: "POST", path: prod + "/import?comment=all", body: buf.String(), header: asZip}), &result)
	s.into(http.StatusOK, s.do(request{method: "POST", path: prod + "/import", body: buf.String(), header: asZip}), &result)
	if result.Unchanged != 2 || result.Created != 0 {
		t.Errorf("got %+v", result)
	}
	for format, media := range map[string]string{"zip": "application/zip", "tar.gz": "application/gzip"} {
		r := s.do(request{path: prod + "/export?format=" + format})
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != media || !strings.Contains(r.Header.Get("Content-Disposition"), "acme-shop-prod."+format) {
			t.Fatalf("%s: got %d %v", format, r.StatusCode, r.Header)
		}
		read, err := center.ReadArchive(r.body, 1<<20, 10)
		s.must(err)
		got := map[string]string{}
		for _, f := range read {
			got[f.File] = string(f.Content)
		}
		if diff := cmp.Diff(files, got); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: prod + "/export?name=nothing"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: prod + "/export?format=rar"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: prod + "/import", body: "PKnonsense", header: asZip}))
	s.problem(http.StatusUnsupportedMediaType, "invalid", s.do(request{method: "POST", path: prod + "/import", body: buf.String()}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: prod + "/import?prune=maybe", body: buf.String(), header: asZip}))
}

func TestIdentity(t *testing.T) {
	s := start(t)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/users", json: map[string]any{"name": "alice", "password": password}}), nil)
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{method: "POST", path: "/v1/auth/login", auth: "-", json: map[string]any{"username": "alice", "password": "wrong"}}))
	var session mintedToken
	s.into(http.StatusOK, s.do(request{method: "POST", path: "/v1/auth/login", auth: "-", json: map[string]any{"username": "alice", "password": password, "ttl": "1h"}}), &session)
	if !strings.HasPrefix(session.Secret, "sp_") || session.User != "alice" || session.ExpiresAt.IsZero() || session.ID == "" {
		t.Fatalf("got %+v", session)
	}
	bearer := "Bearer " + session.Secret
	var me center.WhoAmI
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/whoami", auth: bearer}), &me)
	if me.User != "alice" || !me.Session || len(me.Grants) != 0 {
		t.Errorf("got %+v", me)
	}
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/bindings", json: map[string]any{"user": "alice", "role": "viewer", "scope": "acme/shop"}}), nil)
	s.into(http.StatusOK, s.do(request{path: prod, auth: bearer}), nil)
	var bindings config.Page[auth.Binding]
	s.into(http.StatusOK, s.do(request{path: "/v1/bindings?user=alice"}), &bindings)
	if len(bindings.Items) != 1 {
		t.Fatalf("got %+v", bindings)
	}
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: "/v1/bindings/" + bindings.Items[0].ID}), nil)
	s.problem(http.StatusForbidden, "denied", s.do(request{path: prod, auth: bearer}))

	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{method: "POST", path: "/v1/auth/password", auth: bearer, json: map[string]any{"old": "wrong", "new": password + "2"}}))
	s.into(http.StatusNoContent, s.do(request{method: "POST", path: "/v1/auth/password", auth: bearer, json: map[string]any{"old": password, "new": password + "2"}}), nil)
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/whoami", auth: basicAuth("alice", password+"2")}), &me)

	var made mintedToken
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/tokens", json: map[string]any{
		"description": "ci", "ttl": "720h", "grants": []any{map[string]any{"role": "viewer", "scope": "acme"}}}}), &made)
	narrow := "Bearer " + made.Secret
	s.into(http.StatusOK, s.do(request{path: prod, auth: narrow}), nil)
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: "/v1/tenants", auth: narrow, json: map[string]any{"name": "x"}}))
	var tokens config.Page[auth.Token]
	s.into(http.StatusOK, s.do(request{path: "/v1/tokens"}), &tokens)
	if len(tokens.Items) == 0 || strings.Contains(string(s.do(request{path: "/v1/tokens"}).body), made.Secret[20:]) {
		t.Errorf("want the tokens without their secrets, got %+v", tokens)
	}
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: "/v1/tokens/" + made.ID}), nil)
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{path: prod, auth: narrow}))

	r := s.do(request{path: "/v1/users/alice"})
	tag := r.Header.Get("ETag")
	if strings.Contains(string(r.body), "argon") {
		t.Errorf("the hash is shown: %s", r.body)
	}
	s.into(http.StatusOK, s.do(request{method: "PATCH", path: "/v1/users/alice", json: map[string]any{"disabled": true}, header: map[string]string{"If-Match": tag}}), nil)
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{path: "/v1/auth/whoami", auth: basicAuth("alice", password+"2")}))
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: "/v1/users/alice"}), nil)
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/users/alice"}))
	var users config.Page[auth.User]
	s.into(http.StatusOK, s.do(request{path: "/v1/users"}), &users)
	var roles config.Page[auth.RoleInfo]
	s.into(http.StatusOK, s.do(request{path: "/v1/roles"}), &roles)
	if len(users.Items) != 4 || len(roles.Items) != len(auth.Roles()) {
		t.Errorf("want 4 users and the built-in roles, got %d and %d", len(users.Items), len(roles.Items))
	}
}

func TestLogout(t *testing.T) {
	s := start(t)
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/auth/logout"}))
	s.into(http.StatusNoContent, s.do(request{method: "POST", path: "/v1/auth/logout", auth: s.viewer}), nil)
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(request{path: "/v1/auth/whoami", auth: s.viewer}))
}

func TestAudit(t *testing.T) {
	s := start(t)
	r := s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 1\n"}, header: map[string]string{"X-Request-Id": "trace-7"}})
	s.into(http.StatusCreated, r, nil)
	if got := r.Header.Get("X-Request-Id"); got != "trace-7" {
		t.Errorf("want the request id back, got %q", got)
	}
	var page config.Page[audit.Record]
	s.into(http.StatusOK, s.do(request{path: "/v1/tenants/acme/audit?action=config.publish&actor=admin&path=acme/shop/prod&since=2020-01-02T15:04:05Z"}), &page)
	if len(page.Items) != 1 || page.Items[0].Actor.RequestID != "trace-7" || page.Items[0].Actor.Address != "127.0.0.1" {
		t.Errorf("got %+v", page)
	}
	s.into(http.StatusOK, s.do(request{path: "/v1/audit?action=user.create"}), &page)
	if len(page.Items) != 3 {
		t.Errorf("want 3, got %d", len(page.Items))
	}
	for _, query := range []string{"since=yesterday", "path=..", "limit=x", "limit=-1", "limit=5000", "actions=x"} {
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: "/v1/tenants/acme/audit?" + query}))
	}
}

func TestVersion(t *testing.T) {
	s := start(t)
	var v serverVersion
	s.into(http.StatusOK, s.do(request{path: "/v1/version", auth: s.nobody}), &v)
	if v.Version != "test" || v.Go == "" {
		t.Errorf("got %+v", v)
	}
}
