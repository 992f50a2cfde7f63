package settings

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/plugin"
)

// report adds a problem of the settings file. t is where, path the key.
func (l *loader) report(t *token.Token, path, text string, args ...any) {
	p := config.Problem{Path: l.in.File, Severity: config.SeverityError, Message: fmt.Sprintf(text, args...)}
	if path != "" {
		p.Message = path + ": " + p.Message
	}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
		p.Excerpt = format.Excerpt(l.in.Content, p.Line, p.Column)
	}
	l.problems = append(l.problems, p)
}

// reportBy adds a problem of a variable or flag.
func (l *loader) reportBy(by, text string, args ...any) *config.Problem {
	l.problems = append(l.problems, config.Problem{Path: by, Severity: config.SeverityError, Message: fmt.Sprintf(text, args...)})
	return &l.problems[len(l.problems)-1]
}

// validate asks the struct and the chosen drivers what is wrong with the values.
func (l *loader) validate(root plugin.Settings) {
	// What could not be read has been reported; that nothing was chosen may be
	// its consequence.
	broken := len(l.problems) > 0
	l.invalid("", root.Validate())
	l.validateGroups()
	for _, leaf := range leaves(l.root, "", false) {
		if leaf.picks == nil {
			continue
		}
		if leaf.picks.shape() == One && len(leaf.picks.drivers()) == 0 && !broken {
			l.locate(leaf.path, fmt.Sprintf("no %s is chosen; this build has %s", leaf.picks.kind(), strings.Join(leaf.picks.offers(), ", ")))
		}
		for _, d := range leaf.picks.drivers() {
			l.invalid(join(leaf.path, d.name), d.settings.Validate())
		}
	}
}

// validateGroups asks the groups of settings that can judge themselves.
func (l *loader) validateGroups() {
	for _, f := range fields(l.root) {
		if f.value.Kind() != reflect.Struct {
			continue
		}
		if group, ok := f.value.Addr().Interface().(interface{ Validate() error }); ok {
			l.invalid(f.key, group.Validate())
		}
	}
}

// invalid adds what a Validate found, joined errors one by one. prefix is the
// key of the part that was asked; errors may name keys from there or from the
// top, as their Path or as "key: what is wrong".
func (l *loader) invalid(prefix string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			l.invalid(prefix, one)
		}
		return
	}
	key, message, _ := strings.Cut(err.Error(), ": ")
	var e *config.Error
	if errors.As(err, &e) {
		key, message = e.Path, e.Detail()
	} else if !isKey(key) {
		key, message = "", err.Error()
	}
	switch {
	case key == "":
		key = prefix
	case prefix != "" && !strings.HasPrefix(key+".", prefix+"."):
		key = join(prefix, key)
	}
	l.locate(key, message)
}

// isKey reports whether a text has the form of a key's path.
func isKey(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.") == ""
}

// locate adds a problem of a key wherever its value came from.
func (l *loader) locate(path, message string) {
	if path != "" {
		message = path + ": " + message
	}
	p := config.Problem{Path: path, Severity: config.SeverityError, Message: message}
	o, known := l.origins[path]
	for at := path; !known && at != ""; {
		// The place of a group that lacks a key is better than none.
		at = at[:max(0, strings.LastIndexByte(at, '.'))]
		o, known = l.origins[at]
	}
	p.Path, p.Line, p.Column = o.By, o.Line, o.Column // nothing for what nobody has set: the key says it all
	if p.Line > 0 {
		p.Excerpt = format.Excerpt(l.in.Content, p.Line, p.Column)
	}
	l.problems = append(l.problems, p)
}

// newError makes one error of all problems.
func newError(problems []config.Problem) error {
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	text := "there is a problem"
	switch {
	case len(problems) > 1:
		text = fmt.Sprintf("there are %d problems", len(problems))
	case problems[0].Line == 0: // without a place there is nothing more to show
		text = problems[0].String()
		if h := problems[0].Hint; h != "" {
			text += "; " + h
		}
	}
	return &config.Error{Op: "settings", Kind: config.Invalid, Err: errors.New(text), Problems: problems}
}

// hint names the known word nearest to a mistyped one, or what there is.
func hint(word string, known []string) string {
	at, near := nearest(word, known)
	switch {
	case near:
		return fmt.Sprintf("did you mean %q?", at)
	case len(known) == 0:
		return "there are no keys here"
	default:
		return "there is " + strings.Join(known, ", ")
	}
}

// nearest returns the known word that was probably meant, if one is near.
func nearest(word string, known []string) (string, bool) {
	best, at := len(word)/3+2, ""
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < best {
			best, at = d, k
		}
	}
	return at, at != ""
}

// distance is the number of letters to insert, remove or replace between two
// words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
