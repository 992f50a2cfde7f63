package etcd

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// leaseTTL is for how long a term outlives the last sign of its holder: what a
	// dead one delays its successor, and what a busy machine may keep a living one
	// from speaking. etcd counts whole seconds.
	leaseTTL = 3 * time.Second
	// renewEach is how often the holder gives a sign. Without an answer for
	// renewPatience it tries again, perhaps with another member, after renewAgain.
	renewEach     = leaseTTL / 4
	renewPatience = leaseTTL / 4
	renewAgain    = leaseTTL / 30
	// farewell bounds the last message of a term. Without it the lease runs out.
	farewell = 2 * time.Second
)

// term is an office that was won. Its keeper renews the lease; its guard watches
// that nobody takes the key away.
type term struct {
	store *Store
	lease clientv3.LeaseID
	fence store.Cond

	life context.Context // ends with the term, at the latest with the lease
	end  context.CancelFunc
	over chan struct{} // closed when the lease was given up, or that was tried in vain
	err  error         // of giving it up; may be read once over is closed
}

// begin makes a term on a lease that lasts until then, and has it kept.
func (s *Store) begin(lease clientv3.LeaseID, until time.Time) *term {
	t := &term{store: s, lease: lease, over: make(chan struct{})}
	t.life, t.end = context.WithCancel(s.life)
	s.terms.Go(func() { t.keep(until) })
	return t
}

// Fence implements store.Term.
func (t *term) Fence() store.Cond { return t.fence }

// Done implements store.Term.
func (t *term) Done() <-chan struct{} { return t.life.Done() }

// Resign implements store.Term.
func (t *term) Resign(ctx context.Context) error {
	t.end()
	select {
	case <-t.over:
		return t.err
	case <-ctx.Done():
		return &config.Error{Op: "resign", Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

// keep renews the lease until the term ends, then gives it up. The term ends by
// itself when the lease may have: counted from before the last renewal was sent,
// for etcd counts from when that arrived.
func (t *term) keep(until time.Time) {
	defer close(t.over)
	defer t.end()
	expiry := time.AfterFunc(time.Until(until), t.end)
	defer expiry.Stop()
	leases := t.store.leases()
	for pause := renewEach; wait(t.life, pause); {
		began := time.Now()
		ttl, err := t.renew(leases)
		pause = renewEach
		switch {
		case err != nil:
			t.store.log.Debug("the lease of an office was not renewed", "error", err)
			pause = renewAgain
		case ttl <= 0: // etcd knows no such lease
			t.end()
		case expiry.Stop(): // or the term has ended meanwhile
			expiry.Reset(time.Until(began.Add(ttl)))
		}
	}
	t.err = t.giveUp()
}

// renew returns for how long the lease will last from now on.
func (t *term) renew(leases pb.LeaseClient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(t.life, renewPatience)
	defer cancel()
	if t.store.engine == nil {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	// Not clientv3's KeepAliveOnce: while etcd cannot be reached it tries again and
	// again without a pause.
	stream, err := leases.LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(t.lease)}); err != nil {
		return 0, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	return time.Duration(resp.TTL) * time.Second, nil
}

// giveUp revokes the lease, and with it the key. It runs beyond the life of the
// store if that is being closed, which waits for it; not if the engine died.
func (t *term) giveUp() error {
	if err := t.store.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_, err := t.store.client.Revoke(ctx, t.lease)
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return translate("resign", err)
}

// guard ends the term if its key changes: somebody took the office away.
func (t *term) guard() {
	defer t.end()
	pause, at := minPause, t.fence.Revision
	for t.life.Err() == nil {
		if t.store.outlast(t.life, t.fence.Key, at) == nil {
			return
		}
		wait(t.life, pause)
		pause = min(2*pause, maxPause)
		revision, now, err := t.store.holder(t.life, t.fence.Key)
		if err != nil {
			continue
		}
		if revision != t.fence.Revision {
			return
		}
		pause, at = minPause, now
	}
}

// leases is the engine's service of leases.
func (s *Store) leases() pb.LeaseClient {
	if s.engine == nil {
		return clientv3.RetryLeaseClient(s.client)
	}
	return adapter.LeaseServerToLeaseClient(v3rpc.NewQuotaLeaseServer(s.engine.server.Server))
}

var _ store.Term = (*term)(nil)
