package hostile

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// halfHello is the beginning of a TLS handshake.
const halfHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

// halfOpen is what is begun and never done. The server sheds each of them by
// itself, within what its settings allow.
var halfOpen = []attack{
	{"silence", all, halting(false, say(""), "")},
	{"half a handshake", all, halting(false, say(halfHello), "")},
	{"a handshake byte by byte", all, halting(false, say(halfHello), "\x00")},
	{"silence after the handshake", all, halting(true, say(""), "")},
	{"half a request", http1, halting(true, say("GET /v1/version HTTP/1.1\r\nHost: x\r\nX-"), "")},
	{"headers byte by byte", http1, halting(true, say("GET /v1/version HTTP/1.1\r\nHost: x\r\nX-"), "y")},
	{"half a body", only("SSE", "GraphQL over SSE"), haltingBody("")},
	{"a body byte by byte", only("SSE", "GraphQL over SSE"), haltingBody("x")},
	{"no second request", only("SSE"), halting(true, say(request("GET", "/livez", "")), "")},
	{"an upgrade without a hello", overSocket, haltingSocket(false, nil, "")},
	{"an upgrade with half a hello", overSocket, haltingSocket(false, []byte{final | opText, 0x80 | 126}, "")},
	{"a hello byte by byte", overSocket, haltingSocket(false, []byte{final | opText, 0x80 | 126, 0x40, 0}, "x")},
	{"half a frame", overSocket, haltingSocket(true, []byte{final | opText, 0x80 | 126}, "")},
	{"a message byte by byte", overSocket, haltingSocket(true, []byte{final | opText, 0x80 | 126, 0x40, 0}, "x")},
	{"pings that nobody answers", overSocket, haltingSocket(true, nil, "")},
	{"half a preface", overHTTP2, halting(true, say(http2.ClientPreface[:12]), "")},
	{"a preface and silence", overHTTP2, haltingHTTP2(func(*http2Conn, string) error { return nil }, "")},
	{"half a frame", overHTTP2, haltingHTTP2(func(*http2Conn, string) error { return nil }, "\x00")},
	{"headers without end", overHTTP2, haltingHTTP2(func(h *http2Conn, _ string) error {
		return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encodeHeaders([]string{":method", "POST"})})
	}, "")},
	{"a watch without a hello", overHTTP2, haltingCall(watchCall, true)},
	{"a login without a message", overHTTP2, haltingCall(loginCall, false)},
}

// say writes text.
func say(text string) func(*node, net.Conn) error {
	return func(_ *node, c net.Conn) error {
		_, err := io.WriteString(c, text)
		return err
	}
}

// halting begins something, goes on with a byte at a time, if there is one, and
// waits until it is cut off.
func halting(secure bool, begin func(*node, net.Conn) error, more string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := net.DialTimeout("tcp", d.addr(n), patience)
		if err == nil && secure {
			c, err = n.secure(c, d.alpn)
		}
		if err != nil {
			return err
		}
		defer c.Close()
		if err := begin(n, c); err != nil {
			return err
		}
		return drip(c, more)
	}
}

// drip sends a byte again and again until the server closes the connection.
func drip(c net.Conn, more string) error {
	ended := make(chan error, 1)
	go func() {
		_, err := closes(c)
		ended <- err
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			_, _ = io.WriteString(c, more) // fails once it was cut off
		}
	}
}

func haltingBody(more string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		method, target := "PUT", draft
		if d.driver == "graphql" {
			method, target = "POST", "/graphql"
		}
		return halting(true, func(n *node, c net.Conn) error {
			_, err := io.WriteString(c, request(method, target, `{"content":"`, authorization(n.token.Reveal()), "Content-Type: application/json", "Content-Length: 1000"))
			return err
		}, more)(n, d)
	}
}

// haltingSocket upgrades, as somebody or nobody, and begins a frame. No ping is
// answered.
func haltingSocket(known bool, begin []byte, more string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		return halting(true, func(n *node, c net.Conn) error {
			token := ""
			if known {
				token = n.token.Reveal()
			}
			if _, err := d.socket(c, token); err != nil {
				return err
			}
			_, err := c.Write(begin)
			return err
		}, more)(n, d)
	}
}

func haltingHTTP2(begin func(*http2Conn, string) error, more string) func(*node, *dialect) error {
	return halting(true, func(n *node, c net.Conn) error {
		h, err := beginHTTP2(c, wide)
		if err != nil {
			return err
		}
		return begin(h, n.token.Reveal())
	}, more)
}

// haltingCall begins a call and never says what for. All else on the connection is
// as it should be, so that only the call is cut off.
func haltingCall(method string, known bool) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		h, err := beginHTTP2(c, wide)
		if err != nil {
			return err
		}
		token := ""
		if known {
			token = n.token.Reveal()
		}
		if _, err := h.call(method, token); err != nil {
			return err
		}
		_, err = h.receive()
		return wantRefusal("timeout", []string{"status 4"}, err)
	}
}

// TestSlowLoris is apart from the other attacks because nobody can tell the admin
// port to be less patient: it holds few connections, and sheds who is slow.
func TestSlowLoris(t *testing.T) {
	t.Parallel() // it waits most of the time
	n := start(t)
	var group sync.WaitGroup
	for _, more := range []string{"", "y"} {
		group.Go(func() {
			err := concurrently(15, func() error {
				c, err := net.DialTimeout("tcp", n.admin, patience)
				if err != nil {
					return err
				}
				defer c.Close()
				if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-"); err != nil {
					return err
				}
				return drip(c, more)
			})
			if err != nil {
				t.Errorf("headers, followed by %q: %v", more, err)
			}
		})
	}
	if _, err := n.weigh(); err != nil {
		t.Errorf("want metrics meanwhile, got %v", err)
	}
	group.Wait()
}
