package throttle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func open(t *testing.T, change func(*throttle.Settings)) (*throttle.Limiter, *clock) {
	t.Helper()
	var s throttle.Settings
	s.Defaults()
	if change != nil {
		change(&s)
	}
	if err := s.Validate("here"); err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Unix(1_000_000, 0)}
	return throttle.New(s, c.Now), c
}

func TestWaitGrowsWithEachFailureUpToTheLongest(t *testing.T) {
	l, c := open(t, func(s *throttle.Settings) { s.Failures = 3 })
	var got []time.Duration
	for range 12 {
		l.Fail("alice")
		wait := l.Wait("alice")
		got = append(got, wait/time.Second)
		c.pass(wait)
		if left := l.Wait("alice"); left != 0 {
			t.Fatalf("want no wait once it is over, got %s", left)
		}
	}
	want := []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seconds to wait after each failure (-want +got):\n%s", diff)
	}
}

func TestWaitRunsDown(t *testing.T) {
	l, c := open(t, func(s *throttle.Settings) { s.Failures, s.FirstWait = 1, 10*time.Second })
	l.Fail("alice")
	c.pass(4 * time.Second)
	if want, got := 6*time.Second, l.Wait("alice"); want != got {
		t.Errorf("want %s left, got %s", want, got)
	}
	if got := l.Wait("bob"); got != 0 {
		t.Errorf("want another key not to wait, got %s", got)
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	t.Run("by a success", func(t *testing.T) {
		l, _ := open(t, func(s *throttle.Settings) { s.Failures = 2 })
		l.Fail("alice")
		l.Clear("alice")
		l.Fail("alice")
		if got := l.Wait("alice"); got != 0 {
			t.Errorf("want no wait, got %s", got)
		}
	})
	t.Run("after a time", func(t *testing.T) {
		l, c := open(t, func(s *throttle.Settings) { s.Failures = 2 })
		l.Fail("alice")
		c.pass(15 * time.Minute)
		l.Fail("alice")
		if got := l.Wait("alice"); got != 0 {
			t.Errorf("want no wait, got %s", got)
		}
	})
	t.Run("of the one longest ago when there are too many", func(t *testing.T) {
		l, _ := open(t, func(s *throttle.Settings) { s.Failures, s.Entries = 1, 3 })
		for i := range 4 {
			l.Fail(fmt.Sprint(i))
		}
		if l.Wait("0") != 0 || l.Wait("1") == 0 || l.Wait("3") == 0 {
			t.Errorf("want the first forgotten and the rest waiting, got %s, %s, %s", l.Wait("0"), l.Wait("1"), l.Wait("3"))
		}
	})
}

func TestTheEmptyKeyNeverWaits(t *testing.T) {
	l, _ := open(t, func(s *throttle.Settings) { s.Failures = 1 })
	l.Fail("")
	l.Clear("")
	if got := l.Wait(""); got != 0 {
		t.Errorf("want no wait, got %s", got)
	}
}

func TestCheck(t *testing.T) {
	if err := throttle.Check(0, 0); err != nil {
		t.Errorf("want no error, got %v", err)
	}
	var again *auth.RetryAfter
	if err := throttle.Check(time.Second, 3*time.Second, 0); !errors.As(err, &again) || again.Wait != 3*time.Second {
		t.Errorf("want the longest wait, 3s, got %v", err)
	}
}

func TestNetwork(t *testing.T) {
	tests := map[string]string{
		"":                      "",
		"192.0.2.1":             "192.0.2.1",
		"::ffff:192.0.2.1":      "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":   "2001:db8:1:2::/64",
		"fe80::1%eth0":          "fe80::/64",
		"@":                     "@",
		"unix:/run/setpoint.so": "unix:/run/setpoint.so",
	}
	for address, want := range tests {
		if got := throttle.Network(address); got != want {
			t.Errorf("%q: want %q, got %q", address, want, got)
		}
	}
}

func TestSettingsAreValidated(t *testing.T) {
	tests := map[string]func(*throttle.Settings){
		"failures":     func(s *throttle.Settings) { s.Failures = 0 },
		"first_wait":   func(s *throttle.Settings) { s.FirstWait = 2 * time.Minute },
		"longest_wait": func(s *throttle.Settings) { s.LongestWait = 2 * time.Hour },
		"forget_after": func(s *throttle.Settings) { s.ForgetAfter = time.Second },
		"entries":      func(s *throttle.Settings) { s.Entries = 0 },
	}
	for field, spoil := range tests {
		var s throttle.Settings
		s.Defaults()
		spoil(&s)
		err := s.Validate("auth.basic.per_user")
		if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.basic.per_user."+field) {
			t.Errorf("want %s refused by its name, got %v", field, err)
		}
	}
}
