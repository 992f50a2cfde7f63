package etcd

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/setpointhq/setpoint/store"
)

const (
	// pingEdges is how soon a member says something to an edge that has nothing to
	// ask. An edge that hears nothing for three times as long takes the member for
	// dead.
	pingEdges = time.Second
	// edgeSilence is when a member takes an edge for dead.
	edgeSilence = 10 * time.Second
	// edgePings is how often an edge may ping, at the most.
	edgePings = 5 * time.Second
	// linger is how long calls may still arrive from edges that have not yet heard
	// that the node stops; drainPatience bounds the wait for their answers.
	linger        = 100 * time.Millisecond
	drainPatience = 2 * time.Second
)

// port is what the engine of a member hangs on the node's port: what answers its
// peers, and what serves edges.
type port struct {
	peering *store.Peering
	grpc    *grpc.Server // nil until it serves
	calls   callCount
	serving sync.WaitGroup
}

// openPort lets the other members in, until the engine stops: it must not be
// called any more then.
func openPort(p *store.Peering, s *etcdserver.EtcdServer, logger *zap.Logger) *port {
	o := &port{peering: p, calls: callCount{none: make(chan struct{})}}
	p.Port.HandleHTTP(etcdhttp.NewPeerHandler(logger, s))
	o.serving.Go(func() {
		<-s.StoppingNotify()
		o.close()
	})
	return o
}

// serve lets edges in.
func (p *port) serve(s *etcdserver.EtcdServer) {
	p.grpc = v3rpc.Server(s, nil, p.calls.count,
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEdges, Timeout: edgeSilence}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: edgePings, PermitWithoutStream: true}),
	)
	l := p.peering.Port.ListenHTTP2()
	p.serving.Go(func() {
		// It ends with the listener: by drain, or because the node closed its port,
		// and says nothing that either does not know.
		_ = p.grpc.Serve(l)
	})
	p.serving.Go(func() {
		<-s.StoppingNotify()
		p.grpc.Stop()
	})
}

// drain sends edges elsewhere and waits for what they have asked so far; watches
// never end by themselves.
func (p *port) drain() {
	if p.grpc == nil {
		return
	}
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		p.grpc.GracefulStop()
	}()
	patience, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	select {
	case <-graceful:
	case <-time.After(linger):
		select {
		case <-graceful:
		case <-p.calls.drained():
		case <-patience.Done():
		}
	}
	p.grpc.Stop()
	<-graceful
}

// wait returns when nothing of the port is left. The engine must have stopped.
func (p *port) wait() { p.serving.Wait() }

// close answers other members from now on that this one is not there.
func (p *port) close() {
	p.peering.Port.HandleHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the engine of this node has stopped", http.StatusServiceUnavailable)
	}))
}

// callCount counts the calls that are being answered.
type callCount struct {
	mu       sync.Mutex
	calls    int
	draining bool
	none     chan struct{} // closed when, in draining, there are none
}

// count is a grpc.UnaryServerInterceptor.
func (f *callCount) count(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	f.add(1)
	defer f.add(-1)
	return handle(ctx, request)
}

func (f *callCount) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += n
	f.check()
}

// drained is closed as soon as there are no calls.
func (f *callCount) drained() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	f.check()
	return f.none
}

func (f *callCount) check() {
	if !f.draining || f.calls > 0 {
		return
	}
	select {
	case <-f.none:
	default:
		close(f.none)
	}
}
