package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

// reported waits for a report.
func reported(t *testing.T, srv *clienttest.Server, path string, version int64, state config.AckState) clienttest.Report {
	t.Helper()
	r, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool {
		return r.Path == path && r.Version == version && r.State == state
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAcknowledgementsSayWhoAndOnlyWhatIsNew(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: "1", pathB: "1"})
	c := srv.Client(t, client.Options{
		Instance:   config.Client{ID: "i7", Labels: map[string]string{"zone": "b"}},
		AppVersion: "1.2.3",
	})
	open(t, c, client.SetOptions{})
	got := reported(t, srv, pathA, 1, config.AckApplied)
	want := clienttest.Report{
		Instance: "i7", Labels: map[string]string{"zone": "b", "version": "1.2.3"},
		Path: pathA, Version: 1, State: config.AckApplied,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	srv.Put(pathA, "2")
	reported(t, srv, pathA, 2, config.AckApplied)
	srv.Put(pathB, "2") // reports go one after another: the one before has its answer by then
	reported(t, srv, pathB, 2, config.AckApplied)
	times := map[string]int{}
	for _, r := range srv.Reports() {
		times[fmt.Sprint(r.Path, r.Version)]++
	}
	if diff := cmp.Diff(map[string]int{pathA + "1": 1, pathB + "1": 1, pathA + "2": 1, pathB + "2": 1}, times); diff != "" {
		t.Errorf("how often each was reported (-want +got):\n%s", diff)
	}
}

func TestAcknowledgementsComeInBatches(t *testing.T) {
	srv := clienttest.NewServer(t)
	contents := map[string]string{}
	for i := range 600 {
		contents[fmt.Sprintf("%s/c%03d.json", env, i)] = "1"
	}
	srv.PutAll(contents)
	open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	reported(t, srv, env+"/c599.json", 1, config.AckApplied)
	if got := len(srv.Reports()); got != 600 {
		t.Errorf("want 600 reports, got %d", got)
	}
}

func TestAnInstanceWithoutANameGetsOneForAllOfItsSets(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: "1", pathB: "1"})
	c := srv.Client(t, client.Options{})
	open(t, c, client.SetOptions{Patterns: []string{pathA}})
	open(t, c, client.SetOptions{Patterns: []string{pathB}, CacheDir: t.TempDir()})
	open(t, srv.Client(t, client.Options{}), client.SetOptions{Patterns: []string{pathA}})
	one, two := reported(t, srv, pathA, 1, config.AckApplied), reported(t, srv, pathB, 1, config.AckApplied)
	other, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool { return r.Instance != two.Instance })
	if err != nil {
		t.Fatal(err)
	}
	if two.Instance == "" || one.Instance != two.Instance && other.Path != pathA {
		t.Errorf("want one name for one client and another for another, got %q, %q and %q", one.Instance, two.Instance, other.Instance)
	}
}

func TestManualSetsTellWhatTheyAreTold(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: "1", pathB: "1"})
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{Manual: true})
	srv.Put(pathA, "2")
	wait(t, set, serves(t, pathA, "2"))
	set.Applied(mustPath(t, pathA), 1)
	reported(t, srv, pathA, 1, config.AckApplied)
	set.Refused(mustPath(t, pathA), 2, strings.Repeat("é", 1000))
	if r := reported(t, srv, pathA, 2, config.AckRefused); r.Why != strings.Repeat("é", 500) {
		t.Errorf("want the first 1,000 bytes of the reason, got %d", len(r.Why))
	}
	set.Applied(mustPath(t, pathA), 2) // at a second attempt
	set.Close()                        // tells what was not told yet
	reported(t, srv, pathA, 2, config.AckApplied)
	if got := len(srv.Reports()); got != 3 {
		t.Errorf("want 3 reports and none of its own accord, got %+v", srv.Reports())
	}
}

func TestARefusedBindingIsReportedAndTheCacheKeepsWhatWasGood(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, `{"rate":1}`)
	dir := t.TempDir()
	o := client.SetOptions{CacheDir: dir}
	set := open(t, srv.Client(t, client.Options{}), o)
	if _, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[limits]{}); err != nil {
		t.Fatal(err)
	}
	set.Close()
	srv.Put(pathA, `{"rate":`)
	set = open(t, srv.Client(t, client.Options{}), o)
	if _, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[limits]{}); err == nil {
		t.Fatal("want the binding refused")
	}
	set.Close() // as a program does that cannot start
	reported(t, srv, pathA, 2, config.AckRefused)
	srv.Stop()
	o.StartWithin = short
	set = open(t, srv.Client(t, client.Options{}), o)
	wantState(t, set.State(), `a.json=1:{"rate":1}`)
}

// sick is a server whose reports fail as told, and which is well otherwise.
type sick struct {
	fail   func(n int64, paths []string) (status int, path string)
	tries  atomic.Int64
	passed chan []string
}

func (s *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/instances/report" {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: current\nid: r1\ndata: {\"revision\":\"r1\",\"reset\":true,\"changes\":[{\"path\":%q,\"version\":1},{\"path\":%q,\"version\":1}]}\n\n", pathA, pathB)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	var in struct {
		Reports []clienttest.Report `json:"reports"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var paths []string
	for _, r := range in.Reports {
		paths = append(paths, r.Path)
	}
	if status, path := s.fail(s.tries.Add(1), paths); status != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		code := map[int]string{http.StatusServiceUnavailable: "unavailable", http.StatusForbidden: "denied"}[status]
		json.NewEncoder(w).Encode(map[string]string{"code": code, "path": path})
		return
	}
	w.WriteHeader(http.StatusNoContent)
	s.passed <- paths
}

func TestAcknowledgementsThatFail(t *testing.T) {
	tests := []struct {
		name  string
		fail  func(n int64, paths []string) (int, string)
		want  []string // that arrive
		tries int64
	}{
		{"for a while", func(n int64, _ []string) (int, string) {
			if n < 3 {
				return http.StatusServiceUnavailable, ""
			}
			return 0, ""
		}, []string{pathA, pathB}, 3},
		{"for one path", func(_ int64, paths []string) (int, string) {
			if paths[0] == pathA {
				return http.StatusForbidden, pathA
			}
			return 0, ""
		}, []string{pathB}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sick{fail: tt.fail, passed: make(chan []string, 1)}
			open(t, serve(t, s), client.SetOptions{})
			if diff := cmp.Diff(tt.want, <-s.passed); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
			if got := s.tries.Load(); tt.tries != got {
				t.Errorf("want %d tries, got %d", tt.tries, got)
			}
		})
	}
}
