package e2e

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// metric returns the sum of the series that begin with the text, as
// "setpoint_streams{" does.
func (s *server) metric(series string) float64 {
	s.t.Helper()
	plain := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := plain.Get(s.adminURL("/metrics"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var sum float64
	found := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || !strings.HasPrefix(name, series) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.t.Fatalf("%s: %v", lines.Text(), err)
		}
		sum, found = sum+n, true
	}
	if !found {
		s.t.Errorf("there is no metric %s", series)
	}
	return sum
}

// TestMetricsMove wants what operators watch to be there and to be true, on the
// admin port and nowhere else.
func TestMetricsMove(t *testing.T) {
	s := start(t)
	root := s.root()
	build(t, root, "acme/shop/prod")
	at := path(t, "acme/shop/prod/app.yaml")
	publish(t, root, at.String(), "a: 1\n")
	const (
		reads    = `setpoint_request_duration_seconds_count{code="ok",op="config.read"`
		denied   = `setpoint_request_duration_seconds_count{code="not_found",op="config.read"`
		commits  = `setpoint_store_commit_duration_seconds_count{result="ok"`
		fsyncs   = `etcd_disk_wal_fsync_duration_seconds_count`
		streams  = `setpoint_streams{`
		revision = `setpoint_view_revision`
	)
	read := func() {
		t.Helper()
		if _, err := root.Get(t.Context(), at, client.ReadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if _, err := root.Get(t.Context(), path(t, "acme/shop/prod/no.yaml"), client.ReadOptions{}); err == nil {
		t.Fatal("want it not found")
	}
	before := map[string]float64{}
	for _, name := range []string{reads, denied, commits, fsyncs, revision} {
		before[name] = s.metric(name)
	}
	const rounds = 7
	for i := range rounds {
		read()
		publish(t, root, at.String(), "a: "+strconv.Itoa(i+2)+"\n")
	}
	for name, least := range map[string]float64{reads: rounds, commits: rounds, fsyncs: 1, revision: rounds} {
		if grown := s.metric(name) - before[name]; grown < least {
			t.Errorf("%s: want it grown by %g, got %g", name, least, grown)
		}
	}
	if grown := s.metric(denied) - before[denied]; grown != 0 {
		t.Errorf("%s: want it as it was, grew by %g", denied, grown)
	}
	next, stop := pull(root.Watch(t.Context(), client.WatchRequest{Patterns: []string{at.String()}}))
	if _, err, ok := next(); err != nil || !ok {
		t.Fatalf("watch: %v", err)
	}
	if got := s.metric(streams); got != 1 {
		t.Errorf("want one stream, got %g", got)
	}
	stop()
	s.until("no stream", func() bool { return s.metric(streams) == 0 })

	for _, name := range []string{"setpoint_build_info", "setpoint_store_size_bytes", "go_goroutines", "process_open_fds"} {
		if s.metric(name) <= 0 {
			t.Errorf("%s: want it above 0", name)
		}
	}
}

// TestStrangersLearnNothing looks at what needs no identity.
func TestStrangersLearnNothing(t *testing.T) {
	s := start(t)
	build(t, s.root(), "acme/hidden-app/prod")
	publish(t, s.root(), "acme/hidden-app/prod/hidden-config.yaml", "content: "+marker+"\n")
	s.secret(config.NewSecret(marker))
	plain := s.http()
	admin := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for target, want := range map[string]string{"/livez": "ok\n", "/readyz": "ready\n", "/readyz?verbose": "", "/livez?verbose": "ok\n"} {
		a := s.call(plain, "GET", target, nil)
		if a.StatusCode != http.StatusOK || want != "" && string(a.body) != want {
			t.Errorf("%s: want %q, got %s %q", target, want, a.Status, a.body)
		}
	}
	for _, target := range []string{"/livez?verbose", "/readyz?verbose", "/openapi.json", "/openapi.yaml", "/docs", "/", "/v1/", "/v1/version"} {
		a := s.call(plain, "GET", target, nil)
		for _, word := range []string{"acme", "hidden", marker, s.dir, s.token.Reveal()} {
			if strings.Contains(string(a.body), word) && !strings.HasPrefix(target, "/openapi") {
				t.Errorf("%s tells strangers of %s: %.300s", target, word, a.body)
			}
		}
	}
	for _, target := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars"} {
		for who, header := range map[string]string{"a stranger": "", "admin": bearer(s.token)} {
			if a := s.call(plain, "GET", target, nil, "Authorization", header); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: want it not on the main port, %s got %s", target, who, a.Status)
			}
		}
		resp, err := admin.Get(s.adminURL(target))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || (resp.StatusCode == http.StatusOK) != (target != "/debug/vars") || strings.Contains(string(body), marker) {
			t.Errorf("%s on the admin port: %s, %v", target, resp.Status, err)
		}
	}
	resp, err := admin.Get(s.adminURL("/v1/tenants"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("want no data on the admin port, got %s", resp.Status)
	}
}
