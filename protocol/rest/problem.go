package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// problemDetails is the body of every error, by RFC 9457.
type problemDetails struct {
	Type           string           `json:"type" format:"uri" example:"https://setpoint.dev/problems/not_found" doc:"names the sort of problem; the last part is code"`
	Title          string           `json:"title" example:"Not found" doc:"the sort of problem, for people"`
	Status         int              `json:"status" example:"404" doc:"the HTTP status"`
	Detail         string           `json:"detail,omitempty" example:"there is no such config" doc:"what happened, for people"`
	Code           string           `json:"code" example:"not_found" enum:"internal,invalid,unauthenticated,denied,not_found,already_exists,conflict,too_large,limit_exceeded,throttled,unsupported,compacted,unavailable,timeout,canceled" doc:"the sort of problem, for programs; stable"`
	Path           string           `json:"path,omitempty" example:"acme/checkout/prod/app.yaml" doc:"what it happened to"`
	Op             string           `json:"op,omitempty" example:"config.get" doc:"the operation"`
	CurrentVersion int64            `json:"current_version,omitempty" doc:"of a conflict: the version that is current"`
	Problems       []config.Problem `json:"problems,omitempty" doc:"every problem found, in content or in the request"`
	RequestID      string           `json:"request_id,omitempty" doc:"also in the X-Request-Id header and in the server's log"`
}

// longestDetail bounds, in bytes, what an answer or the log repeats of a request.
const longestDetail = 1000

// problemType is what the code is appended to.
const problemType = "https://setpoint.dev/problems/"

// newProblem renders an error for the client. It never carries the cause of an
// Internal error, which the caller must log.
func newProblem(r *http.Request, err error) problemDetails {
	e := config.AsError(err)
	return problemDetails{
		Type: problemType + e.Kind.String(), Title: kindStatuses[e.Kind].title, Status: statusOf(r, err, e),
		Detail: clipTo(e.Detail(), longestDetail), Code: e.Kind.String(), Path: clipTo(e.Path, longestDetail), Op: e.Op,
		CurrentVersion: e.Current, Problems: e.Problems,
		RequestID: auth.RequestFrom(r.Context()).ID,
	}
}

// Error implements error, as huma wants of its error model.
func (p *problemDetails) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problemDetails) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (*problemDetails) ContentType(string) string { return contentProblem }

const contentProblem = "application/problem+json"

// problemHeaders sets the headers that go with an error.
func problemHeaders(h http.Header, err error) {
	var status *statusError
	if errors.As(err, &status) && status.allow != "" {
		h.Set("Allow", status.allow)
	}
	switch config.KindOf(err) {
	case config.Unauthenticated:
		h["Www-Authenticate"] = []string{`Basic realm="setpoint", charset="UTF-8"`, `Bearer realm="setpoint"`}
	case config.Throttled, config.Unavailable:
		wait := time.Second
		var retry *auth.RetryAfter
		if errors.As(err, &retry) {
			wait = retry.Wait
		}
		h.Set("Retry-After", strconv.Itoa(int(max(wait.Seconds(), 1))))
	}
}

// fail answers a request with an error, and logs the cause of what the client
// is not told.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.report(w.Header(), r, err)
	body := encodeJSON(p)
	h := w.Header()
	h.Set("Content-Type", contentProblem)
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
		a.log.DebugContext(r.Context(), "request refused", "request_id", p.RequestID, "method", clip(r.Method),
			"path", clipTo(r.URL.Path, longestDetail), "error", clipTo(err.Error(), longestDetail))
	}
	return p
}

// encodeJSON renders what is known to be JSON, with a final line break and
// without the escapes that are only of use inside HTML.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only a type that cannot be JSON gets here: a defect, not data.
		panic("rest: encode: " + err.Error())
	}
	return b.Bytes()
}
