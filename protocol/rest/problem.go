package rest

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// problemDetails is the body of every error, by RFC 9457.
type problemDetails problem.Details

// newProblem renders an error for the client. It never carries the cause of an
// Internal error, which the caller must log.
func newProblem(r *http.Request, err error) problemDetails {
	p := problem.New(err, auth.RequestFrom(r.Context()).ID)
	p.Status = statusOf(r, err, config.AsError(err))
	return problemDetails(p)
}

// Error implements error, as huma wants of its error model.
func (p *problemDetails) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problemDetails) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (*problemDetails) ContentType(string) string { return problem.ContentType }

// problemHeaders sets the headers that go with an error.
func problemHeaders(h http.Header, err error) {
	var status *statusError
	if errors.As(err, &status) && status.allow != "" {
		h.Set("Allow", status.allow)
	}
	if config.KindOf(err) == config.Unauthenticated {
		h["Www-Authenticate"] = []string{`Basic realm="setpoint", charset="UTF-8"`, `Bearer realm="setpoint"`}
	}
	if wait := problem.RetryAfter(err); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
}

// fail answers a request with an error, and logs the cause of what the client
// is not told.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.report(w.Header(), r, err)
	body := strictjson.Encode(p)
	h := w.Header()
	h.Set("Content-Type", problem.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// report is fail without the writing.
func (a *api) report(h http.Header, r *http.Request, err error) problemDetails {
	p := newProblem(r, err)
	problemHeaders(h, err)
	if config.KindOf(err) == config.Internal {
		a.log.ErrorContext(r.Context(), "request failed", "request_id", p.RequestID, "method", r.Method, "path", r.URL.Path, "error", err)
	} else {
		a.log.DebugContext(r.Context(), "request refused", "request_id", p.RequestID, "method", problem.Clip(r.Method),
			"path", problem.ClipTo(r.URL.Path, problem.LongestDetail), "error", problem.ClipTo(err.Error(), problem.LongestDetail))
	}
	return p
}
