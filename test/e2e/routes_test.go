package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// description is what this test reads of /openapi.json.
type description struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID         string             `json:"operationId"`
	Security   []map[string][]any `json:"security"`
	Responses  map[string]any     `json:"responses"`
	Body       *requestBody       `json:"requestBody"`
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
		Schema   schema `json:"schema"`
	} `json:"parameters"`
}

type requestBody struct {
	Content map[string]struct {
		Schema *schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"`
	Format     string             `json:"format"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Enum       []any              `json:"enum"`
	Examples   []any              `json:"examples"`
	Minimum    *float64           `json:"minimum"`
}

// public routes need no identity.
var public = []string{"login", "begin-device-login", "finish-device-login", "list-providers"}

// unclaimed are those of them that tell everybody that there is no provider here.
var unclaimed = map[string]int{"begin-device-login": http.StatusNotFound, "finish-device-login": http.StatusNotFound, "list-providers": http.StatusOK}

// selfService routes concern the caller alone: whoever has proved an identity
// may use them.
var selfService = []string{"logout", "whoami", "end-sessions", "set-password", "list-roles", "can-i", "get-version", "list-tokens", "create-token"}

// Where the parameters of paths point: to what is there, and to what is not.
var (
	present = map[string]string{"tenant": "acme", "app": "shop", "env": "prod", "name": "app.yaml", "version": "1", "freeze": "night", "role": "releaser"}
	absent  = map[string]string{"tenant": "ghost", "app": "spook", "env": "haunt", "name": "fog.yaml", "version": "7", "id": "aaaaaaaaaaaa", "freeze": "mist", "role": "shade"}
)

// route is one request that is right in form, so that only who sends it can be
// wrong with it.
type route struct {
	id, method, path, contentType string
	body                          []byte
}

// TestEveryRouteIsClosed walks every route that the server describes, with
// requests made from the description so that a new route cannot be forgotten, as
// nobody, as somebody without rights, and as another tenant's admin. They get
// nothing, and the same answer whether what they ask for is there or not.
func TestEveryRouteIsClosed(t *testing.T) {
	s := start(t)
	root, plain := s.root(), s.http()
	build(t, root, "acme/shop/prod", "globex/web/prod")
	if _, err := root.CreateRole(t.Context(), client.Role{Name: present["role"], Verbs: []string{"read"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, root, "acme/shop/prod/app.yaml", "secret: "+marker+"\n")
	s.secret(config.NewSecret(marker))
	acme := s.program("acme-app", client.Grant{Role: "client", Scope: path(t, "acme")})
	bindings := collect(t, root.Bindings(t.Context(), "acme-app"))
	described := s.describe(t)
	if len(described.Paths) < 25 {
		t.Fatalf("only %d paths are described", len(described.Paths))
	}
	callers := map[string]func() config.Secret{
		"nobody":             func() config.Secret { return config.Secret{} },
		"one without rights": sessions(s, "mallory"),
		"another's admin":    sessions(s, "globex-admin", client.Grant{Role: "admin", Scope: path(t, "globex")}),
	}
	before := s.everything(t)
	for _, target := range slices.Sorted(maps.Keys(described.Paths)) {
		for method, op := range described.Paths[target] {
			there := maps.Clone(present)
			if there["id"] = acme.ID; strings.HasPrefix(target, "/v1/bindings") {
				there["id"] = bindings[0].ID
			}
			if strings.HasPrefix(target, "/v1/users") {
				there["name"] = "acme-app"
			}
			for who, token := range callers {
				if slices.Contains(public, op.ID) && who != "nobody" {
					continue // it asks for no token
				}
				t.Run(op.ID+"/"+who, func(t *testing.T) {
					var got []string
					for _, values := range []map[string]string{there, absent} {
						r := routeOf(t, described, method, target, op, values)
						a := s.call(plain, r.method, r.path, r.body, "Authorization", header(token()), "Content-Type", r.contentType)
						if strings.Contains(string(a.body), marker) {
							t.Fatalf("%s %s: content leaked: %s", r.method, r.path, a.body)
						}
						judgeRoute(t, who, r, a)
						got = append(got, normal(a, values))
					}
					if diff := cmp.Diff(got[0], got[1]); diff != "" && !slices.Contains(selfService, op.ID) {
						t.Errorf("what is there and what is not are told apart (-there +not):\n%s", diff)
					}
				})
			}
		}
	}
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Errorf("somebody changed something (-before +after):\n%s", diff)
	}
}

// judgeRoute wants the answer that the caller must get.
func judgeRoute(t testing.TB, who string, r route, a answer) {
	t.Helper()
	switch {
	case unclaimed[r.id] != 0:
		if a.StatusCode != unclaimed[r.id] {
			t.Errorf("%s %s: want %d, got %s: %s", r.method, r.path, unclaimed[r.id], a.Status, a.body)
		}
	case slices.Contains(public, r.id):
		wantProblem(t, http.StatusUnauthorized, "unauthenticated", a) // a wrong password
	case who == "nobody":
		wantProblem(t, http.StatusUnauthorized, "unauthenticated", a)
		if len(a.Header.Values("Www-Authenticate")) == 0 {
			t.Errorf("%s %s: no challenge", r.method, r.path)
		}
	case slices.Contains(selfService, r.id):
		if a.StatusCode >= 500 || a.StatusCode == http.StatusForbidden {
			t.Errorf("%s %s: want it allowed to everybody, got %s: %s", r.method, r.path, a.Status, a.body)
		}
	case who == "another's admin" && a.StatusCode == http.StatusOK && !strings.Contains(r.path, "acme"):
		// Listings show it what is its own.
		if strings.Contains(string(a.body), "acme") {
			t.Errorf("%s %s: told of another tenant: %s", r.method, r.path, a.body)
		}
	default:
		wantProblem(t, http.StatusForbidden, "denied", a)
	}
}

// normal is an answer without what is of the moment, and without the names that
// the request itself had.
func normal(a answer, values map[string]string) string {
	h := a.Header.Clone()
	for _, name := range []string{"Date", "X-Request-Id", "Content-Length"} {
		h.Del(name)
	}
	text := fmt.Sprint(a.StatusCode, h, "\n", string(a.body))
	var p problem
	if json.Unmarshal(a.body, &p) == nil && p.RequestID != "" {
		text = strings.ReplaceAll(text, p.RequestID, "REQUEST")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != "version" {
			text = strings.ReplaceAll(text, values[name], strings.ToUpper(name))
		}
	}
	return text
}

// sessions gives out a new session for each request: some end the one they use.
func sessions(s *server, name string, grants ...client.Grant) func() config.Secret {
	const password = "a password of some length"
	s.person(name, password, grants...)
	return func() config.Secret { return s.login(name, config.NewSecret(password)) }
}

func header(token config.Secret) string {
	if token.Empty() {
		return ""
	}
	return bearer(token)
}

// everything is what must not change: what admin sees.
func (s *server) everything(t testing.TB) map[string]string {
	t.Helper()
	plain, seen := s.http(), map[string]string{}
	for _, target := range []string{
		"/v1/tenants", "/v1/tenants/acme", "/v1/tenants/acme/apps", "/v1/tenants/acme/apps/shop/envs", "/v1/tenants/acme/changesets",
		"/v1/tenants/acme/apps/shop/envs/prod/configs?deleted=true", "/v1/users", "/v1/roles", "/v1/bindings", "/v1/tokens?user=acme-app",
	} {
		a := s.call(plain, "GET", target, nil, "Authorization", bearer(s.token))
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", target, a.Status, a.body)
		}
		seen[target] = string(a.body)
	}
	return seen
}

func (s *server) describe(t testing.TB) description {
	t.Helper()
	a := s.call(s.http(), "GET", "/openapi.json", nil)
	var d description
	if err := json.Unmarshal(a.body, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// emptyZip is an archive of no files.
const emptyZip = "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// routeOf makes a request from the description.
func routeOf(t testing.TB, d description, method, target string, op operation, values map[string]string) route {
	t.Helper()
	r := route{id: op.ID, method: strings.ToUpper(method), path: target}
	for name, value := range values {
		r.path = strings.ReplaceAll(r.path, "{"+name+"}", value)
	}
	if strings.Contains(r.path, "{") {
		t.Fatalf("%s: the test has no value for a parameter", r.path)
	}
	for _, p := range op.Parameters {
		switch {
		case p.In != "query" || !p.Required:
		case len(p.Schema.Enum) > 0:
			r.path += fmt.Sprint("?", p.Name, "=", p.Schema.Enum[0])
		default:
			r.path += "?" + p.Name + "=" + values["tenant"] + "/" + values["app"] + "/" + values["env"]
		}
	}
	if op.Body == nil {
		return r
	}
	for media, content := range op.Body.Content {
		r.contentType = media
		if media == "application/octet-stream" {
			r.body = []byte("no export")
			break
		}
		if media != "application/json" {
			r.contentType, r.body = "application/zip", []byte(emptyZip)
			break
		}
		body, err := json.Marshal(d.sample(content.Schema, "", values))
		if err != nil {
			t.Fatal(err)
		}
		r.body = body
	}
	return r
}

// telling are the properties without which some bodies say nothing.
var telling = []string{"content", "description", "verbs", "share", "items", "from", "to"}

// sample makes a value of a schema: what is required of it, and what is telling.
func (d description) sample(s *schema, name string, values map[string]string) any {
	if s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	switch {
	case len(s.Properties) == 0 && (name == "path" || name == "scope"):
		return strings.Join([]string{values["tenant"], values["app"], values["env"], values["name"]}, "/")
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "date-time":
		return map[string]string{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}[name]
	case len(s.Properties) > 0:
		o := map[string]any{}
		for property, of := range s.Properties {
			if property == "share" && s.Properties["items"] != nil {
				continue // of a launch that is there or of items, not of both
			}
			if slices.Contains(s.Required, property) || slices.Contains(telling, property) {
				o[property] = d.sample(of, property, values)
			}
		}
		return o
	case s.Items != nil:
		return []any{d.sample(s.Items, "path", values)} // items that are texts are paths
	case len(s.Examples) > 0:
		return s.Examples[0]
	}
	switch s.Type {
	case "integer", "number":
		return 1
	case "boolean":
		return true
	}
	return "some words of text"
}
