// Package ws is the WebSocket protocol: JSON messages at /v1/ws, by which an
// application reads configs, watches them with several subscriptions on one
// connection, and reports what it applied. api/asyncapi.yaml describes the
// messages.
//
// The package turns messages into calls of package center and back. It decides
// nothing: not who may do what, and not what exists.
package ws

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// Name of the driver, in settings and measurements.
const Name = "ws"

// gateway is the open protocol.
type gateway struct {
	settings Settings
	center   *center.Center
	auth     auth.Chain
	log      *slog.Logger
	observer protocol.Observer
	version  string
	draining <-chan struct{}
	proxies  caller.Proxies

	library   *library
	fragments *fragment.Cache
	frames    *frames
	buffers   chunkBuffers
	deflaters deflaters
	crew      *crew // sends
	answering *crew // answers what clients ask
	wheel     *wheel

	// life is that of the protocol, and so of what connections ask for: they
	// outlast the requests that opened them.
	life context.Context
	end  context.CancelFunc

	gate    sync.Mutex // over open and ending, and the order of entering and ending
	open    int
	ending  bool
	readers sync.WaitGroup
	running sync.WaitGroup
}

// Open makes the protocol ready and registers its routes with the host.
func (s *Settings) Open(_ context.Context, host protocol.Host) (protocol.Protocol, error) {
	g, err := newGateway(*s, host)
	if err != nil {
		return nil, err
	}
	if err := g.mountDescription(host.HTTP); err != nil {
		return nil, err
	}
	host.HTTP(path, g)
	g.running.Go(func() { g.wheel.run(g.life, (*conn).visit) })
	g.running.Go(g.drain)
	return g, nil
}

func newGateway(s Settings, host protocol.Host) (*gateway, error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	g := &gateway{
		settings: s, center: host.Center, auth: host.Auth, log: host.Log, observer: host.Observer,
		version: host.Version, draining: host.Draining, proxies: proxies,
		library: newLibrary(&s), wheel: newWheel(s.PingInterval),
		// More hands than processors, since a hand also waits for what is not in memory.
		crew:      newCrew(4*runtime.GOMAXPROCS(0), 5*time.Millisecond),
		answering: newCrew(4*runtime.GOMAXPROCS(0), 5*time.Millisecond),
	}
	if g.fragments, err = fragment.NewCache(int64(s.Fragments)); err != nil {
		return nil, err
	}
	if g.frames, err = newFrames(int64(s.Frames)); err != nil {
		return nil, err
	}
	g.life, g.end = context.WithCancel(context.Background())
	return g, nil
}

// enter takes one of the places that there are for connections.
func (g *gateway) enter() error {
	g.gate.Lock()
	defer g.gate.Unlock()
	if g.ending {
		return config.Errorf(config.Unavailable, "connect", "", "this node is shutting down; try another")
	}
	if g.open >= g.settings.MaxConnections {
		return config.Errorf(config.Unavailable, "connect", "", "this node has %d WebSocket connections open, which is the most (max_connections); try another", g.open)
	}
	g.open++
	g.readers.Add(1)
	g.observer.ObserveStreams(Name, 1)
	return nil
}

func (g *gateway) leave() {
	g.gate.Lock()
	g.open--
	g.gate.Unlock()
	g.observer.ObserveStreams(Name, -1)
	g.readers.Done()
}

// drain sends everybody elsewhere once the server begins to shut down.
func (g *gateway) drain() {
	select {
	case <-g.draining:
	case <-g.life.Done():
	}
	g.gate.Lock() // who enters is either counted by now or refused
	g.ending = true
	g.gate.Unlock()
	g.wheel.all(func(c *conn) { c.kick(tellBye) })
}

// isEnding reports whether clients are being sent elsewhere.
func (g *gateway) isEnding() bool {
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.ending
}

// Name implements protocol.Protocol.
func (g *gateway) Name() string { return Name }

// Close says good-bye on every connection and waits until all of them are closed.
// Those that are open when ctx ends are cut.
func (g *gateway) Close(ctx context.Context) error {
	g.end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.running.Wait()
		g.readers.Wait()
		g.answering.wait()
		g.crew.wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		g.wheel.all(func(c *conn) { c.sock.abort() })
		return ctx.Err()
	}
}

// retry is how long a client should wait before it reconnects, in milliseconds: a
// different time each, so that after a restart they do not all come at once.
func (g *gateway) retry() int64 {
	retry := g.settings.Retry.Milliseconds()
	return retry + rand.Int64N(retry+1) //nolint:gosec // spreads load, guards nothing
}

func (g *gateway) observe(op string, err error, started time.Time) {
	code := "ok"
	if err != nil {
		code = config.KindOf(err).String()
	}
	g.observer.ObserveRequest(Name, op, code, time.Since(started))
}

var (
	_ protocol.Ported   = (*Settings)(nil)
	_ protocol.Protocol = (*gateway)(nil)
)
