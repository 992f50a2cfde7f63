package etcd

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// transferTimeout is the text of an error of etcd's that has no code of its own.
const transferTimeout = "etcdserver: request timed out, leader transfer took too long"

// Members implements store.Cluster.
func (s *Store) Members(ctx context.Context) ([]store.Member, error) {
	var resp *clientv3.MemberListResponse
	err := s.govern(ctx, "list the members", func(ctx context.Context) error {
		return s.link.read(ctx, false, func(ctx context.Context) (err error) {
			resp, err = s.client.MemberList(ctx)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	members := make([]store.Member, len(resp.Members))
	for i, m := range resp.Members {
		members[i] = memberOf(m)
	}
	return members, nil
}

func memberOf(m *pb.Member) store.Member {
	// Founders are entered with their names before any of them has run; where
	// they serve clients, they tell when they start.
	out := store.Member{ID: m.ID, Name: m.Name, Learner: m.IsLearner, Started: len(m.ClientURLs) > 0}
	if len(m.PeerURLs) > 0 {
		out.Peer = peerAddress(m.PeerURLs[0])
	}
	return out
}

// AddLearner implements store.Cluster.
func (s *Store) AddLearner(ctx context.Context, peer string) (store.Member, error) {
	var added store.Member
	err := s.govern(ctx, "add a member", func(ctx context.Context) error {
		resp, err := s.client.MemberAddAsLearner(ctx, []string{peerURL(peer)})
		switch {
		case err == nil:
			added = memberOf(resp.Member)
		case is(err, rpctypes.ErrGRPCMemberNotFound): // the number is made of address and time, in seconds
			err = config.Errorf(config.Conflict, "", "", "a member of this address was removed a moment ago; try again in a second: %w", err)
		}
		return err
	})
	return added, err
}

// Promote implements store.Cluster.
func (s *Store) Promote(ctx context.Context, id uint64) error {
	return s.govern(ctx, "promote a member", func(ctx context.Context) error {
		_, err := s.client.MemberPromote(ctx, id)
		return err
	})
}

// Remove implements store.Cluster. Alarms that the member raised go with it: no
// one else could take them back.
func (s *Store) Remove(ctx context.Context, id uint64) error {
	return s.govern(ctx, "remove a member", func(ctx context.Context) error {
		if err := s.takeOut(ctx, id); err != nil {
			return err
		}
		if s.engine != nil && uint64(s.engine.server.Server.MemberID()) == id {
			return nil // it is none any more, and nobody would listen
		}
		for _, alarm := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
			if _, err := s.client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: id, Alarm: alarm}); err != nil {
				s.log.Warn("an alarm of a removed member stays until a node is started again", "member", id, "alarm", alarm.String(), "error", err)
			}
		}
		return nil
	})
}

// takeOut asks again if there is no answer: a change of members is lost without a
// word where the leadership moves, or another such change is not through yet.
func (s *Store) takeOut(ctx context.Context, id uint64) error {
	for asked := false; ; asked = true {
		attempt, cancel := context.WithTimeout(ctx, handOverPatience)
		_, err := s.client.MemberRemove(attempt, id)
		late := attempt.Err() != nil
		cancel()
		switch {
		case asked && is(err, rpctypes.ErrGRPCMemberNotFound):
			return nil // it was the answer that was lost
		case err == nil || !late || ctx.Err() != nil:
			return err
		}
	}
}

// MoveLeader implements store.Cluster.
func (s *Store) MoveLeader(ctx context.Context, to uint64) error {
	const op = "move the leadership"
	if s.engine == nil {
		return config.Errorf(config.Unsupported, op, "", "only the leader's own node can, and this node has no engine")
	}
	return s.govern(ctx, op, func(ctx context.Context) error { return s.moveLeader(ctx, to) })
}

// moveLeader asks again if the other member does not take over soon: one that was
// promoted a moment ago may not know that it can, and lets the first call pass.
func (s *Store) moveLeader(ctx context.Context, to uint64) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, handOverPatience)
		_, err := s.client.MoveLeader(attempt, to)
		cancel()
		if err == nil || rpctypes.ErrorDesc(err) != transferTimeout || ctx.Err() != nil {
			return err
		}
	}
}

