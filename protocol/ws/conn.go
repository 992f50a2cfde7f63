package ws

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// conn is one connection.
type conn struct {
	socket.Conn
	gateway *gateway

	// These three belong to whoever answers, one message after the other.
	client   config.Client
	greeted  bool        // the first message was read
	patience *time.Timer // until the client has said who it is

	// The connection's lock guards what follows.
	identity auth.Identity
	given    auth.Credentials
	subs     []*subscription
	stale    bool // the client was told that this node is cut off
}

// Open implements socket.Session: it welcomes who is known, and gives who is not
// some time.
func (c *conn) Open() {
	if c.identity.Anonymous() {
		c.patience = time.AfterFunc(c.gateway.settings.HelloTimeout, c.outOfPatience)
		return
	}
	c.Send(c.gateway.welcome())
}

func (c *conn) outOfPatience() {
	c.Lock()
	defer c.Unlock()
	if c.identity.Anonymous() && !c.Over() {
		c.refuse("", config.Errorf(config.Unauthenticated, "connect", "", "no hello with credentials came within %s", c.gateway.settings.HelloTimeout))
	}
}

// Beat implements socket.Session: it looks whether the token or certificate that the
// client showed is still good. Rights, and a password, are looked at with every delivery.
func (c *conn) Beat() {
	if c.identity.Anonymous() || c.identity.TokenID == "" && c.given.Said() {
		return
	}
	if _, err := c.gateway.auth.Authenticate(c.Context(), c.given); isRefusal(err) {
		c.refuse("", err)
	}
}

// Bye implements socket.Session.
func (c *conn) Bye() { c.Send(byeMessage(c.gateway.hub.Retry())) }

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
func (c *conn) Answer(message []byte) {
	m, h, err := decode(message)
	if err == nil {
		err = c.handle(m)
	}
	if err == nil {
		return
	}
	c.Lock()
	defer c.Unlock()
	if c.identity.Anonymous() || isUnproved(err) {
		c.refuse(h.ID, err)
		return
	}
	c.Send(c.gateway.errorMessage(c.Context(), h.ID, err))
}

// refuse tells the client why it cannot stay. The lock is held.
func (c *conn) refuse(id string, err error) {
	c.Send(c.gateway.errorMessage(c.Context(), id, err))
	c.Finish(socket.BadPolicy, config.KindOf(err).String())
}

// reply writes the answer to what the client asked.
func (c *conn) reply(message []byte) {
	c.Lock()
	defer c.Unlock()
	c.Send(message)
}

// stream writes a large answer as it is made.
func (c *conn) stream(write func(out *socket.Chunks) error) {
	c.Lock()
	defer c.Unlock()
	c.Stream(write)
}

// isUnproved reports whether an error means that nobody knows any more who the
// client is.
func isUnproved(err error) bool {
	return config.KindOf(err) == config.Unauthenticated
}

func (g *gateway) errorMessage(ctx context.Context, id string, err error) []byte {
	return encode(errorMessage{Type: "error", ID: id, Problem: g.report(ctx, err)})
}

// errorMessage tells what was wrong with what the client asked, or why a
// subscription or the connection ended.
type errorMessage struct {
	Type    string          `json:"type"`
	ID      string          `json:"id,omitempty"`
	Problem problem.Details `json:"problem"`
}

var _ socket.Session = (*conn)(nil)
