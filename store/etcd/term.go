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
	renewPatience = leaseTTL / 3
	renewAgain    = leaseTTL / 30
	// farewell bounds the last message of a term. Without it the lease runs out.
	farewell = 2 * time.Second
)

// term is an office that was won.
type term struct {
	store *Store
	lease clientv3.LeaseID
	fence store.Cond

	life context.Context // ends with the term, at the latest with the lease
	end  context.CancelFunc
	over chan struct{} // closed when the lease was given up, or that was tried in vain
	err  error         // of giving it up; may be read once over is closed
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
		case errors.Is(err, errTaken):
			t.end()
		case err != nil:
			t.store.log.Debug("the lease of an office was not renewed", "error", err)
			pause = renewAgain
		case expiry.Stop(): // or the term has ended meanwhile
			until = began.Add(ttl)
			expiry.Reset(time.Until(until))
		}
	}
	t.err = t.store.revoke(t.lease, until)
}

// renew returns for how long the lease will last from now on, or errTaken if the
// office is lost.
func (t *term) renew(leases pb.LeaseClient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(t.store.led(t.life), renewPatience)
	defer cancel()
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
	// A leader that is cut off goes on renewing until it knows. What a majority
	// confirms counts, and that the key still is the one that was won.
	revision, _, err := t.store.holder(ctx, t.fence.Key)
	switch {
	case err != nil:
		return 0, err
	case resp.TTL <= 0 || revision != t.fence.Revision:
		return 0, errTaken
	}
	return time.Duration(resp.TTL) * time.Second, nil
}

// revoke gives up a lease, and with it the key, unless it has run out. It may go
// on beyond the life of a store that is being closed, which waits for it; not if
// the engine died.
func (s *Store) revoke(lease clientv3.LeaseID, until time.Time) error {
	if err := s.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(farewell, time.Until(until)))
	defer cancel()
	if ctx.Err() != nil {
		return nil
	}
	_, err := s.client.Revoke(ctx, lease)
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return translate("resign", err)
}

// leases is the engine's service of leases.
func (s *Store) leases() pb.LeaseClient {
	if s.engine == nil {
		return clientv3.RetryLeaseClient(s.client)
	}
	return adapter.LeaseServerToLeaseClient(v3rpc.NewQuotaLeaseServer(s.engine.server.Server))
}

var _ store.Term = (*term)(nil)
