package ws

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// path is where WebSocket connections begin.
const path = "/v1/ws"

// tokenPrefix begins the subprotocol that carries a token: all that a browser can
// say of itself beside the address.
const tokenPrefix = "setpoint.token."

// handshake is what a request to connect says.
type handshake struct {
	client      config.Client
	given       auth.Credentials
	subprotocol bool // one was asked for, and setpoint.v1 is among them
	deflate     bool
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
		g.fail(w, r, err)
	}
}

// connect makes a connection of a request. Once that is taken over nothing is left
// to be answered, and there is no error.
func (g *gateway) connect(w http.ResponseWriter, r *http.Request, request auth.Request) error {
	shake, err := g.check(r, request)
	if err != nil {
		return err
	}
	c := &conn{gateway: g, request: request, client: shake.client}
	if !shake.given.Empty() {
		if c.identity, err = g.prove(r.Context(), shake.given); err != nil {
			return err
		}
		c.given = shake.given
	}
	if err := g.enter(); err != nil {
		return err
	}
	hijacker, able := w.(http.Hijacker)
	if !able {
		g.leave()
		return errUpgrade("it wants a connection of its own")
	}
	taken, buffered, err := hijacker.Hijack()
	if err != nil {
		g.leave()
		return &config.Error{Op: "connect", Kind: config.Internal, Err: err}
	}
	if buffered.Reader.Buffered() > 0 { // what was sent before the answer would be lost
		_ = taken.Close()
		g.leave()
		return nil
	}
	sock, err := g.library.upgrade(taken, shake.request(r), shake.subprotocol)
	if err != nil {
		g.leave()
		return nil //nolint:nilerr // the client is gone: all else was looked at
	}
	if shake.deflate {
		c.deflaters = &g.deflaters
	}
	c.sock = sock
	c.begin()
	// A goroutine of its own, with a stack of its own size: this one has grown in the
	// handshake, and keeps the request.
	go c.run(sock)
	return nil
}

// request returns what gws looks at of a handshake: only what was agreed to.
func (s *handshake) request(r *http.Request) *http.Request {
	h := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {strings.TrimSpace(r.Header.Get("Sec-Websocket-Key"))},
	}
	if s.deflate {
		h.Set("Sec-Websocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
	}
	if s.subprotocol {
		h.Set("Sec-Websocket-Protocol", subprotocol)
	}
	return &http.Request{Method: http.MethodGet, Header: h}
}

// check reads a request to connect.
func (g *gateway) check(r *http.Request, request auth.Request) (handshake, error) {
	var s handshake
	if err := checkUpgrade(r); err != nil {
		return s, err
	}
	if err := g.checkOrigin(r); err != nil {
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
	if s.given, err = caller.Credentials(r.Header, request.Address); err != nil {
		return s, err
	}
	s.deflate = g.settings.Compression && offersDeflate(r.Header.Values("Sec-Websocket-Extensions"))
	return s, s.readSubprotocols(r.Header.Values("Sec-Websocket-Protocol"))
}

// clone frees what a client says of itself from the request that it came with.
func clone(c config.Client) config.Client {
	c.ID, c.Slot = strings.Clone(c.ID), strings.Clone(c.Slot)
	return c
}

// checkUpgrade refuses what is no WebSocket handshake, by RFC 6455.
func checkUpgrade(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet, r.ProtoMajor != 1, !hasToken(r.Header, "Connection", "upgrade"), !hasToken(r.Header, "Upgrade", "websocket"):
		return errUpgrade("this is for WebSocket connections over HTTP/1.1")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return errUpgrade("the version of the WebSocket protocol must be 13")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-Websocket-Key")))
	if err != nil || len(key) != 16 {
		return problem.Malformed("Sec-WebSocket-Key", "want 16 bytes as base64")
	}
	return nil
}

// statusError is an error for which HTTP has a better status than its kind's.
type statusError struct {
	err    *config.Error
	status int
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func errUpgrade(why string) error {
	return &statusError{err: config.Errorf(config.Invalid, "connect", "", "%s", why), status: http.StatusUpgradeRequired}
}

// hasToken reports whether a header that is a list has an item.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// checkOrigin refuses pages of other web sites, whose connections a browser opens
// without asking anybody. Programs that are no browsers send no Origin.
func (g *gateway) checkOrigin(r *http.Request) error {
	origins := r.Header["Origin"]
	if len(origins) == 0 || len(origins) == 1 && slices.Contains(g.settings.Origins, origins[0]) {
		return nil
	}
	// As for the scheme: behind a proxy that ends TLS nobody here knows it.
	if u, err := url.Parse(origins[0]); err == nil && len(origins) == 1 && isOrigin(origins[0]) && strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	return config.Errorf(config.Denied, "connect", "", "the page that wants to connect is of another web site; the setting %s.origins names those that may", place)
}

// readSubprotocols reads the list of subprotocols that a client asks for.
func (s *handshake) readSubprotocols(lines []string) error {
	const name = "Sec-WebSocket-Protocol"
	if len(lines) == 0 {
		return nil
	}
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		item = strings.TrimSpace(item)
		token, isToken := strings.CutPrefix(item, tokenPrefix)
		switch {
		case item == subprotocol:
			s.subprotocol = true
		case isToken && !s.given.Empty():
			return problem.Malformed(name, "credentials are given twice")
		case isToken && token == "":
			return problem.Malformed(name, "it holds no token")
		case isToken:
			s.given.Token = config.NewSecret(strings.Clone(token))
		}
	}
	if !s.subprotocol {
		return problem.Malformed(name, "ask for "+subprotocol+", or for none")
	}
	return nil
}

// offersDeflate reports whether a client offers permessage-deflate in a way that
// can be agreed to: what is sent to it needs the whole window.
func offersDeflate(lines []string) bool {
	for offer := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, params, _ := strings.Cut(offer, ";")
		if strings.EqualFold(strings.TrimSpace(name), "permessage-deflate") && fitDeflate(params) {
			return true
		}
	}
	return false
}

func fitDeflate(params string) bool {
	if strings.TrimSpace(params) == "" {
		return true
	}
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		switch strings.TrimSpace(key) {
		case "client_no_context_takeover", "server_no_context_takeover", "client_max_window_bits":
		case "server_max_window_bits":
			if strings.Trim(strings.TrimSpace(value), `"`) != "15" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// fail answers a request to connect with an error.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	details := g.report(r.Context(), err)
	var better *statusError
	if errors.As(err, &better) {
		details.Status = better.status
	}
	if details.Status == http.StatusUpgradeRequired {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-Websocket-Version", "13")
	}
	if config.KindOf(err) == config.Unauthenticated {
		h["Www-Authenticate"] = []string{`Basic realm="setpoint", charset="UTF-8"`, `Bearer realm="setpoint"`}
	}
	if wait := problem.RetryAfter(err); wait > 0 {
		// Spread over as much time again, since many may have been refused at once.
		jitter := time.Duration(g.retry()) * time.Millisecond
		h.Set("Retry-After", strconv.Itoa(int((wait + jitter).Seconds())))
	}
	body := strictjson.Encode(details)
	h.Set("Content-Type", problem.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(details.Status)
	_, _ = w.Write(body) //nolint:gosec // it is JSON, and said to be; a client that is gone needs no answer
}
