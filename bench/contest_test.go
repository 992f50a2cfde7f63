package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
)

func TestSubjectsTakeTurns(t *testing.T) {
	o := options(t)
	o.Rounds, o.Duration = 3, 20*time.Millisecond
	var order strings.Builder
	round := func(name string, ops int64) round {
		return func(_ context.Context, e effort) (sample, error) {
			order.WriteString(name)
			s := sample{ops: ops, elapsed: time.Second, latency: newLatencies()}
			record(s.latency, time.Millisecond)
			return s, nil
		}
	}
	r := &run{Options: &o}
	result, err := r.play(t.Context(), contest{scenario: "x", title: "y", subjects: []subject{
		{name: "a", round: round("A", 300)}, {name: "b", pids: []int{os.Getpid()}, round: round("B", 400)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "AB"+"ABABAB", order.String(); want != got {
		t.Errorf("want a round to warm up and then turns, %s, got %s", want, got)
	}
	a, b := result.Rows[0], result.Rows[1]
	if a.Ops != 900 || a.Rate != 300 || a.RateRatio != 0 {
		t.Errorf("want the 3 measured rounds of the first subject, and no ratio to itself, got %+v", a)
	}
	if b.Ops != 1200 || b.RateRatio != 0.75 || b.P99Ratio != 1 {
		t.Errorf("want the first subject at 75 %% of the second, got %+v", b)
	}
}

func TestMedianOfRatios(t *testing.T) {
	for name, test := range map[string]struct {
		of, to []float64
		want   float64
	}{
		"odd":             {[]float64{1, 2, 9}, []float64{2, 2, 3}, 1},
		"even":            {[]float64{1, 3}, []float64{2, 2}, 1},
		"drift is no one": {[]float64{10, 20, 40}, []float64{20, 40, 80}, 0.5},
		"nothing":         {nil, nil, 0},
		"zero":            {[]float64{1}, []float64{0}, 0},
	} {
		if got := medianRatio(test.of, test.to); got != test.want {
			t.Errorf("%s: want %v, got %v", name, test.want, got)
		}
	}
}

func TestDriveCountsEveryOperation(t *testing.T) {
	var done atomic.Int64
	operation := func() error {
		done.Add(1)
		return nil
	}
	got, err := drive(t.Context(), []func() error{operation, operation, operation}, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{done.Load(), done.Load()}, []int64{got.ops, got.latency.TotalCount()}); diff != "" {
		t.Errorf("operations and latencies (-want +got):\n%s", diff)
	}
}

func TestDriveEndsWithTheFirstError(t *testing.T) {
	refused := errors.New("refused")
	var first atomic.Bool
	operation := func() error {
		if first.CompareAndSwap(false, true) {
			return refused
		}
		return nil
	}
	if _, err := drive(t.Context(), []func() error{operation, operation}, time.Hour); !errors.Is(err, refused) {
		t.Errorf("want %v, got %v", refused, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := drive(ctx, []func() error{operation}, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
}

func TestRefusesOptionsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no scenario":                  func(o *Options) { o.Scenarios = nil },
		"unknown protocol":             func(o *Options) { o.Protocol = "smoke" },
		"unknown scenario":             func(o *Options) { o.Scenarios = []string{"sing"} },
		"rounds":                       func(o *Options) { o.Rounds = 0 },
		"duration":                     func(o *Options) { o.Duration = time.Hour },
		"subscribers":                  func(o *Options) { o.Subscribers = 1 << 30 },
		"three nodes of a running one": func(o *Options) { o.Server, o.Scenarios = &client.Options{}, []string{scenarioCluster} },
	} {
		o := options(t)
		change(&o)
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	if err := needFiles(1 << 30); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("want an error that says how to raise the limit of open files, got %v", err)
	}
}

func TestTellsOfAFloorThatDoesNotStart(t *testing.T) {
	o := options(t)
	if _, err := o.startFloor(t.Context(), "of marble", nil, nil); err == nil || !strings.Contains(err.Error(), "floor of marble") {
		t.Errorf("want an error that names the floor, got %v", err)
	}
	err := Floor(t.Context(), "of marble", strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), `"of marble"`) {
		t.Errorf("want an error that names the floor, got %v", err)
	}
}

func TestTellsWhatTheServerAnswered(t *testing.T) {
	node, stop, err := startNode()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, err := serverOf(*node.options())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.exchange(s.request("GET", "/v1/configs/a/b/c/d", "Bearer wrong", "", nil), 200)
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "unauthenticated") {
		t.Errorf("want the status and the beginning of the answer, got %v", err)
	}
	two, err := s.dial2(t.Context(), s.block("/v1/configs/a/b/c/d", "Bearer wrong", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if err := two.exchange(200); err == nil {
		t.Error("want an error for an answer that is not 200")
	}
}

func TestKeepsProfiles(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/pprof/profile" {
			_, _ = io.WriteString(w, "profile of "+r.FormValue("seconds")+" s")
			return
		}
		http.NotFound(w, r)
	}))
	defer admin.Close()
	dir := filepath.Join(t.TempDir(), "profiles")
	known := &target{admin: admin.URL}
	if err := known.profile(t.Context(), dir, "read-"+slug("GET of 1 KiB, HTTP/2"), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "read-get-of-1-kib-http-2.pprof"))
	if err != nil || string(got) != "profile of 2 s" {
		t.Errorf("want the profile in its file, got %q, %v", got, err)
	}
	known.admin += "/elsewhere"
	if err := known.profile(t.Context(), dir, "read", time.Second); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("want an error that tells the answer, got %v", err)
	}
}
