package graphql

import (
	"context"
	"encoding/json"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// Close codes of graphql-transport-ws, and one of WebSocket that its clients take for
// a reason to come back.
const (
	tryAgainLater  socket.CloseCode = 1013
	badRequest     socket.CloseCode = 4400
	unauthorized   socket.CloseCode = 4401
	forbidden      socket.CloseCode = 4403
	notAcceptable  socket.CloseCode = 4406
	initTimeout    socket.CloseCode = 4408
	idInUse        socket.CloseCode = 4409
	tooManyInits   socket.CloseCode = 4429
	internalServer socket.CloseCode = 4500
)

// conn is one WebSocket connection. Its operations are answered one after the other;
// only subscriptions run beside each other.
type conn struct {
	socket.Conn
	transport *transport
	unfit     bool // the client does not speak the subprotocol

	// These three belong to whoever answers, one message after the other.
	client   config.Client
	ready    bool        // the client was let in
	patience *time.Timer // until it says who it is

	// The connection's lock guards what follows.
	greeted  bool // the client has said who it is
	identity auth.Identity
	given    auth.Credentials
	subs     []*subscriber
}

// Open implements socket.Session.
func (c *conn) Open() {
	if c.unfit {
		c.Finish(notAcceptable, "Subprotocol not acceptable: want "+subprotocol)
		return
	}
	c.patience = time.AfterFunc(c.transport.api.settings.InitTimeout, c.outOfPatience)
}

func (c *conn) outOfPatience() {
	c.Lock()
	defer c.Unlock()
	if !c.greeted {
		c.Finish(initTimeout, "Connection initialisation timeout")
	}
}

// Beat implements socket.Session: it looks whether the token or certificate that the
// client showed is still good. Rights, and a password, are looked at with every delivery.
func (c *conn) Beat() {
	if c.identity.Anonymous() || c.identity.TokenID == "" && c.given.Said() {
		return
	}
	if _, err := c.transport.api.auth.Authenticate(c.Context(), c.given); isRefusal(err) {
		c.dismiss(err)
	}
}

// Bye implements socket.Session. It does not complete subscriptions: that would tell
// clients that there is nothing more to come, where they should come back.
func (c *conn) Bye() { c.Finish(socket.GoingAway, c.transport.goodbye()) }

// Close implements socket.Session.
func (c *conn) Close() {
	if c.patience != nil {
		c.patience.Stop()
	}
	for _, s := range c.subs {
		s.watch.Close()
	}
	c.subs = nil
}

// Answer implements socket.Session.
func (c *conn) Answer(text []byte) {
	if c.unfit {
		return // it was told so
	}
	m, err := decodeMessage(text)
	if err != nil {
		c.end(badRequest, err.Error())
		return
	}
	switch m.Type {
	case typeInit:
		c.greet(m.Payload)
	case typePing:
		c.say(said{Type: typePong, Payload: orNothing(m.Payload)})
	case typeSubscribe:
		c.subscribe(&m)
	case typeComplete:
		c.complete(m.ID)
	}
}

func orNothing(payload json.RawMessage) any {
	if payload == nil {
		return nil
	}
	return payload
}

// greet lets the client in, or not.
func (c *conn) greet(payload json.RawMessage) {
	c.Lock()
	known, again := !c.identity.Anonymous(), c.greeted
	c.greeted = true
	c.Unlock()
	if again {
		c.end(tooManyInits, "Too many initialisation requests")
		return
	}
	c.patience.Stop()
	c.patience = nil // what lasts is to be small
	g, err := readInit(payload, c.Request().Address)
	said := g.given.Said()
	if err == nil && known && c.given.Said() && said { // nobody else writes it
		err = problem.Malformed("message.payload", "credentials came already when you connected")
	}
	if err == nil && (!known || said) { // what is said comes before a certificate
		err = c.prove(g.given)
	}
	c.Lock()
	defer c.Unlock()
	if err != nil {
		c.dismiss(err)
		return
	}
	c.client = merged(c.client, g.client)
	c.ready = true
	c.Send([]byte(`{"type":"connection_ack"}`))
}

func (c *conn) prove(given auth.Credentials) error {
	id, err := c.transport.prove(c.Context(), given)
	if err != nil {
		return err
	}
	c.Lock()
	defer c.Unlock()
	c.identity, c.given = id, given
	return nil
}

// merged is what a client said when it connected and, before that, when it was
// greeted.
func merged(was, is config.Client) config.Client {
	if is.ID != "" {
		was.ID = is.ID
	}
	if is.Labels != nil {
		was.Labels = is.Labels
	}
	if is.Slot != "" {
		was.Slot = is.Slot
	}
	return was
}

// proved finds out anew who is asking: what was revoked since the client connected
// is of no use from then on. Mostly it is remembered.
func (c *conn) proved() (context.Context, error) {
	ctx, err := c.transport.api.identified(c.Context(), c.given) // nobody else writes it
	return withClient(ctx, c.client), err
}

// dismiss ends the connection of a client that may not be here. The lock is held.
func (c *conn) dismiss(err error) {
	c.transport.api.refuse(c.Context(), err) // for the log
	c.Finish(closeCodeOf(err), reason(config.KindOf(err).String()+": "+config.AsError(err).Detail()))
}

// closeCodeOf is how a connection ends that an error makes impossible. Clients come
// back by themselves after some, and after others leave it to the program.
func closeCodeOf(err error) socket.CloseCode {
	switch config.KindOf(err) {
	case config.Invalid:
		return badRequest
	case config.Unauthenticated, config.Denied:
		return forbidden
	case config.Throttled, config.Unavailable, config.Timeout, config.Canceled:
		return tryAgainLater
	}
	return internalServer
}

// reason shortens why a connection is closed to what there is room for.
func reason(text string) string {
	const most = 123 - len("…") // bytes, by RFC 6455
	return problem.ClipTo(text, most)
}

// say sends a message.
func (c *conn) say(m said) {
	c.Lock()
	defer c.Unlock()
	c.Send(encode(m))
}

// end closes the connection.
func (c *conn) end(code socket.CloseCode, why string) {
	c.Lock()
	defer c.Unlock()
	c.Finish(code, reason(why))
}

var _ socket.Session = (*conn)(nil)
