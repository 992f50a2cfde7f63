// Package problem renders errors as RFC 9457 problem details: the form in which
// every protocol that HTTP bears tells its clients what went wrong. It logs
// nothing; whoever renders an Internal error must log the cause, which the
// problem does not carry.
package problem

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const (
	// ContentType is the media type of a problem.
	ContentType = "application/problem+json"
	// TypePrefix is what the code of a problem is appended to, for its type.
	TypePrefix = "https://setpoint.dev/problems/"
	// LongestDetail bounds, in bytes, what an answer or the log repeats of a request.
	LongestDetail = 1000
	// StatusCanceled is what other servers log for a client that went away.
	StatusCanceled = 499
)

// Details are the problem details of an error.
type Details struct {
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

// rendering is how a kind of error looks in HTTP.
type rendering struct {
	status int
	title  string
}

// kindStatuses has one line for every kind of error.
var kindStatuses = map[config.ErrorKind]rendering{
	config.Internal:        {http.StatusInternalServerError, "Internal error"},
	config.Invalid:         {http.StatusBadRequest, "Invalid request"},
	config.Unauthenticated: {http.StatusUnauthorized, "Not authenticated"},
	config.Denied:          {http.StatusForbidden, "Not allowed"},
	config.NotFound:        {http.StatusNotFound, "Not found"},
	config.Exists:          {http.StatusConflict, "Exists already"},
	config.Conflict:        {http.StatusConflict, "Conflict"},
	config.TooLarge:        {http.StatusRequestEntityTooLarge, "Too large"},
	config.Exhausted:       {http.StatusConflict, "Limit exceeded"},
	config.Throttled:       {http.StatusTooManyRequests, "Too many requests"},
	config.Unsupported:     {http.StatusNotImplemented, "Not supported"},
	config.Compacted:       {http.StatusGone, "History is gone"},
	config.Unavailable:     {http.StatusServiceUnavailable, "Unavailable"},
	config.Timeout:         {http.StatusGatewayTimeout, "Timeout"},
	config.Canceled:        {StatusCanceled, "Canceled"},
}

// New renders an error for the client. It never carries the cause of an Internal
// error. A protocol that has a better status than Status gives puts it in.
func New(err error, requestID string) Details {
	e := config.AsError(err)
	return Details{
		Type: TypePrefix + e.Kind.String(), Title: kindStatuses[e.Kind].title, Status: Status(err),
		Detail: ClipTo(e.Detail(), LongestDetail), Code: e.Kind.String(), Path: ClipTo(e.Path, LongestDetail), Op: e.Op,
		CurrentVersion: e.Current, Problems: e.Problems, RequestID: requestID,
	}
}

// Status returns the HTTP status of an error: that of its kind, but 422 for
// content that is wrong, rather than the request.
func Status(err error) int {
	e := config.AsError(err)
	if e.Kind == config.Invalid && len(e.Problems) > 0 && !IsMalformed(err) {
		return http.StatusUnprocessableEntity
	}
	return kindStatuses[e.Kind].status
}

// malformedError is an error of a request's form, not of the content in it.
type malformedError struct{ err *config.Error }

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

// Malformed is the error of a request whose form is wrong: where names the field
// or parameter ("body.content"), and may be empty.
func Malformed(where, message string) error {
	p := config.Problem{Path: where, Severity: config.SeverityError, Message: message}
	return &malformedError{&config.Error{Kind: config.Invalid, Err: errors.New(p.String()), Problems: []config.Problem{p}}}
}

// IsMalformed reports whether the error is one that Malformed made.
func IsMalformed(err error) bool {
	var malformed *malformedError
	return errors.As(err, &malformed)
}

// spread is over how many seconds clients are spread that come again.
const spread = 3

// RetryAfter returns how long the client should wait before it tries again, in
// whole seconds; 0 if trying again is of no use. What is unavailable is so to
// everybody: each is told a time of its own, so that not all come back at once.
func RetryAfter(err error) time.Duration {
	switch config.KindOf(err) {
	case config.Throttled, config.Unavailable:
		var retry *auth.RetryAfter
		if errors.As(err, &retry) {
			return max(retry.Wait, time.Second)
		}
		return time.Second * time.Duration(1+rand.IntN(spread)) //nolint:gosec // spreads load, guards nothing
	}
	return 0
}

// Clip shortens what a stranger sent before it goes into an answer.
func Clip(s string) string {
	const most = 100
	return ClipTo(s, most)
}

// ClipTo is Clip to a number of bytes; it halves no character.
func ClipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
