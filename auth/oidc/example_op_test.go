package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	server "github.com/zitadel/oidc/v3/pkg/op"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the example server logs there
	goleak.VerifyTestMain(m)
}

const (
	callback = "https://setpoint.example/callback"
	after    = "https://setpoint.example/bye"
	user     = "test-user2"
	userID   = "id2"
	pass     = "verysecure"
)

// users are the example's and a program.
type users struct{ storage.UserStore }

func (u users) GetUserByID(id string) *storage.User {
	if id == "sid1" {
		return &storage.User{ID: id, Username: "robot"}
	}
	return u.UserStore.GetUserByID(id)
}

// kept is the example's storage with groups and keys that can be changed.
type kept struct {
	*storage.Storage
	mu     sync.Mutex
	groups any
	key    *signing
}

// signing is a key in both of its roles.
type signing struct {
	id     string
	key    *rsa.PrivateKey
	public bool
}

func (k *signing) ID() string                                  { return k.id }
func (k *signing) Use() string                                 { return "sig" }
func (k *signing) Algorithm() jose.SignatureAlgorithm          { return jose.RS256 }
func (k *signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *signing) Key() any {
	if k.public {
		return &k.key.PublicKey
	}
	return k.key
}

func (s *kept) rotate(t *testing.T, id string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = &signing{id: id, key: key}
}

func (s *kept) regroup(groups any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = groups
}

func (s *kept) SigningKey(context.Context) (server.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

func (s *kept) KeySet(context.Context) ([]server.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []server.Key{&signing{s.key.id, s.key.key, true}}, nil
}

func (s *kept) SetUserinfoFromToken(ctx context.Context, info *zitadel.UserInfo, id, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, id, subject, origin); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	info.AppendClaims("groups", s.groups)
	return nil
}

func (s *kept) SetIntrospectionFromToken(ctx context.Context, r *zitadel.IntrospectionResponse, id, subject, client string) error {
	if err := s.Storage.SetIntrospectionFromToken(ctx, r, id, subject, client); err != nil {
		return err
	}
	r.Subject, r.Audience, r.TokenType = subject, zitadel.Audience{client}, zitadel.BearerToken
	return nil
}

// CompleteDeviceAuthorization mends that the example's page takes the name that
// somebody logs in by for the user's id.
func (s *kept) CompleteDeviceAuthorization(ctx context.Context, code, _ string) error {
	return s.Storage.CompleteDeviceAuthorization(ctx, code, userID)
}

// example is the provider of zitadel's library, with its pages, over TLS.
type example struct {
	*httptest.Server
	storage *kept
	asked   sync.Map // path to *atomic.Int64
	down    atomic.Bool
}

func startExample(t *testing.T) *example {
	t.Helper()
	e := &example{Server: httptest.NewUnstartedServer(nil)}
	issuer := "https://" + e.Listener.Addr().String()
	clients := map[string]*storage.Client{
		"web":    storage.WebClient("web", "web-secret", callback),
		"device": storage.DeviceClient("device", "device-secret"),
		"sid1":   storage.WebClient("sid1", "verysecret", callback),
	}
	e.storage = &kept{Storage: storage.NewStorageWithClients(users{storage.NewUserStore(issuer)}, clients), groups: []string{"platform", "dev"}}
	e.storage.rotate(t, "first")
	handler := exampleop.SetupServer(issuer, e.storage, nil, false)
	e.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := e.asked.LoadOrStore(r.URL.Path, &atomic.Int64{})
		n.(*atomic.Int64).Add(1)
		if e.down.Load() {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	e.StartTLS()
	t.Cleanup(e.Close)
	return e
}

func (e *example) count(path string) int64 {
	n, ok := e.asked.Load(path)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// authority writes the server's certificate where ca_file can name it.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// clock goes on from the true time, which the example server goes by.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

type fixture struct {
	*Authenticator
	clock *clock
	logs  *logs
}

// logs keeps what is logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func openAt(t *testing.T, s *httptest.Server, change func(*Settings)) *fixture {
	t.Helper()
	var settings Settings
	settings.Defaults()
	settings.Name, settings.Issuer, settings.CAFile = "corp", s.URL, authority(t, s)
	settings.ClientID, settings.ClientSecret = "web", config.NewSecret("web-secret")
	if change != nil {
		change(&settings)
	}
	f := &fixture{clock: &clock{}, logs: &logs{}}
	a, err := settings.Open(t.Context(), auth.Env{Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(f.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f.Authenticator = a.(*Authenticator)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// browser has cookies, and goes wherever it is sent but to Setpoint.
func browser(t *testing.T, s *httptest.Server) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = roots
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "setpoint.example" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

func visit(t *testing.T, c *http.Client, page string, form url.Values) (*http.Response, string) {
	t.Helper()
	send := func() (*http.Response, error) { return c.Get(page) }
	if form != nil {
		send = func() (*http.Response, error) { return c.PostForm(page, form) }
	}
	answer, err := send()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// consent logs in on the provider's pages and returns what comes back.
func consent(t *testing.T, e *example, page string) url.Values {
	t.Helper()
	b := browser(t, e.Server)
	form, _ := visit(t, b, page, nil)
	id := form.Request.URL.Query().Get("authRequestID")
	if id == "" {
		t.Fatalf("want the login page, got %s %s", form.Status, form.Request.URL)
	}
	back, body := visit(t, b, e.URL+"/login/username", url.Values{"id": {id}, "username": {user}, "password": {pass}})
	where, err := back.Location()
	if err != nil || !strings.HasPrefix(where.String(), callback+"?") {
		t.Fatalf("want to be sent to the callback, got %s %v: %s", back.Status, err, body)
	}
	return where.Query()
}

// login goes all the way.
func login(t *testing.T, e *example, p *Provider) auth.Vouched {
	t.Helper()
	page, state, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Finish(t.Context(), callback, state, consent(t, e, page))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantKind(t *testing.T, what string, want config.ErrorKind, err error) {
	t.Helper()
	if err == nil || config.KindOf(err) != want {
		t.Errorf("%s: want %s, got %v", what, want, err)
	}
}

func wantIdentity(t *testing.T, got auth.Identity, subject string, groups ...string) {
	t.Helper()
	if got.Subject != subject || got.Provider != "corp" || got.Method != Name || !slices.Equal(got.Groups, groups) {
		t.Errorf("want %s in %v, got %+v", subject, groups, got)
	}
}
