// Package sockettest is a WebSocket client of the tests' own, so that both ends are
// not of the same library, and so that it can say what no well-behaved client says.
// The package is for tests only, and knows frames and messages, not what a protocol
// says in them.
package sockettest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// Patience is how long a test waits for what must come.
const Patience = 30 * time.Second

// opClose is the opcode of the frame that ends a connection.
const opClose = 0x8

// Dial is how a client connects; the zero value of a field leaves it out.
type Dial struct {
	URL    string // of the server's WebSocket: https
	TLS    *tls.Config
	Auth   string      // the Authorization header
	Query  string      // with its question mark
	Header http.Header // besides those of a handshake, or in their place; without values it takes one away
}

// Client is one WebSocket connection. It answers pings unless it is Quiet.
type Client struct {
	T       testing.TB
	Conn    *tls.Conn
	In      *bufio.Reader
	Answer  *http.Response // to the handshake, whatever it is
	Deflate bool           // messages may be compressed
	Quiet   bool           // answers no pings
}

// Open connects and sends the handshake. The caller closes Conn.
func (d Dial) Open(t testing.TB) (*Client, error) {
	r, err := http.NewRequest(http.MethodGet, d.URL+d.Query, nil)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))},
	}
	if d.Auth != "" {
		r.Header.Set("Authorization", d.Auth)
	}
	for k, v := range d.Header {
		if r.Header[k] = v; len(v) == 0 {
			delete(r.Header, k)
		}
	}
	conn, err := tls.Dial("tcp", r.URL.Host, d.TLS)
	if err != nil {
		return nil, err
	}
	c := &Client{T: t, Conn: conn, In: bufio.NewReader(conn)}
	if err = errors.Join(conn.SetDeadline(time.Now().Add(Patience)), r.Write(conn)); err == nil {
		c.Answer, err = http.ReadResponse(c.In, r)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.Deflate = strings.HasPrefix(c.Answer.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate")
	return c, nil
}

// Must ends the test if there is an error.
func (c *Client) Must(err error) {
	c.T.Helper()
	if err != nil {
		c.T.Fatal(err)
	}
}

// Say sends a message.
func (c *Client) Say(text string) {
	c.T.Helper()
	c.Frame(socket.Final|socket.OpText, []byte(text))
}

// Frame sends a frame as it is said, masked, with an opcode and bits for its first
// byte. It ends the test if that cannot be sent.
func (c *Client) Frame(first byte, payload []byte) {
	c.T.Helper()
	c.Must(c.TryFrame(first, payload))
}

// TryFrame is Frame where the connection may be closed already.
func (c *Client) TryFrame(first byte, payload []byte) error {
	b := socket.AppendHeader(nil, first, len(payload))
	b[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, p := range payload {
		b = append(b, p^mask[i%4])
	}
	_, err := c.Conn.Write(b)
	return err
}

// Unmasked is Frame without a mask, which no client may send.
func (c *Client) Unmasked(first byte, payload []byte) {
	c.T.Helper()
	_, err := c.Conn.Write(append(socket.AppendHeader(nil, first, len(payload)), payload...))
	c.Must(err)
}

// Closed is the error of a connection that the server closed.
type Closed struct {
	Code   socket.CloseCode // 0: it gave none
	Reason string
}

func (c *Closed) Error() string { return fmt.Sprintf("closed with %d %s", c.Code, c.Reason) }

// ReadFrame reads one frame; pings are answered.
func (c *Client) ReadFrame() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c.In, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.In, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.In, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if n > 1<<30 {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload = make([]byte, n)
	if _, err = io.ReadFull(c.In, payload); err != nil {
		return 0, nil, err
	}
	switch head[0] & 0xf {
	case socket.OpPing:
		if !c.Quiet {
			err = c.TryFrame(socket.Final|socket.OpPong, payload)
		}
	case opClose:
		end := &Closed{}
		if len(payload) >= 2 {
			end.Code, end.Reason = socket.CloseCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
		return 0, nil, end
	}
	return head[0], payload, err
}

// Message reads the next message, put together and inflated, and whether it was
// compressed.
func (c *Client) Message() (text []byte, compressed bool, err error) {
	for {
		first, payload, err := c.ReadFrame()
		if err != nil {
			return nil, compressed, err
		}
		if first&0xf > socket.OpText {
			continue
		}
		compressed = compressed || first&socket.Deflated != 0
		text = append(text, payload...)
		if first&socket.Final != 0 {
			break
		}
	}
	if compressed {
		tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff") // which a message is sent without, and an end
		text, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(text), tail)))
	}
	return text, compressed, err
}

// Wait gives the server Patience from now on for what the client reads and writes.
func (c *Client) Wait() {
	c.T.Helper()
	c.Must(c.Conn.SetDeadline(time.Now().Add(Patience)))
}

// End reads until the connection is closed, which must be with the code and for a
// reason that has says in it.
func (c *Client) End(want socket.CloseCode, says string) *Closed {
	c.T.Helper()
	c.Wait()
	for {
		_, _, err := c.ReadFrame()
		var end *Closed
		switch {
		case err == nil:
			continue
		case !errors.As(err, &end):
			c.T.Fatalf("want it closed with %d, got %v", want, err)
		case end.Code != want || !strings.Contains(end.Reason, says):
			c.T.Fatalf("want it closed with %d %s, got %v", want, says, end)
		}
		c.Conn.Close()
		return end
	}
}
