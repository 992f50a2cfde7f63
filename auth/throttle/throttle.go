// Package throttle slows guessing down: it counts the failures of a user or an
// address and makes it wait, longer with each further failure, up to a limit.
// It decides nothing about identities; drivers ask it.
package throttle

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/config"
)

// Settings of a Limiter.
type Settings struct {
	Failures    int           `yaml:"failures" doc:"failures in a row after which each further attempt has to wait"`
	FirstWait   time.Duration `yaml:"first_wait" doc:"the first wait; it doubles with every further failure"`
	LongestWait time.Duration `yaml:"longest_wait" doc:"the longest wait, so that a stranger's failures never lock anyone out for good"`
	ForgetAfter time.Duration `yaml:"forget_after" doc:"time without a failure after which all is forgotten"`
	Entries     int           `yaml:"entries" doc:"how many are counted at once at most; the one that failed longest ago is forgotten first"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{Failures: 5, FirstWait: time.Second, LongestWait: time.Minute, ForgetAfter: 15 * time.Minute, Entries: 10_000}
}

// The bounds of settings. A wait of more than an hour would be a lock-out, and
// an entry takes about 200 bytes.
const (
	longestWait = time.Hour
	mostEntries = 1_000_000
)

// Validate checks the settings; place is where they are, "auth.basic.per_user".
func (s *Settings) Validate(place string) error {
	want := func(ok bool, field, format string, args ...any) error {
		if ok {
			return nil
		}
		return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
	}
	return errors.Join(
		want(s.Failures >= 1, "failures", "must be at least 1, is %d", s.Failures),
		want(s.FirstWait > 0 && s.FirstWait <= s.LongestWait, "first_wait", "must be more than 0 and at most longest_wait (%s), is %s", s.LongestWait, s.FirstWait),
		want(s.LongestWait <= longestWait, "longest_wait", "must be at most %s, is %s", longestWait, s.LongestWait),
		want(s.ForgetAfter >= s.LongestWait, "forget_after", "must be at least longest_wait (%s), is %s", s.LongestWait, s.ForgetAfter),
		want(s.Entries >= 1 && s.Entries <= mostEntries, "entries", "must be from 1 to %d, is %d", mostEntries, s.Entries),
	)
}

// Limiter counts failures by key. It keeps hashes of the keys only, so that its
// memory is bounded however long a key is. The empty key is nobody's and never
// waits. It is safe for concurrent use.
type Limiter struct {
	settings Settings
	now      func() time.Time
	seed     maphash.Seed
	failures *recent.Map[uint64, record]
}

type record struct {
	count int
	until time.Time // no attempt before then
}

// New makes a Limiter of valid settings that goes by the clock now.
func New(s Settings, now func() time.Time) *Limiter {
	return &Limiter{
		settings: s,
		now:      now,
		seed:     maphash.MakeSeed(),
		failures: recent.New[uint64, record](s.Entries, s.ForgetAfter, now),
	}
}

// Wait returns how long the key still has to wait; 0 if it may try now.
func (l *Limiter) Wait(key string) time.Duration {
	if key == "" {
		return 0
	}
	r, _ := l.failures.Get(maphash.String(l.seed, key))
	return max(0, r.until.Sub(l.now()))
}

// Check is Wait as an error: Throttled, with the longest wait of the keys.
func Check(wait ...time.Duration) error {
	var longest time.Duration
	for _, w := range wait {
		longest = max(longest, w)
	}
	if longest == 0 {
		return nil
	}
	return auth.Throttled("authenticate", "too many failed attempts for this user or from this address", longest)
}

// Fail counts a failure of the key.
func (l *Limiter) Fail(key string) {
	if key == "" {
		return
	}
	now := l.now()
	l.failures.Update(maphash.String(l.seed, key), func(r record, _ bool) record {
		r.count++
		if over := r.count - l.settings.Failures; over >= 0 {
			r.until = now.Add(l.wait(over))
		}
		return r
	})
}

// Clear forgets the failures of the key, as after a success.
func (l *Limiter) Clear(key string) {
	if key != "" {
		l.failures.Delete(maphash.String(l.seed, key))
	}
}

// wait returns FirstWait doubled so many times, without overflow.
func (l *Limiter) wait(doublings int) time.Duration {
	w := l.settings.FirstWait
	for ; doublings > 0 && w < l.settings.LongestWait; doublings-- {
		w *= 2
	}
	return min(w, l.settings.LongestWait)
}

// Network returns the key to count an IP address under: itself or, as a single
// host commands a whole /64 of IPv6, that network. What is no IP address is
// returned as it is.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
