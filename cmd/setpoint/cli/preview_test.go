package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const previewed = `{
  "revision": "2s.x", "strategy": {"kind": "canary"}, "ended": ["l1"], "silent": ["n3"], "next": "more",
  "problems": [{"path": "acme/shop/prod/b.yaml", "severity": "warning", "message": "matches nobody: no instance watches or reads it now"}],
  "configs": [
    {"path": "acme/shop/prod/a.yaml", "version": 4, "instances": 2, "candidate": 1, "stable": 1, "unchanged": 1},
    {"path": "acme/shop/prod/b.yaml", "version": 1, "instances": 1, "nothing": 1, "unchanged": 1}
  ],
  "items": [
    {"id": "pod-1", "user": "bob", "node": "n1", "labels": {"region": "eu"}, "choices": [
      {"path": "acme/shop/prod/a.yaml", "now": 3, "then": 4, "candidate": true, "reason": "rule"},
      {"path": "acme/shop/prod/b.yaml", "now": 0, "then": 0, "candidate": false, "reason": "unpublished"}]},
    {"user": "bob", "node": "n1", "choices": [{"path": "acme/shop/prod/a.yaml", "now": 3, "then": 3, "candidate": false, "reason": "stable"}]}
  ]
}`

func TestPreviewShowsWhoWouldGetWhat(t *testing.T) {
	var sent string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = r.URL.RequestURI() + " " + string(body)
		io.WriteString(w, previewed)
	})
	got := run(t, h, "preview", "acme/shop/prod/a.yaml", "acme/shop/prod/b.yaml", "--percent", "10", "--on-running", "supersede", "--limit", "2")
	want := result{stdout: "" +
		"CONFIG                 INSTANCE  LABELS     NOW  THEN             WHY\n" +
		"acme/shop/prod/a.yaml  pod-1     region=eu  3    4     candidate  rule\n" +
		"acme/shop/prod/b.yaml  pod-1     region=eu  -    -                unpublished\n" +
		"acme/shop/prod/a.yaml  -         -          3    3                stable\n" +
		"\n" +
		"acme/shop/prod/a.yaml version 4: 1 of 2 instances would get it, 1 the stable version; nothing changes for 1\n" +
		"acme/shop/prod/b.yaml version 1: 0 of 1 instance would get it, 1 nothing; nothing changes for 1\n",
		stderr: "warning: acme/shop/prod/b.yaml: matches nobody: no instance watches or reads it now\n" +
			"there are more instances than the 2 listed; --limit 0 lists all\n" +
			"it would end launch l1\n" +
			"warning: no answer from n3: the instances there are not counted\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := `/v1/tenants/acme/launches/preview?limit=2 {"items":["acme/shop/prod/a.yaml","acme/shop/prod/b.yaml"],"strategy":{"kind":"canary","rule":{"share":1000}},"on_running":"supersede"}`; sent != want {
		t.Errorf("want %s, got %s", want, sent)
	}
}

func TestPreviewOfALaunchUnderWay(t *testing.T) {
	for args, want := range map[string]string{
		"--change promote":            `/v1/tenants/acme/apps/shop/envs/prod/configs/a.yaml/rollout/preview?limit=100 {"change":"promote"}`,
		"--launch l1 --percent 12.5":  `/v1/tenants/acme/launches/preview?limit=100 {"launch":"l1","share":1250}`,
		"--launch l1 --targets a":     `/v1/tenants/acme/launches/preview?limit=100 {"strategy":{"kind":"targets","targets":["a"]},"launch":"l1"}`,
		"--launch l1":                 `/v1/tenants/acme/launches/preview?limit=100 {"launch":"l1"}`,
		"--change switch --percent 5": `/v1/tenants/acme/apps/shop/envs/prod/configs/a.yaml/rollout/preview?limit=100 {"share":500,"change":"switch"}`,
	} {
		var sent string
		run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			sent = r.URL.RequestURI() + " " + string(body)
			io.WriteString(w, `{}`)
		}), append([]string{"preview", "acme/shop/prod/a.yaml"}, strings.Fields(args)...)...)
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
}

