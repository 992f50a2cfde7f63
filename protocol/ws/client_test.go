package ws

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// dial is how a client connects; the zero value of a field leaves it out.
type dial struct {
	auth   string // the Authorization header
	query  string
	header http.Header
}

// client is a WebSocket client of the test's own, so that both ends are not of the
// same library. It answers no pings unless asked to.
type client struct {
	t       testing.TB
	conn    *tls.Conn
	in      *bufio.Reader
	answer  *http.Response
	deflate bool
	quiet   bool // answers no pings
}

// incoming is any message of the server's.
type incoming struct {
	Type             string            `json:"type"`
	ID               string            `json:"id"`
	Revision         config.Token      `json:"revision"`
	Reset            bool              `json:"reset"`
	Current          bool              `json:"current"`
	Changes          []fragment.Change `json:"changes"`
	Problem          problem.Details   `json:"problem"`
	Release          *fragment.Release `json:"release"`
	NotModified      bool              `json:"not_modified"`
	Version          int64             `json:"version"`
	Server           string            `json:"server_version"`
	Env              config.Path       `json:"env"`
	Configs          []fragment.Release
	Seconds          int64  `json:"seconds"`
	Reason           string `json:"reason"`
	Retry            int64  `json:"retry_after_ms"`
	Protocol         string `json:"protocol"`
	PingInterval     int64  `json:"ping_interval_ms"`
	MaxMessage       int64  `json:"max_message"`
	MaxSubscriptions int    `json:"max_subscriptions"`
}

// try sends a handshake and returns the answer, whatever it is.
func (n *node) try(d dial) *client {
	n.t.Helper()
	c, err := dialNode(n.t, n.Node, d)
	n.must(err)
	n.t.Cleanup(func() { c.conn.Close() })
	return c
}

func dialNode(t testing.TB, n *protocoltest.Node, d dial) (*client, error) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(n.URL, "https://"), n.TLS)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodGet, n.URL+path+d.query, nil)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))},
	}
	if d.auth != "" {
		r.Header.Set("Authorization", d.auth)
	}
	for k, v := range d.header {
		if r.Header[k] = v; len(v) == 0 {
			delete(r.Header, k)
		}
	}
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	if err = errors.Join(conn.SetDeadline(time.Now().Add(patience)), r.Write(conn)); err == nil {
		c.answer, err = http.ReadResponse(c.in, r)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.deflate = strings.HasPrefix(c.answer.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate")
	return c, nil
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// connect opens a connection that must be let in.
func (n *node) connect(d dial) *client {
	n.t.Helper()
	c := n.try(d)
	if c.answer.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(c.answer.Body)
		n.t.Fatalf("want a connection, got %d %s", c.answer.StatusCode, body)
	}
	return c
}

// welcomed opens a connection with a token and reads the welcome.
func (n *node) welcomed(token string) *client {
	n.t.Helper()
	c := n.connect(dial{auth: "Bearer " + token})
	c.next("welcome")
	return c
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// frame sends a frame as it is said, masked unless told otherwise.
func (c *client) frame(first byte, masked bool, payload []byte) {
	c.t.Helper()
	c.must(c.tryFrame(first, masked, payload))
}

func (c *client) tryFrame(first byte, masked bool, payload []byte) error {
	b := socket.AppendHeader(nil, first, len(payload))
	if masked {
		b[1] |= 0x80
		mask := [4]byte{1, 2, 3, 4}
		b = append(b, mask[:]...)
		for i, p := range payload {
			b = append(b, p^mask[i%4])
		}
	} else {
		b = append(b, payload...)
	}
	_, err := c.conn.Write(b)
	return err
}

// say sends a message.
func (c *client) say(text string) {
	c.t.Helper()
	c.frame(socket.Final|socket.OpText, true, []byte(text))
}

// closed is the error of a connection that the server closed.
type closed struct {
	code   socket.CloseCode
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

// readFrame reads one frame; pings are answered.
func (c *client) readFrame() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.in, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.in, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || n > 1<<30 {
		return 0, nil, fmt.Errorf("a frame of %d bytes: %w", n, err)
	}
	payload = make([]byte, n)
	if _, err = io.ReadFull(c.in, payload); err != nil {
		return 0, nil, err
	}
	switch head[0] & 0xf {
	case socket.OpPing:
		if !c.quiet {
			err = c.tryFrame(socket.Final|socket.OpPong, true, payload)
		}
	case 8:
		end := &closed{}
		if len(payload) >= 2 {
			end.code, end.reason = socket.CloseCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
		return 0, nil, end
	}
	return head[0], payload, err
}

// read reads the next message, put together and inflated.
func (c *client) read() (m incoming, text []byte, err error) {
	small := false
	for {
		first, payload, err := c.readFrame()
		if err != nil {
			return m, nil, err
		}
		if first&0xf > socket.OpText {
			continue
		}
		small = small || first&socket.Deflated != 0
		text = append(text, payload...)
		if first&socket.Final != 0 {
			break
		}
	}
	if small {
		text, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
		if err != nil {
			return m, nil, err
		}
	}
	if err := description().checkMessage(text); err != nil {
		c.t.Errorf("%s: %v", text, err)
	}
	return m, text, json.Unmarshal(text, &m)
}

// next reads the next message, which must be of the type.
func (c *client) next(want string) incoming {
	c.t.Helper()
	c.must(c.conn.SetDeadline(time.Now().Add(patience)))
	m, text, err := c.read()
	if err != nil {
		c.t.Fatalf("want %s, got %v", want, err)
	}
	if m.Type != want {
		c.t.Fatalf("want %s, got %s", want, text)
	}
	return m
}

// problem reads the next message, which must be an error of the code.
func (c *client) problem(id, code string) problem.Details {
	c.t.Helper()
	m := c.next("error")
	if m.Problem.Code != code || m.ID != id || m.Problem.RequestID == "" || m.Problem.Type != problem.TypePrefix+code {
		c.t.Errorf("want %s of %q, got %+v", code, id, m)
	}
	return m.Problem
}

// end reads until the connection is closed, which must be for the reason.
func (c *client) end(want socket.CloseCode) {
	c.t.Helper()
	c.must(c.conn.SetDeadline(time.Now().Add(patience)))
	for {
		_, _, err := c.readFrame()
		var end *closed
		switch {
		case err == nil:
			continue
		case !errors.As(err, &end):
			c.t.Fatalf("want it closed with %d, got %v", want, err)
		case end.code != want:
			c.t.Fatalf("want it closed with %d, got %v", want, end)
		}
		c.conn.Close()
		return
	}
}

// told lists changes as path@version=content, path@deleted.
func told(m incoming) []string {
	var all []string
	for _, c := range m.Changes {
		text := fmt.Sprintf("%s@%d", c.Path, c.Version)
		if c.Deleted {
			text = c.Path.String() + "@deleted"
		}
		if c.Text != nil {
			text += "=" + *c.Text
		}
		if c.Base64 != nil {
			text += fmt.Sprintf("=%x", c.Base64)
		}
		all = append(all, text)
	}
	return all
}
