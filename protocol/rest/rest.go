// Package rest is the REST protocol: the control plane as JSON resources with an
// OpenAPI description, and the data plane, which applications read and watch,
// as bytes and Server-Sent Events.
//
// The package turns HTTP into calls of package center and back. It decides
// nothing: not who may do what, and not what exists.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// Name of the driver, in settings and measurements.
const Name = "rest"

// api is the open protocol.
type api struct {
	settings  Settings
	center    *center.Center
	auth      auth.Chain
	log       *slog.Logger
	observer  protocol.Observer
	mediaType func(format string) string
	version   string
	draining  <-chan struct{}
	proxies   caller.Proxies
	origin    *http.CrossOriginProtection

	mux        *http.ServeMux
	public     map[string]string // the method of each path that needs no identity
	spec       *huma.OpenAPI
	compressor *compressor // nil: compression is off
	fragments  *fragment.Cache
	events     *fragment.Shared[bulletin] // that many streams are sent alike
	outputs    *pool[*output]

	gate     sync.Mutex // over watching, and the order of entering and closing
	watching int
	watchers sync.WaitGroup
	closed   chan struct{} // ends watches that outlived the draining
	closing  sync.Once
	ending   chan struct{} // closed with the first of draining and closed: watches end
	relay    sync.WaitGroup

	// What streams over HTTP/1.1 have in the place of goroutines and timers.
	crew  *crew.Crew
	wheel *crew.Wheel[*parked]
	// life is the context of streams, which outlast the requests that opened them.
	life context.Context
	end  context.CancelFunc
}

// Open makes the protocol ready and registers its routes with the host.
func (s *Settings) Open(_ context.Context, host protocol.Host) (protocol.Protocol, error) {
	a, err := newAPI(*s, host)
	if err != nil {
		return nil, err
	}
	host.HTTP("/v1/", a)
	if err := a.mountDocs(host.HTTP); err != nil {
		return nil, err
	}
	a.relay.Go(a.relayEnd)
	a.relay.Go(func() { a.wheel.Run(a.life, (*parked).visit) })
	return a, nil
}

func newAPI(s Settings, host protocol.Host) (*api, error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	a := &api{
		settings: s, center: host.Center, auth: host.Auth, log: host.Log, observer: host.Observer,
		mediaType: host.MediaType, version: host.Version, draining: host.Draining,
		proxies: proxies, origin: http.NewCrossOriginProtection(), outputs: newOutputs(),
		closed: make(chan struct{}), ending: make(chan struct{}),
		// More hands than processors, since a hand also waits for what is not in memory.
		crew: crew.New(4*runtime.GOMAXPROCS(0), 5*time.Millisecond), wheel: crew.NewWheel[*parked](s.Heartbeat),
	}
	a.life, a.end = context.WithCancel(context.Background())
	if a.compressor, err = newCompressor(int64(s.Compression)); err != nil {
		return nil, err
	}
	if a.fragments, err = fragment.NewCache(int64(s.Fragments)); err != nil {
		return nil, err
	}
	if a.events, err = fragment.NewShared(int64(s.Events), bulletin.weight); err != nil {
		return nil, err
	}
	a.mount()
	return a, nil
}

// relayEnd joins two channels into one: thousands of streams wait for it, and
// each channel that a goroutine waits for costs at every wake-up.
func (a *api) relayEnd() {
	select {
	case <-a.draining:
	case <-a.closed:
	}
	a.gate.Lock() // who enters is either counted by now or sees the end
	close(a.ending)
	a.gate.Unlock()
	a.wheel.All(func(s *parked) { s.kick(tellBye) })
}

func (a *api) isEnding() bool {
	select {
	case <-a.ending:
		return true
	default:
		return false
	}
}

// Name implements protocol.Protocol.
func (a *api) Name() string { return Name }

// Close ends the watches and waits for them; streams that are open when ctx ends are
// cut. Other requests end by themselves, and the HTTP server waits for those.
func (a *api) Close(ctx context.Context) error {
	a.closing.Do(func() { close(a.closed) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.watchers.Wait()
		a.crew.Wait()
		a.end()
		a.relay.Wait()
	}()
	select {
	case <-done:
		return a.compressor.close()
	case <-ctx.Done():
		a.wheel.All(func(s *parked) { s.line.Abort() })
		return ctx.Err()
	}
}

func (a *api) observe(op, code string, started time.Time) {
	a.observer.ObserveRequest(Name, op, code, time.Since(started))
}

var (
	_ protocol.Driver   = (*Settings)(nil)
	_ protocol.Protocol = (*api)(nil)
)
