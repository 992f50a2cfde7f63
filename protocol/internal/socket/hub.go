// Package socket is what protocols over WebSocket share: everything below their
// messages. A Hub has the connections of one protocol, their places, heartbeats and
// end; a Conn is one of them, and a Session what a protocol makes of it. The package
// knows neither what is said nor who says it.
package socket

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// Settings of a Hub. A protocol's own settings have most of them.
type Settings struct {
	// Protocol is the driver's name, in measurements and in the settings' keys.
	Protocol string
	// Subprotocols are those that can be agreed to, the best first.
	Subprotocols []string
	// Origins are the web sites whose pages may connect, beside the node's own.
	Origins []string

	MaxConnections int
	MaxMessage     int // bytes that a client may send in one message
	// PingInterval is how often each client is sent a ping; one that is silent for
	// three of these is taken for gone.
	PingInterval time.Duration
	// WriteTimeout is how long a client may take nothing in.
	WriteTimeout time.Duration
	// Retry is the least time after which clients are told to come back.
	Retry time.Duration
	// Compression is whether permessage-deflate is agreed to.
	Compression bool
}

// Hub is the connections of one protocol. It is safe for concurrent use.
type Hub struct {
	settings Settings
	log      *slog.Logger
	observer protocol.Observer
	draining <-chan struct{}

	library   *library
	buffers   chunkBuffers
	deflaters Deflaters
	crew      *crew.Crew // sends
	answering *crew.Crew // answers what clients ask
	wheel     *crew.Wheel[*Conn]

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

// NewHub makes a hub and begins with the heartbeats. Close must be called.
func NewHub(s Settings, host protocol.Host) *Hub {
	const patience = 5 * time.Millisecond
	h := &Hub{
		settings: s, log: host.Log, observer: host.Observer, draining: host.Draining,
		library: newLibrary(&s), wheel: crew.NewWheel[*Conn](s.PingInterval),
		// More hands than processors, since a hand also waits for what is not in memory.
		crew:      crew.New(4*runtime.GOMAXPROCS(0), patience),
		answering: crew.New(4*runtime.GOMAXPROCS(0), patience),
	}
	h.life, h.end = context.WithCancel(context.Background())
	h.running.Go(func() { h.wheel.Run(h.life, (*Conn).visit) })
	h.running.Go(h.drain)
	return h
}

// Life is the context of what outlasts a request; it ends with Close.
func (h *Hub) Life() context.Context { return h.life }

// Connect makes a connection of a request that Check found good, and has the session
// that embeds it. Once the request's connection is taken over nothing is left to be
// answered, and there is no error.
func (h *Hub) Connect(w http.ResponseWriter, r *http.Request, shake *Handshake, c *Conn, session Session) error {
	if !line.Able(w, r) {
		return errUpgrade("it wants a connection of its own")
	}
	if err := h.enter(); err != nil {
		return err
	}
	taken, err := line.Take(w, h.settings.WriteTimeout)
	if taken == nil {
		h.leave()
		return err
	}
	c.hub, c.session, c.request = h, session, auth.RequestFrom(r.Context())
	if c.wire, err = h.library.upgrade(taken, r, shake); err != nil {
		h.leave()
		return nil //nolint:nilerr // the client is gone: all else was looked at
	}
	if shake.deflate {
		c.deflaters = &h.deflaters
	}
	c.begin()
	// A goroutine of its own, with a stack of its own size: this one has grown in the
	// handshake, and keeps the request.
	go c.run()
	return nil
}

// enter takes one of the places that there are for connections.
func (h *Hub) enter() error {
	h.gate.Lock()
	defer h.gate.Unlock()
	if h.ending {
		return config.Errorf(config.Unavailable, "connect", "", "this node is shutting down; try another")
	}
	if h.open >= h.settings.MaxConnections {
		return config.Errorf(config.Unavailable, "connect", "", "this node has %d WebSocket connections open, which is the most (max_connections); try another", h.open)
	}
	h.open++
	h.readers.Add(1)
	h.observer.ObserveStreams(h.settings.Protocol, 1)
	return nil
}

func (h *Hub) leave() {
	h.gate.Lock()
	h.open--
	h.gate.Unlock()
	h.observer.ObserveStreams(h.settings.Protocol, -1)
	h.readers.Done()
}

// drain sends everybody elsewhere once the server begins to shut down.
func (h *Hub) drain() {
	select {
	case <-h.draining:
	case <-h.life.Done():
	}
	h.gate.Lock() // who enters is either counted by now or refused
	h.ending = true
	h.gate.Unlock()
	h.wheel.All(func(c *Conn) { c.kick(tellBye) })
}

// isEnding reports whether clients are being sent elsewhere.
func (h *Hub) isEnding() bool {
	h.gate.Lock()
	defer h.gate.Unlock()
	return h.ending
}

// Close says good-bye on every connection and waits until all of them are closed.
// Those that are open when ctx ends are cut.
func (h *Hub) Close(ctx context.Context) error {
	h.end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.running.Wait()
		h.readers.Wait()
		h.answering.Wait()
		h.crew.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		h.wheel.All(func(c *Conn) { c.wire.Abort() })
		return ctx.Err()
	}
}

// Retry is how long a client should wait before it reconnects: a different time
// each, so that after a restart they do not all come at once.
func (h *Hub) Retry() time.Duration {
	retry := h.settings.Retry.Milliseconds()
	return time.Duration(retry+rand.Int64N(retry+1)) * time.Millisecond //nolint:gosec // spreads load, guards nothing
}

// Connections returns how many there are.
func (h *Hub) Connections() int {
	h.gate.Lock()
	defer h.gate.Unlock()
	return h.open
}

// Turn returns how often every client was sent a ping.
func (h *Hub) Turn() uint32 { return h.wheel.Turn() }

// HeldUp returns how many connections are being sent something for longer than d.
func (h *Hub) HeldUp(d time.Duration) int { return h.crew.Busy(d) }
