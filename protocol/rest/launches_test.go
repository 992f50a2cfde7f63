package rest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const (
	launches = "/v1/tenants/acme/launches"
	canary10 = `{"strategy":{"kind":"canary","rule":{"share":1000}}}`
	blue     = `{"strategy":{"kind":"blue-green"}}`
	steps    = `{"strategy":{"kind":"progressive","steps":[{"share":100,"hold_seconds":600},{"share":5000},{"share":10000,"hold_seconds":60}]}}`
)

// launch releases content with a rollout, in JSON, and other fields of the body.
func (s *server) launch(content, rollout, more string) config.Launch {
	s.t.Helper()
	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", body: publishOf(content, rollout, more)}), &set)
	if set.Launch == nil {
		s.t.Fatalf("want a launch, got %+v", set)
	}
	return *set.Launch
}

func publishOf(content, rollout, more string) string {
	return fmt.Sprintf(`{"content":%q,"rollout":%s%s}`, content, rollout, more)
}

// act posts to a launch, or to the rollout of a config.
func (s *server) act(path, body string) config.Launch {
	s.t.Helper()
	method := "POST"
	if strings.HasSuffix(path, "rollout") || strings.HasPrefix(path, launches) && strings.Count(path, "/") == 5 {
		method = "PATCH"
	}
	r := s.do(request{method: method, path: path, body: body})
	var l config.Launch
	s.into(http.StatusOK, r, &l)
	if want := tagOf(l.Revision); l.Revision == "" || r.Header.Get("ETag") != want {
		s.t.Errorf("%s: want the ETag %s, got %v", path, want, r.Header)
	}
	return l
}

// servedTo returns the version that an instance is served.
func (s *server) servedTo(header ...string) string {
	s.t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	r := s.do(request{path: "/v1/configs/acme/shop/prod/app.yaml", header: h})
	s.into(http.StatusOK, r, nil)
	return r.Header.Get("Setpoint-Version")
}

// wantHistory compares the events of a launch.
func wantHistory(t *testing.T, l config.Launch, want ...string) {
	t.Helper()
	var got []string
	for _, e := range l.Events {
		text := e.What
		if e.Share != 0 {
			text += " " + e.Share.String()
		}
		if e.Slot != "" {
			text += " " + e.Slot
		}
		if e.Why != "" {
			text += ": " + e.Why
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestCanaryOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.launch("a: 2\n", canary10, `,"comment":"new limits"`)
	if l.State != config.LaunchRunning || l.Strategy.String() != "canary 10%" || len(l.Items) != 1 || l.Items[0].Version != 2 {
		t.Errorf("got %+v", l)
	}
	if got := s.servedTo(); got != "1" {
		t.Errorf("who has no id: want 1, got %s", got)
	}
	var rollout config.Rollout
	s.into(http.StatusOK, s.do(request{path: file + "/rollout"}), &rollout)
	if len(rollout.Candidates) != 1 || rollout.Candidates[0].Launch != l.ID {
		t.Errorf("got %+v", rollout)
	}
	r := s.do(request{path: launches + "/" + l.ID})
	first := r.Header.Get("ETag")
	l = s.act(file+"/rollout", `{"share":5000,"comment":"half"}`)
	if l.Strategy.String() != "canary 50%" {
		t.Errorf("got %s", l.Strategy)
	}
	stale := request{method: "PATCH", path: launches + "/" + l.ID, body: `{"share":10000}`, header: map[string]string{"If-Match": first}}
	s.problem(http.StatusPreconditionFailed, "conflict", s.do(stale))
	stale.header["If-Match"] = tagOf(l.Revision)
	s.into(http.StatusOK, s.do(stale), nil)
	if got := s.servedTo("Setpoint-Instance", "pod-1"); got != "2" {
		t.Errorf("all who have an id: want 2, got %s", got)
	}
	l = s.act(launches+"/"+l.ID+"/promote", "")
	wantHistory(t, l, "started 10%: new limits", "adjusted 50%: half", "adjusted 100%", "promoted 100%")
	if got := s.servedTo(); got != "2" || l.State != config.LaunchPromoted {
		t.Errorf("want everybody served 2, got %s, %s", got, l.State)
	}
	p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: launches + "/" + l.ID + "/abort", body: `{}`}))
	if !strings.Contains(p.Detail, "has ended: promoted") {
		t.Errorf("got %s", p.Detail)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "POST", path: file + "/rollout/abort", body: `{}`}))
}

func TestBlueGreenOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.launch("a: 2\n", blue, "")
	for _, step := range []struct{ body, active, all string }{
		{"", "green", "2"}, {`{}`, "blue", "1"}, {`{"to":"green"}`, "green", "2"}, {`{"to":"blue","comment":"back"}`, "blue", "1"},
	} {
		l := s.act(file+"/rollout/switch", step.body)
		if got := s.servedTo(); l.Strategy.Slots.Active != step.active || got != step.all {
			t.Errorf("switch %s: want %s and version %s, got %s and %s", step.body, step.active, step.all, l.Strategy.Slots.Active, got)
		}
		if blue, green := s.servedTo("Setpoint-Slot", "blue"), s.servedTo("Setpoint-Slot", "green"); blue != "1" || green != "2" {
			t.Errorf("by name: got %s in blue and %s in green", blue, green)
		}
	}
	p := s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: file + "/rollout/switch", body: `{"to":"red"}`}))
	if !strings.Contains(p.Detail, `there is no slot "red"; there are "blue" and "green"`) {
		t.Errorf("got %s", p.Detail)
	}
	l := s.act(file+"/rollout/abort", `{"comment":"no"}`)
	wantHistory(t, l, "started blue", "switched green", "switched blue", "switched green", "switched blue: back", "aborted blue: no")
}

func TestProgressiveOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.launch("a: 2\n", strings.TrimSuffix(steps, "}")+`,"gate":{"applied_share":9500,"refused":2,"patience_seconds":900},"expires_after_seconds":3600}`, "")
	if diff := cmp.Diff(&config.Gate{Applied: 9500, AtLeast: 1, Refused: 2, Patience: 900}, l.Gate); diff != "" || l.ExpiresAt.IsZero() {
		t.Errorf("gate (-want +got):\n%s", diff)
	}
	at := launches + "/" + l.ID
	if l = s.act(at+"/pause", ""); l.State != config.LaunchPaused {
		t.Errorf("got %s", l.State)
	}
	p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: at + "/advance"}))
	if !strings.Contains(p.Detail, "is paused; resume it first") {
		t.Errorf("got %s", p.Detail)
	}
	s.act(at+"/resume", `{"comment":"on"}`)
	s.act(at+"/advance", "")
	// A step without a time is one that lasts none.
	l = s.act(at, `{"strategy":{"kind":"progressive","step":1,"steps":[{"share":100},{"share":10000}]},"gate":{},"expires_after_seconds":0}`)
	if diff := cmp.Diff(&config.Gate{}, l.Gate); diff != "" || !l.ExpiresAt.IsZero() || l.Strategy.Step != 1 {
		t.Errorf("got %+v", l)
	}
	l = s.act(at+"/advance", "")
	wantHistory(t, l, "started 1%", "paused 1%", "resumed 1%: on", "advanced 50%", "adjusted 100%", "promoted 100%")
}

