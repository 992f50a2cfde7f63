// Package format defines what a configuration file format must offer. Drivers
// live below it (json, yaml, toml, …) and all pass the suite in formattest.
//
// Content is always served exactly as it was published; a format only reads it.
package format

import (
	"path"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// Format reads one file format. Implementations are stateless and safe for
// concurrent use, and never panic on any input.
type Format interface {
	// Name is the driver's name, "yaml".
	Name() string
	// Extensions are the file name endings it claims, with the dot, lower case;
	// AnyExtension among them claims those that nobody else does.
	Extensions() []string
	// MediaType is the Content-Type that its content is served with.
	MediaType() string
	// Check reports every problem that the parser can find, with positions. No
	// problem of severity error means that the content may be published. It
	// must bound its time and memory whatever the content (deep nesting,
	// aliases that multiply).
	Check(content []byte) []config.Problem
	// Parse reads content into the common tree. Its error is a *config.Error of
	// kind Invalid that carries the Problems that Check would report.
	Parse(content []byte) (*Node, error)
}

// AnyExtension stands for every file name ending that no format names.
const AnyExtension = "*"

// NodeKind says what a Node holds.
type NodeKind uint8

// The kinds of Node.
const (
	Null NodeKind = iota
	Bool
	Number
	String
	Time
	List
	Map
)

var nodeKindNames = [...]string{"null", "bool", "number", "string", "time", "list", "map"}

// String returns the kind's name.
func (k NodeKind) String() string { return nodeKindNames[k] }

// Node is one value of a parsed document, in the form common to all formats.
type Node struct {
	Kind NodeKind
	// Text is a scalar's value: a string's characters; a number, bool or time as
	// the document spells it.
	Text string
	// Items are a List's values, in order.
	Items []*Node
	// Members are a Map's, in the order of the document. Keys are unique.
	Members []Member
	// Line and Column, from 1, are where the value begins; 0 if unknown.
	Line, Column int
}

// Member is one key of a Map.
type Member struct {
	Key   string
	Value *Node
}

// Set is the formats that a server offers.
type Set struct {
	byName map[string]Format
	byExt  map[string]Format
	names  []string
}

// NewSet makes a Set; where two formats claim an extension, the first wins.
func NewSet(formats ...Format) *Set {
	s := &Set{byName: map[string]Format{}, byExt: map[string]Format{}}
	for _, f := range formats {
		if _, taken := s.byName[f.Name()]; taken {
			continue
		}
		s.byName[f.Name()] = f
		s.names = append(s.names, f.Name())
		for _, ext := range f.Extensions() {
			if _, taken := s.byExt[ext]; !taken {
				s.byExt[ext] = f
			}
		}
	}
	return s
}

// Names lists the formats in the order that they were given.
func (s *Set) Names() []string { return s.names }

// Get returns the format with the name, or an error that lists what there is.
func (s *Set) Get(name string) (Format, error) {
	if f, ok := s.byName[name]; ok {
		return f, nil
	}
	return nil, config.Errorf(config.Invalid, "", "", "no format %q; this server has %s", name, strings.Join(s.names, ", "))
}

// ForFile picks the format by a file name's ending.
func (s *Set) ForFile(name string) (Format, bool) {
	f, ok := s.byExt[strings.ToLower(path.Ext(name))]
	if !ok {
		f, ok = s.byExt[AnyExtension]
	}
	return f, ok
}
