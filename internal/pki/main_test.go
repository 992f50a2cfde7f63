package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes an authority in a folder of its own.
func authority(t *testing.T) (dir string, a *Authority) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certs")
	a, err := CreateAuthority(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, a
}

// local is a request for a node on this machine.
func local(name string) Request {
	return Request{Name: name, Hosts: []string{"localhost", "127.0.0.1", "::1"}}
}

// write issues a node's certificate into a folder, with what it trusts.
func write(t *testing.T, dir string, a *Authority, r Request) Files {
	t.Helper()
	cert, key, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	f := FilesIn(dir, r.Name)
	if err := WriteNode(f, Material{Cert: cert, Key: key, CA: a.Bundle()}); err != nil {
		t.Fatal(err)
	}
	return f
}

// issueAt writes a certificate as it would have been issued at another time.
func issueAt(t *testing.T, a *Authority, r Request, now time.Time) Files {
	t.Helper()
	key, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.issue(key.Public(), r, now)
	if err != nil {
		t.Fatal(err)
	}
	f := FilesIn(t.TempDir(), r.Name)
	if err := WriteNode(f, Material{Cert: cert, Key: keyPEM, CA: a.Bundle()}); err != nil {
		t.Fatal(err)
	}
	return f
}

func leaf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	certs, err := ReadCertificates(file)
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

func keeper(t *testing.T, f Files, allowed ...string) *Keeper {
	t.Helper()
	k, err := Open(Source{Files: f, AllowedNames: allowed, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// greeting is what one end of a connection learnt of the other.
type greeting struct {
	peer     string // the client's name, empty without a certificate
	protocol string
	err      error
}

// listener greets whoever comes, and tells of each.
type listener struct {
	addr string
	seen chan greeting
}

// listen accepts with a TLS configuration until the test ends.
func listen(t *testing.T, conf *tls.Config) listener {
	t.Helper()
	raw, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listener{addr: raw.Addr().String(), seen: make(chan greeting, 100)} // more than any test connects
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := raw.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.greet(tls.Server(conn, conf)) })
		}
	})
	t.Cleanup(func() { raw.Close(); running.Wait() })
	return l
}

func (l listener) greet(conn *tls.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err := conn.Handshake(); err != nil {
		l.seen <- greeting{err: err}
		return
	}
	state := conn.ConnectionState()
	name, _ := Peer(&state)
	_, err := conn.Write([]byte("hello"))
	l.seen <- greeting{peer: name, protocol: state.NegotiatedProtocol, err: err}
}

// call connects, and returns what each end made of it. In TLS 1.3 a client
// learns only when it reads that its certificate was refused.
func (l listener) call(t *testing.T, conf *tls.Config) (server greeting, client error) {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(raw, conf)
	client = conn.Handshake()
	if client == nil {
		_, client = conn.Read(make([]byte, 5))
	}
	raw.Close()
	return <-l.seen, client
}

func wantKind(t *testing.T, want config.ErrorKind, err error) {
	t.Helper()
	if err == nil || config.KindOf(err) != want {
		t.Fatalf("want an error of kind %s, got %v", want, err)
	}
}

// wantText asks for an error that a person can act upon.
func wantText(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("want %q in %q", part, got)
		}
	}
}

func mode(t *testing.T, file string) os.FileMode {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func wantAs[T error](t *testing.T, err error) {
	t.Helper()
	var target T
	if !errors.As(err, &target) {
		t.Fatalf("want a %T, got %v", target, err)
	}
}
