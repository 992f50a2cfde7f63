package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/setpointhq/setpoint/plugin"
)

// Sink takes records elsewhere, in the order in which they were sealed. One node
// at a time drives it.
type Sink interface {
	// Write takes a batch, at most MaxBatch records, and returns when all of it is
	// as durable as the sink makes things. After an error the same records come
	// again, maybe among others, maybe from another node: a sink is told
	// everything at least once, and whoever reads it tells repeats by
	// Record.ID, which is unique. An error that is config.Invalid means that
	// these records can never be taken: they are skipped, and that is logged.
	Write(ctx context.Context, records []Record) error
	// Close flushes and ends the sink.
	Close() error
}

// MaxBatch is the most records that a sink is given at a time.
const MaxBatch = 500

// Driver is the settings struct of a sink's driver, which is its constructor too.
type Driver interface {
	plugin.Settings
	// Open returns the working sink. It does not wait for a peer that cannot be
	// reached: Write fails then, and is tried again. ctx bounds the opening only.
	Open(ctx context.Context, env Env) (Sink, error)
}

// Env is what the node lends to a driver that it opens.
type Env struct {
	Log     *slog.Logger     // nil means slog.Default()
	Now     func() time.Time // nil means time.Now
	Node    string           // this node's name
	DataDir string           // the node's own directory
	Version string           // of the program
}

// WithDefaults returns the Env with every nil that has a meaning filled in.
func (e Env) WithDefaults() Env {
	if e.Log == nil {
		e.Log = slog.Default()
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	return e
}
