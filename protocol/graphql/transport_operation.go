package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// subscriber is a subscription of a connection. The connection's lock guards it.
type subscriber struct {
	stream
	conn    *conn
	id      json.RawMessage // as JSON
	pending atomic.Bool     // there may be something new
}

// notify is called from the view's loop.
func (s *subscriber) notify() {
	s.pending.Store(true)
	s.conn.Notify()
}

// subscribe does what a client asks for, whatever sort of operation it is.
func (c *conn) subscribe(m *message) {
	id := encode(m.ID)
	switch {
	case !c.ready:
		c.end(unauthorized, "Unauthorized: connection_init comes first")
		return
	case c.find(id) >= 0:
		c.end(idInUse, "Subscriber for "+m.ID+" already exists")
		return
	}
	err := c.operate(id, m.Payload)
	if err == nil {
		return
	}
	c.Lock()
	defer c.Unlock()
	if config.KindOf(err) == config.Unauthenticated {
		c.dismiss(err) // nobody knows any more who it is
		return
	}
	c.fail(id, err)
}

// fail tells the client why what it asked for was refused, or has ended. The lock is
// held.
func (c *conn) fail(id json.RawMessage, err error) {
	c.Send(encode(said{ID: id, Type: typeError, Payload: c.transport.api.refuse(c.Context(), err).Errors}))
}

// operate begins a subscription, or answers any other operation.
func (c *conn) operate(id, payload json.RawMessage) error {
	started := time.Now()
	ctx, o, err := c.prepare(payload)
	switch {
	case err != nil:
		c.transport.api.observe("-", err, started)
	case o.isSubscription():
		err = c.watch(ctx, id, o)
		c.transport.api.observe("Subscription.watch", err, started)
	default:
		c.answer(ctx, id, o)
	}
	return err
}

// prepare finds out who asks for what.
func (c *conn) prepare(payload json.RawMessage) (context.Context, *operation, error) {
	ctx, err := c.proved()
	if err != nil {
		return ctx, nil, err
	}
	if payload == nil {
		return ctx, nil, problem.Malformed("message.payload", "there is none")
	}
	asked, err := parseRequest(payload)
	if err != nil {
		return ctx, nil, err
	}
	o, err := c.transport.api.prepare(ctx, asked)
	return ctx, o, err
}

// answer executes an operation, and sends its only answer.
func (c *conn) answer(ctx context.Context, id json.RawMessage, o *operation) {
	ctx, cancel := context.WithTimeout(ctx, c.transport.api.settings.Timeout)
	defer cancel()
	answer := encode(c.transport.api.execute(ctx, o))
	c.Lock()
	defer c.Unlock()
	c.Stream(func(out *socket.Chunks) error {
		out.Append(appendNext(nil, id))
		out.Append(answer)
		out.Text(`}`)
		return nil
	})
	c.Send(encode(said{ID: id, Type: typeComplete}))
}

// watch begins a subscription.
func (c *conn) watch(ctx context.Context, id json.RawMessage, o *operation) error {
	if most := c.transport.api.settings.MaxSubscriptions; c.count() >= most { // nobody else adds any
		return config.Errorf(config.Exhausted, "config.watch", "", "this connection has %d subscriptions, which is the most (max_subscriptions); name more paths in one, or open another connection", most)
	}
	s := &subscriber{conn: c, id: id}
	var err error
	if s.stream, err = c.transport.openStream(ctx, o, "", s.notify); err != nil {
		return err
	}
	c.Lock()
	defer c.Unlock()
	if c.Over() {
		s.watch.Close()
		return nil
	}
	c.subs = append(c.subs, s)
	s.notify() // the first delivery comes without being notified
	return nil
}

// complete ends a subscription that the client does not want any more. It may have
// ended by itself meanwhile.
func (c *conn) complete(id string) {
	c.Lock()
	defer c.Unlock()
	if i := c.findLocked(encode(id)); i >= 0 {
		c.drop(i)
	}
}

func (c *conn) drop(i int) {
	c.subs[i].watch.Close()
	c.subs = slices.Delete(c.subs, i, i+1)
}

func (c *conn) count() int {
	c.Lock()
	defer c.Unlock()
	return len(c.subs)
}

func (c *conn) find(id json.RawMessage) int {
	c.Lock()
	defer c.Unlock()
	return c.findLocked(id)
}

func (c *conn) findLocked(id json.RawMessage) int {
	return slices.IndexFunc(c.subs, func(s *subscriber) bool { return bytes.Equal(s.id, id) })
}

// Deliver implements socket.Session: it sends what is new for each subscription.
func (c *conn) Deliver() {
	for i := 0; i < len(c.subs) && !c.Over(); {
		s := c.subs[i]
		if s.pending.Swap(false) {
			if err := s.pass(); err != nil {
				c.drop(i)
				c.fail(s.id, err)
				continue
			}
		}
		i++
	}
}

// pass sends everything that is new. An error ends the subscription.
func (s *subscriber) pass() error {
	t := s.conn.transport
	for {
		started := time.Now()
		h, more, err := t.next(&s.stream)
		if err != nil || !more {
			return err
		}
		sent, err := s.send(&h)
		if err != nil {
			return err
		}
		t.api.observer.ObserveDelivery(Name, sent, time.Since(started))
		if h.stale == nil {
			return nil
		}
	}
}

func (s *subscriber) send(h *happening) (sent int, err error) {
	var scratch [2 * longestID]byte
	head := appendNext(scratch[:0], s.id)
	r := s.conn.transport.renderer
	if !s.plan.isLarge(h) {
		answer, err := r.answer(s.plan, h, s.watch.Content)
		if err != nil {
			return 0, err
		}
		return s.conn.SendShared(head, answer), nil
	}
	return int(s.conn.Stream(func(out *socket.Chunks) error {
		out.Append(head)
		if err := r.write(s.plan, h, s.watch.Content, out); err != nil {
			return err
		}
		out.Text(`}`)
		return nil
	})), nil
}
