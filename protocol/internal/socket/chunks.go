package socket

import "sync"

// chunkSize is how much of a message that is not held as a whole goes into one
// frame.
const chunkSize = 32 << 10

// Chunks hands a large message to the client in pieces as it is made, so that it
// takes no more memory than a small one.
type Chunks struct {
	wire *wire
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

func newChunks(w *wire, buf *[maxHeader + chunkSize]byte) *Chunks {
	return &Chunks{wire: w, buf: buf[:maxHeader:len(buf)], next: OpText}
}

// Text appends texts to the message.
func (c *Chunks) Text(parts ...string) {
	for _, s := range parts {
		for len(s) > 0 {
			n := copy(c.buf[len(c.buf):cap(c.buf)], s)
			c.advance(n)
			s = s[n:]
		}
	}
}

// Append appends bytes to the message.
func (c *Chunks) Append(b []byte) {
	for len(b) > 0 {
		n := copy(c.buf[len(c.buf):cap(c.buf)], b)
		c.advance(n)
		b = b[n:]
	}
}

// Failed reports whether the client takes nothing in any more.
func (c *Chunks) Failed() bool { return c.err != nil }

func (c *Chunks) advance(n int) {
	if c.buf = c.buf[:len(c.buf)+n]; len(c.buf) == cap(c.buf) {
		c.flush(0)
	}
}

// finish sends the rest and returns the first error of all.
func (c *Chunks) finish() error {
	c.flush(Final)
	return c.err
}

func (c *Chunks) flush(last byte) {
	if c.err == nil {
		var scratch [maxHeader]byte
		header := AppendHeader(scratch[:0], last|c.next, len(c.buf)-maxHeader)
		start := maxHeader - len(header)
		copy(c.buf[start:], header)
		_, c.err = c.wire.Write(c.buf[start:])
		c.sent += int64(len(c.buf) - start)
	}
	c.next, c.buf = OpContinue, c.buf[:maxHeader]
}
