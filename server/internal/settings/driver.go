package settings

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/setpointhq/setpoint/plugin"
)

// Form is how a settings file writes a choice of drivers.
type Form uint8

// The forms.
const (
	One     Form = iota // store: {etcd: {…}}
	Several             // protocols: {rest: {…}, grpc: {…}}
	Ordered             // auth: [{token: {…}}, {basic: {…}}]
)

// Drivers is a setting whose keys name drivers of one kind, each followed by
// the driver's own settings.
type Drivers[D plugin.Settings] struct {
	registry *plugin.Registry[func() D]
	form     Form
	chosen   []Driver[D]
}

// Driver is one chosen driver.
type Driver[D plugin.Settings] struct {
	Name     string
	Settings D
}

// NewDrivers makes a choice among the registered drivers. Those of the defaults
// that this build has are chosen until the settings say otherwise.
func NewDrivers[D plugin.Settings](registry *plugin.Registry[func() D], form Form, defaults ...string) Drivers[D] {
	d := Drivers[D]{registry: registry, form: form}
	for _, name := range defaults {
		if _, err := registry.Get(name); err == nil {
			_ = d.choose(name) // it is there
		}
	}
	return d
}

// Chosen returns the drivers that the settings name, in their order.
func (d *Drivers[D]) Chosen() []Driver[D] { return d.chosen }

// choice is Drivers without its type parameter, as the loader sees it.
type choice interface {
	kind() string
	shape() Form
	// offers lists what could be chosen.
	offers() []string
	drivers() []named
	// fresh returns a driver's settings filled with defaults, unchosen.
	fresh(name string) plugin.Settings
	// clear forgets what was chosen.
	clear()
	// choose adds a driver with default settings.
	choose(name string) error
}

// named is a Driver without its type parameter.
type named struct {
	name     string
	settings plugin.Settings
}

func (d *Drivers[D]) kind() string     { return d.registry.Kind() }
func (d *Drivers[D]) shape() Form      { return d.form }
func (d *Drivers[D]) offers() []string { return d.registry.Names() }
func (d *Drivers[D]) clear()           { d.chosen = nil }

func (d *Drivers[D]) drivers() []named {
	out := make([]named, len(d.chosen))
	for i, c := range d.chosen {
		out[i] = named{c.Name, c.Settings}
	}
	return out
}

func (d *Drivers[D]) fresh(name string) plugin.Settings {
	factory, err := d.registry.Get(name)
	if err != nil {
		return nil
	}
	s := factory()
	s.Defaults()
	return s
}

func (d *Drivers[D]) choose(name string) error {
	factory, err := d.registry.Get(name)
	if err != nil {
		return err
	}
	if d.form == One && len(d.chosen) > 0 {
		return fmt.Errorf("only one %s can be chosen, and %q is already", d.kind(), d.chosen[0].Name)
	}
	if slices.ContainsFunc(d.chosen, func(c Driver[D]) bool { return c.Name == name }) {
		return fmt.Errorf("%s %q is named twice", d.kind(), name)
	}
	s := factory()
	s.Defaults()
	d.chosen = append(d.chosen, Driver[D]{Name: name, Settings: s})
	return nil
}

// asChoice returns the choice that a field is, if it is one.
func asChoice(v reflect.Value) (choice, bool) {
	if !v.CanAddr() {
		return nil, false
	}
	c, ok := v.Addr().Interface().(choice)
	return c, ok
}
