package config_test

import (
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

func TestNameForFile(t *testing.T) {
	long := strings.Repeat("deep/", 40) + "application.yaml"
	tests := []struct{ name, file, want string }{
		{"plain", "application.yaml", "application.yaml"},
		{"folder", "rules/node.yml", "rules-node.yml"},
		{"hidden", ".env", "env"},
		{"hidden folder", ".config/app.toml", "config-app.toml"},
		{"spaces and accents", "my é.json", "my---.json"},
		{"underscore first", "_internal.yaml", "internal.yaml"},
		{"overlong keeps its ending", long, strings.Repeat("deep-", 40)[:128-14] + "-6794282f.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.NameForFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != got {
				t.Errorf("NameForFile(%q): want %q, got %q", tt.file, tt.want, got)
			}
		})
	}
	for _, file := range []string{"", "...", "/etc/passwd", "a/../b", "a//b", "a\x00b"} {
		if got, err := config.NameForFile(file); config.KindOf(err) != config.Invalid {
			t.Errorf("NameForFile(%q): want invalid, got %q, %v", file, got, err)
		}
	}
}

func FuzzNameForFile(f *testing.F) {
	for _, seed := range []string{"a", "rules/node.yml", ".env", strings.Repeat("x", 300) + ".yaml", "-/-", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, err := config.NameForFile(file)
		if err != nil {
			return
		}
		p := config.Path{Tenant: "t", App: "a", Env: "e", Name: name}
		if err := p.Require(config.LevelConfig); err != nil {
			t.Errorf("NameForFile(%q) = %q: %v", file, name, err)
		}
	})
}
