package store

import (
	"context"
	"log/slog"

	"github.com/setpointhq/setpoint/plugin"
)

// Driver is a store driver's settings struct, which is its constructor too.
type Driver interface {
	plugin.Settings
	// Open returns the running store. ctx bounds the opening only, not the
	// store's life, which ends with Close.
	Open(ctx context.Context, env Env) (Store, error)
}

// Local is implemented by drivers whose engine can keep its data on this node.
type Local interface {
	// HasData reports whether there is data of the engine's already, in a node
	// whose own directory is given.
	HasData(dataDir string) bool
}

// Env is what the node lends to a driver that it opens.
type Env struct {
	Log *slog.Logger // nil means slog.Default()
	// DataDir is the node's own directory, under which a driver whose settings
	// name no directory keeps its files.
	DataDir string
	// Peering is how this node meets others; nil for a node on its own.
	Peering *Peering
}

// Liveness is implemented by stores whose engine runs in this process and can
// die under them.
type Liveness interface {
	// Done is closed once the engine no longer runs, by Close or by itself.
	Done() <-chan struct{}
	// Err says why the engine died; nil while it runs and after a clean Close.
	Err() error
}
