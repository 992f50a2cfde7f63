package bench

import (
	"encoding/binary"
	"io"
	"sync"
)

// gate keeps subscribers from taking in anything while it is shut: those over TCP
// do not read, those over HTTP/2 open no windows, as the libraries of an application
// that does not read would.
type gate struct {
	mu      sync.Mutex
	opened  chan struct{} // closed while it is open
	windows []*window
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
	for _, w := range g.windows {
		w.shut()
	}
}

// open lets everybody go on. It may be open already.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		return
	default:
	}
	close(g.opened)
	for _, w := range g.windows {
		_ = w.open() // a connection that is gone has told its reader
	}
}

// pass waits until the gate is open.
func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	<-opened
}

// guard puts the gate before the reading end of a connection.
func (g *gate) guard(c *conn) { c.in = newReader(gated{c, g}) }

// gated is read from while the gate is open.
type gated struct {
	io.Reader
	gate *gate
}

func (r gated) Read(p []byte) (int, error) {
	r.gate.pass()
	return r.Reader.Read(p)
}

// window is how much a server may still send on the only stream of a connection,
// and so on the connection: as much as any may from the start.
type window struct {
	mu     sync.Mutex
	c      *conn
	taken  int // bytes for which it was not opened again
	closed bool
}

// window makes one that is opened while the gate is open.
func (g *gate) window(c *conn) *window {
	w := &window{c: c}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.windows = append(g.windows, w)
	return w
}

// took opens the window again by what was received.
func (w *window) took(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken += n
	return w.flush()
}

func (w *window) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

func (w *window) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = false
	return w.flush()
}

// flush tells the server, under the lock.
func (w *window) flush() error {
	if w.closed || w.taken == 0 {
		return nil
	}
	by := binary.BigEndian.AppendUint32(nil, uint32(w.taken))
	w.taken = 0
	_, err := w.c.Write(appendFrame(appendFrame(nil, frameWindowUpdate, 0, 0, by), frameWindowUpdate, 0, onlyStream, by))
	return err
}
