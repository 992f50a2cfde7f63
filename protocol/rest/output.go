package rest

import "io"

// output gathers small pieces and writes them in large ones, so that a frame
// costs one write and, over TLS, one record where it fits. Idle streams hold
// none: outputs are lent from a pool for each delivery.
type output struct {
	w     io.Writer
	buf   []byte
	bytes int64 // handed to w so far
	err   error // of the first write that failed; nothing is written after it
	home  *pool[*output]
	// before is called ahead of every write.
	before func()
}

const (
	outputSize = 32 << 10 // what is gathered at most
	outputKeep = 64 << 10 // larger buffers are not kept for later
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

func (o *output) text(parts ...string) {
	for _, s := range parts {
		o.buf = append(o.buf, s...)
	}
	o.spill()
}

// fragment appends bytes that are shared with others; large ones are not copied.
func (o *output) fragment(b []byte) {
	if len(b) < outputSize {
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
	o.write(o.buf)
	o.buf = o.buf[:0]
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
