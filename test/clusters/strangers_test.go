package clusters

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStrangersGetNowhere calls at the peer port as those do who have no business
// there.
func TestStrangersGetNowhere(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1")
	peer := nodes[0].peer
	other := filepath.Join(h.dir, "other")
	h.must("cert", "init", "--dir", other)
	h.must("cert", "issue", "n1", "--dir", other)
	h.must("cert", "issue", "guest", "--dir", h.certs)

	t.Run("plain text", func(t *testing.T) {
		for _, text := range []string{"GET /members HTTP/1.1\r\nHost: n1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x01\x02", strings.Repeat("A", 1<<16)} {
			conn, err := net.Dial("tcp", peer)
			if err != nil {
				t.Fatal(err)
			}
			got := talk(t, conn, text)
			if strings.Contains(got, "HTTP/1.1 2") || strings.Contains(got, "member") {
				t.Errorf("%.20q: want no answer to it, got %q", text, got)
			}
		}
	})
	requests := map[string]int{
		"GET /members":                         http.StatusUnauthorized,
		"GET /raft/probing":                    http.StatusUnauthorized,
		"POST /raft":                           http.StatusUnauthorized,
		"GET /raft/stream/message/1":           http.StatusUnauthorized,
		"POST /raft/snapshot":                  http.StatusUnauthorized,
		"GET /version":                         http.StatusUnauthorized,
		"GET /health":                          http.StatusUnauthorized,
		"GET /v3/kv/range":                     http.StatusUnauthorized,
		"POST /members/promote/1":              http.StatusUnauthorized,
		"GET /node/identity":                   http.StatusForbidden,
		"GET /node/status":                     http.StatusForbidden,
		"GET /node/instances":                  http.StatusForbidden,
		"POST /node/hello":                     http.StatusForbidden,
		"POST /node/renew":                     http.StatusForbidden,
		"POST /node/leader":                    http.StatusForbidden,
		"POST /node/members/n1/remove":         http.StatusForbidden,
		"GET /node/../members":                 http.StatusTemporaryRedirect,
		"GET /node//identity":                  http.StatusTemporaryRedirect,
		"GET http://n1/node/authority/../hell": http.StatusTemporaryRedirect,
		"GET /node/authority":                  http.StatusOK,
	}
	for name, pair := range map[string]*tls.Certificate{
		"nobody": nil, "self-signed": selfSigned(t), "of another authority": load(t, other, "n1"),
	} {
		t.Run(name, func(t *testing.T) {
			for request, want := range requests {
				got, err := ask(peer, pair, request)
				if pair != nil {
					if err == nil {
						t.Errorf("%s: want no handshake, got %d", request, got)
					}
					continue
				}
				if err != nil || got != want {
					t.Errorf("%s: want %d, got %d, %v", request, want, got, err)
				}
			}
			if got := speakHTTP2(t, peer, pair); got != "" {
				t.Errorf("want nothing over HTTP/2, got %q", got)
			}
		})
	}
	if got := speakHTTP2(t, peer, load(t, h.certs, "guest")); got == "" {
		t.Error("want a node to get through, or the others prove nothing")
	}
	if status, _ := nodes[0].ask("/readyz"); status != http.StatusOK {
		t.Errorf("want the node as it was, got %d", status)
	}
}

// talk says something and returns all that comes back.
func talk(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// Whether it is heard or cut off, what counts is what is said back.
	_, _ = io.WriteString(conn, text)
	got, err := io.ReadAll(conn)
	if err != nil && errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	return string(got)
}

func conf(pair *tls.Certificate, protocol string) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}}
	if pair != nil {
		// Shown whatever the server says that it accepts.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return c
}

// ask sends one request over HTTP/1.1 in raw bytes.
func ask(peer string, pair *tls.Certificate, request string) (int, error) {
	conn, err := tls.Dial("tcp", peer, conf(pair, "http/1.1"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, request+" HTTP/1.1\r\nHost: n1\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// speakHTTP2 begins to speak HTTP/2 and returns the first that comes back.
func speakHTTP2(t *testing.T, peer string, pair *tls.Certificate) string {
	t.Helper()
	conn, err := tls.Dial("tcp", peer, conf(pair, "h2"))
	if err != nil {
		return ""
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// The preface and an empty SETTINGS frame.
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return ""
	}
	got := make([]byte, 9)
	n, err := io.ReadFull(conn, got)
	if err != nil {
		return ""
	}
	return string(got[:n])
}

func load(t *testing.T, dir, name string) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}
