package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("want 200, got %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line) {
			t.Errorf("want the line %q", line)
		}
	}
}

func TestMetricsMeasureWhatTheyAreTold(t *testing.T) {
	m := newMetrics("v1")
	m.ObserveRequest("rest", "config.read", "ok", 2*time.Millisecond)
	m.ObserveRequest("rest", "config.read", "ok", 2*time.Millisecond)
	m.ObserveRequest("rest", "config.read", "denied", time.Second)
	m.ObserveStreams("rest", 1)
	m.ObserveStreams("rest", 1)
	m.ObserveStreams("rest", -1)
	m.ObserveDelivery("rest", 100, time.Millisecond)
	s := &meteredStore{Store: memory.New(), metrics: m}
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "a"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), store.Txn{Conds: []store.Cond{{Key: "a"}}, Writes: []store.Write{{Key: "a"}}}); err == nil {
		t.Fatal("want a conflict")
	}
	wantLines(t, scrape(t, m),
		`setpoint_request_duration_seconds_count{code="ok",op="config.read",protocol="rest"} 2`,
		`setpoint_request_duration_seconds_bucket{code="ok",op="config.read",protocol="rest",le="0.001"} 0`,
		`setpoint_request_duration_seconds_bucket{code="ok",op="config.read",protocol="rest",le="0.0025"} 2`,
		`setpoint_request_duration_seconds_count{code="denied",op="config.read",protocol="rest"} 1`,
		`setpoint_streams{protocol="rest"} 1`,
		`setpoint_delivery_bytes_total{protocol="rest"} 100`,
		`setpoint_store_commit_duration_seconds_count{result="ok"} 1`,
		`setpoint_store_commit_duration_seconds_count{result="conflict"} 1`,
		`setpoint_build_info{go="`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	)
}

func TestSeriesStayBoundedWhateverAProtocolSays(t *testing.T) {
	m := newMetrics("v1")
	for i := range 3 * maxSeries {
		m.ObserveRequest("rest", fmt.Sprint("op", i), "ok", time.Millisecond)
	}
	if got := strings.Count(scrape(t, m), "setpoint_request_duration_seconds_count{"); got > maxSeries+1 {
		t.Errorf("want at most %d series, got %d", maxSeries+1, got)
	}
	stored := 0
	m.series.Range(func(any, any) bool { stored++; return true })
	if stored > maxSeries+1 {
		t.Errorf("want at most %d remembered, got %d", maxSeries+1, stored)
	}
}

func BenchmarkObserveRequest(b *testing.B) {
	m := newMetrics("v1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.ObserveRequest("rest", "config.read", "ok", time.Millisecond)
		}
	})
}