func TestSeveralLaunchesOfOneConfig(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	first := s.launch("a: 2\n", `{"strategy":{"kind":"targets","targets":["pod-2","pod-1"]}}`, "")
	p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/releases", body: `{"content":"a: 3"}`}))
	if !strings.Contains(p.Detail, first.ID) || !strings.Contains(p.Detail, "supersede, before or after") || p.CurrentVersion != 2 {
		t.Errorf("got %+v", p)
	}
	second := s.launch("a: 3\n", `{"strategy":{"kind":"canary","rule":{"labels":"region in (eu, us)"}}}`, `,"on_running":"after"`)
	p = s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/rollout/abort", body: `{}`}))
	if !strings.Contains(p.Detail, first.ID) || !strings.Contains(p.Detail, second.ID) {
		t.Errorf("want both named, got %s", p.Detail)
	}
	if got := s.servedTo("Setpoint-Instance", "pod-1", "Setpoint-Labels", "region=eu"); got != "2" {
		t.Errorf("the first wins: want 2, got %s", got)
	}
	s.act(file+"/rollout/abort", fmt.Sprintf(`{"launch":%q}`, first.ID))
	if got := s.servedTo("Setpoint-Instance", "pod-1", "Setpoint-Labels", "region=eu"); got != "3" {
		t.Errorf("want 3, got %s", got)
	}
	s.publish("acme/shop/prod/other.yaml", "b: 1\n")
	p = s.problem(http.StatusNotFound, "not_found", s.do(request{method: "POST", path: prod + "/configs/other.yaml/rollout/abort", body: fmt.Sprintf(`{"launch":%q}`, second.ID)}))
	if !strings.Contains(p.Detail, second.ID) {
		t.Errorf("a launch of another config: got %s", p.Detail)
	}

	list := func(query string) (ids []string) {
		var page config.Page[config.Launch]
		s.into(http.StatusOK, s.do(request{path: launches + query}), &page)
		for _, l := range page.Items {
			ids = append(ids, l.ID)
		}
		return ids
	}
	for query, want := range map[string][]string{
		"":                                     {second.ID},
		"?all=true":                            {second.ID, first.ID},
		"?path=acme/shop/prod":                 {second.ID},
		"?path=acme/shop/test&all=true":        nil,
		"?path=acme/shop/prod/app.yaml":        {second.ID},
		"?all=true&limit=1&after=" + second.ID: {first.ID},
	} {
		if diff := cmp.Diff(want, list(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: launches + "?path=other/shop"}))
	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", body: `{"content":"a: 4","on_running":"supersede"}`}), &set)
	if diff := cmp.Diff([]string{second.ID}, set.Ended); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// What makes no sense is refused before anything is released, with the place and
// the reason.
func TestRolloutsRefused(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	canary := func(rule string) string { return `{"strategy":{"kind":"canary","rule":` + rule + `}}` }
	for _, c := range []struct {
		name, rollout string
		status        int
		want          string
	}{
		{"percent out of range", canary(`{"share":10001}`), 422, "strategy.rule.share: 10001: want 0 to 10000 hundredths of a percent"},
		{"percent below zero", canary(`{"share":-1}`), 422, "strategy.rule.share: -1: want"},
		{"percent that is no whole number", canary(`{"share":12.5}`), 400, "body.rollout.strategy.rule.share: want a whole number, got number 12.5"},
		{"percent as text", canary(`{"share":"12.5%"}`), 400, "body.rollout.strategy.rule.share: want a whole number, got string"},
		{"unknown operator", canary(`{"labels":"region ~ eu"}`), 400, `body.rollout.strategy.rule.labels: label expression, column 8`},
		{"contradiction", canary(`{"labels":"region = eu, region = us"}`), 422, "strategy.rule.labels: nobody satisfies both region = eu and region = us"},
		{"bits beyond", canary(`{"any":[{"share":1},{"addresses":["10.0.0.1/8"]}]}`), 400, `body.rollout.strategy.rule.any[1].addresses[0]: network "10.0.0.1/8" has bits set`},
		{"a rule that says nothing", canary(`{}`), 422, "strategy.rule: the rule says nothing"},
		{"no rule", `{"strategy":{"kind":"canary"}}`, 422, "strategy.rule: a canary without a rule claims nobody"},
		{"unknown kind", `{"strategy":{"kind":"canry"}}`, 422, `strategy.kind: "canry" is no strategy: use all, canary`},
		{"no strategy", `{}`, 422, `strategy.kind: "" is no strategy`},
		{"all at once", `{"strategy":{"kind":"all"}}`, 422, "strategy.kind: all is what a release without a launch does"},
		{"unknown field", canary(`{"any":[{"share":1},{"shares":1}]}`), 400, "body.rollout.strategy.rule.any[1].shares: there is no such field"},
		{"field in other letters", canary(`{"Share":1}`), 400, "body.rollout.strategy.rule.Share: there is no such field"},
		{"field twice", canary(`{"share":1,"share":2}`), 400, "body.rollout.strategy.rule.share: this key is there twice"},
		{"another kind's field", `{"strategy":{"kind":"targets","targets":["a"],"salt":"x"}}`, 422, "strategy.salt: strategy targets does not have it"},
		{"unknown slot", `{"strategy":{"kind":"blue-green","slots":{"stable":"blue","candidate":"green","active":"red"}}}`, 422, `strategy.slots.active: there is no slot "red"; there are "blue" and "green"`},
		{"both in one slot", `{"strategy":{"kind":"blue-green","slots":{"stable":"blue","candidate":"blue","active":"blue"}}}`, 422, `both releases cannot be in slot "blue"`},
		{"a target twice", `{"strategy":{"kind":"targets","targets":["a","a"]}}`, 422, `strategy.targets[1]: instance "a" is named twice`},
		{"steps that shrink", `{"strategy":{"kind":"progressive","steps":[{"share":5000},{"share":100}]}}`, 422, "strategy.steps[1].share: 100 (1%) is not more than the step before"},
		{"a gate of what has no steps", strings.TrimSuffix(canary(`{"share":1}`), "}") + `,"gate":{"applied_share":1}}`, 422, "gate.applied_share: only a progressive launch"},
		{"an expiry that is too long", strings.TrimSuffix(canary(`{"share":1}`), "}") + `,"expires_after_seconds":1e9}`, 422, "expires_after_seconds: 1000000000: want 0 to 31622400 seconds"},
		{"too deep", canary(strings.Repeat(`{"all":[`, 20) + `{"share":1}` + strings.Repeat(`]}`, 20)), 422, "more than 8 levels"},
		{"much too deep", canary(strings.Repeat(`{"all":[`, 4000) + `1` + strings.Repeat(`]}`, 4000)), 400, "want an object, got number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.problem(c.status, "invalid", s.do(request{method: "POST", path: file + "/releases", body: publishOf("a: 2", c.rollout, "")}))
			if !strings.Contains(p.Detail, c.want) {
				t.Errorf("want %q, got %s", c.want, p.Detail)
			}
		})
	}
	for _, c := range []struct {
		more   string
		status int
		want   string
	}{
		{`"begins_at":"2001-01-01T00:00:00Z"`, 400, "want a time after now"},
		{`"begins_at":"tomorrow"`, 400, "body.begins_at: want a time as RFC 3339 has it"},
		{`"begins_at":"2900-01-01T00:00:00Z"`, 400, "at most 366 days ahead"},
		{`"on_running":"overtake"`, 400, `on_running "overtake": use supersede, before or after`},
		{`"on_running":"before"`, 400, "a release for everybody cannot come before a launch"},
		{`"rolout":{}`, 400, "body.rolout: there is no such field"},
	} {
		p := s.problem(c.status, "invalid", s.do(request{method: "POST", path: file + "/releases", body: `{"content":"a: 2",` + c.more + `}`}))
		if !strings.Contains(p.Detail, c.want) {
			t.Errorf("%s: want %q, got %s", c.more, c.want, p.Detail)
		}
	}
	if got := s.servedTo(); got != "1" {
		t.Errorf("something was released: version %s", got)
	}
	p := s.problem(http.StatusUnprocessableEntity, "invalid", s.do(request{method: "POST", path: prod + "/configs/new.yaml/releases", body: publishOf("a: 1", blue, "")}))
	if !strings.Contains(p.Detail, "there is no stable release for the slot to hold; publish one first") {
		t.Errorf("got %s", p.Detail)
	}
}

