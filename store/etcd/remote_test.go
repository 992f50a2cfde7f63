package etcd

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// fakeMember serves etcd's key-value service, and fails as it is told.
type fakeMember struct {
	pb.UnimplementedKVServer
	mu       sync.Mutex
	failures []error // of the next calls; then they succeed
	calls    int
}

func (f *fakeMember) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if len(f.failures) == 0 {
		return nil
	}
	err := f.failures[0]
	f.failures = f.failures[1:]
	return err
}

func (f *fakeMember) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: 7}}, f.next()
}

func (f *fakeMember) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return &pb.TxnResponse{Header: &pb.ResponseHeader{Revision: 8}, Succeeded: true}, f.next()
}

// serveFake returns a store whose engine is a fake.
func serveFake(t *testing.T, f *fakeMember) *Store {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, f)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	var c Settings
	c.Defaults()
	c.RequestTimeout = time.Minute
	c.Endpoints = []string{"http://" + l.Addr().String()}
	s, err := c.open(t.Context(), store.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		server.Stop()
		<-served
	})
	return s
}

// A transaction of which something may have become is never sent again, and is
// never reported as a conflict or as anything that means that it did not happen.
func TestRemoteWrites(t *testing.T) {
	t.Parallel()
	f := &fakeMember{}
	s := serveFake(t, f)
	many := func(err error) []error {
		all := make([]error, 100)
		for i := range all {
			all[i] = err
		}
		return all
	}
	dropped := status.Error(codes.Unknown, "raft proposal dropped")
	for _, tt := range []struct {
		name     string
		failures []error
		kind     config.ErrorKind
		text     string // empty for success
		calls    int    // 0 for any
	}{
		{"success", nil, 0, "", 1},
		{"its time was up", many(context.DeadlineExceeded), config.Unavailable, errOpen.Error(), 1},
		{"it was canceled", many(context.Canceled), config.Unavailable, errOpen.Error(), 1},
		{"etcd's timeout", many(rpctypes.ErrGRPCTimeout), config.Unavailable, errOpen.Error(), 1},
		{"the leader failed", many(rpctypes.ErrGRPCTimeoutDueToLeaderFail), config.Unavailable, errOpen.Error(), 1},
		{"the connection was lost", many(rpctypes.ErrGRPCTimeoutDueToConnectionLost), config.Unavailable, errOpen.Error(), 1},
		{"the leader changed", many(rpctypes.ErrGRPCLeaderChanged), config.Unavailable, errOpen.Error(), 1},
		{"the server stopped", many(rpctypes.ErrGRPCStopped), config.Unavailable, errOpen.Error(), 1},
		{"no address", many(status.Error(codes.Unavailable, "there is no address available")), config.Unavailable, errOpen.Error(), 1},
		{"something else", many(status.Error(codes.Unknown, "raft: stopped")), config.Unavailable, errOpen.Error(), 1},
		{"dropped", []error{dropped, dropped}, 0, "", 3},
		{"no leader for a moment", []error{rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNoLeader}, 0, "", 3},
		{"a learner", []error{rpctypes.ErrGRPCNotSupportedForLearner}, 0, "", 2},
		{"a server that starts", []error{rpctypes.ErrGRPCNotCapable}, 0, "", 2},
		{"no leader", many(rpctypes.ErrGRPCNoLeader), config.Unavailable, "nothing was written", 0},
		{"too many requests", many(rpctypes.ErrTooManyRequests), config.Throttled, "too many requests", 1},
		{"no space", many(rpctypes.ErrGRPCNoSpace), config.Exhausted, "no room", 1},
	} {
		f.mu.Lock()
		f.calls, f.failures = 0, tt.failures
		f.mu.Unlock()
		s.link.(*remote).patience = time.Minute
		if tt.calls == 0 {
			s.link.(*remote).patience = time.Millisecond
		}
		_, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "k"}}})
		switch {
		case tt.text == "" && err != nil:
			t.Errorf("%s: error is %v, want none", tt.name, err)
		case tt.text != "" && (err == nil || config.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text)):
			t.Errorf("%s: error is %v, want kind %s, and %q", tt.name, err, tt.kind, tt.text)
		}
		if tt.calls > 0 && f.calls != tt.calls {
			t.Errorf("%s: sent %d times, want %d", tt.name, f.calls, tt.calls)
		}
	}
}

// A read is made again where another member, or the same one a moment later, may
// answer it.
func TestRemoteReads(t *testing.T) {
	t.Parallel()
	f := &fakeMember{}
	s := serveFake(t, f)
	for _, tt := range []struct {
		name     string
		failures []error
		want     config.ErrorKind // 0 for success
		calls    int
	}{
		{"leader changed", []error{rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCTimeout}, 0, 3},
		{"no leader", []error{rpctypes.ErrGRPCNoLeader}, 0, 2},
		{"a learner", []error{rpctypes.ErrGRPCNotSupportedForLearner}, 0, 2},
		{"the server stopped", []error{rpctypes.ErrGRPCStopped}, 0, 2},
		{"compacted", []error{rpctypes.ErrGRPCCompacted}, config.Compacted, 1},
		{"the future", []error{rpctypes.ErrGRPCFutureRev}, config.Invalid, 1},
	} {
		f.mu.Lock()
		f.calls, f.failures = 0, tt.failures
		f.mu.Unlock()
		_, err := s.Range(t.Context(), store.Query{Key: "k"})
		if (err == nil) != (tt.want == 0) || config.KindOf(err) != tt.want {
			t.Errorf("%s: error is %v, want kind %s", tt.name, err, tt.want)
		}
		if f.calls != tt.calls {
			t.Errorf("%s: asked %d times, want %d", tt.name, f.calls, tt.calls)
		}
	}
}
