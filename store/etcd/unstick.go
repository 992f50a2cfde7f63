package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
)

const (
	// unstickPause is between two looks whether the engine is stuck.
	unstickPause = 500 * time.Millisecond
	// maxGap is how far etcd lets what is applied be behind what is decided before
	// it takes no more proposals.
	maxGap = 5_000
)

// unstick mends a flaw of etcd, until the engine ends. A member that was sent a
// snapshot has all that is in it, but counts only entries of the log as applied:
// until there is another one it believes to be far behind, and refuses all that
// is to be written through it as "too many requests", its own announcement
// included, without which it never is ready. Where nobody else writes there is no
// other entry. To announce the address that all know is one that etcd always lets
// pass, and that changes nothing.
func (e *engine) unstick() {
	tick := time.NewTicker(unstickPause)
	defer tick.Stop()
	before := uint64(0)
	for {
		select {
		case <-e.life.Done():
			return
		case <-tick.C:
		}
		server := e.server.Server
		applied := server.AppliedIndex()
		if applied == before && server.CommittedIndex() > applied+maxGap {
			e.announce()
		}
		before = applied
	}
}

// announce tells all members where this one is.
func (e *engine) announce() {
	ctx, cancel := context.WithTimeout(e.life, 4*unstickPause)
	defer cancel()
	server := e.server.Server
	me := server.Cluster().Member(server.MemberID())
	if me == nil {
		return // it does not know the cluster yet, or was removed
	}
	again := membership.Member{ID: types.ID(server.MemberID()), RaftAttributes: membership.RaftAttributes{
		PeerURLs: []string{peerURL(e.port.peering.Advertise)}, IsLearner: me.IsLearner,
	}}
	_, _ = server.UpdateMember(ctx, again) // if it was in vain, it is tried again
}
