package hostile

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// noRoom takes all connections that there are on each port, and says nothing on
// them. Whoever has one keeps it, and who comes anew waits until they are shed.
func noRoom(t *testing.T, n *node, b *bystander) {
	const count = 500 // besieged leaves room for 400
	for _, addr := range []string{n.addr, n.grpc} {
		conns := make([]net.Conn, count)
		defer func() {
			for _, c := range conns {
				if c != nil {
					c.Close()
				}
			}
		}()
		for i := range conns {
			c, err := net.DialTimeout("tcp", addr, patience)
			n.must(err)
			conns[i] = c
		}
	}
	b.goesOn(t)
	for i := range dialects {
		d := &dialects[i]
		c, s, err := d.open(n, wish{token: n.token.Reveal(), paths: []string{hushed}})
		if err == nil {
			_, err = current(s)
			c.Close()
		}
		if err != nil {
			t.Errorf("want room over %s in the end, got %v", d.name, err)
		}
	}
}

// strangers come again and again and prove nothing.
var strangers = []attack{{"nobody", all, repeatedly(func(n *node, d *dialect) error {
	c, s, err := d.open(n, wish{paths: []string{hushed}})
	if err == nil {
		defer c.Close()
		_, err = current(s)
	}
	return wantRefusal("unauthenticated", []string{"HTTP 401", "error", "status 16", "close 4403"}, err)
})}, {"a wrong token", all, repeatedly(func(n *node, d *dialect) error {
	token := n.token.Reveal()
	c, s, err := d.open(n, wish{token: token[:len(token)-4] + "evil", paths: []string{hushed}})
	if err == nil {
		defer c.Close()
		_, err = current(s)
	}
	// Who guesses too often has to wait.
	return errors.Join(oneOf(wantRefusal("unauthenticated", []string{"HTTP 401", "status 16", "close 4403"}, err), wantRefusal("throttled", []string{"HTTP 429", "status 8", "close 1013"}, err)))
})}}

func repeatedly(do func(*node, *dialect) error) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		for range 10 {
			if err := do(n, d); err != nil {
				return err
			}
		}
		return nil
	}
}

// oneOf is nil if one of the errors is.
func oneOf(errs ...error) error {
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// floods are what costs the client next to nothing, again and again.
var floods = []attack{
	{"calls that are called off", overHTTP2, flood(5000, func(h *http2Conn, token string) error {
		id, err := h.call(readCall, token)
		return errors.Join(err, h.WriteRSTStream(id, http2.ErrCodeCancel))
	})},
	{"pings", overHTTP2, flood(20_000, func(h *http2Conn, _ string) error { return h.WritePing(false, [8]byte{}) })},
	{"settings", overHTTP2, flood(20_000, func(h *http2Conn, _ string) error { return h.WriteSettings() })},
	{"empty data", overHTTP2, flood(20_000, func(h *http2Conn, token string) error {
		if h.last == 0 {
			if _, err := h.call(watchCall, token); err != nil {
				return err
			}
		}
		return h.WriteData(h.last, false, nil)
	})},
	{"windows", overHTTP2, flood(20_000, func(h *http2Conn, _ string) error { return h.WriteWindowUpdate(0, 1) })},
	{"pings", overSocket, floodSocket(20_000, string(frame(final|opPing, "x")))},
	{"empty parts", overSocket, floodSocket(20_000, string(frame(opMore, "")))},
	{"questions", overSocket, floodSocket(20_000, string(frame(final|opText, `{"type":"ping"}`)))},
	{"tokens of the future", only("WebSocket"), floodSocket(200, string(frame(final|opText, `{"type":"get","id":"x","path":"`+hushed+`","min_revision":"zzzzzz.x"}`)))},
	{"requests in one go", only("SSE"), func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = io.WriteString(c, strings.Repeat(request("GET", "/v1/version", ""), 5000))
		return nil
	}},
}

// flood sends without ever reading, until it is through or cut off.
func flood(times int, do func(h *http2Conn, token string) error) func(*node, *dialect) error {
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
		if err := c.SetWriteDeadline(time.Now().Add(flooding)); err != nil {
			return err
		}
		for range times {
			if err := do(h, n.token.Reveal()); err != nil {
				return nil // it was cut off, or is not read from any more
			}
		}
		return nil
	}
}

// flooding is how long a flood lasts at most, of a client that is not read from.
const flooding = 2 * time.Second

func floodSocket(times int, what string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := d.socket(c, n.token.Reveal()); err != nil {
			return err
		}
		if err := c.SetWriteDeadline(time.Now().Add(flooding)); err != nil {
			return err
		}
		for range times {
			if _, err := io.WriteString(c, what); err != nil {
				return nil // it was cut off, or is not read from any more
			}
		}
		return nil
	}
}
