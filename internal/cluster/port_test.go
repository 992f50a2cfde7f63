package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// gate is a port with a handler under /node/, and how others call it.
type gate struct {
	*port
	addr string
	log  *lockedBuffer
	node *pki.Keeper // of a caller whom it knows
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func keeper(tb testing.TB, f pki.Files) *pki.Keeper {
	tb.Helper()
	k, err := pki.Open(pki.Source{Files: f, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func openGate(t *testing.T) *gate {
	t.Helper()
	o := newOffice(t)
	l, err := bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, known := pki.Peer(r.TLS)
		fmt.Fprintf(w, "own %s %q %t", r.URL.Path, name, known)
	})
	p := newPort(l, keeper(t, o.files("n1")).ServerConfig(), own, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return &gate{port: p, addr: l.Addr().String(), log: log, node: keeper(t, o.files("n2"))}
}

// get asks over HTTP/1.1, with a certificate or as a stranger.
func (g *gate) get(t *testing.T, path string, stranger bool) (status int, body string) {
	t.Helper()
	conf := g.node.ClientConfig("127.0.0.1", "http/1.1")
	if stranger {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	}
	transport := &http.Transport{TLSClientConfig: conf}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func TestPortLetsEachCallerAsFarAsItMay(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	if status, body := g.get(t, "/raft", false); status != http.StatusServiceUnavailable {
		t.Errorf("want 503 without an engine, got %d %s", status, body)
	}
	g.HandleHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "engine "+r.URL.Path) }))
	for _, tc := range []struct {
		path     string
		stranger bool
		status   int
		body     string
	}{
		{"/raft", false, http.StatusOK, "engine /raft"},
		{"/nodes", false, http.StatusOK, "engine /nodes"},
		{"/node/x", false, http.StatusOK, `own /node/x "n2" true`},
		{"/node/x", true, http.StatusOK, `own /node/x "" false`},
		{"/raft", true, http.StatusUnauthorized, "needs the certificate of a node"},
		{"/members", true, http.StatusUnauthorized, "needs the certificate of a node"},
	} {
		t.Run(fmt.Sprint(tc.path, tc.stranger), func(t *testing.T) {
			status, body := g.get(t, tc.path, tc.stranger)
			if status != tc.status || !strings.Contains(body, tc.body) {
				t.Errorf("want %d %q, got %d %q", tc.status, tc.body, status, body)
			}
		})
	}
}

// shake connects with TLS and returns what the first read brings: an error if
// the port cut the connection.
func shake(t *testing.T, addr string, conf *tls.Config) (*tls.Conn, error) {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, conf)
	t.Cleanup(func() { conn.Close() })
	return conn, conn.HandshakeContext(t.Context())
}

func TestPortHandsOverHTTP2OfNodesAlone(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	h2 := func() *tls.Config { return g.node.ClientConfig("127.0.0.1", "h2") }
	cut := func(conn *tls.Conn, err error) bool {
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		return err != nil
	}
	if !cut(shake(t, g.addr, h2())) {
		t.Error("want it cut while nobody listens")
	}
	l := g.ListenHTTP2()
	conn, err := shake(t, g.addr, h2())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := taken.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if b, err := bufio.NewReader(conn).ReadByte(); err != nil || b != 'x' {
		t.Errorf("want the same connection, got %q, %v", b, err)
	}

	stranger := h2()
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	if !cut(shake(t, g.addr, stranger)) {
		t.Error("want a stranger cut")
	}

	next := g.ListenHTTP2()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("want the former listener closed, got %v", err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("want net.ErrClosed, got %v", err)
	}
	if !cut(shake(t, g.addr, h2())) {
		t.Error("want it cut after the listener was closed")
	}
}

