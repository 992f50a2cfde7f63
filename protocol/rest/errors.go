package rest

import (
	"errors"
	"net/http"

	"github.com/setpointhq/setpoint/config"
)

// statusCanceled is what other servers log for a client that went away.
const statusCanceled = 499

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
	config.Canceled:        {statusCanceled, "Canceled"},
}

// statusError is an error for which HTTP has a better status than its kind's.
type statusError struct {
	err    *config.Error
	status int
	allow  string // the Allow header of a 405
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// refuse makes a statusError of kind Invalid; err is its text.
func refuse(status int, err error) error {
	return &statusError{err: &config.Error{Kind: config.Invalid, Err: err}, status: status}
}

// malformed is a request whose form is wrong: where names the field or
// parameter ("body.content"), and may be empty.
func malformed(where, message string) error {
	p := config.Problem{Path: where, Severity: config.SeverityError, Message: message}
	return &statusError{
		err: &config.Error{
			Kind: config.Invalid, Err: errors.New(p.String()),
			Problems: []config.Problem{p},
		},
		status: http.StatusBadRequest,
	}
}

// statusOf picks the HTTP status of an error: a condition that came in a header
// fails with 412, and content that is wrong, rather than the request, is 422.
func statusOf(r *http.Request, err error, e *config.Error) int {
	var s *statusError
	switch {
	case errors.As(err, &s):
		return s.status
	case e.Kind == config.Conflict && (r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""):
		return http.StatusPreconditionFailed
	case e.Kind == config.Invalid && len(e.Problems) > 0:
		return http.StatusUnprocessableEntity
	}
	return kindStatuses[e.Kind].status
}