func TestOverlappingTargets(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.launch("a: 2\n", `{"strategy":{"kind":"targets","targets":["pod-1","pod-2"]}}`, "")
	p := s.problem(http.StatusUnprocessableEntity, "invalid", s.do(request{method: "POST", path: file + "/releases",
		body: publishOf("a: 3", `{"strategy":{"kind":"targets","targets":["pod-2","pod-3"]}}`, `,"on_running":"after"`)}))
	if !strings.Contains(p.Detail, `candidates[1].strategy.targets[0]: instance "pod-2" is a target of candidates[0] already`) {
		t.Errorf("got %s", p.Detail)
	}
}

// What only looks like a mistake is done, and said.
func TestLaunchWarnings(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	first := s.launch("a: 2\n", `{"strategy":{"kind":"canary","rule":{"share":5000}}}`, "")
	if len(first.Warnings) != 0 {
		t.Errorf("want none, got %+v", first.Warnings)
	}
	second := s.launch("a: 3\n", canary10, `,"on_running":"after"`)
	want := "claims nobody: candidates[0] claims the same 50% of instances first"
	if len(second.Warnings) != 1 || second.Warnings[0].Path != "acme/shop/prod/app.yaml" || !strings.Contains(second.Warnings[0].Message, want) {
		t.Errorf("want %q, got %+v", want, second.Warnings)
	}
	var again config.Launch
	s.into(http.StatusOK, s.do(request{path: launches + "/" + second.ID}), &again)
	if diff := cmp.Diff(second, again); diff != "" {
		t.Errorf("asked for later (-want +got):\n%s", diff)
	}
	none := s.act(launches+"/"+first.ID, `{"share":0}`)
	if text := fmt.Sprint(none.Warnings); !strings.Contains(text, "0% claims nobody until it is raised") {
		t.Errorf("got %s", text)
	}
}

