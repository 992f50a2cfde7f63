package ws

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// conn is one connection. A goroutine reads it, and waits while what the client asks
// is answered: who does not take the answers in is not read from. What comes of
// itself, changes and pings, the crew sends. What the client has not taken in yet is
// nowhere: its watches know its position.
type conn struct {
	gateway   *gateway
	sock      socket
	request   auth.Request
	deflaters *deflaters // nil: nothing is compressed

	// These three belong to whoever answers, one message after the other.
	client   config.Client
	greeted  bool        // the first message was read
	patience *time.Timer // until the client has said who it is

	mu       sync.Mutex // over what follows, and the order of what is sent
	identity auth.Identity
	given    auth.Credentials
	subs     []*subscription
	stale    bool // the client was told that this node is cut off
	over     bool // nothing is sent any more

	tasks  atomic.Uint32 // what the crew has to do
	queued atomic.Bool   // the crew has it, or does it
	heard  atomic.Uint32 // the turn of the wheel in which the client was last heard
	asking atomic.Bool   // it is not read from, for it is being answered
	slot   uint8         // of the wheel
}

// The tasks of the crew.
const (
	sendChanges uint32 = 1 << iota
	sendPing
	tellBye
	hangUp
)

// kick has the crew do a task. It does not block.
func (c *conn) kick(task uint32) {
	c.tasks.Or(task)
	if c.queued.CompareAndSwap(false, true) {
		c.gateway.crew.add(c)
	}
}

// work does what there is to do for the connection.
func (c *conn) work() {
	c.perform(c.tasks.Swap(0))
	c.queued.Store(false)
	if c.tasks.Load() != 0 && c.queued.CompareAndSwap(false, true) {
		c.gateway.crew.add(c) // behind the others
	}
}

func (c *conn) perform(tasks uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.recovered()
	switch {
	case c.over:
	case tasks&hangUp != 0: // nobody is there to be told
		c.over = true
		c.sock.abort()
	case tasks&tellBye != 0:
		c.send(byeMessage(c.gateway.retry()))
		c.finish(goingAway, "the server is shutting down")
	default:
		if tasks&sendPing != 0 {
			c.beat()
		}
		if tasks&sendChanges != 0 {
			c.deliver()
		}
	}
}

// visit is called by the wheel.
func (c *conn) visit(turn uint32) {
	const most = 3 // turns of silence
	switch {
	case c.asking.Load() || c.queued.Load():
		// It is not read from, or something waits until the client takes it in: the
		// deadline of writes ends that, if nothing else does.
		c.heard.Store(turn)
	case turn-c.heard.Load() > most:
		c.kick(hangUp)
		return
	}
	c.kick(sendPing)
}

// beat sends a ping, and looks whether the token that the client showed is still
// good. Rights, and a password, are looked at with every delivery.
func (c *conn) beat() {
	if c.identity.TokenID != "" {
		if _, err := c.gateway.auth.Authenticate(c.context(), c.given); isRefusal(err) {
			c.refuse("", err)
			return
		}
	}
	c.put(pingFrame())
}

// begin puts the connection on the wheel and welcomes the client, if it is known.
func (c *conn) begin() {
	c.gateway.wheel.add(c)
	if c.gateway.isEnding() {
		c.kick(tellBye)
	}
	c.open()
}

// run reads the connection until it ends. Its stack lasts as long as the connection,
// and is kept small by doing nothing else on it.
func (c *conn) run(sock *wire) {
	defer c.gateway.leave()
	defer c.cleanUp()
	defer c.gateway.wheel.remove(c)
	sock.read(c)
}

// open welcomes who is known, and gives who is not some time.
func (c *conn) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity.Anonymous() {
		c.patience = time.AfterFunc(c.gateway.settings.HelloTimeout, c.outOfPatience)
		return
	}
	c.send(c.gateway.welcome())
}

