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
	// own changes the options of a cluster that this scenario has to itself; nil
	// for the one that all others share.
	own func(*cluster.Options)
	// before is what is done before the load begins; nil for nothing.
	before func(*testing.T, *cluster.Cluster)
	// happens breaks things while the load goes on, and mends them again.
	happens func(*trial)
}

// scenarios is everything that happens. The cheap come first.
func scenarios() []scenario {
	alone := func(*cluster.Options) {}
	return []scenario{
		{name: "the leader is killed", happens: killLeader},
		{name: "followers are killed in turn", happens: killFollowers},
		{name: "all are killed at once", happens: killAll},
		{name: "the leader is frozen", happens: freezeLeader},
		{name: "a follower is frozen", happens: freezeFollower},
		{name: "the leader is cut off", happens: cutLeader},
		{name: "a follower is cut off", happens: cutFollower},
		{name: "the leader is not heard", happens: muteLeader},
		{name: "the leader hears nothing", happens: deafenLeader},
		{name: "the link of the leader is slow", happens: slowLink},
		{name: "the disk of the leader is slow", happens: slowDisk},
		{name: "the clock of a node jumps", happens: jumpClock},
		{name: "history is compacted while nodes are away", happens: compact},
		{name: "a member is replaced", happens: replace},
		{name: "all nodes get a new version", own: alone, happens: upgrade},
		{name: "an edge loses its members in turn", before: addEdge, happens: killUnderEdge},
		{name: "a disk is full", own: smallDisk, happens: fillDisk},
		{name: "everything is lost, twice", own: alone, happens: loseAll},
	}
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
	world := &world{dir: t.TempDir()}
	defer world.end(t)
	for round := range knob(t, "FAULTS_ROUNDS", 1) {
		for i, s := range scenarios() {
			t.Run(s.name, func(t *testing.T) {
				c := world.cluster(t, s.own)
				defer func() {
					if t.Failed() || s.own != nil {
						world.end(t) // the next one gets a cluster that is whole
					}
				}()
				if s.before != nil {
					s.before(t, c)
				}
				tr := begin(t, c, s.name, fmt.Sprintf("s%d-r%d", i+1, round+1))
				defer func() {
					tr.load.Stop()
					r.add(tr.figures)
				}()
				s.happens(tr)
				tr.finish()
			})
		}
	}
}

// world is the cluster that scenarios share, for as long as all goes well.
type world struct {
	dir     string
	c       *cluster.Cluster
	started int
}

// cluster is the one that there is, or a new one.
func (w *world) cluster(t *testing.T, own func(*cluster.Options)) *cluster.Cluster {
	t.Helper()
	if own != nil {
		w.end(t)
	}
	if w.c != nil {
		return w.c
	}
	w.started++
	o := cluster.Options{
		Program: binary, Dir: filepath.Join(w.dir, fmt.Sprint(w.started)), Number: w.started % 256, Voters: voters, Env: settings,
	}
	if own != nil {
		own(&o)
	}
	var err error
	if w.c, err = cluster.Start(t.Context(), o); err != nil {
		t.Errorf("start a cluster: %v", err)
		w.end(t)
		t.FailNow()
	}
	return w.c
}

// end ends the cluster, and shows its logs if the test has failed.
func (w *world) end(t *testing.T) {
	t.Helper()
	if w.c == nil {
		return
	}
	c := w.c
	w.c = nil
	if t.Failed() {
		t.Log(c.Logs())
		c.Abandon()
	}
	if err := c.Close(); err != nil && !t.Failed() {
		t.Errorf("end the cluster: %v\n%s", err, c.Logs())
	}
}
