package basic

import (
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

func TestPasswordPolicy(t *testing.T) {
	tests := []struct{ name, user, password, want string }{
		{"long enough", "alice", "correct horse", ""},
		{"the shortest", "alice", "k3#fjq9-xz", ""},
		{"the longest", "alice", strings.Repeat("ab", 512), ""},
		{"characters count, not bytes", "alice", "ключик-замо", ""},
		{"few characters of many bytes", "alice", "密码密码", "has 4 characters; use at least 10"},
		{"none", "alice", "", "has 0 characters"},
		{"too short", "alice", "k3#fjq9-x", "has 9 characters"},
		{"too long", "alice", strings.Repeat("ab", 512) + "c", "has 1025 bytes"},
		{"the user's name", "release-manager", "Release-Manager", "is the user's name"},
		{"another's name", "alice", "release-manager", ""},
		{"notorious", "alice", "Password123", "among the first"},
		{"monotonous", "alice", "zzzzzzzzzzzz", "among the first"},
	}
	f := openWith(t, quick())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := f.CheckPassword(test.user, config.NewSecret(test.password))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("want it accepted, got %v", err)
			case test.want != "" && (config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), test.want)):
				t.Errorf("want invalid with %q, got %v", test.want, err)
			}
			if err != nil && test.password != "" && strings.Contains(err.Error(), test.password) {
				t.Errorf("want no password in the error, got %v", err)
			}
		})
	}
	for _, notorious := range notoriousWords {
		if _, err := f.Hash(t.Context(), config.NewSecret(notorious)); config.KindOf(err) != config.Invalid {
			t.Errorf("want Hash to hold the policy too, got %v for %s", err, notorious)
		}
		if len(notorious) < 10 || notorious != strings.ToLower(notorious) {
			t.Errorf("%q in the list does nothing", notorious)
		}
	}
}
