package protocoltest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/cache"
	cachememory "github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/text"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// The limits of a node, small so that they are quickly reached.
const (
	LimitConfigSize    = 1 << 20
	limitConfigs       = 20
	limitChangeSet     = 8
	limitChangeSetSize = 4 << 20
	limitComment       = 200
	limitWatches       = 30                     // of a tenant
	limitWait          = 500 * time.Millisecond // for a revision
)

// Node is a whole node: the real center and view on the memory store, with users
// and API tokens, and the protocol on a TLS listener.
type Node struct {
	// Center is what the protocol calls.
	Center *center.Center
	// Opened is what the driver opened, for those that have listeners of their own;
	// nil if there is no driver.
	Opened protocol.Protocol
	// URL is where HTTP-borne protocols are served, "https://127.0.0.1:…", and TLS
	// what trusts its certificate.
	URL string
	TLS *tls.Config
	// Certificate is what the node shows, and Secured how its port is secured by it.
	Certificate *x509.Certificate
	Secured     *tls.Config

	chain    auth.Chain
	store    *brittle
	draining chan struct{}
	drain    func() // says good-bye to all that is open, and waits for it
	admin    Caller
	tenants  atomic.Int64 // that were named
	users    atomic.Int64
}

// Start runs a node until the test ends. The driver may be nil.
func Start(tb testing.TB, driver func() protocol.Driver) *Node {
	tb.Helper()
	n := &Node{store: &brittle{Store: memory.New()}, draining: make(chan struct{})}
	tb.Cleanup(func() { n.store.Close() })
	n.startCenter(tb)
	n.drain = sync.OnceFunc(func() {
		close(n.draining)
		if n.Opened == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Opened.Close(ctx); err != nil {
			tb.Errorf("close the protocol: %v", err)
		}
	})
	if driver != nil {
		n.serve(tb, driver())
	}
	tb.Cleanup(n.drain)
	return n
}

// startCenter runs the center, with an admin who has a token.
func (n *Node) startCenter(tb testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	var caches cachememory.Settings
	caches.Defaults()
	contents := must(caches.Open(ctx, cache.Env{Log: log}))(tb)
	v := view.New(view.Options{Store: n.store, Cache: contents, Log: log})
	directory := center.NewDirectory(log)
	v.Tail(directory.Sections(), directory.Apply)

	env := auth.Env{Directory: directory, Log: log}
	var passwords basic.Settings
	passwords.Defaults()
	passwords.Memory, passwords.Time = 7*plugin.MiB, 5 // the quickest that there is
	byPassword := must(passwords.Open(ctx, env))(tb)
	hasher, ok := byPassword.(auth.PasswordHasher)
	if !ok {
		tb.Fatalf("%T hashes no passwords", byPassword)
	}
	var tokens token.Settings
	tokens.Defaults()
	n.chain = auth.Chain{must(tokens.Open(ctx, env))(tb), byPassword}
	if _, _, err := center.Bootstrap(ctx, n.store, hasher, config.Secret{}, time.Now()); err != nil {
		tb.Fatal(err)
	}

	n.Center = center.New(center.Options{
		Store: n.store, View: v, Formats: format.NewSet(json.New(), yaml.New(), text.New()), Directory: directory,
		Authorizer: rbac.New(directory), Passwords: hasher, Limits: limits(tb), Log: log, Node: "n1",
	})
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) }) // ends with ctx
	running.Go(func() { _ = n.Center.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		running.Wait()
		contents.Close()
	})
	<-v.Ready()
	root := auth.WithIdentity(tb.Context(), auth.Identity{Subject: center.AdminUser, Method: basic.Name})
	_, secret, err := n.Center.CreateToken(root, center.NewToken{})
	if err != nil {
		tb.Fatal(err)
	}
	n.admin = Caller{Token: secret}
}

func limits(tb testing.TB) center.Limits {
	var l center.Limits
	l.Defaults()
	l.ConfigSize, l.ConfigsPerEnv = LimitConfigSize, limitConfigs
	l.ChangeSetConfigs, l.ChangeSetSize = limitChangeSet, limitChangeSetSize
	l.CommentLength, l.RevisionWait = limitComment, limitWait
	if _, measured := tb.(*testing.B); !measured { // by as many watches as there can be
		l.TenantWatches = limitWatches
	}
	return l
}

