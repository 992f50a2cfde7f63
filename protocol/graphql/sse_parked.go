package graphql

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// parked is a stream whose connection was taken over from the HTTP server, which
// HTTP/1.1 allows. Only a goroutine with a small stack waits on it, for the client to
// leave; the crew sends, and the wheel says when a heartbeat is due. So an idle
// stream costs little more than its connection.
type parked struct {
	eventStream
	line *line.Line
	over bool // nothing is sent any more; the crew knows
	crew.Seat
	tasks crew.Tasks
	// buf is what was written and not sent, lent by the pool.
	buf  *[eventBuffer]byte
	used int
}

// The tasks of the crew.
const (
	tellNews uint32 = 1 << iota
	tellBeat
	tellBye
	letGo // the client has left
)

// eventBuffer is how much goes out at a time: a chunk of RFC 9112, section 7.1, with
// its length ahead of it, for which there is room, and the end of a line behind it.
const (
	eventBuffer = 32 << 10
	chunkHead   = 4 + 2
	chunkTail   = 2
)

// isParkable reports whether the connection of a request, the body of which was read,
// can be taken over.
func isParkable(w http.ResponseWriter, r *http.Request) bool {
	read := *r
	read.Body = http.NoBody
	return r.Method != http.MethodHead && line.Able(w, &read)
}

// park makes a stream of a request that has a place. Once its connection is taken
// over there is no error, and the place is given back by whoever ends the stream.
func (t *transport) park(w http.ResponseWriter, r *http.Request, o *operation) error {
	p := &parked{}
	p.transport, p.carrier = t, p
	if err := p.identify(r); err != nil {
		return err
	}
	// What is kept of the request must not keep all of it.
	asked := auth.RequestFrom(r.Context())
	asked.Agent = strings.Clone(asked.Agent)
	client := clientOf(r.Context())
	client.ID, client.Slot = strings.Clone(client.ID), strings.Clone(client.Slot)
	p.ctx = auth.WithIdentity(auth.WithRequest(t.events.life, asked), auth.FromContext(r.Context()))
	p.tasks.Hold() // until there is something to send on
	var err error
	ctx := auth.WithRequest(withClient(r.Context(), client), asked)
	if p.stream, err = t.openStream(ctx, o, lastEvent(r), p.notify); err != nil {
		return err
	}
	head := line.EventHead(w.Header())
	if p.line, err = line.Take(w, t.api.settings.WriteTimeout); p.line == nil {
		p.watch.Close()
		if err == nil { // the client has said more than it may, and is gone
			t.events.leave()
		}
		return err
	}
	t.events.wheel.Add(p)
	if _, err := p.line.Write(head); err != nil {
		p.err = err
	}
	p.hello()
	if t.events.isEnding() {
		p.kick(tellBye)
	}
	p.tasks.Release(tellNews, t.events.crew, p)
	go p.wait()
	return nil
}

// wait waits for the client to leave.
func (p *parked) wait() {
	p.line.Left()
	p.kick(letGo)
}

// notify is called from the view's loop.
func (p *parked) notify() { p.kick(tellNews) }

// visit is called by the wheel.
func (p *parked) visit(uint32) { p.kick(tellBeat) }

func (p *parked) kick(tasks uint32) { p.tasks.Add(tasks, p.transport.events.crew, p) }

// Work implements crew.Job.
func (p *parked) Work() { p.tasks.Do(p.transport.events.crew, p, p.perform) }

func (p *parked) perform(tasks uint32) {
	defer p.recovered()
	switch {
	case tasks&letGo != 0:
		p.over = true
		p.release()
		p.transport.events.wheel.Remove(p)
		p.watch.Close()
		p.transport.events.leave()
	case p.over:
	case tasks&tellBye != 0:
		p.bye()
		p.end()
	case tasks&tellBeat != 0 && !p.isProven():
		p.end()
	default:
		if tasks&tellBeat != 0 {
			p.beat()
		}
		if !p.pass() {
			p.end()
		}
	}
}

// end says that there is nothing more to come, and closes this side.
func (p *parked) end() {
	p.over = true
	p.release()
	if p.err == nil {
		_, p.err = p.line.Write([]byte("0\r\n\r\n"))
	}
	if p.err != nil || p.line.Close() != nil {
		p.line.Abort() // whether the client has heard that or not, it is over
	}
}

// recovered ends a stream at whose delivery something panicked.
func (p *parked) recovered() {
	if cause := recover(); cause != nil {
		p.over = true
		p.release()
		p.transport.api.log.ErrorContext(p.ctx, "stream panicked", "request_id", auth.RequestFrom(p.ctx).ID,
			"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		p.line.Abort()
	}
}

// Write implements carrier.
func (p *parked) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if p.buf == nil {
			p.lend()
		}
		n := copy(p.buf[p.used:eventBuffer-chunkTail], rest)
		p.used += n
		rest = rest[n:]
		if p.used == eventBuffer-chunkTail {
			if err := p.Flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

// Flush implements carrier: what was written goes out as one chunk.
func (p *parked) Flush() error {
	if p.buf == nil {
		return nil
	}
	defer p.release()
	if p.used == chunkHead {
		return nil
	}
	var scratch [chunkHead]byte
	head := append(strconv.AppendUint(scratch[:0], uint64(p.used-chunkHead), 16), "\r\n"...)
	start := chunkHead - len(head)
	copy(p.buf[start:], head)
	copy(p.buf[p.used:], "\r\n")
	_, err := p.line.Write(p.buf[start : p.used+chunkTail])
	return err
}

func (p *parked) lend() {
	if buf, found := p.transport.events.buffers.Get().(*[eventBuffer]byte); found {
		p.buf = buf
	} else {
		p.buf = new([eventBuffer]byte)
	}
	p.used = chunkHead
}

func (p *parked) release() {
	if p.buf != nil {
		p.transport.events.buffers.Put(p.buf)
		p.buf = nil
	}
}

var (
	_ carrier  = (*parked)(nil)
	_ crew.Job = (*parked)(nil)
)
