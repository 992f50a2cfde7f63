package ws

import (
	"encoding/binary"
	"sync"
)

// The bytes that begin frames, by RFC 6455.
const (
	opContinue = 0x0
	opText     = 0x1
	opPing     = 0x9
	opPong     = 0xA
	final      = 0x80
	deflated   = 0x40
	maxHeader  = 10
	// minDeflated is the size from which compression is worth it.
	minDeflated = 512
)

// pingFrame is the whole of a ping.
func pingFrame() []byte { return []byte{final | opPing, 0} }

// appendHeader appends the header of a frame of n bytes. A server's are not masked.
func appendHeader(b []byte, first byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, first, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
	}
}

// frame is one message as it goes over the wire. All who are sent it share it.
type frame struct {
	plain []byte
	size  int // of the message
	once  sync.Once
	small []byte // compressed; nil if that gains nothing
}

// newFrame makes a frame of a message, which it copies.
func newFrame(message []byte) *frame {
	b := appendHeader(make([]byte, 0, maxHeader+len(message)), final|opText, len(message))
	return &frame{plain: append(b, message...), size: len(message)}
}

// bytes returns the frame, compressed if the client takes that and it is worth it.
func (f *frame) bytes(d *deflaters) []byte {
	if d == nil || f.size < minDeflated {
		return f.plain
	}
	f.once.Do(func() {
		if small := d.deflate(f.plain[len(f.plain)-f.size:]); small != nil {
			b := appendHeader(make([]byte, 0, maxHeader+len(small)), final|deflated|opText, len(small))
			f.small = append(b, small...)
		}
	})
	if f.small != nil {
		return f.small
	}
	return f.plain
}

// chunkSize is how much of a message that is not held as a whole goes into one
// frame.
const chunkSize = 32 << 10

// chunks hands a large message to the client in pieces as it is made, so that it
// takes no more memory than a small one. The connection's lock must be held from
// the first byte to finish.
type chunks struct {
	sock socket
	buf  []byte // the header's room first
	next byte   // opcode of the frame that comes
	sent int64
	err  error // of the first write that failed; nothing is written after it
}

// chunkBuffers are lent to connections while they send a large message.
type chunkBuffers struct{ pool sync.Pool }

func (p *chunkBuffers) get() *[maxHeader + chunkSize]byte {
	if b, found := p.pool.Get().(*[maxHeader + chunkSize]byte); found {
		return b
	}
	return new([maxHeader + chunkSize]byte)
}

func newChunks(sock socket, buf *[maxHeader + chunkSize]byte) *chunks {
	return &chunks{sock: sock, buf: buf[:maxHeader:len(buf)], next: opText}
}

func (c *chunks) text(parts ...string) {
	for _, s := range parts {
		for len(s) > 0 {
			n := copy(c.buf[len(c.buf):cap(c.buf)], s)
			c.advance(n)
			s = s[n:]
		}
	}
}

func (c *chunks) append(b []byte) {
	for len(b) > 0 {
		n := copy(c.buf[len(c.buf):cap(c.buf)], b)
		c.advance(n)
		b = b[n:]
	}
}

func (c *chunks) advance(n int) {
	if c.buf = c.buf[:len(c.buf)+n]; len(c.buf) == cap(c.buf) {
		c.flush(0)
	}
}

// failed reports whether the client takes nothing in any more.
func (c *chunks) failed() bool { return c.err != nil }

// finish sends the rest and returns the first error of all.
func (c *chunks) finish() error {
	c.flush(final)
	return c.err
}

func (c *chunks) flush(last byte) {
	if c.err == nil {
		var scratch [maxHeader]byte
		header := appendHeader(scratch[:0], last|c.next, len(c.buf)-maxHeader)
		start := maxHeader - len(header)
		copy(c.buf[start:], header)
		c.err = c.sock.write(c.buf[start:])
		c.sent += int64(len(c.buf) - start)
	}
	c.next, c.buf = opContinue, c.buf[:maxHeader]
}
