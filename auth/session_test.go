package auth_test

import (
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
)

func TestTokenIdles(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		token auth.Token
		after time.Duration // since it was made
		want  bool
	}{
		{"one without a limit never does", auth.Token{}, 1e6 * time.Hour, false},
		{"one never used counts from when it was made", auth.Token{IdleAfter: 60}, time.Minute - 1, false},
		{"at the limit it has", auth.Token{IdleAfter: 60}, time.Minute, true},
		{"use counts", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, time.Hour + time.Minute - 1, false},
		{"use counts until the limit", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, time.Hour + time.Minute, true},
		{"use ahead is as good as now", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, 0, false},
		{"use before it was made is none", auth.Token{IdleAfter: 60, UsedAt: made.Add(-time.Hour)}, 30 * time.Second, false},
		{"fractions of a second", auth.Token{IdleAfter: 0.5}, 500 * time.Millisecond, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.token.CreatedAt = made
			if got := test.token.Idle(made.Add(test.after)); got != test.want {
				t.Errorf("idle after %s: want %v, got %v", test.after, test.want, got)
			}
		})
	}
}
