package socket

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	longest  = 4 << 10 // bytes of a message
	patience = 30 * time.Second
)

// echo is a session that says what it hears, and notes what it should not have heard.
type echo struct {
	Conn
	odd *atomic.Pointer[string]
}

func (e *echo) Open()    {}
func (e *echo) Deliver() {}
func (e *echo) Beat()    {}
func (e *echo) Bye()     {}
func (e *echo) Close()   {}

func (e *echo) Answer(message []byte) {
	if len(message) > longest || !utf8.Valid(message) {
		text := fmt.Sprintf("%d bytes: %.40q", len(message), message)
		e.odd.Store(&text)
	}
	e.Lock()
	defer e.Unlock()
	e.Send(message)
}

// station is a hub on a listener, whose connections echo.
type station struct {
	tb     testing.TB
	hub    *Hub
	addr   string
	odd    atomic.Pointer[string] // a message that should not have come through
	logged bytes.Buffer           // errors, of which there should be none
}

func start(tb testing.TB) *station {
	s := &station{tb: tb}
	s.hub = NewHub(Settings{
		Protocol: "echo", MaxConnections: 100, MaxMessage: longest, PingInterval: time.Minute,
		WriteTimeout: patience, Retry: time.Second, Compression: true,
	}, protocol.Host{
		Log:      slog.New(slog.NewTextHandler(&s.logged, &slog.HandlerOptions{Level: slog.LevelError})),
		Observer: protocol.NoObserver{}, Draining: make(chan struct{}),
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shake, err := s.hub.Check(r)
		if err == nil {
			e := &echo{odd: &s.odd}
			err = s.hub.Connect(w, r, &shake, &e.Conn, e)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	s.addr = server.Listener.Addr().String()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.hub.Close(ctx); err != nil {
			tb.Error(err)
		}
		server.Close()
		if s.logged.Len() > 0 {
			tb.Error(s.logged.String())
		}
	})
	return s
}

// send opens a connection, sends bytes as they are, and returns what comes until the
// server has closed the connection.
func (s *station) send(sent []byte, compressed bool) (got []byte) {
	s.tb.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer conn.Close()
	request := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")) + "\r\n"
	if compressed {
		request += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	_, writing := io.WriteString(conn, request+"\r\n")
	if err := errors.Join(writing, conn.SetDeadline(time.Now().Add(patience))); err != nil {
		s.tb.Fatal(err)
	}
	opening := make([]byte, 0, 512)
	for one := []byte{0}; !bytes.HasSuffix(opening, []byte("\r\n\r\n")); opening = append(opening, one[0]) {
		if _, err := conn.Read(one); err != nil {
			s.tb.Fatal(err)
		}
	}
	if !strings.HasPrefix(string(opening), "HTTP/1.1 101 ") || compressed != strings.Contains(string(opening), "permessage-deflate") {
		s.tb.Fatalf("got %s", opening)
	}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		_, _ = conn.Write(sent) // the server may have had enough of it
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err = io.ReadAll(conn)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		s.tb.Errorf("the connection was not closed, after %.60x", sent)
	}
	<-sending
	_ = conn.(*net.TCPConn).SetLinger(0) // the ports are soon needed again
	if odd := s.odd.Swap(nil); odd != nil {
		s.tb.Errorf("heard %s", *odd)
	}
	return got
}

// said returns a frame as clients send it; the mask changes nothing.
func said(first byte, payload []byte) []byte {
	b := AppendHeader(nil, first, len(payload))
	b[1] |= 0x80
	return append(append(b, 0, 0, 0, 0), payload...)
}

// claimed is a frame that says that it has so many bytes, and has none.
func claimed(first byte, length uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length), 0, 0, 0, 0)
}

// bomb is a compressed message that is far larger than it looks.
func bomb(tb testing.TB) []byte {
	var d Deflaters
	b := d.Deflate(bytes.Repeat([]byte(" "), 2<<20))
	if len(b) == 0 || len(b) > longest {
		tb.Fatalf("the bomb has %d bytes", len(b))
	}
	return b
}

// inParts is a message in frames of so many bytes each.
func inParts(first byte, message []byte, each int) (frames []byte) {
	for len(message) > each {
		frames = append(frames, said(first, message[:each])...)
		message, first = message[each:], OpContinue
	}
	return append(frames, said(Final|first, message)...)
}

// closedWith returns the code of the close frame at the end of what a server sent.
func closedWith(sent []byte) (code CloseCode) {
	for len(sent) >= 2 {
		n, header := int(sent[1]), 2
		if n == 126 && len(sent) >= 4 {
			n, header = int(binary.BigEndian.Uint16(sent[2:])), 4
		}
		if len(sent) < header+n {
			return 0
		}
		if sent[0] == Final|8 && n >= 2 {
			code = CloseCode(binary.BigEndian.Uint16(sent[header:]))
		}
		sent = sent[header+n:]
	}
	return code
}