func TestAdjustsRefused(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.launch("a: 2\n", canary10, "")
	for body, want := range map[string]string{
		`{}`:                 "say what to adjust",
		`{"comment":"only"}`: "say what to adjust",
		`{"share":10001}`:    "strategy.rule.share: 10001: want 0 to 10000",
		`{"share":1.5}`:      "body.share: expected integer",
		`{"strategy":{"kind":"canary","rule":{"shares":1}}}`:                     "body.strategy.rule.shares: unexpected property",
		`{"strategy":{"kind":"canary","rule":{"any":[{"labels":"a ~ b"}]}}}`:     "strategy.rule.any[0].labels: label expression, column 3",
		`{"share":1,"strategy":{"kind":"canary","rule":{"share":1}}}`:            "give a strategy or a share, not both",
		`{"gate":{"refused":-1}}`:                                                "gate.refused: -1: want how many instances",
		`{"expires_after_seconds":-1}`:                                           "body.expires_after_seconds: expected number >= 0",
		`{"begins_at":"soon"}`:                                                   "body.begins_at",
		`{"strategy":{"kind":"progressive","steps":[{"share":100,"hold":1}]}}`:   "body.strategy.steps[0].hold: unexpected property",
		`{"strategy":{"kind":"progressive","steps":[{"hold_seconds":1}]}}`:       "body.strategy.steps[0]: expected required property share",
		`{"strategy":{"kind":"progressive","steps":[{"share":100,"share":200}]}`: "body",
	} {
		r := s.do(request{method: "PATCH", path: launches + "/" + l.ID, body: body})
		if r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d", body, r.StatusCode)
		}
		if p := s.problem(r.StatusCode, "invalid", r); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: want %q, got %s", body, want, p.Detail)
		}
	}
	for body, want := range map[string]string{
		`{"strategy":{"kind":"blue-green"}}`:   `a canary launch cannot become "blue-green"`,
		`{"begins_at":"2027-01-31T10:00:00Z"}`: "has begun already",
	} {
		if p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "PATCH", path: file + "/rollout", body: body})); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: want %q, got %s", body, want, p.Detail)
		}
	}
}

func TestScheduledReleaseOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	var set config.ChangeSet
	body := fmt.Sprintf(`{"content":"a: 2","begins_at":%q}`, at.Format(time.RFC3339))
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", body: body}), &set)
	if set.Launch.State != config.LaunchScheduled || !set.Launch.BeginsAt.Equal(at) || s.servedTo("Setpoint-Instance", "pod-1") != "1" {
		t.Errorf("got %+v", set.Launch)
	}
	p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/rollout/pause", body: `{}`}))
	if !strings.Contains(p.Detail, "has not begun") {
		t.Errorf("got %s", p.Detail)
	}
	later := s.act(file+"/rollout", fmt.Sprintf(`{"begins_at":%q}`, at.Add(time.Hour).Format(time.RFC3339)))
	if !later.BeginsAt.Equal(at.Add(time.Hour)) {
		t.Errorf("got %s", later.BeginsAt)
	}
	l := s.act(file+"/rollout/advance", `{"comment":"now"}`)
	if got := s.servedTo(); l.State != config.LaunchPromoted || got != "2" {
		t.Errorf("want everybody served 2, got %s, %s", got, l.State)
	}
}

