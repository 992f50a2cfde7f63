package rest

import (
	"errors"
	"net/http"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

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
func malformed(where, message string) error { return problem.Malformed(where, message) }

// statusOf picks the HTTP status of an error: a condition that came in a header
// fails with 412, and content that is wrong, rather than the request, is 422.
func statusOf(r *http.Request, err error, e *config.Error) int {
	var s *statusError
	switch {
	case errors.As(err, &s):
		return s.status
	case problem.IsMalformed(err):
		return http.StatusBadRequest
	case e.Kind == config.Conflict && (r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""):
		return http.StatusPreconditionFailed
	}
	return problem.Status(err)
}