func (c *conn) outOfPatience() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity.Anonymous() && !c.over {
		c.refuse("", config.Errorf(config.Unauthenticated, "connect", "", "no hello with credentials came within %s", c.gateway.settings.HelloTimeout))
	}
}

func (c *conn) cleanUp() {
	if c.patience != nil {
		c.patience.Stop()
	}
	c.sock.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, s := range c.subs {
		s.watch.Close()
	}
	c.subs = nil
}

// question is something that a client asks, while it is answered.
type question struct {
	answer func()
	done   chan struct{}
}

func (q *question) work() {
	defer close(q.done)
	q.answer()
}

// ask has an answer given by those who answer, and waits for it.
func (c *conn) ask(answer func()) {
	c.asking.Store(true)
	q := &question{answer: answer, done: make(chan struct{})}
	c.gateway.answering.add(q)
	<-q.done
	c.ponged() // whatever it has said meanwhile is yet to be read
	c.asking.Store(false)
}

// received implements receiver.
func (c *conn) received(text bool, data []byte) {
	c.ask(func() {
		if !text {
			c.end(unsupported, "messages are text")
			return
		}
		c.answer(data)
	})
}

func (c *conn) answer(data []byte) {
	defer c.recovered()
	if c.isOver() {
		return
	}
	m, h, err := decode(data)
	if err == nil {
		err = c.handle(m)
	}
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity.Anonymous() || isUnproved(err) {
		c.refuse(h.ID, err)
		return
	}
	c.send(c.errorMessage(h.ID, err))
}

// pinged implements receiver.
func (c *conn) pinged(payload []byte) {
	c.ask(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.put(append(appendHeader(nil, final|opPong, len(payload)), payload...))
	})
}

// ponged implements receiver.
func (c *conn) ponged() { c.heard.Store(c.gateway.wheel.turn.Load()) }

// recovered ends a connection at whose message or delivery something panicked.
func (c *conn) recovered() {
	if cause := recover(); cause != nil {
		c.gateway.log.Error("connection panicked", "request_id", c.request.ID, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		c.sock.abort() // whoever holds its lock lets go of it
	}
}

// context is that of what the client asks for, without an identity.
func (c *conn) context() context.Context { return auth.WithRequest(c.gateway.life, c.request) }

// send writes a message. The lock is held.
func (c *conn) send(message []byte) { c.put(newFrame(message).bytes(c.deflaters)) }

// put writes a whole frame. The lock is held.
func (c *conn) put(frame []byte) {
	if c.over {
		return
	}
	if err := c.sock.write(frame); err != nil {
		c.over = true
		c.sock.abort() // which ends the reading, and so everything
	}
}

// refuse tells the client why it cannot stay. The lock is held.
func (c *conn) refuse(id string, err error) {
	c.send(c.errorMessage(id, err))
	c.finish(badPolicy, config.KindOf(err).String())
}

// finish closes the connection. The lock is held.
func (c *conn) finish(code closeCode, reason string) {
	if !c.over {
		c.over = true
		c.sock.close(code, reason)
	}
}

func (c *conn) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func (c *conn) end(code closeCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(code, reason)
}

// reply writes the answer to what the client asked.
func (c *conn) reply(message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send(message)
}

// isUnproved reports whether an error means that nobody knows any more who the
// client is.
func isUnproved(err error) bool {
	return config.KindOf(err) == config.Unauthenticated
}

func (c *conn) errorMessage(id string, err error) []byte {
	return encode(errorMessage{Type: "error", ID: id, Problem: c.gateway.report(c.context(), err)})
}

// errorMessage tells what was wrong with what the client asked, or why a
// subscription or the connection ended.
type errorMessage struct {
	Type    string          `json:"type"`
	ID      string          `json:"id,omitempty"`
	Problem problem.Details `json:"problem"`
}

var (
	_ job      = (*conn)(nil)
	_ job      = (*question)(nil)
	_ receiver = (*conn)(nil)
)
