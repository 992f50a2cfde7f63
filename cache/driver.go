package cache

import (
	"context"
	"log/slog"

	"github.com/setpointhq/setpoint/plugin"
)

// Driver is a cache driver's settings struct, which is its constructor too.
type Driver interface {
	plugin.Settings
	// Open returns the working cache. ctx bounds the opening only.
	Open(ctx context.Context, env Env) (Cache, error)
}

// Env is what the node lends to a driver that it opens.
type Env struct {
	Log *slog.Logger // nil means slog.Default()
}
