package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// watches opens watches of an env by instances in eu and us.
func (s *server) watches(count int) {
	s.t.Helper()
	for i := range count {
		ctx := auth.WithRequest(s.as("app"), auth.Request{Address: "10.0.0.1"})
		client := config.Client{ID: fmt.Sprintf("pod-%d", i), Labels: map[string]string{"region": []string{"eu", "us"}[i%2]}}
		w, err := s.center.Watch(ctx, center.WatchRequest{Patterns: []string{"acme/shop/prod"}, Protocol: Name, Client: client}, func() {})
		s.must(err)
		s.t.Cleanup(w.Close)
	}
}

func TestPreviewOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.watches(4)
	const eu = `"strategy":{"kind":"canary","rule":{"labels":"region = eu"}}`
	counts := func(q request) []config.PreviewCount {
		t.Helper()
		var p config.Preview
		s.into(http.StatusOK, s.do(q), &p)
		if len(p.Items) == 0 || len(p.Items[0].Choices) != len(p.Configs) {
			t.Errorf("%s: want instances with a choice for each config, got %+v", q.body, p.Items)
		}
		return p.Configs
	}
	app := config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "app.yaml"}
	half := config.PreviewCount{Path: app, Version: 2, Instances: 4, Candidate: 2, Stable: 2, Unchanged: 2}
	all := config.PreviewCount{Path: app, Version: 2, Instances: 4, Candidate: 4}
	fresh := app
	fresh.Name = "new.yaml"
	made := config.PreviewCount{Path: fresh, Version: 1, Instances: 4, Candidate: 2, Nothing: 2, Unchanged: 2}
	const rollout, launches = file + "/rollout/preview", "/v1/tenants/acme/launches/preview"
	check := func(path, body string, want ...config.PreviewCount) {
		t.Helper()
		if diff := cmp.Diff(want, counts(request{method: "POST", path: path, body: body, auth: s.viewer})); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", path, body, diff)
		}
	}
	check(rollout, `{`+eu+`}`, half)
	check(rollout, `{"begins_at":"2026-12-24T18:00:00Z",`+eu+`}`, half)
	check(rollout+"?limit=1", `{`+eu+`}`, half)
	check(launches, `{"items":["acme/shop/prod/app.yaml","acme/shop/prod/new.yaml"],`+eu+`}`, half, made)
	l := s.canary("a: 2\n")
	all.Unchanged = 2
	half.Unchanged = 4
	check(rollout, `{"launch":"`+l.ID+`"}`, half)
	check(rollout, `{"change":"promote"}`, all)
	check(launches, `{"launch":"`+l.ID+`","change":"promote"}`, all)
	check(launches, `{"launch":"`+l.ID+`","strategy":{"kind":"targets","targets":["pod-3","pod-2"]}}`,
		config.PreviewCount{Path: app, Version: 2, Instances: 4, Candidate: 2, Stable: 2, Unchanged: 2})

	for body, where := range map[string]string{
		`{"strategy":{"kind":"canary","rule":{"shares":1}}}`:                      "body.strategy.rule",
		`{"strategy":{"kind":"canary","rule":{"any":[{"share":1},{"Share":1}]}}}`: "body.strategy.rule.any[1]",
		`{"strategy":{"kind":"canary","rule":{"share":12.5}}}`:                    "body.strategy.rule.share",
		`{"strategy":{"kind":"canary","rule":{"labels":"a ~"}}}`:                  "column",
		`{"strategy":{"kind":"canary","rule":{"addresses":["10.0.0.1/8"]}}}`:      "bits set beyond",
		`{"strategy":{"kind":"canary","kind":"all"}}`:                             "kind",
		`{"strategy":{"kind":"progressive","steps":[{"share":1,"hold":2}]}}`:      "body.strategy.steps[0]",
		`{"on_running":"ask"}`:                                  "body.on_running",
		`{"change":"promoted"}`:                                 "body.change",
		`{"change":"promote","on_running":"before"}`:            "body.on_running",
		`{"change":"promote","gate":{}}`:                        "body.gate",
		`{"share":100,"expires_after_seconds":1}`:               "body.expires_after_seconds",
		`{"change":"abort","begins_at":"2030-01-01T00:00:00Z"}`: "body.begins_at",
		`{}`: "by what strategy",
	} {
		s.wantPlace(rollout, body, where)
	}
	for body, where := range map[string]string{
		`{"items":[],` + eu + `}`:                                                    "body.items",
		`{"items":["globex/shop/prod/a"],` + eu + `}`:                                "body.items[0]",
		`{"items":["acme/shop/prod"],` + eu + `}`:                                    "want the path of a config",
		`{"items":["acme/shop/prod/app.yaml"],"launch":"x"}`:                         "body.items",
		`{"change":"promote"}`:                                                       "body.launch",
		`{"items":["acme/shop/prod/app.yaml","acme/shop/prod/app.yaml"],` + eu + `}`: "twice",
	} {
		s.wantPlace(launches, body, where)
	}
	s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: rollout, body: `{` + eu + `}`}))
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "POST", path: launches, body: `{"launch":"ghost"}`}))
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: rollout, body: `{` + eu + `}`, auth: s.app}))
}

// wantPlace wants a body refused with what is wrong in it named.
func (s *server) wantPlace(path, body, where string) {
	s.t.Helper()
	p := s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: path, body: body}))
	if text := fmt.Sprintf("%s %+v", p.Detail, p.Problems); !strings.Contains(text, where) {
		s.t.Errorf("%s: want %q named, got %s", body, where, text)
	}
}

// FuzzPreviewBody holds that no body does any harm, and that none is taken that
// says what nobody understands.
func FuzzPreviewBody(f *testing.F) {
	for _, seed := range []string{
		`{"strategy":{"kind":"canary","rule":{"any":[{"share":100,"labels":"a in (b, c)"},{"addresses":["10.0.0.0/8"],"instances":["b","a"]}]},"salt":"s"}}`,
		`{"strategy":{"kind":"progressive","steps":[{"share":1,"hold_seconds":0.5},{"share":10000,"hold_seconds":1e3}],"step":1},"gate":{"at_least":1}}`,
		`{"strategy":{"kind":"blue-green","slots":{"stable":"blue","candidate":"green","active":"blue"}},"on_running":"supersede"}`,
		`{"strategy":{"kind":"targets","targets":["a"]},"expires_after_seconds":60,"begins_at":"2030-01-01T00:00:00Z"}`,
		`{"launch":"x","share":1,"change":"advance"}`, `{"strategy":{"rule":{"all":[{"all":[{}]}]}}}`, `[]`, `null`, ``,
	} {
		f.Add(seed)
	}
	s, handler := deaf(f, nil)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(context.Background(), "POST", file+"/rollout/preview", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", s.admin)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code == http.StatusOK && strings.Contains(body, "Strategy") {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
