package rest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestDescriptionIsCurrent(t *testing.T) {
	spec, err := Spec()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../api/openapi.json", append(spec, '\n'))
}

// Every route is described, with an answer, its parameters and its errors.
func TestDescriptionIsWhole(t *testing.T) {
	raw, err := Spec()
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		OperationID string                      `json:"operationId"`
		Summary     string                      `json:"summary"`
		Parameters  []struct{ Name, In string } `json:"parameters"`
		RequestBody any                         `json:"requestBody"`
		Responses   map[string]any              `json:"responses"`
	}
	var spec struct {
		OpenAPI string                          `json:"openapi"`
		Paths   map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(spec.OpenAPI, "3.1") {
		t.Errorf("want OpenAPI 3.1, got %s", spec.OpenAPI)
	}
	described := 0
	for _, methods := range spec.Paths {
		described += len(methods)
	}
	if described != len(Routes()) {
		t.Errorf("want %d operations, got %d", len(Routes()), described)
	}
	param := regexp.MustCompile(`\{(\w+)\}`)
	for _, r := range Routes() {
		op := spec.Paths[r.Pattern][strings.ToLower(r.Method)]
		if op.OperationID != r.ID || op.Summary == "" || (op.RequestBody != nil) != (r.body != noBody) {
			t.Errorf("%s: want it described, got %+v", r.ID, op)
		}
		for _, m := range param.FindAllStringSubmatch(r.Pattern, -1) {
			if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == m[1] && p.In == "path" }) {
				t.Errorf("%s: parameter %s is not described", r.ID, m[1])
			}
		}
		if op.Responses["200"] == nil && op.Responses["201"] == nil && op.Responses["204"] == nil {
			t.Errorf("%s: no success is described: %v", r.ID, op.Responses)
		}
		if op.Responses["401"] == nil {
			t.Errorf("%s: 401 is not described", r.ID)
		}
	}
	if i := strings.Index(string(raw), `"$ref": "#/components/schemas/"`); i >= 0 {
		t.Error("a reference names nothing")
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/schemas/(\w+)"`).FindAllStringSubmatch(string(raw), -1) {
		if !strings.Contains(string(raw), `"`+m[1]+`": {`) {
			t.Errorf("schema %s is referred to and not there", m[1])
		}
	}
}

func TestDocs(t *testing.T) {
	s := start(t)
	for path, want := range map[string]string{
		"/openapi.json":              "application/openapi+json",
		"/openapi.yaml":              "application/openapi+yaml",
		"/docs":                      "text/html; charset=utf-8",
		"/docs/":                     "text/html; charset=utf-8",
		"/docs/swagger-ui.css":       "text/css; charset=utf-8",
		"/docs/swagger-ui-bundle.js": "application/javascript",
		"/docs/favicon-32x32.png":    "image/png",
	} {
		t.Run(path, func(t *testing.T) {
			r := s.do(request{path: path, auth: "-", header: map[string]string{"Accept-Encoding": "gzip"}})
			if r.StatusCode != http.StatusOK || len(r.body) == 0 || r.Header.Get("Content-Type") != want {
				t.Fatalf("want 200 %s, got %d %v", want, r.StatusCode, r.Header)
			}
			policy := r.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http:") || strings.Contains(policy, "https:") {
				t.Errorf("want a policy that names no other place, got %q", policy)
			}
			if script := policy[max(strings.Index(policy, "script-src"), 0):]; strings.Contains(script, "unsafe") {
				t.Errorf("want no unsafe scripts, got %q", policy)
			}
		})
	}
	t.Run("loads nothing from elsewhere", func(t *testing.T) {
		page := string(s.do(request{path: "/docs", auth: "-"}).body)
		if m := regexp.MustCompile(`(src|href)="(https?:)?//`).FindString(page); m != "" {
			t.Errorf("the page loads %s", m)
		}
		if n := strings.Count(page, "<script>"); n != 2 {
			t.Errorf("the page has %d inline scripts; look whether the policy still knows them all", n)
		}
	})
	t.Run("not modified", func(t *testing.T) {
		tag := s.do(request{path: "/openapi.json", auth: "-"}).Header.Get("ETag")
		if r := s.do(request{path: "/openapi.json", auth: "-", header: map[string]string{"If-None-Match": tag}}); r.StatusCode != http.StatusNotModified {
			t.Errorf("want 304, got %d", r.StatusCode)
		}
	})
	t.Run("is only read", func(t *testing.T) {
		r := s.do(request{method: http.MethodPost, path: "/docs", auth: "-"})
		s.problem(http.StatusMethodNotAllowed, "invalid", r)
	})
	t.Run("path tricks", func(t *testing.T) {
		for _, path := range []string{"/docs/..%2f..%2fetc", "/docs/%00", "/docs//x"} {
			s.problem(http.StatusBadRequest, "invalid", s.do(request{path: path, auth: "-"}))
		}
	})
	t.Run("nothing else", func(t *testing.T) {
		if r := s.do(request{path: "/docs/nothing", auth: "-"}); r.StatusCode != http.StatusNotFound {
			t.Errorf("want 404, got %d", r.StatusCode)
		}
	})
}

func TestDocsCanBeLeftOut(t *testing.T) {
	s := start(t, func(s *Settings) { s.Docs = false })
	if r := s.do(request{path: "/docs", auth: "-"}); r.StatusCode != http.StatusNotFound {
		t.Errorf("want 404, got %d", r.StatusCode)
	}
}
