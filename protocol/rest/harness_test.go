package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/cache"
	cachememory "github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	formatjson "github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse battery"

// server is a whole node: the real center on the memory store, with real users,
// behind a TLS listener unless a test makes do without one.
type server struct {
	t        testing.TB
	change   func(*center.Options) // the center's parts; may be nil
	api      *api
	url      string
	http     *http.Client
	center   *center.Center
	admin    string // Authorization headers
	viewer   string // sees acme/shop
	app      string // a client of acme/shop/prod
	nobody   string // has no rights
	draining chan struct{}
	drain    func()
	stop     func()
	log      *lockedBuffer
}

// start runs a node with tenant acme, app shop, envs dev, test and prod.
func start(t testing.TB, adjust ...func(*Settings)) *server {
	t.Helper()
	return startWith(t, nil, adjust...)
}

// startWith is start with other parts of the center.
func startWith(t testing.TB, change func(*center.Options), adjust ...func(*Settings)) *server {
	t.Helper()
	s, handler := deaf(t, change, adjust...)
	listener := httptest.NewUnstartedServer(handler)
	listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener.StartTLS()
	s.url, s.http = listener.URL, listener.Client()
	s.http.Transport.(*http.Transport).DisableCompression = true
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		s.stop()
		s.http.CloseIdleConnections()
		listener.Close()
	})
	return s
}

// deaf is a node that no listener leads to.
func deaf(t testing.TB, change func(*center.Options), adjust ...func(*Settings)) (*server, http.Handler) {
	t.Helper()
	log := &lockedBuffer{}
	logger := newLogger(log)
	s := &server{t: t, change: change, draining: make(chan struct{}), log: log}
	s.drain = sync.OnceFunc(func() { close(s.draining) })
	chain := s.startCenter(logger)

	var settings Settings
	settings.Defaults()
	for _, f := range adjust {
		f(&settings)
	}
	var mux protocol.Mux
	opened, err := settings.Open(t.Context(), protocol.Host{
		Center: s.center, Auth: chain, Log: logger, Observer: protocol.NoObserver{}, Version: "test",
		MediaType: func(f string) string {
			return map[string]string{"json": "application/json", "yaml": "application/yaml"}[f]
		},
		Draining: s.draining, HTTP: mux.Handle,
	})
	s.must(err)
	s.api = opened.(*api)
	s.stop = sync.OnceFunc(func() {
		s.drain()
		s.must(opened.Close(context.Background()))
	})
	t.Cleanup(s.stop)
	s.furnish()
	return s, &mux
}

// startCenter runs a center and returns the chain that proves its users.
func (s *server) startCenter(log *slog.Logger) auth.Chain {
	t := s.t
	st := memory.New()
	t.Cleanup(func() { st.Close() })
	var caches cachememory.Settings
	caches.Defaults()
	contents, err := caches.Open(t.Context(), cache.Env{Log: log})
	s.must(err)
	v := view.New(view.Options{Store: st, Cache: contents, Log: log})
	directory := center.NewDirectory(log)
	v.Tail(directory.Sections(), directory.Apply)
	env := auth.Env{Directory: directory, Log: log}
	var passwords basic.Settings
	passwords.Defaults()
	passwords.Memory, passwords.Time = 7*plugin.MiB, 5 // the quickest that there is
	byPassword, err := passwords.Open(t.Context(), env)
	s.must(err)
	var tokens token.Settings
	tokens.Defaults()
	byToken, err := tokens.Open(t.Context(), env)
	s.must(err)
	hasher := byPassword.(auth.PasswordHasher)
	secret, _, err := center.Bootstrap(t.Context(), st, hasher, config.Secret{}, time.Now())
	s.must(err)
	s.admin = basicAuth(center.AdminUser, secret.Reveal())

	var limits center.Limits
	limits.Defaults()
	options := center.Options{
		Store: st, View: v, Formats: format.NewSet(formatjson.New(), yaml.New()), Directory: directory,
		Authorizer: rbac.New(directory), Passwords: hasher, Limits: limits, Log: log,
	}
	if s.change != nil {
		s.change(&options)
	}
	s.center = center.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) })
	running.Go(func() { _ = s.center.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		contents.Close()
	})
	<-v.Ready()
	return auth.Chain{byToken, byPassword}
}

