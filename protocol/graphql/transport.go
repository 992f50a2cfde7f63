package graphql

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// subprotocol is graphql-transport-ws, the protocol of the npm package graphql-ws.
const subprotocol = "graphql-transport-ws"

// transport carries operations otherwise than as one request and its answer: over
// WebSocket, and as Server-Sent Events.
type transport struct {
	api      *api
	hub      *socket.Hub
	renderer *renderer
	events   *eventStreams
}

func newTransport(a *api, host protocol.Host) (*transport, error) {
	s := &a.settings
	t := &transport{api: a, events: newEventStreams(s, host)}
	t.hub = socket.NewHub(socket.Settings{
		Protocol: Name, Subprotocols: []string{subprotocol}, Origins: s.Origins,
		MaxConnections: s.MaxConnections, MaxMessage: int(s.MaxMessage),
		PingInterval: s.PingInterval, WriteTimeout: s.WriteTimeout, Retry: s.Retry, Compression: s.Compression,
	}, host)
	var err error
	if t.renderer, err = newRenderer(t.hub.Life(), a); err != nil {
		return nil, errors.Join(err, t.close(context.Background()))
	}
	return t, nil
}

// close says good-bye to everybody and waits until they are gone. Who is still there
// when ctx ends is cut.
func (t *transport) close(ctx context.Context) error {
	return errors.Join(t.events.close(ctx), t.hub.Close(ctx))
}

// shake is what a request to connect says.
type shake struct {
	socket.Handshake
	client config.Client
	given  auth.Credentials
}

// connect answers a request for a WebSocket connection. Everything that could be
// wrong with it is found before the connection is taken over, and answered as an HTTP
// request is, but the subprotocol: whoever speaks this one looks for a close code.
func (t *transport) connect(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	err := t.tryConnect(w, r)
	t.api.observe("connect", err, started)
	if err != nil {
		requestID := auth.RequestFrom(r.Context()).ID
		t.api.refuse(r.Context(), err) // for the log
		t.hub.Refuse(w, problem.New(err, requestID), err)
	}
}

func (t *transport) tryConnect(w http.ResponseWriter, r *http.Request) error {
	s, err := t.check(r)
	if err != nil {
		return err
	}
	c := &conn{transport: t, client: s.client, unfit: s.Subprotocol == ""}
	if !s.given.Empty() {
		c.identity, err = t.prove(r.Context(), s.given)
		if err != nil && (s.given.Said() || !isRefusal(err)) {
			return err // but by a certificate alone, who it is may still be said
		}
		c.given = s.given
	}
	return t.hub.Connect(w, r, &s.Handshake, &c.Conn, c)
}

// check reads a request to connect.
func (t *transport) check(r *http.Request) (s shake, err error) {
	if s.Handshake, err = t.hub.Check(r); err != nil {
		return s, err
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return s, problem.Malformed("query", "the query is malformed")
	}
	for name := range q {
		if !slices.Contains([]string{"instance", "labels", "slot"}, name) {
			return s, problem.Malformed("query."+problem.Clip(name), "there is no such parameter here")
		}
	}
	if s.client, err = caller.Claim(q, r.Header); err != nil {
		return s, err
	}
	// So that nothing of the request is held with them.
	s.client.ID, s.client.Slot = strings.Clone(s.client.ID), strings.Clone(s.client.Slot)
	s.client.Address = auth.RequestFrom(r.Context()).Address
	s.given, err = caller.Credentials(r, s.client.Address)
	return s, err
}

// prove finds out who is calling, and has it recorded if someone claims to be who it
// cannot prove to be.
func (t *transport) prove(ctx context.Context, given auth.Credentials) (auth.Identity, error) {
	ctx, err := t.api.identified(ctx, given)
	return auth.FromContext(ctx), err
}

// goodbye is what clients are told as the node shuts down, in the reason for which
// their connection is closed: when to come back, a different time each.
func (t *transport) goodbye() string {
	return fmt.Sprintf("the server is shutting down; retry_after_ms=%d", t.hub.Retry().Milliseconds())
}
