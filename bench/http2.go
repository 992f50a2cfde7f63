package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
)

// The frames of HTTP/2 (RFC 9113) that the load generator has to do with.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagAck        = 0x1 // of settings and pings
	flagEndStream  = 0x1 // of headers and data
	flagEndHeaders = 0x4

	frameHead    = 9 // bytes before a frame's payload
	flagsAt      = 4 // in them
	streamAt     = 5
	largestFrame = 16 << 10 // which a peer must not exceed unless told that it may
	lastStream   = 1<<31 - 1
	wholeWindow  = 1<<31 - 1
	firstWindow  = 1<<16 - 1
)

// conn2 is an HTTP/2 connection that carries one request at a time. It sends
// header blocks that were rendered once and reads of an answer only its status
// and its end: as little as the counterpart for HTTP/1.1.
type conn2 struct {
	*conn
	stream uint32 // of the last request
	taken  uint32 // bytes received since the window was last opened
	frame  []byte // a request, to be sent with the next stream's id
}

// dial2 opens a connection on which the one request is to be repeated.
func (s server) dial2(ctx context.Context, block []byte) (*conn2, error) {
	c, err := s.dialFor(ctx, alpnHTTP2)
	if err != nil {
		return nil, err
	}
	if t, ok := c.Conn.(*tls.Conn); !ok || t.ConnectionState().NegotiatedProtocol != alpnHTTP2 {
		return nil, errors.Join(errors.New("the server does not speak HTTP/2"), c.Close())
	}
	if _, err := c.Write(helloHTTP2(wholeWindow)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn2{conn: c, frame: appendFrame(nil, frameHeaders, flagEndStream|flagEndHeaders, 0, block)}, nil
}

// helloHTTP2 is what a client begins with, who lets the server send so many bytes
// before it has to open the windows, of stream and connection, again.
func helloHTTP2(window uint32) []byte {
	settings := []byte{0, 2, 0, 0, 0, 0} // ENABLE_PUSH: no
	settings = append(settings, 0, 4)    // INITIAL_WINDOW_SIZE
	settings = binary.BigEndian.AppendUint32(settings, window)
	hello := appendFrame([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameSettings, 0, 0, settings)
	if window == firstWindow {
		return hello
	}
	return appendFrame(hello, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, window-firstWindow))
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// exchange sends the request once more and takes in the answer.
func (c *conn2) exchange(status int) error {
	if err := c.nextStream(); err != nil {
		return err
	}
	if _, err := c.Write(c.frame); err != nil {
		return err
	}
	got := 0
	for {
		f, err := c.in.frame()
		if err != nil {
			return err
		}
		switch {
		case f.stream == 0:
			err = c.manage(f)
		case f.stream != c.stream:
			err = fmt.Errorf("a frame of stream %d came while %d was waited for", f.stream, c.stream)
		case f.kind == frameHeaders:
			got, err = statusOf(f.payload)
		case f.kind == frameData:
			err = c.took(len(f.payload))
		case f.kind == frameReset:
			err = errors.New("the server reset the stream")
		}
		if err != nil {
			return err
		}
		if f.stream == c.stream && (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0 {
			if got != status {
				return fmt.Errorf("the server answered %d, not %d", got, status)
			}
			return nil
		}
	}
}

// nextStream gives the request the id of its stream.
func (c *conn2) nextStream() error {
	if c.stream == 0 {
		c.stream = 1
	} else if c.stream += 2; c.stream > lastStream {
		return errors.New("the connection has no streams left")
	}
	binary.BigEndian.PutUint32(c.frame[streamAt:], c.stream)
	return nil
}

// manage does what a frame of the whole connection asks for.
func (c *conn2) manage(f frame) error {
	switch {
	case f.kind == frameSettings && f.flags&flagAck == 0:
		_, err := c.Write(appendFrame(nil, frameSettings, flagAck, 0, nil))
		return err
	case f.kind == framePing && f.flags&flagAck == 0:
		_, err := c.Write(appendFrame(nil, framePing, flagAck, 0, f.payload))
		return err
	case f.kind == frameGoAway:
		return errors.New("the server closes the connection")
	default:
		return nil
	}
}

// took opens the connection's window again once half of it is used up.
func (c *conn2) took(n int) error {
	c.taken += uint32(n)
	if c.taken < wholeWindow/2 {
		return nil
	}
	update := binary.BigEndian.AppendUint32(nil, c.taken)
	c.taken = 0
	_, err := c.Write(appendFrame(nil, frameWindowUpdate, 0, 0, update))
	return err
}

// frame is one frame. Its payload is good until the next is read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (r *reader) frame() (frame, error) {
	head, err := r.take(frameHead)
	if err != nil {
		return frame{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if n > largestFrame {
		return frame{}, fmt.Errorf("a frame of %d bytes", n)
	}
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & lastStream}
	f.payload, err = r.take(n)
	return f, err
}

// take returns the next n bytes, which are good until more is read.
func (r *reader) take(n int) ([]byte, error) {
	for r.end-r.start < n {
		if err := r.fill(max(n, 2*largestFrame)); err != nil {
			return nil, err
		}
	}
	r.start += n
	return r.buf[r.start-n : r.start], nil
}

// statusOf reads the status off a header block. Servers send it first, and the
// usual ones as an index into HPACK's static table (RFC 7541, appendix A).
func statusOf(block []byte) (int, error) {
	for len(block) > 0 && block[0]&0xe0 == 0x20 { // the size of the dynamic table changes
		size := 1
		for block[0]&0x1f == 0x1f && size < len(block) && block[size]&0x80 != 0 {
			size++
		}
		if block[0]&0x1f == 0x1f {
			size++
		}
		block = block[min(size, len(block)):]
	}
	indexed := [...]int{200, 204, 206, 304, 400, 404, 500}
	const first = 0x88
	if len(block) == 0 || block[0] < first || int(block[0]) >= first+len(indexed) {
		return 0, errors.New("the server answered neither 200 nor 304")
	}
	return indexed[block[0]-first], nil
}

// block renders the header block of a GET, without use of the dynamic table so
// that it is the same every time.
func (s server) block(path, authorization, etag string) []byte {
	const methodGet, schemeHTTPS = 0x82, 0x87 // whole fields of the static table
	const authority, pathName, authorize, ifNoneMatch, userAgent = 1, 4, 23, 41, 58
	b := []byte{methodGet, schemeHTTPS}
	b = appendField(b, authority, s.host)
	b = appendField(b, pathName, s.base+path)
	b = appendField(b, authorize, authorization)
	b = appendField(b, userAgent, agent)
	if etag != "" {
		b = appendField(b, ifNoneMatch, etag)
	}
	return b
}

// appendField adds a literal field that is not to be remembered, whose name is
// in the static table.
func appendField(b []byte, name int, value string) []byte {
	b = appendInt(b, 4, name)
	b = appendInt(b, 7, len(value))
	return append(b, value...)
}

// appendInt adds an integer as HPACK does: in the low bits of a byte, and as
// many further ones as it takes.
func appendInt(b []byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, byte(n))
	}
	b = append(b, byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// repeat2 opens n connections and makes a round of sending the same request on
// each of them.
func (s server) repeat2(ctx context.Context, n int, block []byte, status int) (connections, round, error) {
	conns, all := make(connections, n), make([]func() error, n)
	err := atOnce(ctx, n, func(ctx context.Context, i int) error {
		c, err := s.dial2(ctx, block)
		if err != nil {
			return err
		}
		conns[i], all[i] = c.conn, func() error { return c.exchange(status) }
		return nil
	})
	if err != nil {
		conns.close()
		return nil, nil, err
	}
	return conns, conns.round(all), nil
}
