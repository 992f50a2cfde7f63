package webhook_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/webhook"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secret = config.NewSecret("a secret of the two")
	now    = time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)
)

// receiver is an HTTPS server that verifies what it gets.
type receiver struct {
	*audittest.Arrivals
	*httptest.Server
	certificate audittest.Certificate

	mu     sync.Mutex
	answer func(w http.ResponseWriter, records []audit.Record) (taken bool)
	hang   chan struct{} // not nil: closed by the next request, which is not answered
	keys   []string      // the idempotency keys, taken or not
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{Arrivals: audittest.NewArrivals(), certificate: audittest.NewCertificate(t)}
	r.Server = httptest.NewUnstartedServer(r)
	r.TLS = &tls.Config{Certificates: []tls.Certificate{r.certificate.Pair}}
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	if hang := r.hang; hang != nil {
		r.hang = nil
		r.mu.Unlock()
		_, _ = io.Copy(io.Discard, request.Body) // only then does the server notice a caller that goes
		close(hang)
		<-request.Context().Done()
		return
	}
	defer r.mu.Unlock()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	if err := webhook.Verify(secret, request.Header.Get(webhook.SignatureHeader), body, now, time.Minute); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	var document struct {
		Records []audit.Record `json:"records"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.keys = append(r.keys, request.Header.Get(webhook.IdempotencyHeader))
	if r.answer == nil || r.answer(w, document.Records) {
		r.Add(document.Records...)
	}
}

func (r *receiver) answerWith(answer func(http.ResponseWriter, []audit.Record) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) settings() *webhook.Settings {
	var s webhook.Settings
	s.Defaults()
	s.URL, s.Secret, s.AllowPrivate, s.TLS.CAFile = r.URL+"/audit?key=hidden", secret, []string{"127.0.0.0/8"}, r.certificate.CertFile
	return &s
}

func open(t *testing.T, s *webhook.Settings) audit.Sink {
	t.Helper()
	sink, err := s.Open(t.Context(), audit.Env{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func peerOf(t *testing.T) audittest.Peer {
	r := receive(t)
	s := r.settings()
	return audittest.Peer{
		Sink: open(t, s), Arrived: r.Wait,
		Reopen: func(t *testing.T) audit.Sink { return open(t, s) },
		Break: func(*testing.T) {
			r.answerWith(func(w http.ResponseWriter, _ []audit.Record) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return false
			})
		},
		Mend: func(*testing.T) { r.answerWith(nil) },
		Hang: func(*testing.T) <-chan struct{} {
			r.mu.Lock()
			defer r.mu.Unlock()
			reached := make(chan struct{})
			r.hang = reached
			return reached
		},
	}
}

func TestConformance(t *testing.T) { audittest.Sink(t, peerOf) }

// TestAReceiverThatFailsHalfTheTime breaks the connection, before it has taken
// the records or after, or answers an error, every other time.
func TestAReceiverThatFailsHalfTheTime(t *testing.T) {
	r := receive(t)
	sink := open(t, r.settings())
	calls := 0
	r.answerWith(func(w http.ResponseWriter, _ []audit.Record) bool {
		calls++
		switch calls % 6 {
		case 0:
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
			return false
		case 4: // taken, but the answer does not arrive
			w.WriteHeader(http.StatusBadGateway)
			return true
		default:
			return true
		}
	})
	for from := 1; from <= 100; from += 5 {
		for sink.Write(t.Context(), audittest.Records(from, 5)) != nil {
		}
	}
	if want := 39; calls != want { // 20 that went well, 19 that did not
		t.Errorf("want %d requests, got %d", want, calls)
	}
	var got []string
	for _, record := range r.Wait(t, 100) {
		if len(got) == 0 || got[len(got)-1] < record.ID {
			got = append(got, record.ID)
		}
	}
	var want []string
	for _, record := range audittest.Records(1, 100) {
		want = append(want, record.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestARecordThatCanNeverBeTakenIsFoundAndLeftOut(t *testing.T) {
	for _, code := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			r := receive(t)
			all := audittest.Records(1, 20)
			bad := map[string]bool{all[6].ID: true, all[19].ID: true}
			r.answerWith(func(w http.ResponseWriter, records []audit.Record) bool {
				for _, record := range records {
					if bad[record.ID] {
						w.WriteHeader(code)
						return false
					}
				}
				return true
			})
			err := open(t, r.settings()).Write(t.Context(), all)
			if err == nil || config.KindOf(err) != config.Invalid || strings.Count(err.Error(), "refuses record") != 2 ||
				!strings.Contains(err.Error(), all[6].ID) || !strings.Contains(err.Error(), all[19].ID) {
				t.Errorf("want the two named, got %v", err)
			}
			want := append(append([]audit.Record(nil), all[:6]...), all[7:19]...)
			if diff := cmp.Diff(want, r.Wait(t, 18)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOtherAnswersAreTriedAgain(t *testing.T) {
	for _, code := range []int{301, 302, 307, 401, 403, 404, 408, 409, 429, 500, 502, 503} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			r := receive(t)
			r.answerWith(func(w http.ResponseWriter, _ []audit.Record) bool {
				w.Header().Set("Location", r.URL+"/elsewhere")
				w.WriteHeader(code)
				return false
			})
			err := open(t, r.settings()).Write(t.Context(), audittest.Records(1, 3))
			if want, got := config.Unavailable, config.KindOf(err); err == nil || want != got || strings.Contains(err.Error(), "hidden") {
				t.Errorf("want %v without the address, got %v: %v", want, got, err)
			}
			if diff := cmp.Diff([]string{"0000000000000001.0000000000000003"}, r.keys); diff != "" {
				t.Errorf("requests: -want +got:\n%s", diff)
			}
		})
	}
}

func TestALargeBatchIsPostedInParts(t *testing.T) {
	r := receive(t)
	records := audittest.Records(1, 5)
	for i := range records {
		records[i].Comment = strings.Repeat("x", 400_000)
	}
	if err := open(t, r.settings()).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	want := []string{"0000000000000001.0000000000000002", "0000000000000003.0000000000000004", "0000000000000005.0000000000000005"}
	if diff := cmp.Diff(want, r.keys); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	r := receive(t)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	for name, tc := range map[string]struct {
		url     string
		allowed []string
	}{
		"loopback":                      {url: r.URL},
		"a name that resolves to it":    {url: "https://localhost" + port},
		"an IPv4 address as IPv6":       {url: "https://[::ffff:127.0.0.1]" + port},
		"another network is allowed":    {url: r.URL, allowed: []string{"10.0.0.0/8"}},
		"private":                       {url: "https://10.1.2.3" + port},
		"link-local, of cloud metadata": {url: "https://169.254.169.254" + port},
		"unspecified":                   {url: "https://0.0.0.0" + port},
		"http to elsewhere":             {url: "http://192.0.2.1" + port, allowed: []string{"127.0.0.0/8"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := r.settings()
			s.URL, s.AllowPrivate = tc.url, tc.allowed
			err := open(t, s).Write(t.Context(), audittest.Records(1, 1))
			if err == nil || config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "allow_private") {
				t.Errorf("want it refused, got %v", err)
			}
		})
	}
	if len(r.keys) != 0 {
		t.Errorf("want no request, got %v", r.keys)
	}
}

func TestSignatures(t *testing.T) {
	body := []byte(`{"records":[]}`)
	right := webhook.Sign(secret, now, body)
	if want := "t=1795482123,v1=" + strings.Repeat("0", 64); len(want) != len(right) || !strings.HasPrefix(right, want[:16]) {
		t.Errorf("want it like %s, got %s", want, right)
	}
	_, v1, _ := strings.Cut(right, ",")
	for _, tc := range []struct {
		name, header string
		body         []byte
		at           time.Time
		want         string
	}{
		{"right", right, body, now, ""},
		{"one of two", right + ",v1=00", body, now, ""},
		{"of another version too", "v0=zz, " + right, body, now.Add(-time.Minute), ""},
		{"another body", right, []byte("{}"), now, "wrong"},
		{"another time", "t=1795482124," + v1, body, now, "wrong"},
		{"no time", v1, body, now, "no time"},
		{"nothing", "", body, now, "no time"},
		{"no signature", "t=1795482123", body, now, "wrong"},
		{"no hexadecimal", "t=1795482123,v1=zz", body, now, "wrong"},
		{"too old", right, body, now.Add(time.Minute + time.Second), "too old"},
		{"of the future", right, body, now.Add(-time.Minute - time.Second), "of the future"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := webhook.Verify(secret, tc.header, tc.body, tc.at, time.Minute)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1795482123,v1=00", []byte("{}"))
	f.Add("t=,v1=,v1", []byte(nil))
	f.Add(",,=,t==", []byte("x"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		err := webhook.Verify(secret, header, body, now, time.Minute)
		if err == nil && !strings.Contains(header, webhook.Sign(secret, now, body)[len("t=1795482123,v1="):]) {
			t.Errorf("%q passes", header)
		}
		if err := webhook.Verify(secret, webhook.Sign(secret, now, body), body, now, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestTheSecretMayBeInAFile(t *testing.T) {
	r := receive(t)
	s := r.settings()
	s.Secret, s.SecretFile = config.Secret{}, filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(s.SecretFile, bytes.Join([][]byte{nil, []byte(secret.Reveal()), nil}, []byte("\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, s).Write(t.Context(), audittest.Records(1, 1)); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*webhook.Settings)
	}{
		{"audit.webhook.url", func(s *webhook.Settings) { s.URL = "" }},
		{"audit.webhook.url", func(s *webhook.Settings) { s.URL = "http://hooks.example/" }},
		{"audit.webhook.url", func(s *webhook.Settings) { s.URL = "https://user:word@hooks.example/" }},
		{"audit.webhook.secret", func(s *webhook.Settings) { s.Secret = config.NewSecret("short") }},
		{"audit.webhook.secret", func(s *webhook.Settings) { s.SecretFile = "both" }},
		{"audit.webhook.secret", func(s *webhook.Settings) { s.Secret = config.Secret{} }},
		{"audit.webhook.secret_file", func(s *webhook.Settings) { s.Secret, s.SecretFile = config.Secret{}, "missing" }},
		{"audit.webhook.timeout", func(s *webhook.Settings) { s.Timeout = time.Hour }},
		{"audit.webhook.allow_private", func(s *webhook.Settings) { s.AllowPrivate = []string{"10.0.0.0/33"} }},
		{"audit.webhook.tls.cert_file", func(s *webhook.Settings) { s.TLS.KeyFile = "key.pem" }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			var s webhook.Settings
			s.Defaults()
			s.URL, s.Secret = "https://hooks.example/audit", secret
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
