// Package cluster is how nodes find, trust and speak to each other: the port at
// which they meet, how a node founds or joins a cluster, how each is doing, and
// who looks after the members. It runs no consensus and keeps no configuration:
// that is the engine's, which it lends its port.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

// Options are what a node lends to its cluster.
type Options struct {
	Settings Settings
	// DataDir is the node's own directory.
	DataDir string
	// HasData reports whether the engine has run in this data directory; nil looks
	// for the embedded engine's data where it lies by default.
	HasData func() bool
	// Version is the program's.
	Version string
	// URL is where clients reach the node.
	URL func() string
	Log *slog.Logger
	// Now is the node's clock; nil is the machine's.
	Now func() time.Time
}

// Parts is what exists only once the store does.
type Parts struct {
	// Store is the engine's: optional abilities are asked of it.
	Store store.Store
	// Local is what the node knows of itself: its revision, watchers, staleness.
	// Name, role, disk, certificate and clock are filled in here.
	Local func() config.Node
	// Revision is the position that this node serves.
	Revision func() int64
	// Instances are the clients of this node that a query asks for, and Receipts
	// what it knows of those that are served a version of a config.
	Instances func(config.InstanceQuery) []config.Instance
	Receipts  func(path config.Path, version int64) []config.Receipt
	// Check verifies a join token that the node of that name with that key shows,
	// and says whether it is for an edge. Redeem does the same, and binds it to them.
	Check, Redeem func(ctx context.Context, token config.Secret, node, key string) (edge bool, err error)
	// ID is the installation's.
	ID func() string
}

// Cluster is one node's part in the cluster.
type Cluster struct {
	settings Settings // resolved
	options  Options
	log      *slog.Logger
	now      func() time.Time
	boot     string // differs from run to run
	started  time.Time
	files    pki.Files
	memory   *memory

	listener net.Listener // nil for an edge
	port     *port        // nil for an edge
	keeper   *pki.Keeper
	calls    *caller

	parts  atomic.Pointer[Parts]
	others table
	desk   sync.Mutex // held while a member is being added
	upkeep sync.Mutex // held while the engine is being defragmented
}

// Open checks the certificates, joins the cluster if this node is to and has
// not, opens the peer port and answers other nodes from then on. It returns once
// the engine may start: enough nodes are there and none of them objects. Its
// errors are final and say how to mend what is wrong.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare settles what needs no other node.
func prepare(o Options) (*Cluster, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.URL == nil {
		o.URL = func() string { return "" }
	}
	if o.HasData == nil {
		o.HasData = func() bool {
			_, err := os.Stat(filepath.Join(o.DataDir, "etcd", "member"))
			return err == nil
		}
	}
	c := &Cluster{settings: o.Settings, options: o, log: o.Log, now: o.Now, boot: rand.Text(), started: o.Now()}
	s := &c.settings
	if err := errors.Join(s.Validate(), s.resolve()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.DataDir, folder), 0o700); err != nil {
		return nil, config.Errorf(config.Unavailable, "start", o.DataDir, "the data directory (data_dir) cannot be used: %w", err)
	}
	var err error
	if c.memory, err = recall(o.DataDir); err != nil {
		return nil, err
	}
	if r, known := c.memory.get(); known {
		if err := r.checkSelf(s, o.DataDir); err != nil {
			return nil, err
		}
		s.Token = r.Token
		if r.Cluster != "" && !s.Edge && !o.HasData() {
			return nil, config.Errorf(config.Conflict, "start", o.DataDir, "this node has run as %s, but the engine's data is gone; it must not come back empty under its old name. Put the data back or, if it is lost, remove the node from the cluster ('setpoint cluster remove %s') and let it join anew with an empty data_dir", s.Name, s.Name)
		}
	}
	c.files = pki.Files{Cert: s.CertFile, Key: s.KeyFile, CA: s.CAFile}
	if s.CertFile == "" {
		c.files = pki.FilesIn(c.path(), "node")
	}
	return c, nil
}

