package socket

import (
	"encoding/binary"
	"sync"
)

// Shared is how messages end that begin differently: with an id that each client has
// given. All who are told the same share its bytes, the compressed ones too. It is
// safe for concurrent use.
type Shared struct {
	tail  []byte
	once  sync.Once
	small []byte // compressed; nil if that gains nothing
}

// NewShared makes one of bytes, which must not be changed afterwards.
func NewShared(tail []byte) *Shared { return &Shared{tail: tail} }

// Bytes returns what the messages end in, which must not be changed.
func (s *Shared) Bytes() []byte { return s.tail }

// Weight is about how much memory it takes, in bytes: once for itself, and once for
// what it is compressed to.
func (s *Shared) Weight() int { return 2*len(s.tail) + 256 }

func (s *Shared) deflated(d *Deflaters) []byte {
	if d == nil || len(s.tail) < minDeflated {
		return nil
	}
	s.once.Do(func() { s.small = d.Deflate(s.tail) })
	return s.small
}

// appendOpening appends the header of a frame and what the message begins with, and
// returns what goes behind it. What is compressed is compressed alone, so that it can
// follow anything; the beginning goes ahead of it as a block of DEFLATE that is
// stored as it is (RFC 1951, 3.2.4).
func (s *Shared) appendOpening(b, head []byte, d *Deflaters) (opening, tail []byte) {
	const stored = 5 // bytes that begin such a block
	small := s.deflated(d)
	if small == nil {
		b = AppendHeader(b, Final|OpText, len(head)+len(s.tail))
		return append(b, head...), s.tail
	}
	b = AppendHeader(b, Final|Deflated|OpText, stored+len(head)+len(small))
	b = binary.LittleEndian.AppendUint16(append(b, 0), uint16(len(head)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(head)))
	return append(b, head...), small
}

// SendShared writes a message that begins with head, of at most 1 KiB, and ends in
// what is shared. It returns how much that was. The lock must be held.
func (c *Conn) SendShared(head []byte, s *Shared) (sent int) {
	buf := c.hub.buffers.get()
	defer c.hub.buffers.pool.Put(buf)
	opening, tail := s.appendOpening(buf[:0], head, c.deflaters)
	sent = len(opening) + len(tail)
	if sent <= len(buf) { // in one write, and so in one record of TLS
		c.put(append(opening, tail...))
		return sent
	}
	c.put(opening)
	c.put(tail)
	return sent
}
