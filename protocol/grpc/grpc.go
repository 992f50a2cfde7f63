// Package grpc is the gRPC protocol: the services of setpoint.v1, which
// api/proto describes, on a port of their own and on the HTTP port.
//
// The package turns messages into calls of package center and back. It decides
// nothing: not who may do what, and not what exists.
package grpc

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	rpc "google.golang.org/grpc"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// Name of the driver, in settings and measurements.
const Name = "grpc"

// heldUp is how long the crew waits for a client before somebody else sees to the
// others.
const heldUp = 20 * time.Millisecond

// api is the open protocol.
type api struct {
	settings   Settings
	maxMessage int
	center     *center.Center
	auth       auth.Chain
	log        *slog.Logger
	observer   protocol.Observer
	version    string
	ready      func() bool
	started    atomic.Bool // ready was true once
	proxies    caller.Proxies
	fragments  *fragment.Cache
	messages   *fragment.Shared[*encoded] // to watches
	health     *health

	services *services
	own      *rpc.Server // on the port of its own; nil if there is none
	address  net.Addr    // of the own port
	crew     *crew.Crew  // sends what watches are told

	streams streams
	ending  chan struct{} // closed when the server drains, or is closed before it did
	closed  chan struct{}
	cutting chan struct{} // closed when nothing more is waited for
	stopped atomic.Bool   // nothing is served any more
	closing sync.Once
	end     sync.Once
	running sync.WaitGroup
}

// Open makes the protocol ready, registers it with the host's HTTP port and, if
// there is to be a port of its own, serves there.
func (s *Settings) Open(ctx context.Context, host protocol.Host) (protocol.Protocol, error) {
	a, err := newAPI(*s, host)
	if err != nil {
		return nil, err
	}
	if s.Port.Addr != "" {
		if err := a.openPort(ctx, host); err != nil {
			return nil, err
		}
	}
	for name := range a.services.GetServiceInfo() {
		host.HTTP("/"+name+"/", http.HandlerFunc(a.serveHTTP))
	}
	a.running.Go(a.relayEnd(host.Draining))
	a.running.Go(a.tend)
	return a, nil
}

func newAPI(s Settings, host protocol.Host) (*api, error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	a := &api{
		settings: s, center: host.Center, auth: host.Auth, log: host.Log, observer: host.Observer, version: host.Version,
		ready: host.Ready, proxies: proxies, ending: make(chan struct{}), closed: make(chan struct{}), cutting: make(chan struct{}),
		maxMessage: s.maxMessage(host.Center.Limits()),
	}
	if a.ready == nil {
		a.ready = func() bool { return true }
	}
	a.health = newHealth(a.ready)
	a.streams.open = map[*stream]struct{}{}
	a.services = a.newServices()
	a.crew = crew.New(4*runtime.GOMAXPROCS(0), heldUp)
	if a.messages, err = fragment.NewShared(int64(s.Messages), (*encoded).weight); err != nil {
		return nil, err
	}
	a.fragments, err = fragment.NewCacheOf(int64(s.Fragments), encodeServed)
	return a, err
}

// openPort serves on a port of its own.
func (a *api) openPort(ctx context.Context, host protocol.Host) error {
	const key = place + ".port"
	p := a.settings.Port
	secured, err := host.Secure(key+".tls", p.TLS)
	if err != nil {
		return err
	}
	l, err := host.Listen(ctx, key+".addr", p.Addr)
	if err != nil {
		return err
	}
	a.address = l.Addr()
	a.own = a.newServer(secured)
	l = netutil.LimitListener(l, p.MaxConnections)
	a.running.Go(func() { a.serve(l, host.Fail) })
	a.log.Info("serving a protocol on a port of its own", "protocol", Name, "address", a.address.String(), "tls", secured != nil)
	return nil
}

// serve serves on the own port until the server is stopped.
func (a *api) serve(l net.Listener, fail func(error)) {
	if err := a.own.Serve(l); err != nil && fail != nil {
		fail(err)
	}
}

// relayEnd waits for the draining and tells all that goes on: thousands of
// streams need not wait for a channel each.
func (a *api) relayEnd(draining <-chan struct{}) func() {
	return func() {
		select {
		case <-draining:
		case <-a.closed:
		}
		a.health.leave()
		close(a.ending)
		a.streams.leave()
		if a.own != nil {
			a.own.GracefulStop() // returns when all calls have, or Close cuts them
		}
	}
}

// tend looks after all streams and the health until the protocol is closed.
func (a *api) tend() {
	ticker := time.NewTicker(a.settings.tick())
	defer ticker.Stop()
	for {
		select {
		case <-a.closed:
			return
		case now := <-ticker.C:
			a.health.refresh()
			a.streams.tick(now)
		}
	}
}

// Name implements protocol.Protocol.
func (a *api) Name() string { return Name }

// Close implements protocol.Protocol. Calls under way and the good-byes of
// watches may take until ctx ends; then they are cut.
func (a *api) Close(ctx context.Context) error {
	a.closing.Do(func() { close(a.closed) })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.running.Wait() // after it all streams are told to end
		a.streams.wait()
		a.crew.Wait()
	}()
	var err error
	select {
	case <-stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	a.stopped.Store(true)
	a.end.Do(func() { close(a.cutting) })
	a.streams.cut()
	if a.own != nil {
		a.own.Stop()
	}
	<-stopped
	return err
}

var (
	_ protocol.SelfServer = (*Settings)(nil)
	_ protocol.Protocol   = (*api)(nil)
)
