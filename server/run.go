package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/cluster"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/server/internal/certs"
	"github.com/setpointhq/setpoint/store"
)

// Options are what a run needs beside settings.
type Options struct {
	// Version is the build's.
	Version string
	// Log is the node's logger.
	Log *slog.Logger
	// Now is the node's clock; nil is the machine's.
	Now func() time.Time
	// ResetAdmin gives the user admin a new password before the node serves.
	ResetAdmin bool
	// InitialPassword is what the user admin gets at the first start, or with
	// ResetAdmin; empty for a random one.
	InitialPassword config.Secret
	// AdminPassword takes the random password that the first start, or ResetAdmin,
	// made for the user admin. It is called at once, and it is the only chance.
	AdminPassword func(password config.Secret) error
	// Ready is called once the node serves; may be nil.
	Ready func(Started)
}

// Started tells how to reach a node.
type Started struct {
	URL   string // of the HTTP port, "https://localhost:7400"
	Admin string // URL of the admin port; empty if there is none
	// Fingerprint is the SHA-256 of the certificate, empty without TLS.
	Fingerprint string
	// SelfSigned says that the node made the certificate for itself.
	SelfSigned bool
	// CAFile holds the authority of the node's cluster, where that is who vouches
	// for the certificate.
	CAFile string
}

// node is a server that is running.
type node struct {
	settings *Settings
	options  Options
	log      *slog.Logger
	metrics  *metrics
	health   health
	state    state
	fatal    chan error    // takes the first error of a part that ended by itself
	draining chan struct{} // closed when the shutdown begins

	http, admin *port
	certificate *certs.Keeper
	certified   certified
	cluster     *cluster.Cluster // nil for a lone node
	engine      store.Store      // the store itself; what else it can do is asked of it
	store       store.Store      // the same, measured
	view        *view.View
	center      *center.Center
	protocols   []protocol.Protocol
	served      http.Handler // what the HTTP port serves once the node is ready
	apart       []*apart     // the ports of single protocols

	// What readiness asks while the parts are still being opened.
	storeDown chan struct{}                 // closed when the engine stopped
	loaded    atomic.Pointer[view.View]     // set once the view is loaded
	ready     atomic.Pointer[center.Center] // set once the node serves

	closers []closer // in the order of opening
}

// closer ends one part and waits for it.
type closer struct {
	name string
	end  func() error
}

// Run runs a node until ctx ends, then lets it come to rest: watchers are told,
// requests under way are waited for, the parts are closed in reverse order. It
// returns nil after an orderly end, and only when everything that it started
// has stopped. An error means that the node could not start, that a part of it
// failed, or that something did not end within the grace.
func Run(ctx context.Context, s *Settings, o Options) (err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &node{
		settings: s, options: o, log: o.Log, metrics: newMetrics(o.Version),
		fatal: make(chan error, 1), draining: make(chan struct{}), storeDown: make(chan struct{}),
	}
	begun := time.Now()
	defer func() { err = errors.Join(err, n.close()) }()
	if err := n.open(ctx); err != nil {
		return err
	}
	select {
	case <-n.view.Ready():
	case err := <-n.fatal:
		return err
	case <-ctx.Done():
		return nil
	}
	n.loaded.Store(n.view)
	n.ready.Store(n.center)
	n.http.handler.set(n.served)
	for _, p := range n.apart {
		p.handler.set(&p.served)
	}
	n.state.Store(serving)
	n.log.Info("serving", "url", n.http.url(), "took", time.Since(begun).Round(time.Millisecond))
	if o.Ready != nil {
		o.Ready(n.started())
	}
	// Loading, and the first password's hash, took memory that is needed no more.
	debug.FreeOSMemory()
	select {
	case err = <-n.fatal:
		n.log.Error("the node cannot go on", "error", err)
	case <-ctx.Done():
		n.log.Info("shutting down", "grace", s.Shutdown.Grace)
	}
	return errors.Join(err, n.drain())
}

func (n *node) started() Started {
	s := Started{URL: n.http.url()}
	if n.admin != nil {
		s.Admin = n.admin.url()
	}
	if n.certificate != nil {
		s.Fingerprint = n.certificate.Fingerprint()
		switch {
		case n.settings.TLS.CertFile != "":
		case n.cluster != nil:
			s.CAFile = n.cluster.Peering().CAFile
		default:
			s.SelfSigned = true
		}
	}
	return s
}

// drain lets what is under way end: no new connections, good-bye to watchers,
// and a bounded wait.
func (n *node) drain() error {
	n.state.Store(draining)
	close(n.draining)
	// ctx has ended already: the grace is counted from here.
	ctx, cancel := context.WithTimeout(context.Background(), n.settings.Shutdown.Grace)
	defer cancel()
	ports := []*port{n.http}
	for _, p := range n.apart {
		ports = append(ports, p.port)
	}
	ended := make([]error, len(ports))
	var ending sync.WaitGroup // all at once: each would use up the grace
	for i, p := range ports {
		ending.Go(func() {
			if err := p.server.Shutdown(ctx); err != nil {
				ended[i] = fmt.Errorf("requests were still under way when the grace of %s was over: %w", n.settings.Shutdown.Grace, err)
			}
		})
	}
	ending.Wait()
	return errors.Join(errors.Join(ended...), n.closeProtocols())
}

// closeProtocols ends what outlived the draining.
func (n *node) closeProtocols() error {
	ctx, cancel := context.WithTimeout(context.Background(), handlersPatience)
	defer cancel()
	var errs []error
	for _, p := range n.protocols {
		if err := p.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close protocol %s: %w", p.Name(), err))
		}
	}
	n.protocols = nil
	return errors.Join(errs...)
}

// close ends the parts in the reverse order of their opening. It does whatever
// drain did not come to.
func (n *node) close() error {
	n.state.Store(draining)
	select {
	case <-n.draining:
	default:
		close(n.draining)
	}
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		if err := n.closers[i].end(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", n.closers[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// onClose remembers how to end a part.
func (n *node) onClose(name string, end func() error) {
	n.closers = append(n.closers, closer{name, end})
}

// background runs a part until the node is closed. A part that ends before is
// fatal for the node.
func (n *node) background(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		n.fail(name, err)
	})
	n.onClose(name, func() error {
		cancel()
		running.Wait()
		return nil
	})
}

// fail tells that a part cannot go on. The first to say so is heard.
func (n *node) fail(name string, err error) {
	select {
	case n.fatal <- fmt.Errorf("%s: %w", name, err):
	default:
	}
}

// serve runs a port until it is closed.
func (n *node) serve(name string, p *port) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.serve(); err != nil {
			n.fail(name, err)
		}
	}()
	n.onClose(name, func() error {
		err := p.close()
		<-ended
		return err
	})
}

// unready answers on the HTTP port until the node serves.
func unready(h *health) http.Handler {
	var mux protocol.Mux
	h.register(mux.Handle)
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Request-Id"] = protocol.RequestID(r)
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(3))) //nolint:gosec // not all at once; it guards nothing
		w.WriteHeader(http.StatusServiceUnavailable)
		// The client may be gone; there is nobody to tell.
		_, _ = w.Write([]byte(`{"type":"https://setpoint.dev/problems/unavailable","title":"Unavailable","status":503,"detail":"the node is starting; try again in a moment","code":"unavailable"}` + "\n"))
	}))
	return &mux
}
