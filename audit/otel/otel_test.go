package otel_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/otel"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)

// receiver is a collector's log receiver: it decodes OTLP, over HTTPS.
type receiver struct {
	*audittest.Arrivals
	*httptest.Server
	certificate audittest.Certificate
	t           *testing.T

	mu       sync.Mutex
	answer   func(http.ResponseWriter, []*logs.LogRecord) (taken bool)
	hang     chan struct{} // not nil: closed by the next request, which is not answered
	requests []*collector.ExportLogsServiceRequest
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{Arrivals: audittest.NewArrivals(), certificate: audittest.NewCertificate(t), t: t}
	r.Server = httptest.NewUnstartedServer(r)
	r.TLS = &tls.Config{Certificates: []tls.Certificate{r.certificate.Pair}}
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	if hang := r.hang; hang != nil {
		r.hang = nil
		r.mu.Unlock()
		close(hang)
		<-request.Context().Done()
		return
	}
	defer r.mu.Unlock()
	var message collector.ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &message); err != nil || request.Header.Get("Content-Type") != "application/x-protobuf" ||
		request.URL.Path != "/v1/logs" || request.Header.Get("Authorization") != "Bearer key" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.requests = append(r.requests, &message)
	list := message.ResourceLogs[0].ScopeLogs[0].LogRecords
	if r.answer != nil && !r.answer(w, list) {
		return
	}
	for _, record := range list {
		r.Add(audittest.Decode(r.t, []byte(record.Body.GetStringValue())))
	}
}

func (r *receiver) answerWith(answer func(http.ResponseWriter, []*logs.LogRecord) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) open(t *testing.T) audit.Sink {
	t.Helper()
	var s otel.Settings
	s.Defaults()
	s.URL, s.TLS.CAFile, s.Header, s.HeaderValue = r.URL+"/v1/logs", r.certificate.CertFile, "Authorization", config.NewSecret("Bearer key")
	sink, err := s.Open(t.Context(), audit.Env{Now: func() time.Time { return now }, Node: "node-1", Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func status(code int) func(http.ResponseWriter, []*logs.LogRecord) bool {
	return func(w http.ResponseWriter, _ []*logs.LogRecord) bool {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		return false
	}
}

func TestConformance(t *testing.T) {
	audittest.Sink(t, func(t *testing.T) audittest.Peer {
		r := receive(t)
		return audittest.Peer{
			Sink: r.open(t), Arrived: r.Wait, Reopen: r.open,
			Break: func(*testing.T) { r.answerWith(status(http.StatusServiceUnavailable)) },
			Mend:  func(*testing.T) { r.answerWith(nil) },
			Hang: func(*testing.T) <-chan struct{} {
				r.mu.Lock()
				defer r.mu.Unlock()
				reached := make(chan struct{})
				r.hang = reached
				return reached
			},
		}
	})
}

func TestALog(t *testing.T) {
	r := receive(t)
	records := audittest.Records(1, 2)
	records[1].Outcome = audit.Denied
	if err := r.open(t).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	r.Wait(t, 2)
	message := r.requests[0].ResourceLogs[0]
	want := map[string]string{"service.name": "setpoint", "service.version": "1.2.3", "service.instance.id": "node-1"}
	if diff := cmp.Diff(want, texts(message.Resource.Attributes)); diff != "" {
		t.Errorf("resource: -want +got:\n%s", diff)
	}
	got := message.ScopeLogs[0].LogRecords
	want = map[string]string{
		"setpoint.audit.id": "0000000000000002", "setpoint.audit.action": "config.publish", "setpoint.audit.outcome": "denied",
		"setpoint.audit.actor": "oidc:ann", "setpoint.audit.method": "oidc", "setpoint.audit.request_id": "request-2",
		"setpoint.audit.path": "acme/checkout/prod/app.yaml", "setpoint.tenant": "acme", "client.address": "192.0.2.7",
	}
	if diff := cmp.Diff(want, texts(got[1].Attributes)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	times := []uint64{uint64(records[1].Time.UnixNano()), uint64(now.UnixNano())}
	if diff := cmp.Diff(times, []uint64{got[1].TimeUnixNano, got[1].ObservedTimeUnixNano}); diff != "" {
		t.Errorf("times: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"INFO", "WARN"}, []string{got[0].SeverityText, got[1].SeverityText}); diff != "" {
		t.Errorf("severities: -want +got:\n%s", diff)
	}
}

func texts(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}

func TestWhatACollectorRefusesInPartIsReported(t *testing.T) {
	r := receive(t)
	r.answerWith(func(w http.ResponseWriter, _ []*logs.LogRecord) bool {
		answer, err := proto.Marshal(&collector.ExportLogsServiceResponse{
			PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: 2, ErrorMessage: "too old"},
		})
		if err != nil {
			t.Error(err)
		}
		w.Write(answer)
		return true
	})
	err := r.open(t).Write(t.Context(), audittest.Records(1, 5))
	if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "2 of 5 records from 0000000000000001 on: \"too old\"") {
		t.Errorf("want two reported, got %v", err)
	}
}

func TestALogThatCanNeverBeTakenIsFoundAndLeftOut(t *testing.T) {
	r := receive(t)
	all := audittest.Records(1, 20)
	r.answerWith(func(w http.ResponseWriter, list []*logs.LogRecord) bool {
		for _, record := range list {
			if texts(record.Attributes)["setpoint.audit.id"] == all[6].ID {
				w.WriteHeader(http.StatusBadRequest)
				return false
			}
		}
		return true
	})
	err := r.open(t).Write(t.Context(), all)
	if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), all[6].ID) {
		t.Errorf("want record %s named, got %v", all[6].ID, err)
	}
	if diff := cmp.Diff(append(append([]audit.Record(nil), all[:6]...), all[7:]...), r.Wait(t, 19)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOtherAnswersAreTriedAgain(t *testing.T) {
	for _, code := range []int{302, 307, 401, 403, 404, 429, 500, 502, 503, 504} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			r := receive(t)
			r.answerWith(status(code))
			err := r.open(t).Write(t.Context(), audittest.Records(1, 3))
			if want, got := config.Unavailable, config.KindOf(err); err == nil || want != got {
				t.Errorf("want %v, got %v: %v", want, got, err)
			}
			if len(r.requests) != 1 {
				t.Errorf("want one request, got %d", len(r.requests))
			}
		})
	}
}

