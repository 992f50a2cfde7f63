// Package server is the composition root: it reads the settings, opens the
// drivers that they name, wires the parts in order of their dependencies, and
// runs them until it is told to stop. It imports no driver; package standard
// fills the registries.
package server

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store"
)

// Drivers is everything that a build can be composed of.
type Drivers struct {
	Stores         *plugin.Registry[func() store.Driver]
	Caches         *plugin.Registry[func() cache.Driver]
	Authenticators *plugin.Registry[func() auth.Driver]
	Authorizers    *plugin.Registry[func() auth.AuthorizerDriver]
	Sinks          *plugin.Registry[func() audit.Driver]
	Formats        *plugin.Registry[func() format.Format]
	Protocols      *plugin.Registry[func() protocol.Driver]
}

// NewDrivers makes empty registries.
func NewDrivers() *Drivers {
	return &Drivers{
		Stores:         plugin.NewRegistry[func() store.Driver]("store"),
		Caches:         plugin.NewRegistry[func() cache.Driver]("cache"),
		Authenticators: plugin.NewRegistry[func() auth.Driver]("auth"),
		Authorizers:    plugin.NewRegistry[func() auth.AuthorizerDriver]("authorization"),
		Sinks:          plugin.NewRegistry[func() audit.Driver]("audit"),
		Formats:        plugin.NewRegistry[func() format.Format]("format"),
		Protocols:      plugin.NewRegistry[func() protocol.Driver]("protocol"),
	}
}
