package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/disk"
	"github.com/setpointhq/setpoint/plugin"
)

const (
	// expirySoon is from when on a certificate's end is a problem.
	expirySoon = 14 * 24 * time.Hour
	// staleProblem is from when on it is one that a majority confirmed nothing.
	staleProblem = config.Seconds(5)
)

// firstReport is what can be said before the store is there.
func (c *Cluster) firstReport() report {
	n := config.Node{
		Name: c.settings.Name, Role: config.Voter, URL: c.options.URL(), Version: c.options.Version,
		StartedAt: c.started, CertificateExpires: c.keeper.Certificate().NotAfter,
	}
	if c.settings.Edge {
		n.Role = config.Edge
	} else {
		n.Peer = c.settings.Advertise
	}
	return report{Boot: c.boot, Node: n}
}

// report is what this node says of itself, its own complaints included.
func (c *Cluster) report(ctx context.Context) report {
	r := c.firstReport()
	n := &r.Node
	if parts := c.parts.Load(); parts != nil {
		known := *n
		*n = parts.Local()
		n.Name, n.Role, n.Peer, n.URL, n.Version = known.Name, known.Role, known.Peer, known.URL, known.Version
		n.StartedAt, n.CertificateExpires = known.StartedAt, known.CertificateExpires
		r.Revision = parts.Revision()
	}
	r.Admits = !c.settings.Edge && c.authorityKey() != ""
	c.reportEngine(ctx, &r)
	c.reportDisk(n)
	if left := n.CertificateExpires.Sub(c.now()); left < expirySoon {
		n.Problems = append(n.Problems, fmt.Sprintf("its certificate expires on %s; issue a new one with 'setpoint cert rotate'", n.CertificateExpires.UTC().Format(time.DateOnly)))
	}
	if n.Stale > staleProblem {
		n.Problems = append(n.Problems, fmt.Sprintf("what it serves has not been confirmed by a majority for %s", time.Duration(float64(n.Stale)*float64(time.Second)).Round(time.Second)))
	}
	n.Healthy = len(n.Problems) == 0
	r.Time = c.now()
	return r
}

// reportEngine adds what this node's engine says.
func (c *Cluster) reportEngine(ctx context.Context, r *report) {
	engine, ok := c.engine()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	n := &r.Node
	s, err := engine.EngineStatus(ctx)
	if err != nil {
		n.Problems = append(n.Problems, "its engine does not answer")
		return
	}
	r.Engine = &engineReport{Cluster: hex(s.ClusterID), Term: s.Term, Applied: s.Applied, NoSpace: hexAll(s.NoSpace), Corrupt: hexAll(s.Corrupt)}
	n.ID, n.StoreSize, n.StoreUsed = hex(s.MemberID), s.Total, s.InUse
	n.Leader = s.Leader != 0 && s.Leader == s.MemberID
	if s.Learner {
		n.Role = config.Learner
	}
	if s.Leader != 0 {
		r.Engine.Leader = hex(s.Leader)
	} else {
		n.Problems = append(n.Problems, "it knows no leader: it does not reach a majority of the members")
	}
}

// reportDisk adds how much room there is.
func (c *Cluster) reportDisk(n *config.Node) {
	if c.settings.Edge {
		return
	}
	free, total, err := disk.Space(c.options.DataDir)
	if err != nil {
		return // the guard tells, once
	}
	n.DiskFree, n.DiskTotal = free, total
	if reserve := int64(c.settings.DiskReserve); free < reserve {
		n.Problems = append(n.Problems, fmt.Sprintf("its disk has only %s left, less than the %s that it keeps free (cluster.disk_reserve)", roughSize(free), c.settings.DiskReserve))
	}
}

// roughSize writes a number of bytes for a person.
func roughSize(bytes int64) string {
	for _, unit := range []plugin.Size{plugin.GiB, plugin.MiB, plugin.KiB} {
		if bytes >= 10*int64(unit) {
			return plugin.Size(bytes - bytes%int64(unit)).String()
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}

func hexAll(ids []uint64) []string {
	var out []string
	for _, id := range ids {
		out = append(out, hex(id))
	}
	return out
}
