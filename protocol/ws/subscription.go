package ws

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// subscription is one of a connection's. The connection's lock guards it.
type subscription struct {
	conn    *conn
	id      string
	sort    fragment.Sort
	watch   *center.Watch
	pending atomic.Bool // there may be something new
}

// notify is called from the view's loop.
func (s *subscription) notify() {
	s.pending.Store(true)
	s.conn.Notify()
}

func (c *conn) subscribe(ctx context.Context, m *subscribe) error {
	const op = "config.watch"
	settings := &c.gateway.settings
	if n := len(m.Paths); n == 0 || n > settings.MaxPatterns {
		return problem.Malformed("message.paths", "name 1 to "+strconv.Itoa(settings.MaxPatterns)+" paths to watch")
	}
	switch { // nobody else adds any
	case c.find(m.ID) >= 0:
		return config.Errorf(config.Exists, op, "", "there is a subscription with this id already; unsubscribe, or choose another")
	case c.count() >= settings.MaxSubscriptions:
		return config.Errorf(config.Exhausted, op, "", "this connection has %d subscriptions, which is the most (max_subscriptions); name more paths in one, or open another connection", settings.MaxSubscriptions)
	}
	s := &subscription{conn: c, id: m.ID, sort: fragment.ChangeContent}
	if m.Content != nil && !*m.Content {
		s.sort = fragment.ChangeOnly
	}
	var err error
	s.watch, err = c.gateway.center.Watch(ctx, center.WatchRequest{
		Patterns: m.Paths, Client: c.client, After: m.After, Protocol: Name,
	}, s.notify)
	if err != nil {
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

func (c *conn) unsubscribe(m *unsubscribe) error {
	c.Lock()
	defer c.Unlock()
	i := c.findLocked(m.ID)
	if i < 0 {
		return config.Errorf(config.NotFound, "config.watch", "", "there is no subscription with this id")
	}
	c.drop(i)
	return nil
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

func (c *conn) find(id string) int {
	c.Lock()
	defer c.Unlock()
	return c.findLocked(id)
}

func (c *conn) findLocked(id string) int {
	return slices.IndexFunc(c.subs, func(s *subscription) bool { return s.id == id })
}

// Deliver implements socket.Session: it sends what is new for each subscription.
func (c *conn) Deliver() {
	c.tellStale()
	for i := 0; i < len(c.subs) && !c.Over(); {
		s := c.subs[i]
		if s.pending.Swap(false) {
			if err := s.pass(); err != nil {
				c.drop(i)
				c.Send(c.gateway.errorMessage(c.Context(), s.id, err))
				continue
			}
		}
		i++
	}
}

type staleMessage struct {
	Type    string `json:"type"`
	Seconds int64  `json:"seconds"`
}

// tellStale tells the client that this node is cut off, or no longer is, if that
// has changed since it was last told.
func (c *conn) tellStale() {
	stale := c.gateway.center.Staleness()
	if (stale > 0) != c.stale {
		c.stale = stale > 0
		c.Send(encode(staleMessage{Type: "stale", Seconds: int64(stale / time.Second)}))
	}
}

// pass sends everything that is new, in one message. An error ends the subscription.
func (s *subscription) pass() error {
	started := time.Now()
	d, more, err := s.watch.Next()
	if err != nil || !more {
		return err
	}
	var sent int
	if fragment.Size(&d, s.sort) <= fragment.Whole {
		f, err := s.conn.gateway.frame(s, &d)
		if err != nil {
			return err
		}
		sent = s.conn.SendFrame(f)
	} else {
		sent = int(s.conn.Stream(func(out *socket.Chunks) error { return s.conn.gateway.write(s, &d, out) }))
	}
	s.conn.gateway.observer.ObserveDelivery(Name, sent, time.Since(started))
	return nil
}
