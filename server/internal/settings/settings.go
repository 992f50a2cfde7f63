// Package settings fills a settings struct: defaults first, then one strict
// YAML file, then environment variables, then command-line flags. It reports
// every mistake at once, with line, column and excerpt, remembers where each
// value came from, and writes the settings and their reference out again.
//
// It knows struct tags and drivers, not what any key means.
package settings

import (
	"encoding"
	"reflect"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// Prefix is what the environment variables of settings begin with.
const Prefix = "SETPOINT_"

// Input is what to read settings from, weakest first.
type Input struct {
	// Presets take the place of defaults.
	Presets []Flag
	// File is the name of the settings file, for messages.
	File string
	// Content is what the file holds; nil means that there is no file.
	Content []byte
	// Environ is the environment, as from os.Environ. A variable is the path of
	// a key in upper case, joined by "_"; an empty one counts as not set.
	Environ []string
	// Ignored reports whether a variable with Prefix that names no setting is
	// known to serve something else.
	Ignored func(name string) bool
	// Flags are the settings given on the command line.
	Flags []Flag
}

// Flag is one setting given on the command line or by a program.
type Flag struct {
	Name  string // who says so: "--http-addr"
	Key   string // "http.addr"
	Value string
}

// Origin says where a value came from.
type Origin struct {
	// By is the file, variable or flag; empty for a default.
	By string
	// Line and Column, from 1, are the value's place in the file.
	Line, Column int
}

// Loaded is a filled settings struct that knows where its values came from.
type Loaded struct {
	root    plugin.Settings
	origins map[string]Origin
}

// Load fills root, a pointer to a struct. The error is a *config.Error of kind
// Invalid that carries every Problem found.
func Load(root plugin.Settings, in Input) (*Loaded, error) {
	root.Defaults()
	l := &loader{in: in, root: reflect.ValueOf(root).Elem(), origins: map[string]Origin{}}
	l.set(in.Presets)
	l.file()
	l.environ()
	l.set(in.Flags)
	l.validate(root)
	if len(l.problems) > 0 {
		return nil, newError(l.problems)
	}
	return &Loaded{root: root, origins: l.origins}, nil
}

// loader is one Load under way.
type loader struct {
	in       Input
	root     reflect.Value
	origins  map[string]Origin
	problems []config.Problem
}

// leaf is one settable value.
type leaf struct {
	path  string // "http.addr"
	doc   string
	value reflect.Value
	// picks is set if the value is a choice of drivers.
	picks choice
	// inactive names the driver that the value belongs to, if that driver is
	// not chosen; value is then a default.
	inactive string
}

// env is the variable that overrides the leaf.
func (l leaf) env() string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(l.path, ".", "_"))
}

// leaves lists every settable value below v in the order of the struct. With
// all it also lists those of drivers that are not chosen.
func leaves(v reflect.Value, path string, all bool) []leaf {
	var out []leaf
	for _, f := range fields(v) {
		at := join(path, f.key)
		switch c, isChoice := asChoice(f.value); {
		case isChoice:
			out = append(out, leaf{path: at, doc: f.doc, value: f.value, picks: c})
			out = append(out, driverLeaves(c, at, all)...)
		case isGroup(f.value.Type()):
			out = append(out, leaves(f.value, at, all)...)
		default:
			out = append(out, leaf{path: at, doc: f.doc, value: f.value})
		}
	}
	return out
}

// driverLeaves lists the values of a choice's drivers.
func driverLeaves(c choice, path string, all bool) []leaf {
	var out []leaf
	chosen := map[string]bool{}
	for _, d := range c.drivers() {
		chosen[d.name] = true
		out = append(out, leaves(reflect.ValueOf(d.settings).Elem(), join(path, d.name), all)...)
	}
	if !all {
		return out
	}
	for _, name := range c.offers() {
		if chosen[name] {
			continue
		}
		for _, l := range leaves(reflect.ValueOf(c.fresh(name)).Elem(), join(path, name), all) {
			l.inactive = name
			out = append(out, l)
		}
	}
	return out
}

// field is one tagged field of a settings struct.
type field struct {
	key, doc string
	value    reflect.Value
}

// fields lists the tagged fields of a struct. Untagged ones are no settings.
func fields(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "" || key == "-" {
			continue
		}
		out = append(out, field{key: key, doc: f.Tag.Get("doc"), value: v.Field(i)})
	}
	return out
}

// isGroup reports whether a type is a struct of further settings.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