func TestRollbackWithoutAVersion(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 2\n")
	l := s.launch("a: 3\n", canary10, "")
	var set config.ChangeSet
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/rollback", body: `{"comment":"errors"}`}), &set)
	if diff := cmp.Diff([]string{l.ID}, set.Ended); diff != "" || !set.Items[0].Unchanged || s.servedTo() != "2" {
		t.Errorf("want the launch aborted and nothing released, got %+v", set)
	}
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/rollback", body: `{}`}), &set)
	var r fullRelease
	s.into(http.StatusOK, s.do(request{path: file + "/releases/4"}), &r)
	if *r.Text != "a: 1\n" || s.servedTo() != "4" {
		t.Errorf("want the content of 1 as 4, got %+v", set)
	}
	p := s.problem(http.StatusConflict, "conflict", s.do(request{method: "POST", path: file + "/rollback", body: `{}`}))
	if !strings.Contains(p.Detail, "is itself a rollback, to release 1; say which version to go to") {
		t.Errorf("got %s", p.Detail)
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: file + "/rollback", body: `{"version":-1}`}))
}

// Whatever releases something takes the same fields.
func TestEveryReleaseCanBeARollout(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/test/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 0\n")
	for name, q := range map[string]request{
		"change set": {path: "/v1/tenants/acme/changesets", body: `{"items":[{"path":"acme/shop/prod/app.yaml","content":"a: 5"},{"path":"acme/shop/prod/b.yaml","content":"b: 1"}],"on_running":"supersede","rollout":` + canary10 + `}`},
		"promote":    {path: "/v1/tenants/acme/apps/shop/promote", body: `{"from_env":"test","to_env":"prod","on_running":"supersede","rollout":` + canary10 + `}`},
		"import": {path: prod + "/import?on_running=supersede&rollout=" + url.QueryEscape(canary10), body: zipped(t, "app.yaml", "a: 7\n"),
			header: map[string]string{"Content-Type": "application/zip"}},
	} {
		t.Run(name, func(t *testing.T) {
			q.method = "POST"
			r := s.do(q)
			if r.StatusCode/100 != 2 {
				t.Fatalf("got %d %s", r.StatusCode, r.body)
			}
			var set struct {
				config.ChangeSet
				Nested config.ChangeSet `json:"change_set"`
			}
			s.must(json.Unmarshal(r.body, &set))
			l := set.Launch
			if l == nil {
				l = set.Nested.Launch
			}
			if l == nil || l.Strategy.String() != "canary 10%" || s.servedTo() != "1" {
				t.Errorf("got %s", r.body)
			}
		})
	}
	for query, want := range map[string]string{
		"rollout={":                                           "query.rollout: not JSON",
		`rollout={"strategy":{"kind":1}}`:                     "query.rollout.strategy.kind: want text, got number",
		`rollout={"strategy":{"kin":"canary"}}`:               "query.rollout.strategy.kin: there is no such field",
		`rollout={"strategy":{"kind":"canary"}}`:              "strategy.rule: a canary without a rule claims nobody",
		"begins_at=soon":                                      "query.begins_at: want a time as RFC 3339",
		"override_freeze=maybe":                               "query.override_freeze: want true or false",
		"on_running=x":                                        `on_running "x"`,
		`prune=true&on_running=supersede&rollout=` + canary10: "a launch cannot delete configs",
	} {
		values, err := url.ParseQuery(query)
		s.must(err)
		r := s.do(request{method: "POST", path: prod + "/import?" + values.Encode(), body: zipped(t, "new.yaml", "a: 8\n"), header: map[string]string{"Content-Type": "application/zip"}})
		if r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(r.body), strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: want %q, got %d %s", query, want, r.StatusCode, r.body)
		}
	}
}

