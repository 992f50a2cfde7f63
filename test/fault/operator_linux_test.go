package fault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/setpointhq/setpoint/test/fault/cluster"
	"github.com/setpointhq/setpoint/test/program"
)

// jumpClock sets the clock of the leader and of a follower forward and back by
// an hour while they run. Wall clocks are for people: nothing may depend on them.
func jumpClock(tr *trial) {
	jumping, err := program.Build(filepath.Join(tr.TempDir(), "jumping"), program.BuildOptions{Tags: []string{"faultclock"}})
	tr.must(err)
	leader := tr.leader()
	for _, n := range []*cluster.Node{tr.c.Others(leader)[0], leader} {
		file := filepath.Join(filepath.Dir(n.Data), "clock")
		env := n.Process.Env
		n.Process.Env = append(env[:len(env):len(env)], "FAULT_CLOCK="+file)
		tr.reborn(n, jumping)
		for _, offset := range []string{"1h", "-1h", "0s"} {
			tr.breaks()
			tr.must(os.WriteFile(file, []byte(offset), 0o600))
			tr.lasts()
			tr.mended()
		}
		tr.revokes(tr.c.Nodes()...)
		n.Process.Env = env
		tr.reborn(n, binary)
	}
}

// reborn ends a node in order and starts it with another binary.
func (tr *trial) reborn(n *cluster.Node, with string) {
	tr.Helper()
	tr.must(n.Stop())
	n.Process.Program = with
	tr.must(n.Restart(tr.Context()))
}

// compact drops the engine's history while one follower is frozen and another is
// down: they and the watchers that resume on them must not miss anything.
func compact(tr *trial) {
	leader := tr.leader()
	for _, n := range tr.c.Others(leader) {
		tr.breaks(n)
		tr.must(n.Freeze())
		tr.lasts()
		tr.must(tr.c.Compact(tr.Context(), leader))
		tr.must(n.Thaw())
		tr.fresh(n)
		tr.must(n.Kill())
		tr.lasts()
		tr.must(tr.c.Compact(tr.Context(), leader))
		tr.must(n.Restart(tr.Context()))
		tr.goesOn()
		tr.mended()
	}
}

// replace loses a member's disk for good, and lets a new one in under its name.
func replace(tr *trial) {
	leader := tr.leader()
	lost := tr.c.Others(leader)[0]
	tr.breaks(lost)
	tr.must(lost.Kill())
	tr.lasts()
	tr.must(tr.c.Replace(tr.Context(), lost, leader))
	tr.goesOn()
	tr.mended()
	tr.revokes(tr.c.Nodes()...)
}

// upgrade restarts all nodes in turn with a binary of another version.
func upgrade(tr *trial) {
	const version = "v99.0.0-fault"
	newer, err := program.Build(filepath.Join(tr.TempDir(), "newer"), program.BuildOptions{Version: version})
	tr.must(err)
	for _, n := range tr.c.Nodes() {
		tr.breaks(n)
		tr.reborn(n, newer)
		tr.goesOn()
		tr.mended()
		if v, err := n.Client().Version(tr.Context()); err != nil || v.Version != version {
			tr.Errorf("%s is of version %q, %v", n.Name, v.Version, err)
		}
	}
}

// addEdge adds a node that holds no data.
func addEdge(t *testing.T, c *cluster.Cluster) {
	if _, err := c.Edge(t.Context(), "e1"); err != nil {
		t.Fatalf("add an edge: %v", err)
	}
}

// killUnderEdge kills each member in turn, so that of the edge's it is every one.
func killUnderEdge(tr *trial) {
	nodes := tr.c.Nodes()
	edge, members := nodes[len(nodes)-1], nodes[:len(nodes)-1]
	for _, n := range members {
		tr.breaks(n)
		tr.must(n.Kill())
		tr.lasts()
		tr.revokes(edge)
		tr.must(n.Restart(tr.Context()))
		tr.fresh(edge)
		tr.goesOn()
		tr.mended()
	}
	tr.Cleanup(func() {
		if err := tr.c.Retire(edge); err != nil && !tr.Failed() {
			tr.Error(err)
		}
	})
}
