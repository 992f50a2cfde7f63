package etcd_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// All members stop and start again, with all that was written.
func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	for name, n := range c.nodes {
		if err := n.put("by " + name); err != nil {
			t.Fatal(err)
		}
	}
	before := c.nodes["n1"].status()
	done := make(chan struct{})
	for _, n := range c.nodes {
		go func() {
			n.stop()
			done <- struct{}{}
		}()
	}
	for range c.nodes {
		<-done
	}
	c.startAll()
	for name, n := range c.nodes {
		if err := n.put("again by " + name); err != nil {
			t.Errorf("commit on %s after the restart: %v", name, err)
		}
	}
	page, err := c.nodes["n2"].Range(t.Context(), store.Query{Prefix: true, KeysOnly: true})
	if err != nil || len(page.Entries) != 6 {
		t.Errorf("%d keys after the restart, %v, want 6", len(page.Entries), err)
	}
	if after := c.nodes["n1"].status(); after.ClusterID != before.ClusterID || after.MemberID != before.MemberID {
		t.Errorf("the member was %+v, is %+v", before, after)
	}
}

// refused starts a node that cannot be started, and looks whether the error says
// why.
func (c *cluster) refused(n *node, p *store.Peering, kind config.ErrorKind, why ...string) {
	c.Helper()
	err := n.open(p)
	for try := 0; try < 5 && err != nil && strings.Contains(err.Error(), "did not start in time"); try++ {
		n.timeout *= 2 // the machine is busy
		err = n.open(p)
		for err != nil && strings.Contains(err.Error(), "in use by another process") {
			err = n.open(p) // the start that was given up is not over
		}
	}
	if err == nil || config.KindOf(err) != kind {
		c.Errorf("start of %s: error is %v, want kind %s", n.name, err, kind)
		return
	}
	for _, part := range why {
		if !strings.Contains(err.Error(), part) {
			c.Errorf("start of %s: error is %v, want one with %q", n.name, err, part)
		}
	}
}

// empty takes a stopped node's data away.
func (n *node) empty() {
	n.cluster.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		n.cluster.Fatal(err)
	}
}

func TestMembersThatMakeNoCluster(t *testing.T) {
	t.Parallel()
	c := &cluster{TB: t, authority: newAuthority(t), nodes: map[string]*node{}}
	n := c.prepare("n1")
	for _, tt := range []struct {
		why    string
		kind   config.ErrorKind
		change func(*store.Peering)
	}{
		{"has no name", config.Invalid, func(p *store.Peering) { p.Name = "" }},
		{"not among the members", config.Invalid, func(p *store.Peering) { p.Name = "n9" }},
		{"make them agree", config.Invalid, func(p *store.Peering) { p.Advertise = "127.0.0.1:1" }},
		{"have the same address", config.Invalid, func(p *store.Peering) { p.Members["n2"] = p.Advertise }},
		{"contains = or a comma", config.Invalid, func(p *store.Peering) { p.Members["n2,n3"] = "127.0.0.1:1" }},
		{"no such file or directory", config.Unavailable, func(p *store.Peering) { p.CertFile += ".missing" }},
	} {
		p := c.peering(n, c.members())
		tt.change(p)
		c.refused(n, p, tt.kind, tt.why)
	}
}

// A member without enough others gives up after a while, and names them.
func TestStartWithoutTheOthers(t *testing.T) {
	t.Parallel()
	c := &cluster{TB: t, authority: newAuthority(t), nodes: map[string]*node{}}
	n1, n2, n3 := c.prepare("n1"), c.prepare("n2"), c.prepare("n3")
	n1.timeout = time.Second
	members := c.members()
	n3.port.Close()
	c.refused(n1, c.peering(n1, members), config.Timeout, "n2 ("+n2.port.Address+") is starting or stopping", "n3 ("+n3.port.Address+") does not answer")
	c.refused(n1, nil, config.Timeout, "cluster of 3 members")
	p := c.peering(n1, map[string]string{"n1": members["n1"], "n3": members["n3"]})
	p.Join = true
	n1.empty()
	c.refused(n1, p, config.Unavailable, "none of the members")
}

func TestStartWithTheWrongData(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	members := c.members()
	n1, n3 := c.nodes["n1"], c.nodes["n3"]
	n3.stop()

	// Nothing where there should be something: it could vote a second time.
	if err := os.Rename(n3.dir, n3.dir+".kept"); err != nil {
		t.Fatal(err)
	}
	c.refused(n3, c.peering(n3, members), config.Unavailable, "know n3 already, but its data folder is empty")

	// One that nobody has added.
	n4 := c.prepare("n4")
	p := c.peering(n4, c.members())
	p.Join = true
	c.refused(n4, p, config.Unavailable, "was not added")
	delete(c.nodes, "n4")

	// The data of another cluster with the same members.
	n1.stop()
	c.nodes["n2"].stop()
	n1.empty()
	p = c.peering(n1, map[string]string{"n1": members["n1"]})
	p.Token = "another"
	if err := n1.open(p); err != nil {
		t.Fatal(err)
	}
	n3.empty()
	if err := os.Rename(n3.dir+".kept", n3.dir); err != nil {
		t.Fatal(err)
	}
	n3.timeout = time.Second
	c.refused(n3, c.peering(n3, members), config.Timeout, "n1 ("+n1.port.Address+") belongs to another cluster")
}