func zipped(t *testing.T, name, content string) string {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestFrozenEnvOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.launch("a: 2\n", blue, "")
	s.into(http.StatusOK, s.do(request{method: "PUT", path: prod + "/freezes/year-end", json: map[string]any{"to": time.Now().Add(time.Hour), "reason": "shops are busy"}}), nil)
	for _, q := range []request{
		{method: "POST", path: file + "/releases", body: publishOf("a: 3", canary10, `,"on_running":"supersede"`)},
		{method: "POST", path: file + "/rollout/switch", body: `{}`},
		{method: "POST", path: launches + "/" + l.ID + "/promote", body: `{}`},
		{method: "DELETE", path: file},
	} {
		if p := s.problem(http.StatusConflict, "conflict", s.do(q)); !strings.Contains(p.Detail, `by "year-end" (shops are busy)`) {
			t.Errorf("%s %s: got %s", q.method, q.path, p.Detail)
		}
	}
	s.act(file+"/rollout/switch", `{"override_freeze":true}`)
	s.act(file+"/rollout/switch", `{"to":"blue"}`)
	publisher := s.user("pat", auth.Grant{Role: auth.RolePublisher, Scope: config.Path{Tenant: "acme", App: "shop", Env: "prod"}})
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: file + "/rollout/promote", auth: publisher, body: `{"override_freeze":true}`}))
	s.into(http.StatusOK, s.do(request{method: "POST", path: file + "/rollout/abort", auth: publisher, body: `{}`}), nil)
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: file + "?override_freeze=true"}), nil)
}

func TestWhoMaySeeAndDriveLaunches(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.launch("a: 2\n", canary10, "")
	s.into(http.StatusOK, s.do(request{path: launches + "/" + l.ID, auth: s.viewer}), nil)
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: launches + "/" + l.ID + "/promote", auth: s.viewer}))
	s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: file + "/rollout/promote", auth: s.viewer}))
	elsewhere := s.user("eve", auth.Grant{Role: auth.RolePublisher, Scope: config.Path{Tenant: "acme", App: "shop", Env: "test"}})
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: launches + "/" + l.ID, auth: elsewhere}))
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "POST", path: launches + "/" + l.ID + "/abort", auth: elsewhere}))
	var page config.Page[config.Launch]
	s.into(http.StatusOK, s.do(request{path: launches, auth: elsewhere}), &page)
	if len(page.Items) != 0 {
		t.Errorf("got %+v", page)
	}
}

// FuzzRollout holds that whatever is taken for a rollout has known names only and
// means what was written, and that what is not is refused with a place.
func FuzzRollout(f *testing.F) {
	for _, seed := range []string{
		canary10, blue, steps, `{"strategy":{"kind":"targets","targets":["b","a"]},"gate":{"refused":1},"expires_after_seconds":0.5}`,
		`{"strategy":{"rule":{"any":[{"labels":"a in (b, c)"},{"addresses":["10.0.0.0/8","::1"]}]}}}`,
		`{"strategy":{"rule":{"all":[{"all":[{"shar":1}]}]}}}`, `{"strategy":null}`, `null`, `[]`, `{"strategy":{"steps":[{"share":1e0}]}}`, `{"gate":{"at_least":99999999999999999999}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *NewRollout
		err := decodeText("query.rollout", data, rolloutNames, &r)
		if err != nil {
			if p := config.AsError(err).Problems; len(p) != 1 || !strings.HasPrefix(p[0].Path, "query.rollout") || p[0].Message == "" {
				t.Errorf("%q: want a place and a reason, got %v", data, err)
			}
			return
		}
		first, err := json.Marshal(r)
		if err != nil {
			return // an operator or a network that only Check refuses
		}
		var again *NewRollout
		if err := decodeText("x", first, rolloutNames, &again); err != nil {
			t.Fatalf("%q: written as %s, which is refused: %v", data, first, err)
		}
		if second, _ := json.Marshal(again); !bytes.Equal(first, second) {
			t.Errorf("%q: read as %s, then as %s", data, first, second)
		}
	})
}
