package ws

import (
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

// path is where WebSocket connections begin.
const path = "/v1/ws"

// subprotocol is what clients that ask for a subprotocol have to ask for.
const subprotocol = "setpoint.v1"

// tokenPrefix begins the subprotocol that carries a token: all that a browser can
// say of itself beside the address.
const tokenPrefix = "setpoint.token."

// handshake is what a request to connect says.
type handshake struct {
	socket.Handshake
	client config.Client
	given  auth.Credentials
}

// ServeHTTP implements http.Handler. Everything that could be wrong with a request
// to connect is found before the connection is taken over, so that it is answered
// as an HTTP request is.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	id := protocol.RequestID(r)
	h := w.Header()
	h["X-Request-Id"] = id
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	request := auth.Request{ID: id[0], Address: g.proxies.Address(r), Agent: r.UserAgent()}
	r = r.WithContext(auth.WithRequest(r.Context(), request))
	err := g.connect(w, r, request)
	g.observe("connect", err, started)
	if err != nil {
		g.hub.Refuse(w, g.report(r.Context(), err), err)
	}
}

func (g *gateway) connect(w http.ResponseWriter, r *http.Request, request auth.Request) error {
	shake, err := g.check(r, request)
	if err != nil {
		return err
	}
	c := &conn{gateway: g, client: shake.client}
	if !shake.given.Empty() {
		c.identity, err = g.prove(r.Context(), shake.given)
		if err != nil && (shake.given.Said() || !isRefusal(err)) {
			return err // but by a certificate alone, who it is may still be said
		}
		c.given = shake.given
	}
	return g.hub.Connect(w, r, &shake.Handshake, &c.Conn, c)
}

// check reads a request to connect.
func (g *gateway) check(r *http.Request, request auth.Request) (s handshake, err error) {
	if s.Handshake, err = g.hub.Check(r); err != nil {
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
	s.client = clone(s.client)
	s.client.Address = request.Address
	if s.given, err = caller.Credentials(r, request.Address); err != nil {
		return s, err
	}
	return s, s.readSubprotocols()
}

// clone frees what a client says of itself from the request that it came with.
func clone(c config.Client) config.Client {
	c.ID, c.Slot = strings.Clone(c.ID), strings.Clone(c.Slot)
	return c
}

// readSubprotocols looks at what a client asks for beside ours.
func (s *handshake) readSubprotocols() error {
	const name = "Sec-WebSocket-Protocol"
	for _, item := range s.Others {
		token, isToken := strings.CutPrefix(item, tokenPrefix)
		switch {
		case !isToken:
		case s.given.Said():
			return problem.Malformed(name, "credentials are given twice")
		case token == "":
			return problem.Malformed(name, "it holds no token")
		default:
			s.given.Token = config.NewSecret(strings.Clone(token))
		}
	}
	if s.Subprotocol == "" && len(s.Others) > 0 {
		return problem.Malformed(name, "ask for "+subprotocol+", or for none")
	}
	return nil
}
