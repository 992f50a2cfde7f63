package format_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/toml"
	"github.com/setpointhq/setpoint/format/yaml"
)

func TestSet(t *testing.T) {
	set := format.NewSet(yaml.New(), json.New(), toml.New(), json.New())
	if diff := cmp.Diff([]string{"yaml", "json", "toml"}, set.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"application.yml": "yaml", "A.YAML": "yaml", "a.b.json": "json", "Cargo.toml": "toml", "notes.txt": "", "plain": ""} {
		got := ""
		if f, ok := set.ForFile(name); ok {
			got = f.Name()
		}
		if got != want {
			t.Errorf("ForFile(%q) = %q, want %q", name, got, want)
		}
	}
	if f, err := set.Get("toml"); err != nil || f.Name() != "toml" {
		t.Errorf("Get(toml) = %v, %v", f, err)
	}
	if _, err := set.Get("ini"); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "yaml, json, toml") {
		t.Errorf("Get(ini) = %v, want what there is", err)
	}
}
