// Package plugin is the generic registry of drivers. It knows no domain: a
// kind (store, format, auth …) brings its own factory type. A Registry is a
// value that the standard package fills with one explicit line per driver;
// there is no init() and no global.
package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Registry maps driver names to factories of type F.
type Registry[F any] struct {
	kind    string
	drivers map[string]F
}

// NewRegistry makes an empty registry; kind ("store") is for error texts.
func NewRegistry[F any](kind string) *Registry[F] {
	return &Registry[F]{kind: kind, drivers: map[string]F{}}
}

// Add registers a driver. A name taken twice is a programming error and panics
// at start-up, before anything is served.
func (r *Registry[F]) Add(name string, factory F) {
	if _, taken := r.drivers[name]; taken {
		panic(fmt.Sprintf("plugin: %s driver %q added twice", r.kind, name))
	}
	r.drivers[name] = factory
}

// Get returns a driver's factory, or an error that lists what there is.
func (r *Registry[F]) Get(name string) (F, error) {
	f, ok := r.drivers[name]
	if !ok {
		return f, fmt.Errorf("no %s driver %q in this build; it has %s", r.kind, name, strings.Join(r.Names(), ", "))
	}
	return f, nil
}

// Names returns the registered names, sorted.
func (r *Registry[F]) Names() []string {
	return slices.Sorted(maps.Keys(r.drivers))
}

// Kind returns what the registry holds drivers of.
func (r *Registry[F]) Kind() string { return r.kind }