func TestALargeBatchIsSentInParts(t *testing.T) {
	r := receive(t)
	records := audittest.Records(1, 5)
	for i := range records {
		records[i].Comment = strings.Repeat("x", 900_000)
	}
	if err := r.open(t).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if want, got := 3, len(r.requests); want != got {
		t.Errorf("want %d requests, got %d", want, got)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*otel.Settings)
	}{
		{"audit.otel.url", func(s *otel.Settings) { s.URL = "collector:4318" }},
		{"audit.otel.service_name", func(s *otel.Settings) { s.ServiceName = "" }},
		{"audit.otel.header", func(s *otel.Settings) { s.Header = "Authorization" }},
		{"audit.otel.header", func(s *otel.Settings) { s.Header, s.HeaderValue = "A", config.NewSecret("b\r\nc: d") }},
		{"audit.otel.header", func(s *otel.Settings) {
			s.URL, s.Header, s.HeaderValue = "http://collector.example/v1/logs", "A", config.NewSecret("b")
		}},
		{"audit.otel.timeout", func(s *otel.Settings) { s.Timeout = 0 }},
		{"audit.otel.tls.cert_file", func(s *otel.Settings) { s.TLS.CertFile = "a.pem" }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			var s otel.Settings
			s.Defaults()
			s.URL = "https://collector.example:4318/v1/logs"
			if err := s.Validate(); err != nil {
				t.Fatalf("defaults: %v", err)
			}
			tc.change(&s)
			_, err := s.Open(t.Context(), audit.Env{})
			if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an invalid %s, got %v", tc.want, err)
			}
		})
	}
}
