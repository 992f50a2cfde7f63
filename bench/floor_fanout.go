package bench

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// fanoutSetup is what the bare fan-out sends: the bytes that the server sent.
type fanoutSetup struct {
	Head  []byte `json:"head"`  // to each subscriber, until it is current
	Event []byte `json:"event"` // to each subscriber at each trigger
	Mark  string `json:"mark"`  // stands in Event for what a trigger brings
}

// fanout is a bare TLS server: it writes the same bytes to every connection,
// one goroutine and one write each, and knows nothing more.
type fanout struct {
	setup fanoutSetup
	all   sync.WaitGroup

	mu    sync.Mutex
	over  bool
	conns map[net.Conn]struct{}
	wakes []chan []byte
}

func serveFanoutFloor(t talk) error {
	f := &fanout{conns: map[net.Conn]struct{}{}}
	if err := t.hear(&f.setup); err != nil {
		return err
	}
	l, conf, ready, err := listen()
	if err != nil {
		return err
	}
	var accepting sync.WaitGroup
	accepting.Go(func() { f.accept(tls.NewListener(l, conf)) })
	if err = t.say(ready); err == nil {
		err = t.tellHeld()
	}
	err = errors.Join(err, l.Close())
	accepting.Wait()
	f.close()
	f.all.Wait()
	return err
}

func (f *fanout) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = struct{}{}
		f.mu.Unlock()
		f.all.Go(func() {
			f.serve(c)
			f.mu.Lock()
			delete(f.conns, c)
			f.mu.Unlock()
			_ = c.Close() // nobody is left to be told
		})
	}
}

// close ends every connection.
func (f *fanout) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for c := range f.conns {
		_ = c.Close() // its goroutine ends by that
	}
	for _, wake := range f.wakes {
		close(wake)
	}
	f.wakes = nil
}

// serve tells a subscriber, which asks with GET or begins to speak HTTP/2, from
// the one who triggers.
func (f *fanout) serve(c net.Conn) {
	in := newReader(c)
	for {
		head, err := in.until("\r\n\r\n", largestHead)
		if err != nil {
			return
		}
		if bytes.HasPrefix(head, []byte("GET ")) || bytes.HasPrefix(head, []byte("PRI ")) {
			f.subscribe(c)
			return
		}
		if err := f.trigger(in, head); err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (f *fanout) subscribe(c net.Conn) {
	wake := make(chan []byte, 1) // the next event comes when all have this one
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return
	}
	f.wakes = append(f.wakes, wake)
	f.mu.Unlock()
	if _, err := c.Write(f.setup.Head); err != nil {
		return
	}
	for message := range wake {
		if _, err := c.Write(message); err != nil {
			return
		}
	}
}

// trigger sends the event, marked with what the request's body is, to all.
func (f *fanout) trigger(in *reader, head []byte) error {
	r := response{length: -1}
	_, lines, _ := bytes.Cut(head, []byte("\r\n"))
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		if err := r.field(line); err != nil {
			return err
		}
	}
	if r.length < 0 || r.length > largestLine {
		return fmt.Errorf("a mark of %d bytes", r.length)
	}
	var mark []byte
	err := in.pass(r.length, func(piece []byte) error {
		mark = append(mark, piece...)
		return nil
	})
	if err != nil {
		return err
	}
	message := bytes.ReplaceAll(f.setup.Event, []byte(f.setup.Mark), mark)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, wake := range f.wakes {
		select {
		case wake <- message:
		default: // one that has not taken the event before is not waited for
		}
	}
	return nil
}

// chunk frames bytes as HTTP/1.1 does those of a stream.
func chunk(b []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b) }