func TestPortTurnsAwayWhoIsNoNode(t *testing.T) {
	t.Parallel()
	other := newOffice(t)
	for name, tc := range map[string]struct {
		call func(t *testing.T, addr string) error
		want string
	}{
		"plain text": {func(t *testing.T, addr string) error {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "GET /node/identity HTTP/1.1\r\nHost: n1\r\n\r\n")
			answer, err := io.ReadAll(conn)
			if err == nil && bytes.Contains(answer, []byte("200 OK")) {
				t.Errorf("got an answer in plain text: %q", answer)
			}
			return errors.New("cut")
		}, "does not speak TLS"},
		"another authority": {func(t *testing.T, addr string) error {
			conf := keeper(t, other.files("n2")).ClientConfig("127.0.0.1", "http/1.1")
			conf.VerifyConnection = nil // the port has to refuse it
			conn, err := shake(t, addr, conf)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			return err
		}, "which this node does not trust"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := openGate(t)
			if err := tc.call(t, g.addr); err == nil {
				t.Error("want it refused")
			}
			await(t, "the log says so", func() bool { return strings.Contains(g.log.String(), tc.want) })
			_ = tc.call(t, g.addr)
			if got := strings.Count(g.log.String(), "turned away"); got != 1 {
				t.Errorf("want it told once, got %d times", got)
			}
			if status, _ := g.get(t, "/node/x", false); status != http.StatusOK {
				t.Errorf("want nodes served all the same, got %d", status)
			}
		})
	}
}

func TestPortIsNotHeldUpByCallersThatSayNothing(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	served := func() bool {
		conn, err := shake(t, g.addr, g.node.ClientConfig("127.0.0.1", "http/1.1"))
		return err == nil && conn.Close() == nil
	}
	quiet, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	if !served() {
		t.Error("want a node served while another caller says nothing")
	}
	taken := 0
	// The caller before may leave its place a moment after it was served.
	await(t, "one more is turned away", func() bool {
		for g.admission.enter("127.0.0.1") {
			taken++
		}
		return !served()
	})
	if taken == 0 || taken > maxHalfOpenOfOne {
		t.Errorf("want room for %d callers of one host, there was some for %d", maxHalfOpenOfOne, taken)
	}
	if !g.admission.enter("192.0.2.1") {
		t.Error("want room for callers of other hosts")
	}
	await(t, "the log says so", func() bool { return strings.Contains(g.log.String(), "too many callers") })
	for range taken {
		g.admission.leave("127.0.0.1")
	}
	if !served() {
		t.Error("want room again")
	}
}

func TestPortLetsInOnlySoManyStrangers(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for i := range maxStrangers {
		if !g.admission.stranger(fmt.Sprint("192.0.2.1:", i)) {
			t.Fatalf("want room for %d strangers, there was some for %d", maxStrangers, i)
		}
	}
	stranger := g.node.ClientConfig("127.0.0.1", "http/1.1")
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	conn, err := shake(t, g.addr, stranger)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("want one more turned away")
	}
	await(t, "the log says so", func() bool { return strings.Contains(g.log.String(), "too many callers without a certificate") })
	if status, _ := g.get(t, "/node/x", false); status != http.StatusOK {
		t.Errorf("want a node served, got %d", status)
	}
	g.admission.strangerLeft("192.0.2.1:0")
	for range 2 { // whoever was served makes room for the next
		await(t, "a stranger is served", func() bool {
			conn, err := shake(t, g.addr, stranger)
			if err != nil {
				return false
			}
			defer conn.Close()
			fmt.Fprint(conn, "GET /node/x HTTP/1.1\r\nHost: n1\r\n\r\n")
			answer, err := io.ReadAll(conn)
			return err == nil && bytes.Contains(answer, []byte("200 OK"))
		})
	}
}

func TestPortWaitsForItsHandlers(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	entered, ended := make(chan struct{}), make(chan struct{})
	g.HandleHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(ended)
	}))
	conn, err := shake(t, g.addr, g.node.ClientConfig("127.0.0.1", "http/1.1"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /raft HTTP/1.1\r\nHost: n1\r\n\r\n")
	<-entered
	if err := g.close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("want the handler ended when close returns")
	}
	if l := g.ListenHTTP2(); l != nil {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("want nothing to accept on a closed port, got %v", err)
		}
	}
}

func TestBindTellsWhyAnAddressCannotBeHad(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for addr, want := range map[string]string{
		g.addr:             "is in use by another process",
		"192.0.2.1:7403":   "set cluster.addr to another address",
		"nowhere.invalid:": "set cluster.addr to another address",
	} {
		l, err := bind(context.Background(), addr)
		if err == nil {
			l.Close()
			t.Errorf("%s: want an error", addr)
			continue
		}
		if !strings.Contains(err.Error(), want) || config.KindOf(err) != config.Unavailable {
			t.Errorf("%s: want %q, got %v", addr, want, err)
		}
	}
}
