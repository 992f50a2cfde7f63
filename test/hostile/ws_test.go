package hostile

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// The first byte of frames, by RFC 6455.
const (
	final   = 0x80
	opMore  = 0x0
	opText  = 0x1
	opBytes = 0x2
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// frame is a client's frame.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x5a, 1, 0xff, 7}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// webSocket is a connection that was upgraded.
type webSocket struct {
	conn net.Conn
	in   *bufio.Reader
}

// upgrade asks for a WebSocket connection, as whom the token proves or as nobody.
func upgrade(c net.Conn, path, token string, headers ...string) (*webSocket, error) {
	headers = append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
		authorization(token),
	}, headers...)
	resp, in, err := answer(c, request("GET", path, "", headers...))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, refused(resp)
	}
	return &webSocket{conn: c, in: in}, nil
}

// welcomed connects and, as somebody, reads the welcome.
func welcomed(c net.Conn, token string) (*webSocket, error) {
	s, err := upgrade(c, "/v1/ws", token)
	if err == nil && token != "" {
		_, err = s.message()
	}
	return s, err
}

func watchWebSocket(c net.Conn, w wish) (stream, error) {
	s, err := upgrade(c, "/v1/ws", w.token)
	if err != nil {
		return nil, err
	}
	return s, s.subscribe("one", w)
}

func (s *webSocket) subscribe(id string, w wish) error {
	return s.say(map[string]any{"type": "subscribe", "id": id, "paths": w.paths, "after": w.after})
}

// say sends a message.
func (s *webSocket) say(message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = s.conn.Write(frame(final|opText, string(text)))
	return err
}

// told is any message of the server's.
type told struct {
	Type     string       `json:"type"`
	ID       string       `json:"id"`
	Revision config.Token `json:"revision"`
	Reset    bool         `json:"reset"`
	Current  bool         `json:"current"`
	Changes  []change     `json:"changes"`
	Hint     int64        `json:"retry_after_ms"`
	Problem  problem      `json:"problem"`
}

func (s *webSocket) next() (n news, err error) {
	m, err := s.message()
	if err != nil {
		return n, err
	}
	n = news{
		revision: m.Revision, reset: m.Reset, current: m.Current || m.Type == "current", bye: m.Type == "bye",
		hint: time.Duration(m.Hint) * time.Millisecond,
	}
	n.add(m.Changes)
	return n, nil
}

// message reads the next message. One that says what is wrong is an error.
func (s *webSocket) message() (m told, err error) {
	text, err := s.text()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%q: %w", text, err)
	}
	if m.Type == "error" {
		return m, &refusal{native: "error", code: m.Problem.Code, detail: m.Problem.Detail}
	}
	return m, nil
}

// text reads the next message as it is. Pings are answered.
func (s *webSocket) text() (text []byte, err error) {
	for {
		first, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch first & 0xf {
		case opPing:
			if _, err := s.conn.Write(frame(final|opPong, string(payload))); err != nil {
				return nil, err
			}
			continue
		case opClose:
			return nil, closedWith(payload)
		}
		text = append(text, payload...)
		if first&final != 0 {
			return text, nil
		}
	}
}

// closedWith is what a close frame says.
func closedWith(payload []byte) *refusal {
	r := &refusal{native: "close"}
	if len(payload) >= 2 {
		r.native = fmt.Sprint("close ", binary.BigEndian.Uint16(payload))
		r.detail = string(payload[2:])
	}
	return r
}

// frame reads one frame.
func (s *webSocket) frame() (first byte, payload []byte, err error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(s.in, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	length := uint64(head[1])
	switch length {
	case 126:
		_, err = io.ReadFull(s.in, head[:2])
		length = uint64(binary.BigEndian.Uint16(head))
	case 127:
		_, err = io.ReadFull(s.in, head)
		length = binary.BigEndian.Uint64(head)
	}
	if err != nil || length > 64<<20 {
		return 0, nil, fmt.Errorf("a frame of %d bytes: %w", length, err)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(s.in, payload)
	return first, payload, err
}
