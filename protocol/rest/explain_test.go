package rest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const explain = file + "/rollout/explain"

// canary launches app.yaml to eu.
func (s *server) canary(content string) config.Launch {
	s.t.Helper()
	labels, err := config.ParseSelector("region = eu")
	s.must(err)
	set, err := s.center.Publish(s.as(center.AdminUser), center.Publish{
		Tenant: "acme", Items: []center.PublishItem{{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "app.yaml"}, Content: []byte(content)}},
		ReleaseOptions: center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Labels: labels}}}},
	})
	s.must(err)
	return *set.Launch
}

func TestExplainOverHTTP(t *testing.T) {
	s := start(t)
	first := s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	l := s.canary("a: 2\n")
	for q, want := range map[string]int64{
		"instance=pod-1&labels=region%3Deu":            2,
		"instance=pod-1&labels=region%3Dus&slot=x":     1,
		"labels=region%3Deu,zone%3Da&address=10.0.0.1": 2,
		"": 1,
		"labels=region%3Deu&at=" + string(first.Revision):      1,
		"labels=region%3Deu&at=" + url.QueryEscape(nowText(t)): 2,
	} {
		var x config.Explained
		s.into(http.StatusOK, s.do(request{path: explain + "?" + q, auth: s.viewer}), &x)
		if x.Release == nil || x.Release.Version != want || x.Revision == "" {
			t.Errorf("%s: want version %d, got %+v", q, want, x)
		}
		if want == 2 && (len(x.Launches) != 1 || x.Launches[0].ID != l.ID || !x.Launches[0].Serves) {
			t.Errorf("%s: want the launch named, got %+v", q, x.Launches)
		}
	}
	r := s.do(request{path: explain + "?labels=region%3Deu", header: map[string]string{"Accept": "text/plain", "Setpoint-Instance": "me"}})
	want := "acme/shop/prod/app.yaml: version 2, by rule\ncandidate 0, version 2, canary: claims it\n  yes rule.labels: its labels satisfy region = eu\n"
	if diff := cmp.Diff(want, string(r.body)); diff != "" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("as text, %s (-want +got):\n%s", r.Header.Get("Content-Type"), diff)
	}
	for q, where := range map[string]string{
		"address=here":                         "query.address",
		"address=10.0.0.0/8":                   "query.address",
		"labels=a":                             "labels",
		"instance=" + strings.Repeat("x", 300): "instance",
		"slot=%00":                             "slot",
		"at=yesterday":                         "token",
		"at=2999-01-01T00:00:00Z":              "future",
		"at=2001-01-01T00:00:00Z":              "the first is of",
		"at=1." + strings.Repeat("x", 10):      "another installation",
		"label=a":                              "query.label",
	} {
		p := s.problem(http.StatusBadRequest, "invalid", s.do(request{path: explain + "?" + q}))
		found := strings.Contains(p.Detail, where)
		for _, problem := range p.Problems {
			found = found || strings.Contains(problem.Path+" "+problem.Message, where)
		}
		if !found {
			t.Errorf("%s: want %q, got %+v", q, where, p)
		}
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: prod + "/configs/ghost.yaml/rollout/explain"}))
	s.problem(http.StatusForbidden, "denied", s.do(request{path: explain, auth: s.app}))
}

func nowText(t *testing.T) string {
	t.Helper()
	return time.Now().UTC().Format(time.RFC3339Nano)
}