// EngineStatus implements store.Cluster. It is Unsupported on a node that has no
// engine: an edge speaks with several members in turn.
func (s *Store) EngineStatus(context.Context) (store.EngineStatus, error) {
	if s.engine == nil {
		return store.EngineStatus{}, config.Errorf(config.Unsupported, "engine status", "", "the engine does not run on this node")
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	if s.life.Err() != nil {
		return store.EngineStatus{}, context.Cause(s.life)
	}
	server := s.engine.server.Server
	status := store.EngineStatus{
		ClusterID: uint64(server.Cluster().ID()),
		MemberID:  uint64(server.MemberID()),
		Leader:    server.Lead(),
		Term:      server.Term(),
		Applied:   server.AppliedIndex(),
		Learner:   learner(server),
		Version:   version.Version,
		Total:     server.Backend().Size(),
		InUse:     server.Backend().SizeInUse(),
		Quota:     int64(s.settings.Quota),
	}
	for _, a := range server.Alarms() {
		switch a.Alarm {
		case pb.AlarmType_NOSPACE:
			status.NoSpace = append(status.NoSpace, a.MemberID)
		case pb.AlarmType_CORRUPT:
			status.Corrupt = append(status.Corrupt, a.MemberID)
		}
	}
	return status, nil
}

// learner asks the membership, and not etcd's own method: that one panics on a
// member that was removed a moment ago.
func learner(server *etcdserver.EtcdServer) bool {
	me := server.Cluster().Member(server.MemberID())
	return me != nil && me.IsLearner
}

// govern makes a call about the cluster itself.
func (s *Store) govern(ctx context.Context, op string, call func(context.Context) error) error {
	switch {
	case s.engine != nil && s.engine.port == nil:
		return config.Errorf(config.Unsupported, op, "", "this node is on its own; give it an address for other nodes (cluster.addr) first")
	case s.engine == nil && !s.edge:
		return config.Errorf(config.Unsupported, op, "", "the etcd cluster is not Setpoint's own; use its tools")
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := call(ctx); err != nil {
		return s.failGoverning(ctx, op, err)
	}
	return nil
}

// failGoverning turns what etcd says about its own cluster into an error of the
// store, with what would help.
func (s *Store) failGoverning(ctx context.Context, op string, err error) error {
	if _, ours := errors.AsType[*config.Error](err); ours {
		return s.fail(ctx, op, err)
	}
	for _, r := range []struct {
		etcd error
		kind config.ErrorKind
		text string
	}{
		{rpctypes.ErrGRPCMemberNotFound, config.NotFound, "there is no such member"},
		{rpctypes.ErrGRPCPeerURLExist, config.Exists, "a member has this address already"},
		{rpctypes.ErrGRPCMemberExist, config.Exists, "there is such a member already"},
		{rpctypes.ErrGRPCTooManyLearners, config.Conflict, "another member is still learning; wait until it is promoted, or remove it"},
		{rpctypes.ErrGRPCLearnerNotReady, config.Conflict, "the member is still catching up with the leader; wait"},
		{rpctypes.ErrGRPCMemberNotLearner, config.Conflict, "the member votes already"},
		{rpctypes.ErrMemberNotEnoughStarted, config.Conflict, "too few members would be left that run; start the others first"},
		{rpctypes.ErrGRPCUnhealthy, config.Conflict, "this node has not been connected to enough other members for the last 5s, so that the cluster could lose its majority; wait, and see that the others run"},
		{rpctypes.ErrGRPCNotLeader, config.Conflict, "this node does not lead the others; ask the leader's"},
		{rpctypes.ErrGRPCBadLeaderTransferee, config.Conflict, "only a member that votes can lead"},
	} {
		if is(err, r.etcd) {
			return config.Errorf(r.kind, op, "", "%s: %w", r.text, err)
		}
	}
	if rpctypes.ErrorDesc(err) == transferTimeout {
		return config.Errorf(config.Unavailable, op, "", "the other member did not take over in time: %w", err)
	}
	return s.fail(ctx, op, err)
}

var _ store.Cluster = (*Store)(nil)
