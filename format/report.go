package format

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
)

// Bounds that every driver keeps, so that no content costs more than it is worth.
const (
	// MaxProblems is how many errors, and how many warnings, are reported of
	// one piece of content.
	MaxProblems = 100
	// MaxDepth is how deep lists and maps may nest. Whoever walks a Node may
	// recurse.
	MaxDepth = 1000
)

// Report collects the problems of one piece of content, with their excerpts.
type Report struct {
	*Source
	problems         []config.Problem
	errors, warnings int
}

// NewReport returns an empty report on content.
func NewReport(content []byte) *Report { return &Report{Source: NewSource(content)} }

// Errorf adds an error at a byte offset. hint says how to mend it, or is empty.
func (r *Report) Errorf(offset int, hint, text string, args ...any) {
	if r.errors++; r.errors <= MaxProblems {
		r.add(config.SeverityError, offset, hint, fmt.Sprintf(text, args...))
	}
}

// Warnf adds a warning at a byte offset.
func (r *Report) Warnf(offset int, hint, text string, args ...any) {
	if r.warnings++; r.warnings <= MaxProblems {
		r.add(config.SeverityWarning, offset, hint, fmt.Sprintf(text, args...))
	}
}

func (r *Report) add(severity config.Severity, offset int, hint, message string) {
	line, column := r.Position(offset)
	r.problems = append(r.problems, config.Problem{
		Line: line, Column: column, Severity: severity, Message: message,
		Excerpt: r.Excerpt(line, column), Hint: hint,
	})
}

// Failed says whether there is an error.
func (r *Report) Failed() bool { return r.errors > 0 }

// Full says that further errors would not be kept: a parser may stop.
func (r *Report) Full() bool { return r.errors >= MaxProblems }

// Place renders a position for a message, "line 3" or "line 3, column 5".
func (r *Report) Place(offset int) string {
	line, column := r.Position(offset)
	return fmt.Sprintf("line %d, column %d", line, column)
}

// Problems returns what was found in the order of the content; nil if nothing.
func (r *Report) Problems() []config.Problem {
	slices.SortStableFunc(r.problems, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}

// Text checks what all formats ask of content: that it is UTF-8. It says
// whether a parser may go on; after wrong bytes every further finding would be
// a guess.
func (r *Report) Text() bool {
	content := r.Content()
	if utf8.Valid(content) {
		return true
	}
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
		r.Errorf(0, "save the file as UTF-8", "the content is UTF-16, not UTF-8")
		return false
	}
	for at := 0; at < len(content) && !r.Full(); {
		c, size := utf8.DecodeRune(content[at:])
		if c == utf8.RuneError && size <= 1 {
			r.Errorf(at, "save the file as UTF-8", "byte 0x%02x is not valid UTF-8", content[at])
		}
		at += size
	}
	return false
}

// Result ends a Parse: the tree, or the error that carries the problems. op
// names the format, "parse json".
func (r *Report) Result(op string, tree *Node) (*Node, error) {
	if r.Failed() {
		return nil, Invalid(op, r.Problems())
	}
	return tree, nil
}

// Invalid makes the error for content with problems. Its text is the first
// error and the number of the others.
func Invalid(op string, problems []config.Problem) *config.Error {
	first, others := -1, 0
	for i, p := range problems {
		switch {
		case p.Severity != config.SeverityError:
		case first < 0:
			first = i
		default:
			others++
		}
	}
	err := &config.Error{Op: op, Kind: config.Invalid, Problems: problems}
	switch {
	case first < 0:
		err.Err = fmt.Errorf("%d warnings", len(problems))
	case others == 0:
		err.Err = fmt.Errorf("%s", problems[first])
	default:
		err.Err = fmt.Errorf("%s (and %d more)", problems[first], others)
	}
	return err
}
