package etcd

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// How much of the log stays in memory for followers that lag; one that lags
	// more is sent a whole snapshot. A lone member has no followers. One entry can
	// hold many commits: with 64 publishers it takes up about 8 KB, so that members
	// keep about 8 MB, but up to 256 MB where all batches are as large as can be,
	// and five times as much with etcd's default of 5,000.
	loneCatchUp   = 100
	memberCatchUp = 1_000

	// slowApply is when etcd logs that it was slow; its default of 100 ms is often
	// exceeded under load, and the request that it prints is long.
	slowApply = time.Second

	// lonePeer is the address under which a lone member is entered in the
	// membership. Nothing listens there.
	lonePeer = "http://127.0.0.1:7403"

	// Heartbeats and elections, in milliseconds. A lone member elects itself: there
	// are no heartbeats to wait for, so short ticks only make it ready sooner.
	loneTick, loneElection     = 10, 100
	memberTick, memberElection = 100, 1_000

	// maxStreams is how many calls and watches one edge may have open at once.
	maxStreams = 10_000
)

// engineConfig translates the settings for etcd. peering is nil for a lone node.
func engineConfig(c Settings, peering *store.Peering, logger *zap.Logger) (*embed.Config, error) {
	gate := featuregate.New(c.Name, logger)
	if err := gate.Add(features.DefaultEtcdServerFeatureGates); err != nil {
		return nil, err
	}
	err := gate.SetFromMap(map[string]bool{string(features.InitialCorruptCheck): true, string(features.CompactHashCheck): true})
	if err != nil {
		return nil, err
	}
	e := embed.NewConfig()
	e.Name = c.Name
	e.Dir = c.DataDir
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	// No listeners at all; the gateway would want one of its own.
	e.ListenClientUrls, e.AdvertiseClientUrls, e.ListenPeerUrls = nil, nil, nil
	e.EnableGRPCGateway = false

	e.QuotaBackendBytes = int64(c.Quota)
	e.MaxTxnOps = uint(c.MaxTxnOps)
	e.MaxRequestBytes = uint(c.MaxRequestBytes)
	e.MaxConcurrentStreams = maxStreams
	e.SnapshotCount = uint64(c.SnapshotCount)
	e.AutoCompactionMode = embed.CompactorModePeriodic
	e.AutoCompactionRetention = c.CompactionRetention.String()
	e.UnsafeNoFsync = c.UnsafeNoFsync
	e.WarningApplyDuration, e.WarningUnaryRequestDuration = slowApply, slowApply
	e.ServerFeatureGate = gate
	if peering == nil {
		return e, alone(e)
	}
	return e, among(e, peering)
}

// alone makes the engine the only member of its cluster.
func alone(e *embed.Config) error {
	peer, err := url.Parse(lonePeer)
	if err != nil {
		return err
	}
	e.AdvertisePeerUrls = []url.URL{*peer}
	e.InitialCluster = e.InitialClusterFromName(e.Name)
	e.SnapshotCatchUpEntries = loneCatchUp
	e.TickMs, e.ElectionMs = loneTick, loneElection
	return nil
}

// among makes the engine a member of a cluster. Its name is the node's, even on
// data that a lone node wrote under another: etcd knows members by their number,
// and has each publish its name anew whenever it starts.
func among(e *embed.Config, p *store.Peering) error {
	if !hasData(e.Dir) {
		if err := checkMembers(p); err != nil {
			return err
		}
	}
	peer, err := url.Parse(peerURL(p.Advertise))
	if err != nil {
		return config.Errorf(config.Invalid, "", p.Advertise, "the address for other nodes must be host:port: %w", err)
	}
	e.Name = p.Name
	// Edges learn from the one, members from the other, where this member is.
	e.AdvertisePeerUrls, e.AdvertiseClientUrls = []url.URL{*peer}, []url.URL{*peer}
	initial := make([]string, 0, len(p.Members))
	for _, name := range slices.Sorted(maps.Keys(p.Members)) {
		initial = append(initial, name+"="+peerURL(p.Members[name]))
	}
	e.InitialCluster = strings.Join(initial, ",")
	e.InitialClusterToken = cmp.Or(p.Token, e.InitialClusterToken)
	e.ClusterState = embed.ClusterStateFlagNew
	if p.Join {
		e.ClusterState = embed.ClusterStateFlagExisting
	}
	e.PeerTLSInfo = peerTLS(p)
	e.StrictReconfigCheck, e.PreVote = true, true
	e.MaxLearners = 1
	e.SnapshotCatchUpEntries = memberCatchUp
	e.TickMs, e.ElectionMs = memberTick, memberElection
	return nil
}

// checkMembers refuses members of which no cluster can be made.
func checkMembers(p *store.Peering) error {
	refuse := func(format string, args ...any) error {
		return config.Errorf(config.Invalid, "", p.Name, format, args...)
	}
	own, found := p.Members[p.Name]
	switch {
	case p.Name == "":
		return refuse("the node has no name")
	case !found:
		return refuse("this node is not among the members %s; add it, or give the node the name that it has there", list(p.Members))
	case own != p.Advertise:
		return refuse("the members say that this node is at %s, it says itself that it is at %s; make them agree", own, p.Advertise)
	}
	names := make(map[string]string, len(p.Members))
	for _, name := range slices.Sorted(maps.Keys(p.Members)) {
		if strings.ContainsAny(name, "=,") {
			return refuse("the member's name %q contains = or a comma", name)
		}
		address := p.Members[name]
		if other, twice := names[address]; twice {
			return refuse("the members %s and %s have the same address %s", other, name, address)
		}
		names[address] = name
	}
	return nil
}

// list names members and where they are.
func list(members map[string]string) string {
	all := make([]string, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		all = append(all, name+"="+members[name])
	}
	return strings.Join(all, ",")
}

// hasData reports whether an engine has run in the folder before.
func hasData(dir string) bool { return wal.Exist(datadir.ToWALDir(dir)) }

// peerURL is the URL of the peer port at host:port.
func peerURL(address string) string { return "https://" + address }

// peerAddress is the inverse of peerURL.
func peerAddress(u string) string {
	if _, address, ok := strings.Cut(u, "://"); ok {
		return address
	}
	return u
}

// peerTLS is how the engine calls others. It reads the certificate for each
// connection, the authorities when it starts.
func peerTLS(p *store.Peering) transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: p.CertFile, KeyFile: p.KeyFile,
		ClientCertFile: p.CertFile, ClientKeyFile: p.KeyFile,
		TrustedCAFile: p.CAFile, ClientCertAuth: true,
	}
}
