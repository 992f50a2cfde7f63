package server

import (
	"errors"
	"os"

	"github.com/setpointhq/setpoint/config"
)

var errLocked = errors.New("locked")

// lockDataDir makes the data directory if it is not there and keeps every other
// process out of it until the file is closed, be it by the end of the process.
func lockDataDir(s *Settings) (*os.File, error) {
	refuse := func(err error) error {
		return config.Errorf(config.Unavailable, "start", s.DataDir, "the data directory (data_dir) cannot be used: %w", err)
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, refuse(err)
	}
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, refuse(err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close() // the error that counts is there already
		if errors.Is(err, errLocked) {
			err = errors.New("another process uses it; stop that one, or give this one a data_dir of its own")
		}
		return nil, refuse(err)
	}
	return f, nil
}
