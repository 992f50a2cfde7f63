package config

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrorKind classifies an error. The set is closed: every protocol maps each
// kind to its native form, and a test proves the mapping total.
type ErrorKind uint8

// The kinds of error.
const (
	Internal        ErrorKind = iota // a defect or an unexpected failure of a part
	Invalid                          // the request is malformed or breaks a rule
	Unauthenticated                  // no identity, or one that could not be proved
	Denied                           // the identity may not do this
	NotFound                         // what was named is not there
	Exists                           // what was to be created is there already
	Conflict                         // a condition on a version or revision did not hold
	TooLarge                         // content or request over a size limit
	Exhausted                        // a quota on the number of things is used up
	Throttled                        // too many requests or attempts; try again later
	Unsupported                      // known, but not offered here
	Compacted                        // the asked position is older than what is kept
	Unavailable                      // the store cannot be reached or has no quorum
	Timeout                          // the deadline passed before an answer
	Canceled                         // the caller went away
	numKinds
)

var kindCodes = [numKinds]string{
	Internal:        "internal",
	Invalid:         "invalid",
	Unauthenticated: "unauthenticated",
	Denied:          "denied",
	NotFound:        "not_found",
	Exists:          "already_exists",
	Conflict:        "conflict",
	TooLarge:        "too_large",
	Exhausted:       "limit_exceeded",
	Throttled:       "throttled",
	Unsupported:     "unsupported",
	Compacted:       "compacted",
	Unavailable:     "unavailable",
	Timeout:         "timeout",
	Canceled:        "canceled",
}

// ErrorKinds returns every kind, for tests that prove a mapping total.
func ErrorKinds() []ErrorKind {
	all := make([]ErrorKind, numKinds)
	for i := range all {
		all[i] = ErrorKind(i)
	}
	return all
}

// String returns the stable code of the kind, as clients see it.
func (k ErrorKind) String() string {
	if k < numKinds {
		return kindCodes[k]
	}
	return kindCodes[Internal]
}

// ParseErrorKind is the inverse of ErrorKind.String; an unknown code is Internal.
func ParseErrorKind(code string) ErrorKind {
	for k, c := range kindCodes {
		if c == code {
			return ErrorKind(k)
		}
	}
	return Internal
}

// Error is the one error type that crosses package boundaries.
type Error struct {
	Op       string    // the verb, "publish"; may be empty
	Kind     ErrorKind // what sort of failure
	Path     string    // what it happened to: a path, user or token id; may be empty
	Err      error     // the cause, or the whole text; may be nil
	Current  int64     // Conflict: the version that is current, 0 if unknown or none
	Problems []Problem // Invalid: every problem found in content, in order
}

// Problem is one finding in a piece of content.
type Problem struct {
	Path     string   `json:"path,omitempty"`   // the config it is about, where several are checked
	Line     int      `json:"line,omitempty"`   // from 1; 0 where there is no position
	Column   int      `json:"column,omitempty"` // from 1, in characters
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Excerpt  string   `json:"excerpt,omitempty"` // the lines around it with a caret under the column
	Hint     string   `json:"hint,omitempty"`    // how to mend it
}

// Severity of a Problem.
type Severity string

// Severities: an error stops a publish, a warning does not.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// String renders the problem as "path:line:column: message".
func (p Problem) String() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteByte(':')
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(p.Message)
	return b.String()
}

// Error renders "op path: kind: cause".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e.Path)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(strings.ReplaceAll(e.Kind.String(), "_", " "))
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Detail is the cause alone, without operation and kind: what a person needs
// when the protocol already shows the rest. It never carries the text of an
// Internal cause, which may hold anything.
func (e *Error) Detail() string {
	if e.Kind == Internal {
		return "an internal error; the server's log has the cause under this request id"
	}
	if e.Err == nil {
		return strings.ReplaceAll(e.Kind.String(), "_", " ")
	}
	return e.Err.Error()
}

// Errorf makes an *Error of a kind. op and path may be empty; the rest is
// fmt.Errorf, so %w wraps.
func Errorf(kind ErrorKind, op, path, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Path: path, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the outermost *Error in err's chain. Context
// errors are Timeout and Canceled; anything else is Internal.
func KindOf(err error) ErrorKind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	default:
		return Internal
	}
}

// AsError returns err as an *Error, wrapping what is not one yet.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: KindOf(err), Err: err}
}
