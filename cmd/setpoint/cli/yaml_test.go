package cli

import (
	"encoding/json"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestJSONToYAML(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"scalars", `{"a":1,"b":1.50,"c":true,"d":null,"e":"x"}`, "a: 1\nb: 1.50\nc: true\nd: null\ne: x\n"},
		{"order is kept", `{"z":1,"a":2}`, "z: 1\na: 2\n"},
		{"nested", `{"a":{"b":[{"c":1,"d":[2]},[3,4]],"e":{}},"f":[]}`,
			"a:\n  b:\n    - c: 1\n      d:\n        - 2\n    - - 3\n      - 4\n  e: {}\nf: []\n"},
		{"list at the top", `["a","b"]`, "- a\n- b\n"},
		{"scalar at the top", `"a"`, "a\n"},
		{"text that looks like something else", `["on","1","2026-01-02","a: b","# c","","null","- x","a "]`,
			"- \"on\"\n- \"1\"\n- \"2026-01-02\"\n- \"a: b\"\n- \"# c\"\n- \"\"\n- \"null\"\n- \"- x\"\n- \"a \"\n"},
		{"blocks", `{"a":"x: 1\n\n  y\n","b":"x\ny"}`, "a: |\n  x: 1\n\n    y\nb: |-\n  x\n  y\n"},
		{"what is no block", `["x\n"," x\ny\n","x\n\n","x \ny\n","x\u001b\ny\n"]`,
			"- \"x\\n\"\n- \" x\\ny\\n\"\n- \"x\\n\\n\"\n- \"x \\ny\\n\"\n- \"x\\u001b\\ny\\n\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jsonToYAML([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzJSONToYAML holds that a reader of YAML gets the same text back.
func FuzzJSONToYAML(f *testing.F) {
	for _, seed := range []string{"a", "on", "1e3", "x\ny\n", " x\ny", "é\u0085\n", "\ufeff", "😀\nb", "%a", "a\n---\nb", "a\n...\nb\n", "#\n#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.Marshal(map[string]any{"k": []any{s, map[string]string{"v": s}}})
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		out, err := jsonToYAML(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s\nof %s: %v", out, text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\nof %s (-want +got):\n%s", out, text, diff)
		}
	})
}
