package etcd

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// link carries the store's calls to the engine. It knows when there is no point
// in sending one, and which may be sent again after they failed: a read always, a
// transaction only if it is certain that nothing became of it. Sent twice, it
// would report as a conflict what it wrote itself.
type link interface {
	// write sends a transaction. The errors are etcd's, or *config.Error where
	// the link knows more; after any but etcd's refusals the outcome is open,
	// unless the text says otherwise.
	write(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error)
	// read makes a call that changes nothing, with a ctx that it ends early where
	// there is no hope. A stale one makes do with any member, in any state.
	read(ctx context.Context, stale bool, call func(context.Context) error) error
	// close ends what the link started, and waits for it.
	close()
}

// direct is the link to a lone member's engine: it answers, or there is none.
type direct struct{ kv pb.KVClient }

func (d *direct) write(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	return d.kv.Txn(ctx, r)
}

func (d *direct) read(ctx context.Context, _ bool, call func(context.Context) error) error {
	return call(ctx)
}

func (d *direct) close() {}

var _ link = (*direct)(nil)