// serve opens the protocol on a listener that is there already, since protocols
// with listeners of their own are secured as it is.
func (n *Node) serve(tb testing.TB, driver protocol.Driver) {
	tb.Helper()
	var mux protocol.Mux
	opened := make(chan struct{})
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-opened
		mux.ServeHTTP(w, r)
	}))
	listener.EnableHTTP2 = true
	listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener.StartTLS()
	tb.Cleanup(func() {
		n.drain()
		listener.Close()
	})
	roots := x509.NewCertPool()
	roots.AddCert(listener.Certificate())
	n.URL, n.Certificate, n.Secured = listener.URL, listener.Certificate(), listener.TLS
	n.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}

	var err error
	n.Opened, err = driver.Open(tb.Context(), protocol.Host{
		Center: n.Center, Auth: n.chain, Log: slog.New(slog.DiscardHandler), Observer: protocol.NoObserver{}, Version: "test",
		MediaType: func(format string) string {
			return map[string]string{"json": "application/json", "yaml": "application/yaml", "text": "text/plain"}[format]
		},
		Draining: n.draining, HTTP: mux.Handle, TLS: listener.TLS,
		Secure: func(string, protocol.TLSFiles) (*tls.Config, error) { return listener.TLS, nil },
		Listen: func(ctx context.Context, _, addr string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		},
		Ready: func() bool { return true },
		Fail:  func(err error) { tb.Errorf("the protocol cannot go on: %v", err) },
	})
	close(opened)
	if err != nil {
		tb.Fatalf("open the protocol: %v", err)
	}
}

// user makes a service user with the grants, and returns it with its token's id.
func (n *Node) user(tb testing.TB, name string, grants ...auth.Grant) (c Caller, tokenID string) {
	tb.Helper()
	ctx := auth.WithIdentity(tb.Context(), auth.Identity{Subject: center.AdminUser, Method: basic.Name})
	if _, err := n.Center.CreateUser(ctx, center.NewUser{Name: name, Service: true}); err != nil {
		tb.Fatal(err)
	}
	for _, g := range grants {
		if _, err := n.Center.CreateBinding(ctx, auth.Binding{User: name, Role: g.Role, Scope: g.Scope}); err != nil {
			tb.Fatal(err)
		}
	}
	made, secret, err := n.Center.CreateToken(ctx, center.NewToken{User: name})
	if err != nil {
		tb.Fatal(err)
	}
	return Caller{Token: secret}, made.ID
}

// must unwraps what a call returned, or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// brittle is a store that can be told to fail, or to keep its news from the view.
type brittle struct {
	*memory.Store
	mu      sync.Mutex
	failure error
	held    chan struct{} // not nil while nothing is delivered
}

// breakDown has reads and commits fail until mend is called.
func (s *brittle) breakDown(failure error) (mend func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = failure
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failure = nil
	}
}

// hold keeps the view at what it knows until release is called.
func (s *brittle) hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held = held
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	})
}

func (s *brittle) state() (held chan struct{}, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.failure
}

// Range implements store.Store.
func (s *brittle) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if _, failure := s.state(); failure != nil {
		return store.Page{}, failure
	}
	return s.Store.Range(ctx, q)
}

// Commit implements store.Store.
func (s *brittle) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	if _, failure := s.state(); failure != nil {
		return 0, failure
	}
	return s.Store.Commit(ctx, txn)
}

// Watch implements store.Store.
func (s *brittle) Watch(ctx context.Context, prefix string, after int64) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		for batch, err := range s.Store.Watch(ctx, prefix, after) {
			if held, _ := s.state(); held != nil {
				select {
				case <-held:
				case <-ctx.Done():
				}
			}
			if !yield(batch, err) {
				return
			}
		}
	}
}

var _ store.Store = (*brittle)(nil)

func (n *Node) tenant() string { return fmt.Sprintf("t%d", n.tenants.Add(1)) }
