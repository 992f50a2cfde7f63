package pki

import (
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
)

func TestLivesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "1y": 365 * day, "10y": AuthorityLife, "100y": maxLife, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "45s": 45 * time.Second,
	} {
		got, err := ParseLife(text)
		if err != nil || got != want {
			t.Errorf("%s: want %s, got %s, %v", text, want, got, err)
		}
		if again := FormatLife(got); again != text {
			t.Errorf("want %s written as it was read, got %s", text, again)
		}
	}
	for _, bad := range []string{"", "d", "y", "0d", "-1d", "+1d", "1.5y", "101y", "36501d", "99999999999999999999y", "1w", "10", "-1h", "1e3h", "١d", "1 d"} {
		_, err := ParseLife(bad)
		if err == nil || config.KindOf(err) != config.Invalid {
			t.Errorf("%q: want it invalid, got %v", bad, err)
		}
	}
}
