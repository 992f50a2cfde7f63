package socket

import (
	"encoding/binary"
	"sync"
)

// The bytes that begin frames, by RFC 6455.
const (
	OpContinue = 0x0
	OpText     = 0x1
	OpPing     = 0x9
	OpPong     = 0xA
	Final      = 0x80
	Deflated   = 0x40
	maxHeader  = 10
	// minDeflated is the size from which compression is worth it.
	minDeflated = 512
)

// pingFrame is the whole of a ping.
func pingFrame() []byte { return []byte{Final | OpPing, 0} }

// AppendHeader appends the header of a frame of n bytes. A server's are not masked.
func AppendHeader(b []byte, first byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, first, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
	}
}

// Frame is one message as it goes over the wire. All who are sent it share it; it
// is safe for concurrent use.
type Frame struct {
	plain []byte
	size  int // of the message
	once  sync.Once
	small []byte // compressed; nil if that gains nothing
}

// NewFrame makes a frame of a text message, which it copies.
func NewFrame(message []byte) *Frame {
	b := AppendHeader(make([]byte, 0, maxHeader+len(message)), Final|OpText, len(message))
	return &Frame{plain: append(b, message...), size: len(message)}
}

// Weight is about how much memory the frame takes, in bytes: once for itself, and
// once for what it is compressed to.
func (f *Frame) Weight() int { return 2*len(f.plain) + 256 }

// bytes returns the frame, compressed if the client takes that and it is worth it.
func (f *Frame) bytes(d *Deflaters) []byte {
	if d == nil || f.size < minDeflated {
		return f.plain
	}
	f.once.Do(func() {
		if small := d.Deflate(f.plain[len(f.plain)-f.size:]); small != nil {
			b := AppendHeader(make([]byte, 0, maxHeader+len(small)), Final|Deflated|OpText, len(small))
			f.small = append(b, small...)
		}
	})
	if f.small != nil {
		return f.small
	}
	return f.plain
}
