package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/cluster"
	"github.com/setpointhq/setpoint/internal/disk"
	"github.com/setpointhq/setpoint/store"
)

// openCluster opens the port at which nodes meet, and joins the cluster if this
// node is to and has not. A lone node has none.
func (n *node) openCluster(ctx context.Context) (*store.Peering, error) {
	if !n.settings.Cluster.Enabled() {
		return nil, nil //nolint:nilnil // a lone node meets nobody
	}
	var err error
	hasData := func() bool { return false }
	if driver, ok := n.settings.Store.Chosen()[0].Settings.(store.Local); ok {
		hasData = func() bool { return driver.HasData(n.settings.DataDir) }
	}
	n.cluster, err = cluster.Open(ctx, cluster.Options{
		Settings: n.settings.Cluster, HasData: hasData, DataDir: n.settings.DataDir, Version: n.options.Version,
		URL: n.url, Log: n.log.With("part", "cluster"), Now: n.options.Now,
	})
	if err != nil {
		return nil, err
	}
	n.onClose("peer port", n.cluster.Close)
	return n.cluster.Peering(), nil
}

// abilities adds to the center's parts what the engine can do beside storing,
// and the cluster.
func (n *node) abilities(o center.Options) center.Options {
	o.Node, o.Self = n.name(), n.self
	if n.cluster != nil { // or else a non-nil interface around a nil *Cluster
		o.Nodes = n.cluster
	}
	o.Version, o.EngineName = n.options.Version, n.settings.Store.Chosen()[0].Name
	o.Elector, _ = n.engine.(store.Elector)
	o.Snapshotter, _ = n.engine.(store.Snapshotter)
	o.Engine, _ = n.engine.(store.Cluster)
	return o
}

// attachCluster gives the cluster what it tells other nodes of this one, and
// has it look after the engine.
func (n *node) attachCluster() {
	if n.cluster == nil {
		n.guardDisk()
		return
	}
	n.cluster.Attach(cluster.Parts{
		Store:     n.engine,
		Local:     func() config.Node { return n.center.Self(context.Background()) },
		Revision:  func() int64 { return n.view.Snapshot().Revision },
		Instances: n.center.LocalInstances,
		Receipts:  n.center.LocalReceipts,
		Check:     n.center.CheckJoinToken,
		Redeem:    n.center.RedeemJoinToken,
		ID:        func() string { return n.view.Snapshot().Cluster },
	})
	n.background("cluster", n.cluster.Run)
}

// guardDisk has a lone node refuse writes before its disk or its store is full.
func (n *node) guardDisk() {
	keeper, ok := n.engine.(store.Keeper)
	if !ok {
		return
	}
	engine, _ := n.engine.(store.Cluster)
	guard := cluster.Guard{
		Keeper: keeper, Engine: engine, Dir: n.settings.DataDir, Reserve: n.settings.Cluster.DiskReserve, Log: n.log.With("part", "disk"),
	}
	n.background("disk guard", guard.Run)
}

// measureCluster registers how this node stands to the others, whom it knows of
// its clients, and the alarms of the engines.
func (n *node) measureCluster() {
	m := n.metrics
	m.gauge("stale_seconds", "For how long a majority has not confirmed what this node serves; 0 while one does.", func() float64 {
		return n.center.Staleness().Seconds()
	})
	m.gauge("instances", "Instances that say a name and are remembered, with an open watch or without.", func() float64 { return float64(n.center.InstanceStats().Remembered) })
	m.counter("instances_lost_total", "Instances that were not remembered, because there was no room (limit instances_most).", func() float64 { return float64(n.center.InstanceStats().Lost) })
	engine, ok := n.engine.(store.Cluster)
	if !ok {
		return
	}
	ask := func(pick func(store.EngineStatus) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			status, err := engine.EngineStatus(ctx)
			if err != nil {
				return 0
			}
			return pick(status)
		}
	}
	m.gauge("engine_no_space_members", "Members that have no room; while there are any, nothing can be written.", ask(func(s store.EngineStatus) float64 { return float64(len(s.NoSpace)) }))
	m.gauge("engine_corrupt_members", "Members whose data differs from that of the others.", ask(func(s store.EngineStatus) float64 { return float64(len(s.Corrupt)) }))
	m.gauge("engine_quota_bytes", "Size of the store at which writes end.", ask(func(s store.EngineStatus) float64 { return float64(s.Quota) }))
}

// name is what the node is called: by its settings, or else by its host.
func (n *node) name() string {
	if n.settings.Cluster.Name != "" {
		return n.settings.Cluster.Name
	}
	host, err := os.Hostname()
	if err != nil {
		return "" // the center has a name for such nodes
	}
	return host
}

// self is what this node can say of itself beside what the center knows.
func (n *node) self(context.Context) config.Node {
	self := config.Node{Role: config.Voter, URL: n.url(), Version: n.options.Version}
	if free, total, err := disk.Space(n.settings.DataDir); err == nil { // where it is known
		self.DiskFree, self.DiskTotal = free, total
	}
	return self
}

// url is where clients reach this node, as far as it knows itself: in a cluster
// by the name that other nodes know it by.
func (n *node) url() string {
	if n.http == nil {
		return ""
	}
	if n.cluster != nil {
		if host, _, err := net.SplitHostPort(n.cluster.Peering().Advertise); err == nil && host != "" {
			return n.http.urlFrom(host)
		}
	}
	return n.http.url()
}

// quorumHolds tells for how long a majority has not confirmed what is served.
func (n *node) quorumHolds() string {
	c := n.ready.Load()
	if c == nil {
		return ""
	}
	stale := c.Staleness()
	if stale == 0 {
		return ""
	}
	return fmt.Sprintf("no contact with the majority for %s: what is read may be that old, and changes are refused", stale.Round(time.Second))
}

var _ center.Nodes = (*cluster.Cluster)(nil)
