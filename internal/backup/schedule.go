package backup

import (
	"errors"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Schedule says when backups are made by the clock, and what becomes of them.
type Schedule struct {
	Every time.Duration `yaml:"every" doc:"how often a backup is made by itself, by one node of the cluster; 0 for never"`
	Dir   string        `yaml:"dir" doc:"where such backups are kept, at best on another disk; empty means backups/ in the node's data directory"`
	Keep  int           `yaml:"keep" doc:"how many of them are kept; older ones are deleted once a new one was verified"`
}

// Defaults fills every field.
func (s *Schedule) Defaults() { *s = Schedule{Keep: 7} }

// The bounds of Every: more often would mostly make backups, and more seldom is
// most likely a slip of the pen.
const (
	leastEvery = time.Minute
	mostEvery  = 366 * 24 * time.Hour
	mostKept   = 10_000
)

// Validate refuses a schedule that cannot be kept.
func (s Schedule) Validate() error {
	var errs []error
	if s.Every != 0 && (s.Every < leastEvery || s.Every > mostEvery) {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "backup.every", "must be 0 for never, or from %s to %s, is %s", leastEvery, mostEvery, s.Every))
	}
	if s.Keep < 1 || s.Keep > mostKept {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "backup.keep", "must be from 1 to %d, is %d", mostKept, s.Keep))
	}
	return errors.Join(errs...)
}