// What a message has at most it has in total, however it comes, and nobody makes the
// server hold more than that.
func TestMessagesAreBounded(t *testing.T) {
	spaces := func(n int) []byte { return bytes.Repeat([]byte(" "), n) }
	for name, c := range map[string]struct {
		send []byte
		want CloseCode
	}{
		"one frame":                 {said(Final|OpText, spaces(longest+1)), 1009},
		"one that claims much":      {claimed(Final|OpText, 1<<40), 1009},
		"many frames":               {inParts(OpText, spaces(64<<10), 100), 1009},
		"frames of one byte":        {inParts(OpText, spaces(longest+1), 1), 1009},
		"one frame behind another":  {append(said(OpText, spaces(longest)), claimed(Final|OpContinue, longest)...), 0},
		"a bomb":                    {said(Final|Deflated|OpText, bomb(t)), InternalError},
		"a bomb in parts":           {inParts(Deflated|OpText, bomb(t), 64), InternalError},
		"many pieces of a bomb":     {bytes.Repeat(said(Deflated|OpText, bomb(t)), 20), ProtocolError},
		"a large ping":              {claimed(Final|OpPing, 1<<30), 1009},
		"a ping of 126":             {said(Final|OpPing, spaces(126)), ProtocolError},
		"no end of empty fragments": {append(said(OpText, nil), bytes.Repeat(said(OpContinue, nil), 20_000)...), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.send(nil, true) // what the first of all needs is there
			before := allocated()
			got := s.send(c.send, true)
			if code := closedWith(got); c.want != 0 && code != c.want {
				t.Errorf("want it closed with %d, got %d", c.want, code)
			}
			if grown := allocated() - before - uint64(len(c.send)); grown > 2<<20 && grown < 1<<62 {
				t.Errorf("it took %d KiB", grown>>10)
			}
		})
	}
}

// allocated returns how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Whatever comes behind a good handshake, the server neither panics nor hangs, and
// hands on only messages that are text and no longer than they may be.
func FuzzFrames(f *testing.F) {
	hello := []byte(`{"type":"hello"}`)
	for _, seed := range [][]byte{
		said(Final|OpText, hello),
		inParts(OpText, hello, 3),
		append(said(OpText, hello), said(Final|OpPing, []byte("between"))...),
		append(said(Final|OpText, hello), said(Final|8, []byte{3, 232, 'b', 'y', 'e'})...),
		said(Final|8, []byte{3}), said(Final|8, []byte{0, 0}), said(Final|8, []byte{3, 232, 0xff}),
		said(Final|2, hello),
		AppendHeader(nil, Final|OpText, 3),                        // not masked
		said(Final|0x70|OpText, hello), said(Final|0x20|2, hello), // reserved bits
		said(Final|3, hello), said(Final|0xB, nil),
		said(Final|OpText, []byte{0xff, 0xfe}), said(Final|OpText, []byte("\xed\xa0\x80")),
		inParts(OpText, []byte("é"), 1),
		said(OpPing, hello), said(8, nil), said(Final|OpPing, make([]byte, 126)),
		claimed(Final|OpText, 1<<31), claimed(Final|OpText, 1<<62), claimed(Final|OpText, 1<<63), claimed(Final|OpText, 1<<64-1), claimed(Final|OpText, 1<<64-100),
		{Final | OpText, 0x80 | 126, 0}, {Final}, {},
		said(Final|OpContinue, hello), append(said(OpText, hello), said(OpText, hello)...),
		said(Final|OpText, make([]byte, longest+1)), inParts(OpText, make([]byte, longest+1), 1000),
		said(Final|Deflated|OpText, bomb(f)), inParts(Deflated|OpText, bomb(f), 100),
		said(Final|Deflated|OpText, []byte{0xff, 0xff}), said(Final|Deflated|OpText, nil), said(Final|Deflated|OpText, bomb(f)[:20]),
		said(Final|Deflated|OpText, []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), // "Hello", of RFC 7692
		append(said(Deflated|OpText, []byte{0xf2, 0x48}), said(Final|Deflated|OpContinue, []byte{0xcd, 0xc9, 0xc9, 0x07, 0x00})...),
		[]byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	s := start(f)
	f.Fuzz(func(t *testing.T, sent []byte, compressed bool) {
		mine := &station{tb: t, hub: s.hub, addr: s.addr}
		mine.send(sent, compressed)
		if odd := s.odd.Swap(nil); odd != nil {
			t.Errorf("heard %s", *odd)
		}
	})
}
