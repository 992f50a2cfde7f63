package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/inflight"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

const (
	// handshakePatience is how long a caller may take to say who it is.
	handshakePatience = 5 * time.Second
	// maxHalfOpen bounds the callers that have not said yet who they are, in all and
	// from one address; more are turned away at once.
	maxHalfOpen, maxHalfOpenOfOne = 512, 64
	// maxStrangers bounds the connections of those without a certificate: they
	// are there to join and stay for a moment.
	maxStrangers = 64
	// writePatience is how long the network may take nothing of what is sent. The
	// engine relies on it: without, it would wait for a dead peer for minutes.
	writePatience = 5 * time.Second
	// closePatience is reached only by handlers that do not notice that their
	// connection was cut.
	closePatience = 10 * time.Second
)

// port is where other nodes call: one TLS listener for the engine's gRPC, the
// engine's HTTP and the nodes' own API. It implements store.PeerPort.
type port struct {
	listener net.Listener
	log      *slog.Logger
	server   *http.Server
	http1    *queue
	grpc     atomic.Pointer[queue]
	own      http.Handler // what is under /node/
	engine   atomic.Pointer[http.Handler]
	refusals refusals

	life      context.Context // of the callers' handshakes
	end       context.CancelFunc
	working   sync.WaitGroup
	handlers  *inflight.Counter
	admission callers
}

// bind takes the address, so that nobody else can, and answers nobody yet.
func bind(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, config.Errorf(config.Unavailable, "start", "cluster.addr", "the address %s is in use by another process; stop that one, or set cluster.addr to another", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, config.Errorf(config.Unavailable, "start", "cluster.addr", "this user may not listen at %s; set cluster.addr to a port from 1024 on", addr)
	default:
		return nil, config.Errorf(config.Unavailable, "start", "cluster.addr", "%w; set cluster.addr to another address", err)
	}
}

// newPort serves on the listener until it is closed, with what conf shows and
// trusts. own answers under /node/; whoever shows no certificate gets no further.
func newPort(l net.Listener, conf *tls.Config, own http.Handler, log *slog.Logger) *port {
	p := &port{listener: l, log: log, own: own, http1: newQueue(l.Addr()), handlers: inflight.New()}
	p.life, p.end = context.WithCancel(context.Background())
	p.server = &http.Server{
		Handler: p,
		// The engine's streams last, both ways: there is no limit for whole requests
		// and answers. What strangers send is limited where it is read.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute, // the engine's connections may have nothing to say for long
		MaxHeaderBytes:    64 << 10,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2 here: that is the engine's
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnState: func(conn net.Conn, now http.ConnState) {
			if now == http.StateClosed {
				p.admission.strangerLeft(conn.RemoteAddr().String())
			}
		},
	}
	p.working.Go(func() { _ = p.server.Serve(p.http1) }) // it only ends by close
	p.working.Go(func() { p.accept(conf) })
	return p
}

// accept lets callers in until the listener is closed.
func (p *port) accept(conf *tls.Config) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if p.life.Err() != nil {
				return
			}
			// Out of files, mostly; it passes.
			p.log.Warn("the peer port cannot accept", "error", err)
			select {
			case <-p.life.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		host := hostOf(conn)
		if !p.admission.enter(host) {
			p.refuse(conn, "too many callers that do not say who they are")
			continue
		}
		p.working.Go(func() {
			defer p.admission.leave(host)
			p.greet(conn, conf)
		})
	}
}

// greet does the handshake with a caller and hands the connection to what it is for.
func (p *port) greet(raw net.Conn, conf *tls.Config) {
	conn := tls.Server(impatient{raw}, conf)
	ctx, cancel := context.WithTimeout(p.life, handshakePatience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); errors.Is(err, io.EOF) {
		_ = raw.Close() // somebody who only wanted to know whether the port is open
		return
	} else if err != nil {
		p.refuse(raw, pki.Explain(err))
		return
	}
	state := conn.ConnectionState()
	_, known := pki.Peer(&state)
	switch {
	case state.NegotiatedProtocol == "h2" && !known:
		p.refuse(raw, "it speaks HTTP/2 and has no certificate of a node")
	case state.NegotiatedProtocol == "h2":
		if q := p.grpc.Load(); q == nil || !q.put(ctx, conn) {
			_ = conn.Close() // the engine is not there yet, or no more: the caller tries again
		}
	case !known && !p.admission.stranger(raw.RemoteAddr().String()):
		p.refuse(raw, "too many callers without a certificate")
	case !p.http1.put(ctx, conn):
		p.admission.strangerLeft(raw.RemoteAddr().String())
		_ = conn.Close()
	}
}

// refuse closes a connection; the log says so at most now and then.
func (p *port) refuse(conn net.Conn, why string) {
	_ = conn.Close() // there is nobody to tell
	if p.life.Err() != nil {
		return
	}
	if count, tell := p.refusals.add(time.Now()); tell {
		p.log.Warn("a caller was turned away from the peer port", "caller", conn.RemoteAddr().String(), "reason", why, "refused", count)
	}
}

// ServeHTTP answers a request over HTTP/1.1.
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.handlers.Enter() {
		panic(http.ErrAbortHandler) // the connection is being cut
	}
	defer p.handlers.Leave()
	_, known := pki.Peer(r.TLS)
	if !known {
		w.Header().Set("Connection", "close")
		// It cannot keep its place by sending slowly.
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(handshakePatience)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if strings.HasPrefix(r.URL.Path, "/node/") {
		p.own.ServeHTTP(w, r)
		return
	}
	engine := p.engine.Load()
	switch {
	case !known:
		// Not 403: by that an engine learns that its member was removed, and ends.
		writeError(w, config.Errorf(config.Unauthenticated, "", "", "this needs the certificate of a node"))
	case engine == nil:
		writeError(w, config.Errorf(config.Unavailable, "", "", "the engine of this node is not running yet"))
	default:
		(*engine).ServeHTTP(w, r)
	}
}

// HandleHTTP implements store.PeerPort.
func (p *port) HandleHTTP(h http.Handler) {
	if h == nil {
		p.engine.Store(nil)
		return
	}
	p.engine.Store(&h)
}

// ListenHTTP2 implements store.PeerPort. A further call ends the listener of the
// one before.
func (p *port) ListenHTTP2() net.Listener {
	q := newQueue(p.listener.Addr())
	if old := p.grpc.Swap(q); old != nil {
		_ = old.Close() // it cannot fail
	}
	if p.life.Err() != nil {
		_ = q.Close()
	}
	return q
}

// close cuts all connections but those that the engine has taken, which are the
// engine's, and waits for the handlers.
func (p *port) close() error {
	p.end()
	err := p.listener.Close()
	if q := p.grpc.Load(); q != nil {
		_ = q.Close() // it cannot fail
	}
	err = errors.Join(ignoreClosed(err), ignoreClosed(p.server.Close()))
	p.working.Wait()
	if !p.handlers.Wait(closePatience) {
		err = errors.Join(err, errors.New("requests of other nodes still run though their connections were cut"))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}

var _ store.PeerPort = (*port)(nil)
