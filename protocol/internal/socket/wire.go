package socket

import (
	"bufio"
	"net/http"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/lxzan/gws"

	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// CloseCode says why a connection was closed, by RFC 6455 or, from 4000 on, by the
// protocol of its messages.
type CloseCode uint16

// Close codes by RFC 6455.
const (
	GoingAway     CloseCode = 1001
	ProtocolError CloseCode = 1002
	Unsupported   CloseCode = 1003
	BadPolicy     CloseCode = 1008
	InternalError CloseCode = 1011
)

// receiver takes what a client sends, from one goroutine. What it is handed is
// good until it returns.
type receiver interface {
	received(text bool, data []byte)
	pinged(payload []byte)
	ponged()
}

// library is what the package uses of gws: the handshake, reading frames, and
// closing. Frames are written by this package, which encodes each once for all.
type library struct {
	plain, named *gws.Upgrader // named: the client asked for a subprotocol
}

// readBuffer is what each connection has for reading. It is small because it
// lasts as long as the connection; larger messages are read around it.
const readBuffer = 256

func newLibrary(s *Settings) *library {
	upgrader := func(protocols ...string) *gws.Upgrader {
		return gws.NewUpgrader(events{}, &gws.ServerOption{
			ReadMaxPayloadSize: s.MaxMessage, ReadBufferSize: readBuffer, CheckUtf8Enabled: true,
			ParallelGolimit: 1, SubProtocols: protocols, HandshakeTimeout: min(s.WriteTimeout, 10*time.Second),
			NewSession: func() gws.SessionStorage { return &owner{} },
			// gws only inflates, so that the deflater which comes along is the smallest
			// that there is.
			PermessageDeflate: gws.PermessageDeflate{Enabled: s.Compression, PoolSize: 2, Level: flate.HuffmanOnly},
		})
	}
	return &library{plain: upgrader(), named: upgrader(s.Subprotocols...)}
}

// wire is a WebSocket connection below the messages: frames and their end. To gws
// it is the connection below, so that whatever either of them writes has a deadline.
type wire struct {
	*line.Line
	conn *gws.Conn
}

// owner ties a connection of gws to who takes what it reads. It stores nothing
// else.
type owner struct {
	gws.SessionStorage
	receiver receiver
}

// upgrade answers a handshake that was found good, on a connection that was
// taken over from net/http.
func (l *library) upgrade(taken *line.Line, r *http.Request, s *Handshake) (*wire, error) {
	upgrader := l.plain
	if s.Subprotocol != "" {
		upgrader = l.named
	}
	upgraded, err := upgrader.UpgradeFromConn(taken, bufio.NewReaderSize(taken.Conn, readBuffer), s.request(r))
	if err != nil {
		return nil, err
	}
	taken.Lifted()
	return &wire{Line: taken, conn: upgraded}, nil
}

// read hands everything that the client sends to the receiver, and returns when
// there is nothing more to be read.
func (w *wire) read(r receiver) {
	owner, _ := w.conn.Session().(*owner)
	owner.receiver = r
	defer func() {
		// gws v1.8.9 panics at a frame that claims a length of 2⁶³ and more.
		if recover() != nil {
			w.end(ProtocolError, "protocol error")
		}
		w.Drain()
	}()
	w.conn.ReadLoop()
}

// end tells the client why and ends the connection. Only the first call counts.
func (w *wire) end(code CloseCode, reason string) {
	// The connection is over whatever comes of it.
	_ = w.conn.WriteClose(uint16(code), []byte(reason))
}

// events are what gws tells of connections.
type events struct{ gws.BuiltinEventHandler }

func receiverOf(c *gws.Conn) receiver {
	owner, _ := c.Session().(*owner)
	return owner.receiver
}

// OnMessage implements gws.Event.
func (events) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }() // gives the buffer back
	receiverOf(c).received(m.Opcode == gws.OpcodeText, m.Bytes())
}

// OnPing implements gws.Event.
func (events) OnPing(c *gws.Conn, payload []byte) { receiverOf(c).pinged(payload) }

// OnPong implements gws.Event.
func (events) OnPong(c *gws.Conn, _ []byte) { receiverOf(c).ponged() }
