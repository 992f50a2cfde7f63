package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Refusal is the cause inside the *config.Error of a request that the server
// answered with an error.
type Refusal struct {
	Status     int           // the HTTP status
	RequestID  string        // finds the request in the server's log
	RetryAfter time.Duration // how long the server asks to wait; 0 if it did not say
	Detail     string        // what the server says about it
}

// Error returns the detail, with the request id where the reader needs it.
func (r *Refusal) Error() string {
	if r.RequestID != "" && r.Status == http.StatusInternalServerError {
		return r.Detail + " (request " + r.RequestID + ")"
	}
	return r.Detail
}

// problem is an error as the server sends it, RFC 9457.
type problem struct {
	Title          string           `json:"title"`
	Detail         string           `json:"detail"`
	Code           string           `json:"code"`
	Path           string           `json:"path"`
	Op             string           `json:"op"`
	CurrentVersion int64            `json:"current_version"`
	Problems       []config.Problem `json:"problems"`
	RequestID      string           `json:"request_id"`
}

func (p problem) error(status int, header http.Header) *config.Error {
	kind := config.ParseErrorKind(p.Code)
	if p.Code == "" {
		kind = kindOfStatus(status)
	}
	return &config.Error{
		Op: p.Op, Kind: kind, Path: p.Path, Current: p.CurrentVersion, Problems: p.Problems,
		Err: &Refusal{
			Status:     status,
			RequestID:  orDefault(p.RequestID, header.Get("X-Request-Id")),
			RetryAfter: retryAfter(header),
			Detail:     orDefault(p.Detail, orDefault(p.Title, http.StatusText(status))),
		},
	}
}

// refusal decodes a response that is not a success.
func refusal(resp *http.Response) error {
	body, err := readAll(resp.Body, maxProblem)
	if err != nil {
		body = nil // the status alone still tells the kind
	}
	var p problem
	if json.Unmarshal(body, &p) != nil {
		// A proxy on the way answers in its own words.
		p = problem{Detail: "the server answered " + resp.Status}
		if text := strings.TrimSpace(string(body)); text != "" && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
			p.Detail += ": " + text[:min(len(text), 200)]
		}
	}
	return p.error(resp.StatusCode, resp.Header)
}

// kindOfStatus is for answers that carry no code: those of a proxy.
func kindOfStatus(status int) config.ErrorKind {
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return config.Unauthenticated
	case http.StatusForbidden:
		return config.Denied
	case http.StatusNotFound:
		return config.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return config.Conflict
	case http.StatusRequestEntityTooLarge:
		return config.TooLarge
	case http.StatusTooManyRequests:
		return config.Throttled
	case http.StatusNotImplemented:
		return config.Unsupported
	case http.StatusGone:
		return config.Compacted
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return config.Unavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return config.Timeout
	}
	if status >= 400 && status < 500 {
		return config.Invalid
	}
	return config.Internal
}

func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// unreached describes a request that got no answer.
func unreached(endpoint *url.URL, err error) error {
	if cause, ok := untrusted(err); ok {
		return &config.Error{Op: "reach", Kind: config.Unauthenticated, Path: endpoint.String(), Err: cause}
	}
	var wrapper *url.Error
	if errors.As(err, &wrapper) {
		err = wrapper.Err
	}
	kind := config.KindOf(err)
	if kind == config.Internal {
		kind = config.Unavailable
	}
	return &config.Error{Op: "reach", Kind: kind, Path: endpoint.String(), Err: err}
}
