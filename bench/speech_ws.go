package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/setpointhq/setpoint/config"
)

// The frames of WebSocket (RFC 6455) that the load generator has to do with.
const (
	frameMore   = 0x0
	frameText   = 0x1
	frameBinary = 0x2
	frameClose  = 0x8
	framePinged = 0x9
	framePong   = 0xa

	frameFinal  = 0x80 // of the first byte: the message ends with this frame
	frameMasked = 0x80 // of the second byte: as a client's must be
	mostOf7bits = 125
	length16    = 126
	length64    = 127
)

// webSocket is JSON messages at /v1/ws.
type webSocket struct{}

func (webSocket) alpn() string { return alpnHTTP1 }

func (webSocket) subscription(s server, authorization string, paths ...config.Path) [][]byte {
	return [][]byte{upgradeRequest(s, "/v1/ws", authorization, ""), masked(frameText, jsonOf(struct {
		Type  string        `json:"type"`
		ID    string        `json:"id"`
		Paths []config.Path `json:"paths"`
	}{"subscribe", "1", paths}))}
}

func (webSocket) isCurrent(message []byte) bool {
	// As it stands there it is in no string of the message: quotes would be escaped.
	return bytes.Contains(message, []byte(`"current":true`)) || bytes.HasPrefix(message, []byte(`{"type":"current"`))
}

func (w webSocket) welcome() []byte {
	return append([]byte(upgraded), w.frame([]byte(`{"type":"current","id":"1","revision":"1"}`))...)
}

func (webSocket) frame(message []byte) []byte {
	return append(frameHeadOf(frameText, 0, len(message)), message...)
}

func (webSocket) listen(c *conn, parts [][]byte, heard func([]byte) error) error {
	if err := c.upgrade(parts[0]); err != nil {
		return err
	}
	if _, err := c.Write(parts[1]); err != nil {
		return err
	}
	return c.messages(func(message []byte) error {
		if bytes.HasPrefix(message, []byte(`{"type":"error"`)) || bytes.HasPrefix(message, []byte(`{"type":"bye"`)) {
			return fmt.Errorf("the server says %.*s", excerpt, message)
		}
		return heard(message)
	})
}

// upgradeKey is any key: whoever answers is who was dialed.
const upgradeKey = "Sec-WebSocket-Key: c2V0cG9pbnQtYmVuY2gtMQ==\r\n"

// upgraded is how the floor answers a request for WebSocket.
const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

// upgradeRequest renders the request to speak WebSocket; lines are further
// header lines.
func upgradeRequest(s server, path, authorization, lines string) []byte {
	return s.request(http.MethodGet, path, authorization,
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+upgradeKey+lines, nil)
}

// upgrade sends the request and takes in that the server agrees.
func (c *conn) upgrade(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	text, err := c.in.until("\r\n\r\n", largestHead)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(text, []byte("HTTP/1.1 101 ")) {
		return nil
	}
	head, err := parseHead(text)
	if err != nil {
		return err
	}
	return c.unexpected(head)
}

// messages hands on each message until the server closes the connection, which
// is an error with what it gives as reason.
func (c *conn) messages(heard func(message []byte) error) error {
	var part []byte // of a message that comes in several frames
	for {
		f, err := c.in.webFrame()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameText, frameBinary, frameMore:
			switch {
			case len(part)+len(f.payload) > largestEvent:
				err = fmt.Errorf("a message of more than %d bytes", largestEvent)
			case !f.last:
				part = append(part, f.payload...)
			case len(part) == 0:
				err = heard(f.payload)
			default:
				err = heard(append(part, f.payload...))
				part = part[:0]
			}
		case framePinged:
			_, err = c.Write(masked(framePong, f.payload))
		case frameClose:
			err = closedBy(f.payload)
		case framePong:
		default:
			err = fmt.Errorf("a frame of kind %d", f.kind)
		}
		if err != nil {
			return err
		}
	}
}

// webFrame is one frame. Its payload is good until more is read.
type webFrame struct {
	kind    byte
	last    bool // of its message
	payload []byte
}

func (r *reader) webFrame() (webFrame, error) {
	head, err := r.take(2)
	if err != nil {
		return webFrame{}, err
	}
	f := webFrame{kind: head[0] & 0xf, last: head[0]&frameFinal != 0}
	length := uint64(head[1])
	switch {
	case head[0]&0x70 != 0 || length&frameMasked != 0:
		return f, errors.New("a frame that is compressed or masked, which nobody asked for")
	case length == length16:
		if head, err = r.take(2); err != nil {
			return f, err
		}
		length = uint64(binary.BigEndian.Uint16(head))
	case length == length64:
		if head, err = r.take(8); err != nil {
			return f, err
		}
		length = binary.BigEndian.Uint64(head)
	}
	if length > largestEvent {
		return f, fmt.Errorf("a frame of %d bytes", length)
	}
	f.payload, err = r.take(int(length))
	return f, err
}

// closedBy tells why the server closes a connection.
func closedBy(payload []byte) error {
	const status = 2 // bytes that it takes
	if len(payload) < status {
		return errors.New("the server closes the connection without a reason")
	}
	return fmt.Errorf("the server closes the connection: %d %q", binary.BigEndian.Uint16(payload), payload[status:])
}

// masked renders a client's frame. The mask guards caches on the way from what
// a script in a browser may send; here it is always the same.
func masked(kind byte, payload []byte) []byte {
	mask := [...]byte{0x53, 0x70, 0x42, 0x21}
	b := append(frameHeadOf(kind, frameMasked, len(payload)), mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%len(mask)])
	}
	return b
}

// frameHeadOf renders what comes before a frame's mask and payload.
func frameHeadOf(kind, mask byte, length int) []byte {
	b := []byte{frameFinal | kind}
	switch {
	case length <= mostOf7bits:
		return append(b, mask|byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, mask|length16), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(b, mask|length64), uint64(length))
	}
}

// jsonOf renders what always marshals.
func jsonOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}
