package fault

import "github.com/setpointhq/setpoint/test/fault/cluster"

func killLeader(tr *trial) {
	leader := tr.leader()
	tr.breaks(leader)
	tr.must(leader.Kill())
	tr.lasts()
	tr.mended()
	tr.revokes(tr.c.Others(leader)...)
	tr.must(leader.Restart(tr.Context()))
}

func killFollowers(tr *trial) {
	for _, follower := range tr.c.Others(tr.leader()) {
		tr.breaks(follower)
		tr.must(follower.Kill())
		tr.lasts()
		tr.must(follower.Restart(tr.Context()))
		tr.mended()
	}
}

// killAll is a power cut: nothing is lost that was acknowledged.
func killAll(tr *trial) {
	tr.figures.faults++
	for _, n := range tr.c.Nodes() {
		tr.must(n.Kill())
	}
	for _, n := range tr.c.Nodes() {
		tr.must(n.Launch())
	}
	tr.must(tr.c.Ready(tr.Context()))
}

func freezeLeader(tr *trial)   { freeze(tr, tr.leader()) }
func freezeFollower(tr *trial) { freeze(tr, tr.c.Others(tr.leader())[0]) }

func freeze(tr *trial, n *cluster.Node) {
	tr.breaks(n)
	tr.must(n.Freeze())
	tr.lasts()
	tr.revokes(tr.c.Others(n)...)
	tr.must(n.Thaw())
	tr.goesOn()
	tr.mended()
}
