// Package oidctest is a provider of OpenID Connect to test against: the example
// server of zitadel's library with its pages, over real TLS. Its groups and its
// signing keys can be changed, and it can be stopped, while others use it.
package oidctest

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// The clients that are registered with the provider.
const (
	// WebID is a client whose users log in with a browser.
	WebID = "web"
	// WebSecret is that of WebID.
	WebSecret = "web-secret"
	// DeviceID is a client whose users log in with a device code.
	DeviceID = "device"
	// DeviceSecret is that of DeviceID.
	DeviceSecret = "device-secret"
	// RobotID is a client that has tokens for itself.
	RobotID = "sid1"
	// RobotSecret is that of RobotID.
	RobotSecret = "verysecret"

	// CallbackHost is where Browser does not go.
	CallbackHost = "setpoint.example"
	// Callback is where clients may have their users sent back to.
	Callback = "https://" + CallbackHost + "/callback"
)

// Who has an account.
const (
	// User is the name to log in by.
	User = "test-user2"
	// Password is that of User.
	Password = "verysecure"
	// UserID is the claim sub of User.
	UserID = "id2"
)

// Provider is one that is running.
type Provider struct {
	Issuer string // its URL
	CAFile string // PEM file with the authority that vouches for it

	storage *kept
	handler http.Handler
	asked   sync.Map // path to *atomic.Int64
	down    atomic.Bool

	mu     sync.Mutex
	server *httptest.Server // nil while it is stopped
}

// Start runs a provider until the test ends. Its user is in the groups platform
// and dev.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{}
	p.server = httptest.NewUnstartedServer(p)
	p.Issuer = "https://" + p.server.Listener.Addr().String()
	clients := map[string]*storage.Client{
		WebID:    storage.WebClient(WebID, WebSecret, Callback),
		DeviceID: storage.DeviceClient(DeviceID, DeviceSecret),
		RobotID:  storage.WebClient(RobotID, RobotSecret, Callback),
	}
	p.storage = &kept{Storage: storage.NewStorageWithClients(users{storage.NewUserStore(p.Issuer)}, clients)}
	p.Regroup([]string{"platform", "dev"})
	p.Rotate(t, "first")
	p.handler = exampleop.SetupServer(p.Issuer, p.storage, nil, false)
	p.server.StartTLS()
	t.Cleanup(p.Stop)
	p.CAFile = Authority(t, p.server)
	return p
}

// Authority writes the certificate of a server of TLS to a file that goes away
// with the test, and returns its name.
func Authority(t testing.TB, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := p.asked.LoadOrStore(r.URL.Path, &atomic.Int64{})
	n.(*atomic.Int64).Add(1)
	if p.down.Load() {
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		return
	}
	p.handler.ServeHTTP(w, r)
}

// Count says how often the path was asked for.
func (p *Provider) Count(path string) int64 {
	n, ok := p.asked.Load(path)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// Maintain has it answer nothing but that it is down, until it is told otherwise.
func (p *Provider) Maintain(down bool) { p.down.Store(down) }

// Stop ends it: connections to it are refused. What it knows it keeps.
func (p *Provider) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		p.server.Close()
		p.server = nil
	}
}

// Resume runs it anew, where it was.
func (p *Provider) Resume(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return
	}
	server := httptest.NewUnstartedServer(p)
	listener, err := net.Listen("tcp", p.Issuer[len("https://"):])
	if err = errors.Join(err, server.Listener.Close()); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.StartTLS()
	p.server = server
}
