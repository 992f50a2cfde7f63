package socket

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
)

// Session is what a protocol makes of a connection: it has a Conn embedded.
type Session interface {
	// Open is called once, before anything is read. The lock is held.
	Open()
	// Answer answers a message, which is good until it returns; the next is read
	// after that. The lock is not held.
	Answer(message []byte)
	// Deliver sends what is new. The lock is held.
	Deliver()
	// Beat is called ahead of every ping: who may not stay is told by Finish. The lock
	// is held.
	Beat()
	// Bye tells the client that the server shuts down; the connection is closed
	// behind it. The lock is held.
	Bye()
	// Close lets go of what the session holds. Nothing is called after it. The lock
	// is held.
	Close()
}

// Conn is one connection. A goroutine reads it, and waits while what the client asks
// is answered: who does not take the answers in is not read from. What comes of
// itself, changes and pings, the crew sends. What the client has not taken in yet
// should be nowhere: sessions know positions and not queues.
type Conn struct {
	hub       *Hub
	session   Session
	wire      *wire
	request   auth.Request
	deflaters *Deflaters // nil: nothing is compressed

	mu   sync.Mutex // over the session, and the order of what is sent
	over bool       // nothing is sent any more

	crew.Seat
	tasks  crew.Tasks
	asking atomic.Bool // it is not read from, for it is being answered
}

// The tasks of the crew.
const (
	deliver uint32 = 1 << iota
	sendPing
	tellBye
	hangUp
)

// Lock takes the connection's lock: over the session, and the order of what is sent.
func (c *Conn) Lock() { c.mu.Lock() }

// Unlock gives the lock back.
func (c *Conn) Unlock() { c.mu.Unlock() }

// Notify has Deliver called soon. It does not block, and needs no lock.
func (c *Conn) Notify() { c.kick(deliver) }

// Request is that by which the client connected.
func (c *Conn) Request() auth.Request { return c.request }

// Context is that of what the client asks for, without an identity.
func (c *Conn) Context() context.Context { return auth.WithRequest(c.hub.life, c.request) }

// Over reports whether nothing is sent any more. The lock must be held.
func (c *Conn) Over() bool { return c.over }

// Send writes a message. The lock must be held.
func (c *Conn) Send(message []byte) { c.SendFrame(NewFrame(message)) }

// SendFrame writes a frame, and returns how much that was. The lock must be held.
func (c *Conn) SendFrame(f *Frame) (sent int) {
	b := f.bytes(c.deflaters)
	c.put(b)
	return len(b)
}

// Stream sends a message as it is made, and returns how much was sent. If it cannot
// be completed the connection is cut: half an answer must not look like a whole one.
// The lock must be held.
func (c *Conn) Stream(write func(out *Chunks) error) (sent int64) {
	if c.over {
		return 0
	}
	buf := c.hub.buffers.get()
	defer c.hub.buffers.pool.Put(buf)
	out := newChunks(c.wire, buf)
	if err := write(out); err != nil {
		c.hub.log.Error("message cut short", "request_id", c.request.ID, "error", err)
		c.Finish(InternalError, "the message cannot be completed")
		return out.sent
	}
	if out.finish() != nil {
		c.over = true
		c.wire.Abort()
	}
	return out.sent
}

// Finish closes the connection and tells why. Only the first call counts. The lock
// must be held.
func (c *Conn) Finish(code CloseCode, reason string) {
	if !c.over {
		c.over = true
		c.wire.end(code, reason)
	}
}

// put writes a whole frame. The lock is held.
func (c *Conn) put(frame []byte) {
	if c.over {
		return
	}
	if _, err := c.wire.Write(frame); err != nil {
		c.over = true
		c.wire.Abort() // which ends the reading, and so everything
	}
}

// kick has the crew do a task. It does not block.
func (c *Conn) kick(task uint32) { c.tasks.Add(task, c.hub.crew, c) }

// Work implements crew.Job.
func (c *Conn) Work() { c.tasks.Do(c.hub.crew, c, c.perform) }

func (c *Conn) perform(tasks uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.recovered()
	switch {
	case c.over:
	case tasks&hangUp != 0: // nobody is there to be told
		c.over = true
		c.wire.Abort()
	case tasks&tellBye != 0:
		c.session.Bye()
		c.Finish(GoingAway, "the server is shutting down")
	default:
		if tasks&sendPing != 0 {
			c.session.Beat()
			c.put(pingFrame())
		}
		if tasks&deliver != 0 && !c.over {
			c.session.Deliver()
		}
	}
}

// visit is called by the wheel.
func (c *Conn) visit(turn uint32) {
	const most = 3 // turns of silence
	switch {
	case c.asking.Load() || c.tasks.Waiting():
		// It is not read from, or something waits until the client takes it in: the
		// deadline of writes ends that, if nothing else does.
		c.Hear(turn)
	case c.Silent(turn) > most:
		c.kick(hangUp)
		return
	}
	c.kick(sendPing)
}

// begin puts the connection on the wheel and opens the session.
func (c *Conn) begin() {
	c.hub.wheel.Add(c)
	if c.hub.isEnding() {
		c.kick(tellBye)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.Open()
}

// run reads the connection until it ends. Its stack lasts as long as the connection,
// and is kept small by doing nothing else on it.
func (c *Conn) run() {
	defer c.hub.leave()
	defer c.cleanUp()
	defer c.hub.wheel.Remove(c)
	c.wire.read(c)
}

func (c *Conn) cleanUp() {
	c.wire.Abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.session.Close()
}

// question is something that a client asks, while it is answered.
type question struct {
	answer func()
	done   chan struct{}
}

// Work implements crew.Job.
func (q *question) Work() {
	defer close(q.done)
	q.answer()
}

// ask has an answer given by those who answer, and waits for it.
func (c *Conn) ask(answer func()) {
	c.asking.Store(true)
	q := &question{answer: answer, done: make(chan struct{})}
	c.hub.answering.Add(q)
	<-q.done
	c.ponged() // whatever it has said meanwhile is yet to be read
	c.asking.Store(false)
}

// received implements receiver.
func (c *Conn) received(text bool, data []byte) {
	c.ask(func() {
		defer c.recovered()
		switch {
		case !text:
			c.end(Unsupported, "messages are text")
		case !c.isOver():
			c.session.Answer(data)
		}
	})
}

// pinged implements receiver.
func (c *Conn) pinged(payload []byte) {
	c.ask(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.put(append(AppendHeader(nil, Final|OpPong, len(payload)), payload...))
	})
}

// ponged implements receiver.
func (c *Conn) ponged() { c.Hear(c.hub.wheel.Turn()) }

// recovered ends a connection at whose message or delivery something panicked.
func (c *Conn) recovered() {
	if cause := recover(); cause != nil {
		c.hub.log.Error("connection panicked", "request_id", c.request.ID, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		c.wire.Abort() // whoever holds its lock lets go of it
	}
}

func (c *Conn) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func (c *Conn) end(code CloseCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Finish(code, reason)
}

var (
	_ crew.Job = (*Conn)(nil)
	_ crew.Job = (*question)(nil)
	_ receiver = (*Conn)(nil)
)
