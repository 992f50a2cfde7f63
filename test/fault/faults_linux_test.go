package fault

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/setpointhq/setpoint/test/fault/cluster"
)

// scenario is something that happens to a cluster.
type scenario struct {
	name string
	// happens breaks things while the load goes on, and mends them again.
	happens func(*trial)
}

// settings are those of all nodes: all versions are kept, so that they can be
// looked at; silence is noticed soon; passwords are cheap to check.
var settings = []string{
	"LIMITS_KEEP_RELEASES=1000000", "PROTOCOLS_REST_HEARTBEAT=1s", "PROTOCOLS_REST_STREAM_RETRY=10ms",
	"AUTH_BASIC_MEMORY=7MiB", "AUTH_BASIC_TIME=5", "SHUTDOWN_GRACE=5s", "CLUSTER_DISK_RESERVE=32MiB",
}

// voters is how many nodes found a cluster.
const voters = 3

// TestFaults lets everything happen to clusters, one after the other.
func TestFaults(t *testing.T) {
	var r report
	defer r.write(t)
	world := &world{T: t}
	defer world.end()
	for round := range knob(t, "FAULTS_ROUNDS", 1) {
		for i, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				tr := begin(t, world.cluster(t), s.name, fmt.Sprintf("s%d-r%d", i+1, round+1))
				defer func() {
					tr.load.Stop()
					tr.figures.passed = !t.Failed()
					r.add(tr.figures)
					if t.Failed() {
						world.end() // the next one gets a cluster that is whole
					}
				}()
				s.happens(tr)
				tr.finish()
			})
		}
	}
}

// world is the cluster that scenarios share, for as long as all goes well.
type world struct {
	*testing.T

	c       *cluster.Cluster
	started int
}

// cluster is the one that there is, or a new one.
func (w *world) cluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	if w.c != nil {
		return w.c
	}
	w.started++
	var err error
	w.c, err = cluster.Start(t.Context(), cluster.Options{
		Program: binary, Dir: filepath.Join(w.TempDir(), fmt.Sprint(w.started)), Number: w.started, Voters: voters, Env: settings,
	})
	if err != nil {
		t.Fatalf("start a cluster: %v\n%s", err, w.close())
	}
	return w.c
}

// end ends the cluster, and shows its logs if anything has failed.
func (w *world) end() {
	if w.c == nil {
		return
	}
	failed := w.Failed()
	if logs := w.close(); failed || w.Failed() {
		w.Log(logs)
	}
}

func (w *world) close() (logs string) {
	c := w.c
	w.c = nil
	logs = c.Logs()
	if err := c.Close(); err != nil {
		w.Errorf("end the cluster: %v", err)
	}
	return logs
}

var scenarios = []scenario{
	{"the leader is killed", killLeader},
	{"followers are killed in turn", killFollowers},
	{"the leader is frozen", freezeLeader},
	{"a follower is frozen", freezeFollower},
}

func killLeader(tr *trial) {
	leader := tr.leader()
	tr.breaks(leader)
	tr.must(leader.Kill())
	tr.lasts()
	tr.mended()
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
