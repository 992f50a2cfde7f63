package cluster

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for engines rather than work: more of them than there are
	// cores can do so at the same time.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// office is where a test's nodes get their certificates and tokens.
type office struct {
	testing.TB
	authority *pki.Authority
	dir       string

	mu     sync.Mutex
	tokens map[string]tokenUse // by text
}

type tokenUse struct {
	edge      bool
	node, key string
}

func newOffice(tb testing.TB) *office {
	tb.Helper()
	o := &office{TB: tb, dir: tb.TempDir(), tokens: map[string]tokenUse{}}
	var err error
	if o.authority, err = pki.CreateAuthority(o.dir, pki.Options{}); err != nil {
		tb.Fatal(err)
	}
	return o
}

// files makes the certificate of a node on loopback.
func (o *office) files(name string, hosts ...string) pki.Files {
	o.Helper()
	cert, key, err := o.authority.Issue(pki.Request{Name: name, Hosts: append(hosts, "127.0.0.1", "localhost")})
	if err != nil {
		o.Fatal(err)
	}
	f := pki.FilesIn(o.dir, name)
	if err := pki.WriteNode(f, pki.Material{Cert: cert, Key: key}); err != nil {
		o.Fatal(err)
	}
	return f
}

// token makes a join token of the authority with a fingerprint.
func (o *office) token(fingerprint, id string, edge bool) config.Secret {
	text := config.JoinTokenText{ID: pad(id, 12), Secret: config.NewSecret(pad("secret", 26)), Fingerprint: fingerprint}.Text()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens[text.Reveal()] = tokenUse{edge: edge}
	return text
}

func pad(s string, length int) string {
	return (strings.NewReplacer("1", "v", "2", "w", "3", "x").Replace(s) + strings.Repeat("a", length))[:length]
}

// check and redeem are what the center does.
func (o *office) check(_ context.Context, token config.Secret, node, key string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	use, err := o.proven(token, node, key)
	return use.edge, err
}

func (o *office) redeem(_ context.Context, token config.Secret, node, key string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	use, err := o.proven(token, node, key)
	if err == nil {
		use.node, use.key = node, key
		o.tokens[token.Reveal()] = use
	}
	return use.edge, err
}

func (o *office) proven(token config.Secret, node, key string) (tokenUse, error) {
	use, ok := o.tokens[token.Reveal()]
	if !ok || use.node != "" && (use.node != node || use.key != key) {
		return tokenUse{}, config.Errorf(config.Unauthenticated, "", "", "the join token is not valid, has ended, or was used by another node")
	}
	return use, nil
}

// settings are those of a node with files of the office.
func (o *office) settings(name, addr string) Settings {
	s := bare(name, addr)
	f := o.files(name)
	s.CertFile, s.KeyFile, s.CAFile = f.Cert, f.Key, f.CA
	_, s.CAKeyFile = pki.AuthorityFiles(o.dir)
	return s
}

func bare(name, addr string) Settings {
	var s Settings
	s.Defaults()
	s.Name, s.Addr, s.Advertise, s.StartWait = name, addr, addr, time.Minute
	return s
}

// node is one node of a test, with a real engine.
type node struct {
	*Cluster
	office  *office
	options Options
	store   store.Store
	local   atomic.Pointer[config.Node]
	held    atomic.Pointer[[]config.Instance]
	end     context.CancelFunc
	running sync.WaitGroup
}

// receipts are one of an instance that every node knows, and one of its own.
func (n *node) receipts(path config.Path, version int64) []config.Receipt {
	now := n.now().UnixMilli()
	return []config.Receipt{
		{Instance: 1, Seen: now, State: config.AckApplied},
		{Instance: uint64(version), Seen: now - 60_000, State: config.AckRefused, ID: "client-of-" + n.settings.Name, Why: path.String()},
	}
}

func options(tb testing.TB, s Settings, dir string) Options {
	return Options{
		Settings: s, DataDir: dir, Version: "1.0.0", URL: func() string { return "https://" + s.Name },
		Log: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", s.Name),
	}
}

// start runs a node until the test ends or stop is called.
func (o *office) start(s Settings, dir string) (*node, error) {
	n := &node{office: o, options: options(o, s, dir)}
	n.local.Store(&config.Node{Watchers: 3})
	n.held.Store(&[]config.Instance{{ID: "client-of-" + s.Name, Node: s.Name}})
	var err error
	if n.Cluster, err = Open(o.Context(), n.options); err != nil {
		return nil, err
	}
	var e etcd.Settings
	e.Defaults()
	n.store, err = e.Open(o.Context(), store.Env{Log: n.options.Log, DataDir: dir, Peering: n.Peering()})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.Attach(Parts{
		Store:     n.store,
		Local:     func() config.Node { return *n.local.Load() },
		Revision:  func() int64 { return 7 },
		Instances: func(config.InstanceQuery) []config.Instance { return slices.Clone(*n.held.Load()) },
		Receipts:  n.receipts,
		Check:     o.check,
		Redeem:    o.redeem,
		ID:        func() string { return "installation" },
	})
	ctx, cancel := context.WithCancel(context.Background())
	n.end = cancel
	n.running.Go(func() {
		if err := n.Run(ctx); err != nil {
			o.Errorf("run %s: %v", s.Name, err)
		}
	})
	o.Cleanup(n.stop)
	return n, nil
}

func (o *office) mustStart(s Settings, dir string) *node {
	o.Helper()
	n, err := o.start(s, dir)
	if err != nil {
		o.Fatal(err)
	}
	return n
}

// stop ends a node as a shutdown does.
func (n *node) stop() {
	if n.store == nil {
		return
	}
	n.end()
	n.running.Wait()
	if err := errors.Join(n.store.Close(), n.Close()); err != nil {
		n.office.Errorf("stop %s: %v", n.settings.Name, err)
	}
	n.store = nil
}

// found starts a cluster of several nodes with files of the office.
func (o *office) found(names ...string) []*node {
	o.Helper()
	var members []string
	addrs := map[string]string{}
	for _, name := range names {
		addrs[name] = freeport.For(o)
		members = append(members, name+"="+addrs[name])
	}
	nodes, errs := make([]*node, len(names)), make([]error, len(names))
	var starting sync.WaitGroup
	for i, name := range names {
		s := o.settings(name, addrs[name])
		s.Members = members
		starting.Go(func() { nodes[i], errs[i] = o.start(s, filepath.Join(o.dir, "data-"+name)) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		o.Fatal(err)
	}
	return nodes
}

// await waits until a condition holds.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 40*time.Second)
	defer cancel()
	for !holds() {
		if !pause(ctx, 20*time.Millisecond) {
			tb.Fatalf("waited in vain for: %s", what)
		}
	}
}
