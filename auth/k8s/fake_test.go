package k8s

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const (
	address  = "192.0.2.7"
	audience = "setpoint"
	ownToken = "own-token" // the node's, with which it may have tokens reviewed
)

// fakeCluster is no Kubernetes: it is a protocol-level fake of the one endpoint
// that is used, TokenReview, over real HTTPS. It knows the tokens that it was
// told, and holds calls to what the real one demands.
type fakeCluster struct {
	auth.Authenticator
	settings Settings
	server   *httptest.Server
	log      *logBuffer
	reviews  atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc] // instead of reviewing, if set

	mu     sync.Mutex
	now    time.Time
	tokens map[string]map[string]any // by token: the status
	own    string
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func setUp(tb testing.TB, change ...func(*Settings)) *fakeCluster {
	tb.Helper()
	f := &fakeCluster{
		now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), tokens: map[string]map[string]any{}, own: ownToken, log: &logBuffer{},
	}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.server.EnableHTTP2 = true
	f.server.StartTLS()
	tb.Cleanup(f.server.Close)
	dir := tb.TempDir()
	f.settings.Defaults()
	f.settings.Server, f.settings.Audiences = f.server.URL, []string{audience, "other"}
	f.settings.CAFile, f.settings.TokenFile = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	write(tb, f.settings.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})))
	write(tb, f.settings.TokenFile, ownToken+"\n")
	for _, c := range change {
		c(&f.settings)
	}
	a, err := f.settings.Open(tb.Context(), auth.Env{Now: f.Now, Log: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	f.Authenticator = a
	if opened, ok := a.(*Authenticator); ok {
		tb.Cleanup(opened.reviewer.client.CloseIdleConnections)
	}
	return f
}

func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (f *fakeCluster) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeCluster) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeCluster) serve(w http.ResponseWriter, r *http.Request) {
	f.reviews.Add(1)
	if answer := f.answer.Load(); answer != nil {
		(*answer)(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var asked review
	switch err := json.NewDecoder(r.Body).Decode(&asked); {
	case r.Header.Get("Authorization") != "Bearer "+f.own:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews":
		w.WriteHeader(http.StatusNotFound)
		return
	case err != nil, r.Header.Get("Content-Type") != "application/json", asked.Kind != "TokenReview", asked.APIVersion != "authentication.k8s.io/v1":
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := map[string]any{"kind": asked.Kind, "apiVersion": asked.APIVersion, "spec": asked.Spec, "metadata": map[string]any{}}
	status := f.tokens[asked.Spec.Token]
	if status == nil || !slices.Contains(asked.Spec.Audiences, audience) {
		status = map[string]any{"error": "invalid bearer token"}
	}
	answer["status"] = status
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer)
}

// token makes the text of a token as a cluster would, but for the signature,
// which only the cluster looks at.
func (f *fakeCluster) token(account string, claims map[string]any) string {
	all := map[string]any{"iss": "https://kubernetes.default.svc", "sub": account, "exp": f.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(payload) + "." + encode([]byte("signature"))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// know has the cluster vouch for a token.
func (f *fakeCluster) know(token, account string, groups ...string) string {
	f.set(token, map[string]any{
		"authenticated": true, "audiences": []string{audience}, "user": map[string]any{"username": account, "groups": groups},
	})
	return token
}

func (f *fakeCluster) set(token string, status map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens[token] = status
}

const shopApp = "system:serviceaccount:shop:app"

func (f *fakeCluster) good() string { return f.know(f.token(shopApp, nil), shopApp) }

func credentials(text string) auth.Credentials {
	return auth.Credentials{Token: config.NewSecret(text), Address: address}
}

func (f *fakeCluster) ask(ctx context.Context, text string) (auth.Identity, bool, error) {
	return f.Authenticate(ctx, credentials(text))
}

func (f *fakeCluster) wantProved(tb testing.TB, text string) auth.Identity {
	tb.Helper()
	id, ok, err := f.ask(tb.Context(), text)
	if !ok || err != nil || id.Anonymous() {
		tb.Fatalf("want somebody proved, got %+v, taken %v, %v", id, ok, err)
	}
	return id
}

func (f *fakeCluster) wantRefused(tb testing.TB, text string, kind config.ErrorKind) {
	tb.Helper()
	id, ok, err := f.ask(tb.Context(), text)
	if !ok || config.KindOf(err) != kind || !id.Anonymous() {
		tb.Errorf("want nobody, taken, %s; got %+v, taken %v, %v", kind, id, ok, err)
	}
}

func (f *fakeCluster) wantReviews(tb testing.TB, want int64) {
	tb.Helper()
	if got := f.reviews.Load(); got != want {
		tb.Errorf("want %d reviews, got %d", want, got)
	}
}