// furnish makes scopes and users, all of the latter with the same password hash
// to spare the time.
func (s *server) furnish() {
	ctx := s.as(center.AdminUser)
	_, err := s.center.CreateTenant(ctx, config.Tenant{Name: "acme"})
	s.must(err)
	_, err = s.center.CreateApp(ctx, config.App{Tenant: "acme", Name: "shop"})
	s.must(err)
	for _, env := range []string{"dev", "test", "prod"} {
		_, err = s.center.CreateEnv(ctx, config.Env{Tenant: "acme", App: "shop", Name: env})
		s.must(err)
	}
	s.viewer = s.user("vera", auth.Grant{Role: auth.RoleViewer, Scope: config.Path{Tenant: "acme", App: "shop"}})
	s.app = s.user("app", auth.Grant{Role: auth.RoleClient, Scope: config.Path{Tenant: "acme", App: "shop", Env: "prod"}})
	s.nobody = s.user("nobody")
}

// user makes a service user and returns the Authorization header of its token.
func (s *server) user(name string, grants ...auth.Grant) string {
	s.t.Helper()
	ctx := s.as(center.AdminUser)
	_, err := s.center.CreateUser(ctx, center.NewUser{Name: name, Service: true})
	s.must(err)
	for _, g := range grants {
		_, err := s.center.CreateBinding(ctx, auth.Binding{User: name, Role: g.Role, Scope: g.Scope})
		s.must(err)
	}
	_, secret, err := s.center.CreateToken(ctx, center.NewToken{User: name})
	s.must(err)
	return "Bearer " + secret.Reveal()
}

func (s *server) as(user string) context.Context {
	return auth.WithIdentity(s.t.Context(), auth.Identity{Subject: user, Method: "basic"})
}

// publish releases content as admin, without HTTP.
func (s *server) publish(path, content string) config.ChangeSet {
	s.t.Helper()
	p, err := config.ParsePath(path)
	s.must(err)
	set, err := s.center.Publish(s.as(center.AdminUser), center.Publish{
		Tenant: p.Tenant, Items: []center.PublishItem{{Path: p, Content: []byte(content)}},
	})
	s.must(err)
	return set
}

func (s *server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// request is one call; the zero value of a field leaves it out.
type request struct {
	method string // GET
	path   string // with query
	auth   string // admin; "-" sends none
	header map[string]string
	body   string
	json   any
}

// reply is what came back, read whole.
type reply struct {
	*http.Response
	body []byte
}

func (s *server) do(q request) reply {
	s.t.Helper()
	r := s.request(q)
	resp, err := s.http.Do(r)
	s.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	return reply{resp, body}
}

func (s *server) request(q request) *http.Request {
	s.t.Helper()
	var body io.Reader = http.NoBody
	switch {
	case q.json != nil:
		b, err := json.Marshal(q.json)
		s.must(err)
		body = bytes.NewReader(b)
	case q.body != "":
		body = strings.NewReader(q.body)
	}
	if q.method == "" {
		q.method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(s.t.Context(), q.method, s.url+q.path, body)
	s.must(err)
	if q.json != nil || q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	switch q.auth {
	case "":
		r.Header.Set("Authorization", s.admin)
	case "-":
	default:
		r.Header.Set("Authorization", q.auth)
	}
	for k, v := range q.header {
		if v == "-" {
			r.Header.Del(k)
			continue
		}
		r.Header.Set(k, v)
	}
	return r
}

// into decodes a reply that must have the status.
func (s *server) into(want int, r reply, v any) {
	s.t.Helper()
	if r.StatusCode != want {
		s.t.Fatalf("%s %s: want %d, got %d %s", r.Request.Method, r.Request.URL.Path, want, r.StatusCode, r.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		s.t.Fatalf("%s %s: %v in %s", r.Request.Method, r.Request.URL.Path, err, r.body)
	}
}

// problem decodes a reply that must be a problem of the status and code.
func (s *server) problem(status int, code string, r reply) problemDetails {
	s.t.Helper()
	var p problemDetails
	s.into(status, r, &p)
	if got := r.Header.Get("Content-Type"); got != contentProblem {
		s.t.Errorf("%s: want content type %s, got %s", r.Request.URL.Path, contentProblem, got)
	}
	if p.Code != code || p.Status != status || p.Type != problemType+code || p.Title == "" {
		s.t.Errorf("%s: want code %s, got %s", r.Request.URL.Path, code, r.body)
	}
	if id := r.Header.Get("X-Request-Id"); id == "" || p.RequestID != id {
		s.t.Errorf("%s: want the request id %q in the problem, got %q", r.Request.URL.Path, id, p.RequestID)
	}
	return p
}

func basicAuth(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// dial opens a bare TLS connection, for requests that no client would send.
func (s *server) dial() *tls.Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	s.must(err)
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// lockedBuffer is a log that tests may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

var pageOfAll = center.PageRequest{Limit: 1000}