// open does the rest of Open; what it opened, Close ends.
func (c *Cluster) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.settings.StartWait, errStartWait)
	defer cancel()
	if !c.settings.Edge {
		var err error
		if c.listener, err = bind(ctx, c.settings.Addr); err != nil {
			return err
		}
		c.settings.advertise(c.listener.Addr())
	}
	if err := c.enter(ctx); err != nil {
		return err
	}
	if !c.settings.Edge {
		c.port = newPort(c.listener, c.keeper.ServerConfig(), c.handler(), c.log)
	}
	if err := c.preflight(ctx); err != nil {
		return err
	}
	c.log.Info("the way to the other nodes is clear", "name", c.settings.Name, "peer", c.settings.Advertise, "edge", c.settings.Edge)
	return nil
}

// errStartWait is why a start gave up waiting.
var errStartWait = errors.New("cluster.start_wait is over")

// unnamed begins the name of a member that has not started yet.
const unnamed = "member-"

// Peering is what the store needs to know.
func (c *Cluster) Peering() *store.Peering {
	r, known := c.memory.get()
	p := &store.Peering{
		Name: c.settings.Name, Advertise: c.settings.Advertise, Token: c.settings.Token,
		Join: r.Joined, Edge: c.settings.Edge,
		CertFile: c.files.Cert, KeyFile: c.files.Key, CAFile: c.files.CA,
	}
	if c.port != nil {
		p.Port = c.port
	}
	if !known || !r.Joined && !p.Edge {
		p.Members = c.settings.founders()
		return p
	}
	p.Members = make(map[string]string, len(r.Members))
	for _, m := range r.Members {
		name := m.Name
		switch {
		case m.Peer == c.settings.Advertise && !p.Edge:
			name = c.settings.Name
		case name == "": // it has not started yet; the engine looks at the address
			name = unnamed + m.ID
		}
		p.Members[name] = m.Peer
	}
	return p
}

// Attach gives the cluster what exists only once the store does. The node then
// tells others about itself.
func (c *Cluster) Attach(p Parts) { c.parts.Store(&p) }

// Run keeps in touch with the other nodes and looks after this one and, while it
// holds the office, after all members. It returns when ctx has ended and all of
// it has stopped. Attach comes before.
func (c *Cluster) Run(ctx context.Context) error {
	parts := c.parts.Load()
	if parts == nil {
		return errors.New("the cluster runs before its parts were attached")
	}
	if err := c.checkEngine(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	var working sync.WaitGroup
	run := func(work func(context.Context)) { working.Go(func() { work(ctx) }) }
	run(func(ctx context.Context) { _ = c.keeper.Run(ctx) }) // it only ends with ctx
	run(c.follow)
	run(c.greet)
	run(c.renew)
	if keeper, ok := parts.Store.(store.Keeper); ok && !c.settings.Edge {
		engine, _ := c.engine()
		guard := Guard{Keeper: keeper, Engine: engine, Dir: c.options.DataDir, Reserve: c.settings.DiskReserve, Log: c.log}
		run(func(ctx context.Context) { _ = guard.Run(ctx) })
	}
	if elector, ok := parts.Store.(store.Elector); ok && !c.settings.Edge {
		run(func(ctx context.Context) { c.tend(ctx, elector) })
	}
	working.Wait()
	return nil
}

// Close closes the peer port and waits for its handlers. Run has ended before,
// and the store is closed.
func (c *Cluster) Close() error {
	var err error
	switch {
	case c.port != nil:
		err = c.port.close()
	case c.listener != nil:
		err = ignoreClosed(c.listener.Close())
	}
	if c.calls != nil {
		c.calls.close()
	}
	return err
}

// path places a file of the cluster in the data directory.
func (c *Cluster) path(name ...string) string {
	return filepath.Join(append([]string{c.options.DataDir, folder}, name...)...)
}

// engine is the store as one that consists of members; false if it does not, is
// not there yet, or runs elsewhere.
func (c *Cluster) engine() (store.Cluster, bool) {
	p := c.parts.Load()
	if p == nil || c.settings.Edge {
		return nil, false
	}
	engine, ok := p.Store.(store.Cluster)
	return engine, ok
}