func TestPreviewSaysWhatWouldBeRefused(t *testing.T) {
	const refused = `{"strategy":{"kind":"canary"},"problems":[{"severity":"error","message":"strategy.rule: says nothing"}],"configs":[],"items":[]}`
	got := run(t, answer(refused), "preview", "acme/shop/prod/a.yaml", "--percent", "10")
	want := result{code: exitInvalid, stderr: "error: strategy.rule: says nothing\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := run(t, answer(refused), "preview", "acme/shop/prod/a.yaml", "--percent", "10", "-o", "json"); got.code != exitInvalid || !strings.Contains(got.stdout, `"says nothing`) && !strings.Contains(got.stdout, "says nothing") {
		t.Errorf("got %+v", got)
	}
	for _, args := range [][]string{
		{"preview", "acme/shop/prod/a.yaml"}, {"preview", "acme/shop/prod", "--percent", "5"}, {"preview", "acme/shop/prod/a.yaml", "--percent", "500"},
		{"preview", "acme/shop/prod/a.yaml", "acme/shop/prod/b.yaml", "--change", "abort"}, {"preview", "acme/shop/prod/a.yaml", "--percent", "5", "--limit", "-1"},
		{"explain", "acme/shop/prod"}, {"explain", "acme/shop/prod/a.yaml", "--labels", "a"}, {"explain", "acme/shop/prod/a.yaml", "--labels", "a=1,a=2"},
		{"explain", "acme/shop/prod/a.yaml", "--at", "soon"},
	} {
		got := run(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%q asked for %s", args, r.URL) }), args...)
		if got.code != exitUsage || got.stderr == "" {
			t.Errorf("%q: want it refused as usage, got %+v", args, got)
		}
	}
}

func TestExplainShowsWhy(t *testing.T) {
	const explained = `{
	  "path": "acme/shop/prod/a.yaml", "client": {"id": "pod-1", "labels": {"region": "eu"}, "address": "10.0.0.1"}, "release": {"path": "acme/shop/prod/a.yaml", "version": 4},
	  "reason": "rule", "revision": "2s.x", "namesakes": 1, "silent": ["n3"], "instance": {"node": "n2"},
	  "verdicts": [{"candidate": 0, "version": 4, "kind": "canary", "claims": true, "findings": [{"field": "rule.labels", "what": "its labels satisfy region = eu", "holds": true}]}],
	  "launches": [{"id": "l2", "state": "running", "kind": "canary", "strategy": "canary by rule", "version": 4, "serves": true}, {"id": "l1", "state": "promoted", "version": 3}]
	}`
	var sent string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.URL.RequestURI()
		io.WriteString(w, explained)
	})
	got := run(t, h, "explain", "acme/shop/prod/a.yaml", "--instance", "pod-1", "--labels", "region=eu, tier=web", "--slot", "s", "--address", "10.0.0.1", "--at", "2026-01-31T10:00:00Z")
	want := result{stdout: "" +
		"acme/shop/prod/a.yaml: version 4, by rule\n" +
		"candidate 0, version 4, canary: claims it\n" +
		"  yes rule.labels: its labels satisfy region = eu\n" +
		"launch l2 brings version 4: running, canary by rule\n" +
		"launch l1 brought version 3: promoted\n" +
		"as of revision 2s.x\n",
		stderr: "pod-1 is known to n2: labels region=eu, slot -, address 10.0.0.1\n" +
			"warning: 1 instance of other users with this id\n" +
			"warning: no answer from n3: instances that are known there alone are not known here\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const base = "/v1/tenants/acme/apps/shop/envs/prod/configs/a.yaml/rollout/explain?"
	if want := base + "address=10.0.0.1&at=2026-01-31T10%3A00%3A00Z&instance=pod-1&labels=region%3Deu%2Ctier%3Dweb&slot=s"; sent != want {
		t.Errorf("want %s, got %s", want, sent)
	}
	run(t, h, "explain", "acme/shop/prod/a.yaml", "--at", "2s.wrgbzyzw", "--labels", "")
	if want := base + "at=2s.wrgbzyzw&labels="; sent != want {
		t.Errorf("want %s, got %s", want, sent)
	}
}
