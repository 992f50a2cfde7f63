package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/inflight"
)

// port is a listener with the HTTP server on it.
type port struct {
	listener net.Listener
	server   *http.Server
	handler  swappable
	secure   bool
	// tls is how it is secured, for whoever has a listener of its own; nil if it is
	// not. The server works on a copy, which it changes while it starts.
	tls      *tls.Config
	handling *inflight.Counter
}

// swappable lets a port answer while the rest of the node is still starting.
type swappable struct{ current atomic.Pointer[http.Handler] }

func (s *swappable) set(h http.Handler) { s.current.Store(&h) }

// ServeHTTP counts a handler as under way while it runs.
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.handling.Enter() {
		panic(http.ErrAbortHandler) // the connection is being cut
	}
	defer p.handling.Leave()
	(*p.handler.current.Load()).ServeHTTP(w, r)
}

// openHTTP binds a port for HTTP at the address that the setting key holds. If it is to be secure, the server lacks its TLS
// configuration yet.
func openHTTP(ctx context.Context, key string, s HTTPSettings, secure bool, log *slog.Logger) (*port, error) {
	l, err := bind(ctx, key, s.Addr)
	if err != nil {
		return nil, err
	}
	p := &port{listener: netutil.LimitListener(l, s.MaxConnections), secure: secure, handling: inflight.New()}
	p.server = &http.Server{
		Handler: p,
		// There is no timeout for whole requests and answers, because watches
		// last; handlers set deadlines for what they read and write.
		ReadHeaderTimeout: s.HeaderTimeout,
		IdleTimeout:       s.IdleTimeout,
		MaxHeaderBytes:    int(s.MaxHeader),
		// A client that is gone is noticed by pings, one that takes nothing in by the
		// time that a write may be stuck.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: time.Minute},
		// What clients do wrong on the wire is their affair.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if !secure { // gRPC needs HTTP/2 behind a proxy that ends TLS, too
		p.server.Protocols = new(http.Protocols)
		p.server.Protocols.SetHTTP1(true)
		p.server.Protocols.SetUnencryptedHTTP2(true)
	}
	return p, nil
}

// openAdmin binds the admin port.
func openAdmin(ctx context.Context, s AdminSettings, log *slog.Logger) (*port, error) {
	l, err := bind(ctx, "admin.addr", s.Addr)
	if err != nil {
		return nil, err
	}
	const most = 64 // scrapers and operators
	p := &port{listener: netutil.LimitListener(l, most), handling: inflight.New()}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return p, nil
}

// adminHandler is what the admin port serves.
func adminHandler(h *health, m *metrics) http.Handler {
	mux := http.NewServeMux()
	h.register(mux.Handle)
	mux.Handle("/metrics", m.handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// bind listens at the address that the key sets.
func bind(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, config.Errorf(config.Unavailable, "start", key, "the address %s is in use by another process; stop that one, or set %s to another", addr, key)
	case errors.Is(err, syscall.EACCES):
		return nil, config.Errorf(config.Unavailable, "start", key, "this user may not listen at %s; set %s to a port from 1024 on", addr, key)
	default:
		return nil, config.Errorf(config.Unavailable, "start", key, "%w; set %s to another address", err, key)
	}
}

// serve serves until the port is shut down or closed, and only then returns
// nil. It does not wait for handlers.
func (p *port) serve() error {
	serve := p.server.Serve
	if p.secure {
		p.server.TLSConfig = p.tls.Clone()
		serve = func(l net.Listener) error { return p.server.ServeTLS(l, "", "") }
	}
	if err := serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handlersPatience is how long handlers may take to notice that their
// connection was cut. It is reached only by one that ignores its context.
const handlersPatience = 5 * time.Second

// close cuts all connections and waits for the handlers.
func (p *port) close() error {
	err := errors.Join(p.server.Close(), ignoreClosed(p.listener.Close()))
	if !p.handling.Wait(handlersPatience) {
		err = errors.Join(err, errors.New("requests still run though their connections were cut"))
	}
	return err
}

// release gives the address back, if the port never came to serve.
func (p *port) release() error { return ignoreClosed(p.listener.Close()) }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// url is where the port is reached from this machine.
func (p *port) url() string { return p.urlFrom("localhost") }

// urlFrom is where the port is reached by who knows this machine by a name. One
// that listens at a single address is reached there and nowhere else.
func (p *port) urlFrom(name string) string {
	scheme := "http"
	if p.secure {
		scheme = "https"
	}
	host, number, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		return scheme + "://" + p.listener.Addr().String()
	}
	switch ip := net.ParseIP(host); {
	case ip == nil:
	case ip.IsUnspecified():
		host = name
	case ip.IsLoopback() && ip.To4() != nil:
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, number)
}
