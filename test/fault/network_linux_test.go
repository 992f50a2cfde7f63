package fault

import (
	"errors"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/cluster"
	"github.com/setpointhq/setpoint/test/fault/history"
	"github.com/setpointhq/setpoint/test/fault/lab"
)

func cutLeader(tr *trial)   { cut(tr, tr.leader()) }
func cutFollower(tr *trial) { cut(tr, tr.c.Others(tr.leader())[0]) }

// cut cuts a node off from all others, not from its clients.
func cut(tr *trial, n *cluster.Node) {
	others := tr.c.Others(n)
	tr.breaks() // reads go on everywhere
	heal, err := lab.Cut(cluster.Hosts([]*cluster.Node{n}), cluster.Hosts(others))
	tr.must(err)
	tr.lasts()
	tr.cutOff(n)
	tr.revokes(others...)
	tr.must(heal())
	tr.fresh(n)
	tr.goesOn()
	tr.mended()
}

// cutOff wants a node without the majority to go on serving reads, to say how
// old they may be, and to refuse writes itself, clearly.
func (tr *trial) cutOff(n *cluster.Node) {
	tr.Helper()
	env := tr.env
	tr.await(n.Name+" to say how stale it may be", func() bool {
		got, err := n.Client().Snapshot(tr.Context(), env, client.ReadOptions{})
		if err != nil {
			tr.Fatalf("%s does not serve reads: %v", n.Name, err)
		}
		return got.Stale > 0
	})
	a, err := n.Ask(tr.Context(), "/readyz?verbose")
	tr.must(err)
	if !strings.Contains(string(a.Body), "majority") {
		tr.Errorf("%s, cut off, says of its readiness:\n%s", n.Name, a.Body)
	}
	o := tr.load.Probe(tr.Context(), n)
	if o.Outcome == history.OK || !o.Answered || o.Failure != config.Unavailable {
		tr.Errorf("%s, cut off, ought to refuse a write as unavailable; after %s it was %s (%s): %s", n.Name, o.Return-o.Call, o.Outcome, o.Failure, o.Err)
	}
	tr.figures.refusedIn = max(tr.figures.refusedIn, o.Return-o.Call)
}

// fresh waits until a node no longer says that it may be stale.
func (tr *trial) fresh(n *cluster.Node) {
	tr.Helper()
	tr.await(n.Name+" to be in touch again", func() bool {
		got, err := n.Client().Snapshot(tr.Context(), tr.env, client.ReadOptions{})
		return err == nil && got.Stale == 0
	})
}

// muteLeader loses what the leader says to others, who are heard by it.
func muteLeader(tr *trial) {
	leader := tr.leader()
	oneWay(tr, leader, []*cluster.Node{leader}, tr.c.Others(leader))
}

// deafenLeader loses what others say to the leader, who is heard by them.
func deafenLeader(tr *trial) {
	leader := tr.leader()
	oneWay(tr, leader, tr.c.Others(leader), []*cluster.Node{leader})
}

func oneWay(tr *trial, broken *cluster.Node, from, to []*cluster.Node) {
	tr.breaks() // reads go on everywhere
	each := func(do func(from, to *lab.Host) error) (err error) {
		for _, a := range from {
			for _, b := range to {
				err = errors.Join(err, do(a.Host, b.Host))
			}
		}
		return err
	}
	tr.must(each((*lab.Host).Mute))
	tr.lasts()
	tr.cutOff(broken)
	tr.must(each((*lab.Host).Unmute))
	tr.fresh(broken)
	tr.goesOn()
	tr.mended()
}

// slowLink makes the leader's link narrow and late, to nodes and clients.
func slowLink(tr *trial) {
	leader := tr.leader()
	tr.breaks(leader)
	restore, err := leader.Host.Slow("1mbit")
	tr.must(err)
	tr.lasts()
	tr.must(restore())
	tr.goesOn()
	tr.mended()
}

// slowDisk makes each flush of the leader's take long.
func slowDisk(tr *trial) {
	leader := tr.leader()
	tr.breaks(leader)
	restore, err := lab.SlowDisk(leader.Process.PID(), 100*time.Millisecond)
	tr.must(err)
	tr.lasts()
	tr.must(restore())
	tr.mended()
}
