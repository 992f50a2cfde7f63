package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// filled puts values in the place of a route's path parameters.
func filled(pattern string, values map[string]string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		b.WriteByte('/')
		if name, isParam := strings.CutPrefix(part, "{"); isParam {
			part = values[strings.TrimSuffix(name, "}")]
		}
		b.WriteString(part)
	}
	return b.String()
}

// sampleOf is a request to a route that is right in form, so that who may do
// it is all that can be wrong with it.
func sampleOf(t testing.TB, r Route, values map[string]string) request {
	bodies := map[string]string{
		"create-tenant": `{"name":"n"}`, "update-tenant": `{"description":"d"}`,
		"create-app": `{"name":"n"}`, "update-app": `{"description":"d"}`,
		"create-env": `{"name":"n"}`, "update-env": `{"description":"d"}`,
		"freeze-env":    `{"to":"2099-01-01T00:00:00Z"}`,
		"create-config": `{"name":"n.yaml"}`, "update-config": `{"description":"d"}`, "undelete-config": `{}`,
		"save-draft": `{"content":"a: 1"}`, "validate-content": `{"content":"a: 1"}`,
		"publish-config":     `{"content":"a: 1"}`,
		"publish-change-set": `{"items":[{"path":"` + filled("{tenant}/{app}/{env}/{name}", values)[1:] + `","content":"a: 1"}]}`,
		"preview-launch":     `{"items":["` + filled("{tenant}/{app}/{env}/{name}", values)[1:] + `"],"strategy":{"kind":"canary","rule":{"share":100}}}`,
		"preview-rollout":    `{"strategy":{"kind":"canary","rule":{"share":100}}}`,
		"rollback-config":    `{"version":1}`, "promote": `{"from_env":"test","to_env":"prod"}`,
		"login": `{"username":"nobody","password":"x"}`, "set-password": `{"old":"x","new":"y"}`,
		"begin-device-login": `{"provider":"corp"}`, "finish-device-login": `{"provider":"corp","code":"x"}`, "end-sessions": `{"user":"vera"}`,
		"create-token": `{"user":"vera"}`, "create-user": `{"name":"eve","password":"` + password + `"}`, "update-user": `{"description":"d"}`,
		"create-binding": `{"user":"nobody","role":"admin","scope":""}`,
		"create-role":    `{"name":"n","verbs":["read"]}`, "update-role": `{"verbs":["read"]}`,
		"report-instance": `{"reports":[{"path":"` + filled("{tenant}/{app}/{env}/{name}", values)[1:] + `","version":1,"state":"applied"}]}`,
		"move-leader":     `{"name":"n2"}`, "create-join-token": `{"ttl":"1h"}`,
	}
	bodies["adjust-launch"], bodies["adjust-rollout"] = `{"share":5000}`, `{"share":5000}`
	for _, act := range append(launchActs(), launchAct{name: "switch"}) {
		bodies[act.name+"-launch"], bodies[act.name+"-rollout"] = `{}`, `{"comment":"why"}`
	}
	q := request{method: r.Method, path: filled(r.Pattern, values), body: bodies[r.ID]}
	switch r.ID {
	case "watch":
		q.path += "?wait=0s&path=" + filled("{tenant}/{app}/{env}", values)[1:]
	case "list-tokens":
		q.path += "?user=vera"
	case "can-i", "who-can":
		q.path += "?verb=read&path=" + filled("{tenant}/{app}", values)[1:]
	case "report-instance":
		q.path += "?instance=pod-1"
	case "import-tenant":
		q.body, q.header = "no export", map[string]string{"Content-Type": "application/octet-stream"}
	case "import-env":
		q.body, q.header = emptyZip, map[string]string{"Content-Type": "application/zip"}
	}
	if r.body != noBody && q.body == "" {
		t.Fatalf("%s: the test has no body for it", r.ID)
	}
	return q
}

const emptyZip = "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

var (
	present = map[string]string{"tenant": "acme", "app": "shop", "env": "prod", "name": "app.yaml", "version": "1", "id": "abcdefgh", "freeze": "year-end", "role": "releaser"}
	absent  = map[string]string{"tenant": "ghost1", "app": "ghost2", "env": "ghost3", "name": "ghost.yaml", "version": "9", "id": "ghost", "freeze": "ghost", "role": "ghost"}
)

func TestRoutesAreUnique(t *testing.T) {
	ids, paths := map[string]bool{}, map[string]bool{}
	for _, r := range Routes() {
		path := r.Method + " " + r.Pattern
		if r.ID == "" || r.Op == "" || r.tag == "" || r.summary == "" || ids[r.ID] || paths[path] {
			t.Errorf("%s %s: want all fields, and none used twice", path, r.ID)
		}
		ids[r.ID], paths[path] = true, true
	}
}

func TestAnonymousGetsNothing(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	want := ""
	check := func(t *testing.T, q request) {
		t.Helper()
		q.auth = "-"
		r := s.do(q)
		p := s.problem(http.StatusUnauthorized, "unauthenticated", r)
		if got := r.Header.Values("Www-Authenticate"); len(got) != 2 {
			t.Errorf("want two challenges, got %q", got)
		}
		// The same words whatever was asked for.
		if want == "" {
			want = p.Detail
		}
		if p.Detail != want || p.Path != "" {
			t.Errorf("want %q, got %+v", want, p)
		}
	}
	for _, route := range Routes() {
		if route.Public {
			continue
		}
		for _, values := range []map[string]string{present, absent} {
			t.Run(route.ID+" "+values["tenant"], func(t *testing.T) { check(t, sampleOf(t, route, values)) })
		}
	}
	for _, path := range []string{"/v1/", "/v1/nothing", "/v1/tenants/", "/v1/tenants/a/b/c", "/v1/auth/login/x", "/v1/auth/login"} {
		t.Run(path, func(t *testing.T) { check(t, request{path: path}) })
	}
	if got, err := s.center.Tenants(s.as("admin"), pageOfAll); err != nil || len(got.Items) != 1 {
		t.Errorf("want the one tenant, got %v %v", got, err)
	}
}

// What is anybody's who has proved an identity.
var forAll = map[string]bool{
	"logout": true, "whoami": true, "set-password": true, "list-roles": true, "can-i": true, "get-version": true,
}

func TestUnprivilegedGetNothing(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	for _, route := range Routes() {
		if route.Public || forAll[route.ID] {
			continue
		}
		t.Run(route.ID, func(t *testing.T) {
			var answers []string
			for _, values := range []map[string]string{present, absent} {
				q := sampleOf(t, route, values)
				q.auth = s.nobody
				p := s.problem(http.StatusForbidden, "denied", s.do(q))
				// What is there and what is not look the same.
				p.RequestID = ""
				text := fmt.Sprintf("%+v", p)
				for _, k := range []string{"name", "tenant", "app", "env"} {
					text = strings.ReplaceAll(text, values[k], k)
				}
				answers = append(answers, text)
			}
			if answers[0] != answers[1] {
				t.Errorf("want the same answer for what is there and what is not, got\n%s\n%s", answers[0], answers[1])
			}
		})
	}
}
