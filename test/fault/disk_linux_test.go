package fault

import (
	"os"
	"path/filepath"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/cluster"
	"github.com/setpointhq/setpoint/test/fault/history"
	"github.com/setpointhq/setpoint/test/fault/lab"
)

// smallDisk gives the last node a disk of its own, with room for the engine's
// preallocated log and little more.
func smallDisk(o *cluster.Options) { o.SmallDisk = 384 << 20 }

// fillDisk fills the disk of one node: writes are refused everywhere, clearly,
// and reads go on, until there is room again.
func fillDisk(tr *trial) {
	full := tr.c.Nodes()[voters-1]
	fill := filepath.Join(full.Data, "something-else")
	tr.breaks()
	tr.must(lab.Fill(fill, 16<<20))
	for _, n := range tr.c.Nodes() {
		tr.await("writes to be refused by "+n.Name, func() bool {
			o := tr.load.Probe(tr.Context(), n)
			if o.Outcome != history.OK && o.Failure != config.Exhausted {
				tr.Errorf("%s ought to refuse a write because of the full disk; it was %s (%s): %s", n.Name, o.Outcome, o.Failure, o.Err)
			}
			return o.Outcome == history.Refused
		})
	}
	reads := tr.load.Reads() + few
	tr.await("reads to go on", func() bool { return tr.load.Reads() >= reads })
	s, err := full.Status(tr.Context())
	tr.must(err)
	if s.Writable || len(s.Problems) == 0 {
		tr.Errorf("the status does not tell of the full disk: %+v", s)
	}
	tr.passes()
	tr.must(os.Remove(fill))
	tr.goesOn()
	tr.mended()
}
