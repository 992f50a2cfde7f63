package etcd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/store"
)

// authority issues the certificates of a test's nodes.
type authority struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb, dir: tb.TempDir()}
	a.cert = certificate("test authority")
	a.cert.IsCA, a.cert.BasicConstraintsValid, a.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newKey(tb)
	a.file, _ = a.write("ca", a.cert, a.key)
	return a
}

// issue makes the certificate of a node on loopback, as files.
func (a *authority) issue(name string) (certFile, keyFile string) {
	a.tb.Helper()
	c := certificate(name)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return a.write(name, c, newKey(a.tb))
}

func (a *authority) write(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
	if err != nil {
		a.tb.Fatal(err)
	}
	return certFile, keyFile
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// testPort is a small store.PeerPort. Nodes can be kept out of it, and it outlives
// the node that uses it.
type testPort struct {
	Address string

	listener net.Listener
	config   *tls.Config
	http     *http.Server
	handler  atomic.Pointer[http.Handler]
	work     sync.WaitGroup

	mu     sync.Mutex
	out    func(caller string) bool // who is kept out
	closed bool
	open   map[net.Conn]string // and who called
	http1  *queue
	http2  *queue // nil until asked for
}

func newPort(tb testing.TB, a *authority, name string) *testPort {
	tb.Helper()
	certFile, keyFile := a.issue(name)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(a.file)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		tb.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &testPort{
		Address: l.Addr().String(), listener: l, open: map[net.Conn]string{}, http1: newQueue(l.Addr()),
		config: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, NextProtos: []string{"h2", "http/1.1"},
		},
	}
	p.HandleHTTP(nil)
	p.http = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(testLog(tb).With("port", name).Handler(), slog.LevelDebug),
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.handler.Load()).ServeHTTP(w, r) }),
	}
	p.work.Go(p.accept)
	p.work.Go(func() { _ = p.http.Serve(p.http1) })
	tb.Cleanup(p.Close)
	return p
}

// HandleHTTP implements store.PeerPort.
func (p *testPort) HandleHTTP(h http.Handler) {
	if h == nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "nobody is here", http.StatusServiceUnavailable)
		})
	}
	p.handler.Store(&h)
}

// ListenHTTP2 implements store.PeerPort.
func (p *testPort) ListenHTTP2() net.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.http2 = newQueue(p.listener.Addr())
	return p.http2
}

// KeepOut drops the connections of those nodes, now and from now on.
func (p *testPort) KeepOut(out func(caller string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = out
	for conn, caller := range p.open {
		if out(caller) {
			conn.Close()
			delete(p.open, conn)
		}
	}
}

// Close ends the port. The node must have stopped.
func (p *testPort) Close() {
	p.mu.Lock()
	p.closed = true
	for conn := range p.open {
		conn.Close()
	}
	p.mu.Unlock()
	p.listener.Close()
	p.http.Close()
	p.work.Wait()
}

func (p *testPort) accept() {
	for {
		raw, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			raw.Close()
		} else {
			p.open[raw] = "" // nobody yet
			p.work.Go(func() { p.greet(raw) })
		}
		p.mu.Unlock()
	}
}

// greet shakes hands and passes the connection on to whom it is for.
func (p *testPort) greet(raw net.Conn) {
	conn := tls.Server(raw, p.config)
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	err := conn.Handshake()
	raw.SetDeadline(time.Time{})
	p.mu.Lock()
	to := p.http1
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		to = p.http2
	}
	welcome := err == nil && to != nil && !p.closed
	if welcome {
		caller := conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		welcome = p.out == nil || !p.out(caller)
		p.open[raw] = caller
	}
	p.mu.Unlock()
	if !welcome || !to.put(conn) {
		raw.Close()
		p.mu.Lock()
		delete(p.open, raw)
		p.mu.Unlock()
	}
}

// queue is a net.Listener that is fed.
type queue struct {
	address net.Addr
	conns   chan net.Conn
	once    sync.Once
	done    chan struct{}
}

func newQueue(a net.Addr) *queue {
	return &queue{address: a, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (q *queue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
		return false
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return q.address }

var _ store.PeerPort = (*testPort)(nil)
