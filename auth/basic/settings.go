// Package basic proves identities by user name and password, hashed with
// argon2id, and hashes new passwords. It makes guessing slow, and hashing at
// most as parallel as there are CPUs; a credential that was right is remembered
// for a short time, so that a program may send it with every call.
package basic

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "basic"

// Settings of the basic driver.
type Settings struct {
	Memory        plugin.Size       `yaml:"memory" doc:"memory of one argon2id hash, in whole KiB; new hashes only, stored ones keep theirs"`
	Time          int               `yaml:"time" doc:"passes of one argon2id hash over its memory; new hashes only"`
	Threads       int               `yaml:"threads" doc:"lanes of one argon2id hash; new hashes only"`
	Concurrent    int               `yaml:"concurrent" doc:"hashes computed at the same time; 0 means one for each CPU"`
	Queue         int               `yaml:"queue" doc:"logins that may wait for their turn to be hashed; more are told to come back later"`
	Remember      time.Duration     `yaml:"remember" doc:"how long a right password is remembered, under a keyed digest, and not hashed again; 0 means not at all"`
	RememberMost  int               `yaml:"remember_most" doc:"how many right passwords are remembered at most"`
	MinimumLength int               `yaml:"minimum_length" doc:"characters that a new password must have"`
	PerUser       throttle.Settings `yaml:"per_user" doc:"how failures of one user, from addresses unknown for it, are slowed"`
	PerAddress    throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Defaults fills every field. The hash parameters are OWASP's recommendation of
// 19 MiB and two passes, the rest is sized for a node with a few thousand users.
func (s *Settings) Defaults() {
	*s = Settings{
		Memory: 19 * plugin.MiB, Time: 2, Threads: 1,
		Queue:    256,
		Remember: time.Minute, RememberMost: 10_000,
		MinimumLength: 10,
	}
	s.PerUser.Defaults()
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // an office may share one address
}

// The bounds of settings. The least hash is OWASP's: at least 7 MiB, and memory
// times passes at least that of 7 MiB and five.
const (
	leastMemory  = 7 * plugin.MiB
	leastWork    = 5 * leastMemory
	mostRemember = time.Hour
	mostEntries  = 1_000_000
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	work := s.Memory * plugin.Size(s.Time)
	return errors.Join(
		want(s.Memory >= leastMemory && s.Memory <= mostMemory*plugin.KiB && s.Memory%plugin.KiB == 0, "memory",
			"must be whole KiB from %s to %s, is %s", leastMemory, mostMemory*plugin.KiB, s.Memory),
		want(s.Time >= 1 && s.Time <= mostTime, "time", "must be from 1 to %d, is %d", mostTime, s.Time),
		want(work >= leastWork && work <= mostWork*plugin.KiB, "time",
			"memory times time must be from %s to %s, is %s", leastWork, mostWork*plugin.KiB, work),
		want(s.Threads >= 1 && s.Threads <= mostThreads, "threads", "must be from 1 to %d, is %d", mostThreads, s.Threads),
		want(s.Concurrent >= 0 && s.Concurrent <= 1024, "concurrent", "must be from 1 to 1024, or 0 for one for each CPU; is %d", s.Concurrent),
		want(s.Queue >= 1, "queue", "must be at least 1, is %d", s.Queue),
		want(s.Remember >= 0 && s.Remember <= mostRemember, "remember", "must be from 0 to %s, is %s", mostRemember, s.Remember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostEntries, "remember_most", "must be from 1 to %d, is %d", mostEntries, s.RememberMost),
		want(s.MinimumLength >= 8 && s.MinimumLength <= 128, "minimum_length", "must be from 8 to 128, is %d", s.MinimumLength),
		s.PerUser.Validate(place+".per_user"),
		s.PerAddress.Validate(place+".per_address"),
	)
}

const place = "auth." + Name

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// params are what new hashes are made with.
func (s *Settings) params() params {
	return params{memory: uint32(s.Memory / plugin.KiB), time: uint32(s.Time), threads: uint8(s.Threads)}
}

// Open returns the working driver, an *Authenticator.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return open(*s, env.WithDefaults())
}

func (s *Settings) slots() int {
	if s.Concurrent > 0 {
		return s.Concurrent
	}
	return runtime.GOMAXPROCS(0)
}

var _ auth.Driver = (*Settings)(nil)
