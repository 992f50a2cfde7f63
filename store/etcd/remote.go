package etcd

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/raft/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

const (
	// retryFor is how long a call is tried again that the engine has refused for
	// lack of a leader, or that found nobody to ask. An election is over by then.
	retryFor = 3 * time.Second
	// tryAgain is the pause between two attempts.
	tryAgain = 50 * time.Millisecond
)

// remote is the link to members that are other processes. Calls take turns among
// those that can be reached, so that the next attempt asks another one.
//
// etcd's client must be told not to repeat calls by itself (MaxUnaryRetries): it
// would repeat a transaction of which the server said that its time was up.
type remote struct {
	client   *clientv3.Client
	kv       pb.KVClient
	limit    grpc.CallOption
	patience time.Duration
}

func newRemote(client *clientv3.Client, c Settings) *remote {
	return &remote{
		client:   client,
		kv:       clientv3.RetryKVClient(client),
		limit:    grpc.MaxCallSendMsgSize(int(c.MaxRequestBytes) + overhead),
		patience: retryFor,
	}
}

func (r *remote) close() {}

// write implements link. A member that has no leader refuses before it has done
// anything.
func (r *remote) write(ctx context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	until := time.Now().Add(r.patience)
	for {
		if err := r.reach(ctx, until); err != nil {
			return nil, noAnswer("no member of the cluster can be reached; nothing was written: %w", err)
		}
		resp, err := r.kv.Txn(clientv3.WithRequireLeader(ctx), request, grpc.WaitForReady(true), r.limit)
		if err == nil || !refused(err) {
			return resp, err
		}
		if time.Now().After(until) || pause(ctx) != nil {
			return nil, noAnswer("the members of the cluster have no leader; nothing was written: %w", err)
		}
	}
}

// read implements link.
func (r *remote) read(ctx context.Context, stale bool, call func(context.Context) error) error {
	if !stale {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	var until time.Time
	for {
		err := call(ctx)
		if err == nil || !repeatable(err) {
			return err
		}
		if until.IsZero() {
			until = time.Now().Add(r.patience)
		}
		if time.Now().After(until) || pause(ctx) != nil {
			return err
		}
	}
}

// reach waits until a member can be reached.
func (r *remote) reach(ctx context.Context, until time.Time) error {
	conn := r.client.ActiveConnection()
	if conn.GetState() == connectivity.Ready {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context) error {
	t := time.NewTimer(tryAgain)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refused reports whether it is certain that nothing became of a transaction,
// because the member did not let it in, or Raft did not.
func refused(err error) bool {
	return dropped(err) || is(err, rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNotCapable, rpctypes.ErrGRPCNotSupportedForLearner)
}

// dropped reports whether Raft let go of a proposal before it was in any log.
func dropped(err error) bool {
	return err != nil && status.Convert(err).Message() == raft.ErrProposalDropped.Error()
}

// repeatable reports whether a read may succeed if it is made again.
func repeatable(err error) bool {
	return code(err) == codes.Unavailable || is(err, rpctypes.ErrGRPCNotSupportedForLearner)
}

// is compares an error, as etcd's client or as gRPC gives it, with those of etcd.
func is(err error, targets ...error) bool {
	got := rpctypes.ErrorDesc(err)
	for _, target := range targets {
		if got == rpctypes.ErrorDesc(target) {
			return true
		}
	}
	return false
}

var _ link = (*remote)(nil)
