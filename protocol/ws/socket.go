package ws

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/lxzan/gws"
)

// closeCode says why a connection was closed, by RFC 6455.
type closeCode uint16

const (
	goingAway     closeCode = 1001
	protocolError closeCode = 1002
	unsupported   closeCode = 1003
	badPolicy     closeCode = 1008
	internalError closeCode = 1011
)

// socket is a WebSocket connection below the messages: frames and their end.
type socket interface {
	// write sends a whole frame, or an error if the client takes nothing in for
	// the write timeout; then nothing more can be sent. Calls must not overlap.
	write(frame []byte) error
	// close tells the client why and ends the connection. Only the first call counts.
	close(code closeCode, reason string)
	// abort ends the connection at once.
	abort()
}

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
	plain, named *gws.Upgrader // named: the client asked for subprotocol
	timeout      time.Duration
}

// subprotocol is what clients that ask for a subprotocol have to ask for.
const subprotocol = "setpoint.v1"

// readBuffer is what each connection has for reading. It is small because it
// lasts as long as the connection; larger messages are read around it.
const readBuffer = 256

func newLibrary(s *Settings) *library {
	upgrader := func(protocols ...string) *gws.Upgrader {
		return gws.NewUpgrader(events{}, &gws.ServerOption{
			ReadMaxPayloadSize: int(s.MaxMessage), ReadBufferSize: readBuffer, CheckUtf8Enabled: true,
			ParallelGolimit: 1, SubProtocols: protocols, HandshakeTimeout: min(s.WriteTimeout, 10*time.Second),
			NewSession: func() gws.SessionStorage { return &owner{} },
			// gws only inflates, so that the deflater which comes along is the smallest
			// that there is.
			PermessageDeflate: gws.PermessageDeflate{Enabled: s.Compression, PoolSize: 2, Level: flate.HuffmanOnly},
		})
	}
	return &library{plain: upgrader(), named: upgrader(subprotocol), timeout: s.WriteTimeout}
}

// wire is a socket of gws. To gws it is the connection below, so that whatever
// either of them writes has a deadline.
type wire struct {
	net.Conn
	conn     *gws.Conn
	timeout  time.Duration
	extended atomic.Int64 // when the deadline of writes was last moved, in ns since 1970
}

// linger is how long a client may take to close its side once this one is closed.
const linger = time.Second

// owner ties a connection of gws to who takes what it reads. It stores nothing
// else.
type owner struct {
	gws.SessionStorage
	receiver receiver
}

// upgrade answers a handshake that was found good, on a connection that was
// taken over from net/http.
func (l *library) upgrade(conn net.Conn, r *http.Request, protocols bool) (*wire, error) {
	upgrader := l.plain
	if protocols {
		upgrader = l.named
	}
	w := &wire{Conn: conn, timeout: l.timeout}
	upgraded, err := upgrader.UpgradeFromConn(w, bufio.NewReaderSize(conn, readBuffer), r)
	if err != nil {
		return nil, err
	}
	w.conn = upgraded
	w.extended.Store(0) // gws has lifted the deadline
	return w, nil
}

// read hands everything that the client sends to the receiver, and returns when
// there is nothing more to be read.
func (w *wire) read(r receiver) {
	owner, _ := w.conn.Session().(*owner)
	owner.receiver = r
	defer func() {
		// gws v1.8.9 panics at a frame that claims a length of 2⁶³ and more.
		if recover() != nil {
			w.close(protocolError, "protocol error")
		}
		w.drain()
	}()
	w.conn.ReadLoop()
}

// Close implements net.Conn for gws, which calls it behind a close frame. The
// client has yet to read that: a connection with unread data in it would be reset,
// and the frame lost. So only this side is closed, and what comes is read for a
// while.
func (w *wire) Close() error {
	_ = w.SetReadDeadline(time.Now().Add(linger)) // of a connection that is gone, reading fails as well
	if half, able := w.Conn.(interface{ CloseWrite() error }); able {
		return half.CloseWrite()
	}
	return nil
}

// drain reads what still comes of a client that was told to go, until the deadline
// that Close has set.
func (w *wire) drain() {
	const most = 1 << 20                      // bytes
	_, _ = io.CopyN(io.Discard, w.Conn, most) // whatever it is, nobody wants it
}

// Write implements net.Conn. It moves the deadline of writes, which only sheds the
// dead and so need not be exact: to move it for every frame would cost more than
// it is worth.
func (w *wire) Write(p []byte) (int, error) {
	if now := time.Now(); now.UnixNano()-w.extended.Load() > int64(w.timeout/4) {
		w.extended.Store(now.UnixNano())
		_ = w.SetWriteDeadline(now.Add(w.timeout)) // what is wrong with the connection, the write tells
	}
	return w.Conn.Write(p)
}

func (w *wire) write(frame []byte) error {
	_, err := w.Write(frame)
	return err
}

func (w *wire) close(code closeCode, reason string) {
	// The connection is over whatever comes of it.
	_ = w.conn.WriteClose(uint16(code), []byte(reason))
}

func (w *wire) abort() {
	below := w.Conn
	if secure, ok := below.(*tls.Conn); ok {
		below = secure.NetConn() // without a good-bye, for which it might wait
	}
	_ = below.Close() // it is over either way
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

// deflaters compress messages, each for itself. Idle ones are let go.
type deflaters struct{ pool sync.Pool }

// deflate returns a message as permessage-deflate has it, nil if that is no
// smaller.
func (d *deflaters) deflate(message []byte) []byte {
	out := &bounded{buf: make([]byte, 0, len(message)/2), most: len(message)}
	w, found := d.pool.Get().(*flate.Writer)
	if found {
		w.Reset(out)
	} else {
		w, _ = flate.NewWriter(out, flate.BestSpeed) // the level is one that there is
	}
	defer d.pool.Put(w)
	_, err := w.Write(message)
	if err = errors.Join(err, w.Flush()); err != nil {
		return nil
	}
	const tail = 4 // 00 00 ff ff, which every reader puts back
	return out.buf[:len(out.buf)-tail]
}

// bounded is a writer that gives up when there is nothing left to be gained.
type bounded struct {
	buf  []byte
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.buf)+len(p) > b.most {
		return 0, errors.New("no smaller")
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

var _ socket = (*wire)(nil)
