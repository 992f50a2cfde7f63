package rest

import (
	"io"
	"strconv"

	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// output gathers small pieces and writes them in large ones, so that a frame
// costs one write and, over TLS, one record where it fits. Idle streams hold
// none: outputs are lent from a pool for each delivery.
type output struct {
	w     io.Writer
	buf   []byte // the room for a chunk's header first, if it is chunked
	bytes int64  // handed to w so far
	err   error  // of the first write that failed; nothing is written after it
	home  *pool[*output]
	// before is called ahead of every write.
	before func()
	// chunked frames what is written, by RFC 9112, section 7.1: w is the connection.
	chunked bool
}

const (
	outputSize = 32 << 10 // what is gathered at most
	outputKeep = 64 << 10 // larger buffers are not kept for later
	chunkHead  = 8 + 2    // the length of a chunk, in hex, and the end of its line
)

func newOutputs() *pool[*output] {
	return &pool[*output]{make: func() *output { return new(output) }}
}

// output lends an output that writes to w.
func (a *api) output(w io.Writer) *output {
	o := a.outputs.get()
	o.w, o.home = w, a.outputs
	return o
}

// chunkedOutput lends an output that writes chunks to a connection.
func (a *api) chunkedOutput(w io.Writer) *output {
	o := a.output(w)
	o.chunked = true
	o.empty()
	return o
}

// release gives the output back; it must not be used any more.
func (o *output) release() {
	buf := o.buf[:0]
	if cap(buf) > outputKeep {
		buf = nil
	}
	home := o.home
	*o = output{buf: buf}
	home.put(o)
}

// Text implements fragment.Output.
func (o *output) Text(parts ...string) {
	for _, s := range parts {
		o.buf = append(o.buf, s...)
	}
	o.spill()
}

// Append implements fragment.Output. Large pieces are not copied whole.
func (o *output) Append(b []byte) {
	for o.chunked && len(b) > outputSize {
		o.buf = append(o.buf, b[:outputSize]...)
		o.spill()
		b = b[outputSize:]
	}
	if o.chunked || len(b) < outputSize {
		o.buf = append(o.buf, b...)
		o.spill()
		return
	}
	o.flush()
	o.write(b)
}

func (o *output) spill() {
	if len(o.buf) >= outputSize {
		o.flush()
	}
}

// flush writes what was gathered.
func (o *output) flush() {
	if !o.chunked {
		o.write(o.buf)
	} else if n := len(o.buf) - chunkHead; n > 0 {
		o.buf = append(o.buf, "\r\n"...)
		o.write(closeChunk(o.buf, n))
	}
	o.empty()
}

func (o *output) empty() {
	o.buf = o.buf[:0]
	if o.chunked {
		o.buf = append(o.buf, make([]byte, chunkHead)...)
	}
}

// closeChunk writes the length of a chunk ahead of its n bytes, for which there is
// room, and returns where it begins.
func closeChunk(b []byte, n int) []byte {
	var scratch [chunkHead]byte
	head := append(strconv.AppendUint(scratch[:0], uint64(n), 16), "\r\n"...)
	start := chunkHead - len(head)
	copy(b[start:], head)
	return b[start:]
}

func (o *output) write(b []byte) {
	if len(b) == 0 || o.err != nil {
		return
	}
	if o.before != nil {
		o.before()
	}
	n, err := o.w.Write(b)
	o.bytes += int64(n)
	o.err = err
}

var _ fragment.Output = (*output)(nil)
