package graphql

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
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// dial is how a client connects; the zero value of a field leaves it out.
type dial struct {
	auth   string // the Authorization header
	query  string
	header http.Header
}

// listener is a WebSocket client of the test's own, so that both ends are not of the
// same library.
type listener struct {
	t       testing.TB
	conn    *tls.Conn
	in      *bufio.Reader
	answer  *http.Response
	deflate bool
	quiet   bool // answers no pings
}

// heard is any message of the server's.
type heard struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

// toldAnswer is the payload of a next.
type toldAnswer struct {
	Data struct {
		Watch *toldWatch `json:"watch"`
	} `json:"data"`
	Errors []problemOf `json:"errors"`
}

type toldWatch struct {
	Revision config.Token `json:"revision"`
	Reset    bool         `json:"reset"`
	Current  bool         `json:"current"`
	Stale    *int         `json:"stale"`
	Changes  []toldChange `json:"changes"`
}

type toldChange struct {
	Path    config.Path `json:"path"`
	Deleted bool        `json:"deleted"`
	Release *struct {
		Version int64   `json:"version"`
		Format  string  `json:"format"`
		Digest  string  `json:"digest"`
		Content *string `json:"content"`
		Base64  []byte  `json:"contentBase64"`
	} `json:"release"`
}

// watchAll selects everything of a watch that the tests look at.
const watchAll = `subscription($paths:[Pattern!]!,$after:Token){watch(paths:$paths,after:$after){revision reset current stale changes{path deleted release{version format digest content contentBase64}}}}`

func dialNode(t testing.TB, n *protocoltest.Node, d dial) (*listener, error) {
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
		"Sec-Websocket-Key":      {base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))},
		"Sec-Websocket-Protocol": {subprotocol},
	}
	if d.auth != "" {
		r.Header.Set("Authorization", d.auth)
	}
	for k, v := range d.header {
		if r.Header[k] = v; len(v) == 0 {
			delete(r.Header, k)
		}
	}
	c := &listener{t: t, conn: conn, in: bufio.NewReader(conn)}
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

func (c *listener) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// frame sends a frame as it is said, masked.
func (c *listener) frame(first byte, payload []byte) error {
	b := socket.AppendHeader(nil, first, len(payload))
	b[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, p := range payload {
		b = append(b, p^mask[i%4])
	}
	_, err := c.conn.Write(b)
	return err
}

// say sends a message.
func (c *listener) say(text string) {
	c.t.Helper()
	c.must(c.frame(socket.Final|socket.OpText, []byte(text)))
}

// subscribe asks for an operation.
func (c *listener) subscribe(id, query string, variables map[string]any) {
	c.t.Helper()
	c.must(c.trySubscribe(id, query, variables))
}

func (c *listener) trySubscribe(id, query string, variables map[string]any) error {
	text, err := json.Marshal(map[string]any{
		"id": id, "type": "subscribe", "payload": map[string]any{"query": query, "variables": variables},
	})
	if err != nil {
		return err
	}
	return c.frame(socket.Final|socket.OpText, text)
}

// watch begins a subscription of everything.
func (c *listener) watch(id string, paths ...string) {
	c.t.Helper()
	c.subscribe(id, watchAll, map[string]any{"paths": paths})
}

// closed is the error of a connection that the server closed.
type closed struct {
	code   socket.CloseCode
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

// readFrame reads one frame; pings are answered.
func (c *listener) readFrame() (first byte, payload []byte, err error) {
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
			err = c.frame(socket.Final|socket.OpPong, payload)
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
func (c *listener) read() (m heard, small bool, err error) {
	var text []byte
	for {
		first, payload, err := c.readFrame()
		if err != nil {
			return m, small, err
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
			return m, small, err
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&m); err != nil {
		err = fmt.Errorf("%.200q: %w", text, err)
	}
	return m, small, err
}

// next reads the next message, which must be of the type and for the operation.
func (c *listener) next(id, want string) heard {
	c.t.Helper()
	c.must(c.conn.SetDeadline(time.Now().Add(patience)))
	m, _, err := c.read()
	if err != nil {
		c.t.Fatalf("want %s, got %v", want, err)
	}
	if m.Type != want || m.ID != id {
		c.t.Fatalf("want %s of %q, got %s of %q: %.500s", want, id, m.Type, m.ID, m.Payload)
	}
	return m
}

// event reads what a watch tells.
func (c *listener) event(id string) toldWatch {
	c.t.Helper()
	var a toldAnswer
	c.must(json.Unmarshal(c.next(id, "next").Payload, &a))
	if a.Data.Watch == nil || len(a.Errors) > 0 {
		c.t.Fatalf("want an event, got %+v", a)
	}
	return *a.Data.Watch
}

// refused reads why an operation was refused or ended.
func (c *listener) refused(id, code string) problemOf {
	c.t.Helper()
	var errs []problemOf
	c.must(json.Unmarshal(c.next(id, "error").Payload, &errs))
	if len(errs) == 0 || errs[0].Extensions.Code != code || errs[0].Message == "" {
		c.t.Fatalf("want %s, got %+v", code, errs)
	}
	return errs[0]
}

// end reads until the connection is closed, which must be for the reason.
func (c *listener) end(want socket.CloseCode, says string) *closed {
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
		case end.code != want || !strings.Contains(end.reason, says):
			c.t.Fatalf("want it closed with %d %s, got %v", want, says, end)
		}
		c.conn.Close()
		return end
	}
}

// told lists changes as path@version=content, path@deleted.
func told(w toldWatch) []string {
	var all []string
	for _, c := range w.Changes {
		switch {
		case c.Deleted != (c.Release == nil):
			all = append(all, fmt.Sprintf("%+v", c))
		case c.Deleted:
			all = append(all, c.Path.String()+"@deleted")
		default:
			text := fmt.Sprintf("%s@%d", c.Path, c.Release.Version)
			if c.Release.Content != nil {
				text += "=" + *c.Release.Content
			}
			all = append(all, text)
		}
	}
	return all
}
