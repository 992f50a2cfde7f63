package agent

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/setpointhq/setpoint/config"
)

// maxSettings is the largest file that a person writes for the agent, in bytes:
// far more than anyone does, and little enough to read whatever it is.
const maxSettings = 1 << 20

// readBounded reads a file that a person wrote: settings, a template, a secret.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(content) > maxSettings {
		return nil, fmt.Errorf("the file has more than %d bytes", maxSettings)
	}
	return content, nil
}

// readSettings reads a settings file. Its error tells of every mistake, each
// with its place.
func readSettings(name string) (*Settings, *locator, error) {
	at := &locator{file: name}
	content, err := readBounded(name)
	if err != nil {
		return nil, at, config.Errorf(config.Invalid, "settings", name, "%w", err)
	}
	s, err := parseSettings(at, content)
	return s, at, err
}

// cause takes the operation and the name off a file's error, for texts that say
// both.
func cause(err error) error {
	var p *os.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// parseSettings decodes the text of a settings file, strictly.
func parseSettings(at *locator, content []byte) (*Settings, error) {
	s := &Settings{}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, config.Errorf(config.Invalid, "settings", at.file, "the file is empty; say which files to keep, as groups")
	}
	if err := yaml.Load(content, &at.root, yaml.WithSingleDocument(false)); err != nil {
		return nil, at.problems(at.translate(err))
	}
	if err := at.root.Load(s, yaml.WithKnownFields()); err != nil {
		return nil, at.problems(at.translate(err))
	}
	return s, nil
}

// locator finds where in the settings file something stands.
type locator struct {
	file string
	root yaml.Node // zero if the settings are no file's
}

var (
	unknownField = regexp.MustCompile(`^field (.+) not found in type agent\.(\w+)$`)
	twice        = regexp.MustCompile(`^field (.+) already set in type`)
	wrongType    = regexp.MustCompile("^cannot construct (.+) into (.+)$")
)

// translate makes problems of the library's errors, in this program's words.
func (l *locator) translate(err error) []config.Problem {
	var many *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = &yaml.LoadErrors{Errors: []*yaml.LoadError{one}}
	default:
		return []config.Problem{{Path: l.file, Severity: config.SeverityError, Message: strings.ReplaceAll(err.Error(), "yaml: ", "")}}
	}
	var out []config.Problem
	for _, e := range many.Errors {
		p := config.Problem{Path: l.file, Line: e.Mark.Line, Column: e.Mark.Column, Severity: config.SeverityError, Message: e.Message}
		if m := unknownField.FindStringSubmatch(e.Message); m != nil {
			p.Message = fmt.Sprintf("unknown key %q", m[1])
			p.Hint = "there is " + strings.Join(keysOf(m[2]), ", ")
		} else if m := twice.FindStringSubmatch(e.Message); m != nil {
			p.Message = fmt.Sprintf("the key %q is there twice", m[1])
		} else if m := wrongType.FindStringSubmatch(e.Message); m != nil {
			p.Message = fmt.Sprintf("found %s, want %s", foundName(m[1]), typeName(m[2]))
		}
		out = append(out, p)
	}
	return out
}

// foundName says what YAML's tag with a value is to somebody who writes settings.
func foundName(tag string) string {
	switch tag {
	case "!!seq":
		return "a list"
	case "!!map":
		return "keys with values"
	}
	_, value, _ := strings.Cut(tag, " ")
	return value
}

// typeName says what a Go type is to somebody who writes settings.
func typeName(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["), strings.HasPrefix(goType, "agent."):
		return "keys with values"
	case goType == "bool":
		return "true or false"
	case goType == "int":
		return "a whole number"
	}
	return "a text"
}

// keysOf lists the keys of a type of settings.
func keysOf(name string) (keys []string) {
	for _, t := range []reflect.Type{
		reflect.TypeFor[Settings](), reflect.TypeFor[LogSettings](), reflect.TypeFor[Retry](), reflect.TypeFor[Group](), reflect.TypeFor[File](),
	} {
		for i := range t.NumField() {
			if t.Name() == name {
				keys = append(keys, t.Field(i).Tag.Get("yaml"))
			}
		}
	}
	return keys
}

// problem is a mistake in a value, by its key: "groups[0].files[1].to".
func (l *locator) problem(key, format string, args ...any) config.Problem {
	p := config.Problem{Path: l.file, Severity: config.SeverityError, Message: key + ": " + fmt.Sprintf(format, args...)}
	p.Line, p.Column = l.place(key)
	return p
}

// problems makes one error of many; nil of none.
func (l *locator) problems(found []config.Problem) error {
	if len(found) == 0 {
		return nil
	}
	slices.SortStableFunc(found, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	text := found[0].String()
	if found[0].Hint != "" {
		text += "; " + found[0].Hint
	}
	if len(found) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(found)-1)
	}
	return &config.Error{Op: "settings", Kind: config.Invalid, Err: errors.New(text), Problems: found}
}

// place finds a key, or the nearest thing above it that is there.
func (l *locator) place(key string) (line, column int) {
	node := &l.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for part := range strings.FieldsFuncSeq(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next, from := child(node, part)
		if next == nil {
			break
		}
		node, line, column = next, from.Line, from.Column
	}
	return line, column
}

// child returns the value of a key or the item of a list, and where it begins.
func child(node *yaml.Node, part string) (value, from *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				return node.Content[i+1], node.Content[i]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// base is the directory that relative names start from.
func (l *locator) base() (string, error) {
	dir, err := filepath.Abs(filepath.Dir(l.file))
	if err != nil {
		return "", config.Errorf(config.Invalid, "settings", l.file, "%w", err)
	}
	return dir, nil
}
