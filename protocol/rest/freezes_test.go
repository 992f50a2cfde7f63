package rest

import (
	"net/http"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the program has it too

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/config"
)

func TestFreezes(t *testing.T) {
	s := start(t)
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	put := func(name string, body map[string]any) reply {
		return s.do(request{method: "PUT", path: prod + "/freezes/" + name, json: body})
	}
	var e config.Env
	r := put("release-day", map[string]any{"to": soon, "reason": "release day"})
	s.into(http.StatusOK, r, &e)
	tag := r.Header.Get("ETag")
	r = put("weekend", map[string]any{"weekly": map[string]any{"from": "fri 17:00", "to": "mon 08:00", "zone": "Asia/Shanghai"}})
	s.into(http.StatusOK, r, &e)
	want := []config.Freeze{
		{Name: "release-day", Reason: "release day", To: soon},
		{Name: "weekend", Weekly: &config.Weekly{From: "fri 17:00", To: "mon 08:00", Zone: "Asia/Shanghai"}},
	}
	var shown config.Env
	s.into(http.StatusOK, s.do(request{path: prod}), &shown)
	for _, got := range []config.Env{e, shown} {
		if diff := cmp.Diff(want, got.Freezes, cmpopts.IgnoreFields(config.Freeze{}, "From")); diff != "" {
			t.Errorf("freezes (want, got):\n%s", diff)
		}
	}

	frozen := s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 1"}})
	s.problem(http.StatusConflict, "conflict", frozen)
	if text := string(frozen.body); !strings.Contains(text, "is frozen until "+soon.Format(time.RFC3339)) && !strings.Contains(text, "by \\\"weekend\\\"") {
		t.Errorf("want it said until when, got %s", text)
	}

	stale := map[string]string{"If-Match": tag}
	s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "PUT", path: prod + "/freezes/x", json: map[string]any{"to": soon}, header: stale}))
	s.problem(http.StatusPreconditionFailed, "conflict", s.do(request{method: "DELETE", path: prod + "/freezes/weekend", header: stale}))
	for _, bad := range []struct {
		name   string
		body   map[string]any
		status int
	}{
		{"bad", map[string]any{}, http.StatusUnprocessableEntity},
		{"bad", map[string]any{"to": "tomorrow"}, http.StatusBadRequest},
		{"bad", map[string]any{"to": soon, "weekly": map[string]any{"from": "fri 17:00", "to": "mon 08:00"}}, http.StatusUnprocessableEntity},
		{"bad", map[string]any{"weekly": map[string]any{"from": "fri 17:00", "to": "mon 08:00", "zone": "Moon/Tranquility"}}, http.StatusUnprocessableEntity},
		{"bad", map[string]any{"from": soon.Add(-2 * time.Hour), "to": soon.Add(-90 * time.Minute)}, http.StatusBadRequest},
		{"Bad", map[string]any{"to": soon}, http.StatusUnprocessableEntity},
	} {
		s.problem(bad.status, "invalid", put(bad.name, bad.body))
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "PUT", path: "/v1/tenants/acme/apps/shop/envs/moon/freezes/x", json: map[string]any{"to": soon}}))

	s.into(http.StatusOK, s.do(request{method: "DELETE", path: prod + "/freezes/weekend"}), &e)
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "DELETE", path: prod + "/freezes/weekend"}))
	var thawed config.Env
	s.into(http.StatusOK, s.do(request{method: "PATCH", path: prod, json: map[string]any{"freezes": []any{}}}), &thawed)
	if len(thawed.Freezes) != 0 {
		t.Errorf("want none left, got %v", thawed.Freezes)
	}
	bad := s.do(request{method: "PATCH", path: prod, json: map[string]any{"freezes": []any{map[string]any{"name": "X"}, map[string]any{"name": "X"}}}})
	s.problem(http.StatusUnprocessableEntity, "invalid", bad)
	for _, problem := range []string{"freezes[0].name", "freezes[0].from", "freezes[1].name"} {
		if !strings.Contains(string(bad.body), problem) {
			t.Errorf("want every problem, %s among them, got %s", problem, bad.body)
		}
	}
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": "a: 1"}}), nil)
}
