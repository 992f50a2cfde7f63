// Package file writes audit records to a file, one line of JSON each, and
// rotates it. A batch is either in the file whole, and synced, or not at all: what
// a full disk or a crash cuts short is cut away.
package file

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// Name of the driver, in settings.
const Name = "file"

const place = "audit." + Name

// Settings of the file driver.
type Settings struct {
	Path     string        `yaml:"path" doc:"the file; empty means audit.jsonl in the node's data directory. Each node has its own, as the sink may move from node to node"`
	MaxSize  plugin.Size   `yaml:"max_size" doc:"size at which the file is set aside and a new one begun"`
	MaxAge   time.Duration `yaml:"max_age" doc:"age of its oldest record at which the file is set aside; 0 means that age does not matter"`
	Keep     int           `yaml:"keep" doc:"how many files set aside are kept, the oldest go first; 0 means all"`
	Compress bool          `yaml:"compress" doc:"whether files set aside are compressed, with gzip"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{MaxSize: 100 * plugin.MiB, MaxAge: 24 * time.Hour, Keep: 30, Compress: true}
}

// The bounds of settings.
const (
	leastSize = plugin.KiB
	mostSize  = plugin.TiB
	leastAge  = time.Minute
	mostKeep  = 100_000
)

// Validate checks the settings.
func (s *Settings) Validate() error {
	return errors.Join(
		want(s.MaxSize >= leastSize && s.MaxSize <= mostSize, "max_size", "must be from %s to %s, is %s", leastSize, mostSize, s.MaxSize),
		want(s.MaxAge == 0 || s.MaxAge >= leastAge, "max_age", "must be at least %s, or 0 for never; is %s", leastAge, s.MaxAge),
		want(s.Keep >= 0 && s.Keep <= mostKeep, "keep", "must be from 0 to %d, is %d", mostKeep, s.Keep),
	)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// Open returns the working sink. It opens no file yet: a folder that is not there
// for a moment is an error of Write, which is tried again.
func (s *Settings) Open(_ context.Context, env audit.Env) (audit.Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	env = env.WithDefaults()
	path := s.Path
	if path == "" {
		path = filepath.Join(env.DataDir, "audit.jsonl")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "settings", place+".path", "%w", err)
	}
	return &Sink{settings: *s, path: path, log: env.Log, now: env.Now}, nil
}

var _ audit.Driver = (*Settings)(nil)
