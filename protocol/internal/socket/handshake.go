package socket

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// Handshake is what a request to connect asks for.
type Handshake struct {
	// Subprotocol is the one that was agreed to, "" for none.
	Subprotocol string
	// Others are the subprotocols that were asked for beside it. A browser can say
	// who it is in no other way.
	Others []string

	deflate bool
}

// Check reads a request to connect, by RFC 6455, and refuses one that is none or
// that a page of another web site sent. Which subprotocol is needed the caller must
// look at.
func (h *Hub) Check(r *http.Request) (Handshake, error) {
	var s Handshake
	if err := checkUpgrade(r); err != nil {
		return s, err
	}
	if err := h.checkOrigin(r); err != nil {
		return s, err
	}
	if lines := r.Header.Values("Sec-Websocket-Protocol"); len(lines) > 0 {
		for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			item = strings.TrimSpace(item)
			switch {
			case !slices.Contains(h.settings.Subprotocols, item):
				s.Others = append(s.Others, item)
			case s.Subprotocol == "":
				s.Subprotocol = strings.Clone(item)
			}
		}
	}
	s.deflate = h.settings.Compression && offersDeflate(r.Header.Values("Sec-Websocket-Extensions"))
	return s, nil
}

// request returns what gws looks at of a handshake: only what was agreed to.
func (s *Handshake) request(r *http.Request) *http.Request {
	h := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {strings.TrimSpace(r.Header.Get("Sec-Websocket-Key"))},
	}
	if s.deflate {
		h.Set("Sec-Websocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
	}
	if s.Subprotocol != "" {
		h.Set("Sec-Websocket-Protocol", s.Subprotocol)
	}
	return &http.Request{Method: http.MethodGet, Header: h}
}

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

// StatusError is an error for which HTTP has a better status than its kind's.
type StatusError struct {
	Err    *config.Error
	Status int
}

// Error implements error.
func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *StatusError) Unwrap() error { return e.Err }

func errUpgrade(why string) error {
	return &StatusError{Err: config.Errorf(config.Invalid, "connect", "", "%s", why), Status: http.StatusUpgradeRequired}
}

// Asked reports whether a request is to connect, in whatever state: one for which
// it is false is meant as a plain HTTP request.
func Asked(r *http.Request) bool { return hasToken(r.Header, "Upgrade", "websocket") }

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
func (h *Hub) checkOrigin(r *http.Request) error {
	origins := r.Header["Origin"]
	if len(origins) == 0 || len(origins) == 1 && slices.Contains(h.settings.Origins, origins[0]) {
		return nil
	}
	// As for the scheme: behind a proxy that ends TLS nobody here knows it.
	if u, err := url.Parse(origins[0]); err == nil && len(origins) == 1 && IsOrigin(origins[0]) && strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	return config.Errorf(config.Denied, "connect", "", "the page that wants to connect is of another web site; the setting protocols.%s.origins names those that may", h.settings.Protocol)
}

// IsOrigin reports whether a text is what browsers send as Origin.
func IsOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && text == u.Scheme+"://"+u.Host
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

// Refuse answers a request to connect with an error; details are what the client is
// told of it.
func (h *Hub) Refuse(w http.ResponseWriter, details problem.Details, err error) {
	header := w.Header()
	var better *StatusError
	if errors.As(err, &better) {
		details.Status = better.Status
	}
	if details.Status == http.StatusUpgradeRequired {
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "websocket")
		header.Set("Sec-Websocket-Version", "13")
	}
	if config.KindOf(err) == config.Unauthenticated {
		header["Www-Authenticate"] = []string{`Basic realm="setpoint", charset="UTF-8"`, `Bearer realm="setpoint"`}
	}
	if wait := problem.RetryAfter(err); wait > 0 {
		// Spread over as much time again, since many may have been refused at once.
		header.Set("Retry-After", strconv.Itoa(int((wait + h.Retry()).Seconds())))
	}
	body := strictjson.Encode(details)
	header.Set("Content-Type", problem.ContentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(details.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}
