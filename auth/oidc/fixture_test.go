package oidc

import (
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/oidctest"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the example server logs there
	goleak.VerifyTestMain(m)
}

const (
	callback = oidctest.Callback
	after    = "https://setpoint.example/bye"
)

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
	return open(t, s.URL, oidctest.Authority(t, s), change)
}

func openFor(t *testing.T, e *oidctest.Provider, change func(*Settings)) *fixture {
	t.Helper()
	return open(t, e.Issuer, e.CAFile, change)
}

func open(t *testing.T, issuer, caFile string, change func(*Settings)) *fixture {
	t.Helper()
	var settings Settings
	settings.Defaults()
	settings.Name, settings.Issuer, settings.CAFile = "corp", issuer, caFile
	settings.ClientID, settings.ClientSecret = oidctest.WebID, config.NewSecret(oidctest.WebSecret)
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

// login goes all the way.
func login(t *testing.T, e *oidctest.Provider, p *Provider) auth.Vouched {
	t.Helper()
	page, state, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Finish(t.Context(), callback, state, e.Login(t, page))
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
