package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"github.com/setpointhq/setpoint/store"
)

// handOverPatience bounds the wait for one member that is to lead from now on.
const handOverPatience = 2 * time.Second

// handOver has another member lead, if this one does: else the others would notice
// only after a while that nobody leads. etcd would do it, too, but pick a member
// that may have stopped a moment ago, and wait for it for seven seconds, which is
// what happens when a whole cluster is stopped at once.
func handOver(s *etcdserver.EtcdServer, p *store.Peering) {
	if s.Leader() != s.MemberID() {
		return
	}
	for _, m := range others(s) {
		if m.IsLearner || !answers(s, p, m) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), handOverPatience)
		err := s.MoveLeader(ctx, uint64(s.MemberID()), uint64(m.ID))
		cancel()
		if err == nil {
			return
		}
	}
}

// others are all members but this one.
func others(s *etcdserver.EtcdServer) []*membership.Member {
	var all []*membership.Member
	for _, m := range s.Cluster().Members() {
		if m.ID != s.MemberID() {
			all = append(all, m)
		}
	}
	return all
}

// answers reports whether a member's engine runs.
func answers(s *etcdserver.EtcdServer, p *store.Peering, m *membership.Member) bool {
	client, err := memberClient(p)
	if err != nil {
		return false
	}
	defer client.CloseIdleConnections()
	return ask(client, m, s.Cluster().ID().String()) == ""
}
