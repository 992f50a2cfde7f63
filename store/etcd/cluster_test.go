package etcd_test

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest"
)

// cluster is several members in this process, each with a port of its own.
type cluster struct {
	testing.TB
	authority *authority
	nodes     map[string]*node
}

// node is one member. Its data and its port outlive its store.
type node struct {
	cluster *cluster
	name    string
	port    *testPort
	dir     string
	timeout time.Duration // of the start, if not the default
	*etcd.Store
}

// newCluster starts as many members as have names, all at once.
func newCluster(tb testing.TB, names ...string) *cluster {
	tb.Helper()
	c := &cluster{TB: tb, authority: newAuthority(tb), nodes: map[string]*node{}}
	for _, name := range names {
		c.prepare(name)
	}
	c.startAll()
	return c
}

// prepare gives a node that is to come its place.
func (c *cluster) prepare(name string) *node {
	c.Helper()
	n := &node{cluster: c, name: name, dir: filepath.Join(c.TempDir(), name), port: newPort(c, c.authority, name)}
	c.nodes[name] = n
	c.Cleanup(n.stop)
	return n
}

// members are the founding ones.
func (c *cluster) members() map[string]string {
	m := map[string]string{}
	for name, n := range c.nodes {
		m[name] = n.port.Address
	}
	return m
}

func (c *cluster) startAll() {
	c.Helper()
	started := make(chan error, len(c.nodes))
	members := c.members()
	for _, n := range c.nodes {
		go func() { started <- n.open(c.peering(n, members)) }()
	}
	for range c.nodes {
		if err := <-started; err != nil {
			c.Fatal(err)
		}
	}
}

// peering is what a node needs to know to found a cluster with the members.
func (c *cluster) peering(n *node, members map[string]string) *store.Peering {
	p := &store.Peering{
		Name: n.name, Advertise: n.port.Address, Members: maps.Clone(members), Token: "test",
		CAFile: c.authority.file, Port: n.port,
	}
	p.CertFile, p.KeyFile = filepath.Join(c.authority.dir, n.name+".pem"), filepath.Join(c.authority.dir, n.name+"-key.pem")
	return p
}

// open starts a node's store.
func (n *node) open(p *store.Peering) error {
	var c etcd.Settings
	c.Defaults()
	c.DataDir = n.dir
	c.UnsafeNoFsync = true // nobody crashes the machine here, and three members share its disk
	c.StartTimeout = cmp.Or(n.timeout, c.StartTimeout)
	s, err := c.Open(n.cluster.Context(), store.Env{Log: testLog(n.cluster).With("node", n.name), Peering: p})
	if err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.Store = s.(*etcd.Store)
	return nil
}

// stop ends a node, as SIGTERM does.
func (n *node) stop() {
	n.cluster.Helper()
	if n.Store == nil {
		return
	}
	if err := n.Close(); err != nil {
		n.cluster.Errorf("stop %s: %v", n.name, err)
	}
	n.Store = nil
}

// put writes one key.
func (n *node) put(key string) error { return put(n.cluster, n, key) }

// edge opens a store without an engine, as a node of its own would.
func (c *cluster) edge(tb testing.TB, change func(*etcd.Settings)) *etcd.Store {
	tb.Helper()
	var settings etcd.Settings
	settings.Defaults()
	change(&settings)
	p := &store.Peering{Name: "edge", Edge: true, Members: c.members(), CAFile: c.authority.file}
	p.CertFile, p.KeyFile = c.authority.issue("edge")
	s, err := settings.Open(tb.Context(), store.Env{Log: testLog(tb).With("node", "edge"), Peering: p})
	if err != nil {
		tb.Fatal(err)
	}
	return s.(*etcd.Store)
}

func TestMemberConformance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	opened := 0
	storetest.Run(t, func(tb testing.TB) store.Store {
		opened++
		return c.nodes[fmt.Sprintf("n%d", 1+opened%3)].Sibling(fmt.Sprintf("/test-%d/", opened))
	})
}

func TestEdgeConformance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	storetest.Run(t, func(tb testing.TB) store.Store {
		return c.edge(tb, func(s *etcd.Settings) { s.Prefix = fmt.Sprintf("/test-%d/", prefixes.Add(1)) })
	})
}
