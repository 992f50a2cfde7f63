package agent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func pathOf(t testing.TB, text string) config.Path {
	t.Helper()
	p, err := config.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve makes what is served of paths and contents, all in version 1, or in that
// which the path ends in: "acme/shop/prod/a@3".
func serve(t testing.TB, pairs ...string) map[config.Path]client.Config {
	t.Helper()
	out := map[config.Path]client.Config{}
	for i := 0; i < len(pairs); i += 2 {
		name, version, _ := strings.Cut(pairs[i], "@")
		c := client.Config{Path: pathOf(t, name), Version: 1, Content: []byte(pairs[i+1])}
		if version != "" {
			c.Version = int64(version[0] - '0')
		}
		out[c.Path] = c
	}
	return out
}

func TestTemplates(t *testing.T) {
	served := serve(t,
		"acme/shop/prod/plain@7", "line 1\nline 2\n",
		"acme/shop/prod/app.json", `{"port": 8080, "big": 1e400, "ratio": 0.5, "hosts": ["a", "b"], "name": "x \"y\" <z>"}`,
		"acme/shop/prod/app.yaml", "port: 8080\n1: one\nnested: {list: [1, 2]}\nempty: ''\n",
		"acme/shop/prod/up-a", "A", "acme/shop/prod/up-b", "B",
		"acme/shop/prod/broken", "{", "acme/shop/prod/two", "{} {}",
	)
	patterns := []config.Pattern{}
	for _, text := range []string{"acme/shop/prod", "acme/shop/test/none"} {
		p, err := config.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	env := map[string]string{"ZONE": "ams", tokenVariable: "secret"}
	for _, c := range []struct{ name, text, want, wrong string }{
		{name: "bytes as they are", text: `{{config "acme/shop/prod/plain"}}`, want: "line 1\nline 2\n"},
		{name: "a version", text: `{{version "acme/shop/prod/plain"}}`, want: "7"},
		{name: "by a pipe", text: `{{"acme/shop/prod/up-a" | config}}`, want: "A"},
		{name: "JSON", text: `{{with json "acme/shop/prod/app.json"}}{{.port}} {{.ratio}} {{index .hosts 1}} {{if eq .port 8080}}same{{end}}{{end}}`, want: "8080 0.5 b same"},
		{name: "a number that is none", text: `{{(json "acme/shop/prod/app.json").big}}`, want: "1e400"},
		{name: "YAML", text: `{{$y := yaml "acme/shop/prod/app.yaml"}}{{index $y "port"}} {{toJSON $y}}`, want: `8080 {"1":"one","empty":"","nested":{"list":[1,2]},"port":8080}`},
		{name: "all that match", text: `{{range configs "acme/shop/prod/up-*"}}{{base .}}={{config .}};{{end}}`, want: "up-a=A;up-b=B;"},
		{name: "what may be missing", text: `{{if has "acme/shop/test/none"}}there{{else}}none{{end}}`, want: "none"},
		{name: "env", text: `{{env "ZONE"}}{{env "NOTHING"}}`, want: "ams"},
		{name: "defaults", text: `{{$j := json "acme/shop/prod/app.json"}}{{index $j "none" | default 80}} {{default "x" ""}} {{default 1 0}} {{default "no" "yes"}}`, want: "80 x 1 yes"},
		{name: "quote", text: `{{quote (json "acme/shop/prod/app.json").name}}`, want: `"x \"y\" <z>"`},
		{name: "texts", text: `{{join "," (json "acme/shop/prod/app.json").hosts}} {{index (split "-" "a-b") 1}} {{upper "a"}}{{lower "B"}}{{trim " c "}}{{replace "x" "y" "axb"}}`, want: "a,b b Abcayb"},
		{name: "indent", text: `{{config "acme/shop/prod/plain" | indent 2}}`, want: "  line 1\n  line 2\n"},

		{name: "missing", text: "\n\n{{config \"acme/shop/test/none\"}}", wrong: "t:3:2: executing \"t\" at <config \"acme/shop/test/none\">: error calling config: acme/shop/test/none is not served to this instance"},
		{name: "not watched", text: `{{config (printf "acme/%s/prod/x" "other")}}`, wrong: "acme/other/prod/x is not watched: name it in the file's uses"},
		{name: "no path", text: `{{config "acme"}}`, wrong: "want the path of a config"},
		{name: "a key that is not there", text: `{{(json "acme/shop/prod/app.json").none}}`, wrong: `map has no entry for key "none"`},
		{name: "no JSON", text: `{{json "acme/shop/prod/broken"}}`, wrong: "acme/shop/prod/broken: version 1: not JSON"},
		{name: "more than JSON", text: `{{json "acme/shop/prod/two"}}`, wrong: "there is more after the value"},
		{name: "no YAML", text: `{{yaml "acme/shop/prod/broken"}}`, wrong: "acme/shop/prod/broken: version 1: not YAML"},
		{name: "required", text: `{{env "NOTHING" | required "set NOTHING"}}`, wrong: "set NOTHING"},
		{name: "the token", text: `{{env "SETPOINT_TOKEN"}}`, wrong: "SETPOINT_TOKEN is a secret"},
		{name: "an indent too wide", text: `{{indent 100000 "x"}}`, wrong: "want 0 to 1000"},
		{name: "no list", text: `{{join "," 3}}`, wrong: "want a list, got int"},
		{name: "too much", text: `{{define "more"}}{{range 1000000}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}{{end}}{{template "more"}}`, wrong: "more than 16 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseRecipe("t", c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.execute(&kitchen{served: served, patterns: patterns, getenv: func(name string) string { return env[name] }})
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Fatalf("want an error with %q, got %v", c.wrong, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatTemplatesName(t *testing.T) {
	r, err := parseRecipe("t", `
{{define "part"}}{{json "a/b/c/part"}}{{end}}
{{if has "a/b/c/if"}}{{config "a/b/c/then"}}{{else if true}}{{yaml "a/b/c/elseif"}}{{else}}{{version "a/b/c/else"}}{{end}}
{{range configs "a/b/c/x-*"}}{{config .}}{{else}}{{config "a/b/c/none"}}{{end}}
{{with $x := "a/b/c/piped" | json}}{{.}}{{end}}
{{(json "a/b/c/field").x.y}} {{index (json "a/b/c/inner") "k"}} {{template "part" (config "a/b/c/arg")}}
{{/* {{config "a/b/c/comment"}} */}}{{print "a/b/c/text"}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a/b/c/arg", "a/b/c/else", "a/b/c/elseif", "a/b/c/field", "a/b/c/if", "a/b/c/inner", "a/b/c/none", "a/b/c/part", "a/b/c/piped", "a/b/c/then", "a/b/c/x-*"}
	if diff := cmp.Diff(want, r.needs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzContents has templates read what somebody may have released.
func FuzzContents(f *testing.F) {
	f.Add(`{"a": [1, 2.5, "x"]}`)
	f.Add("a: &a [1, *a]")
	f.Add("? {a: b}\n: c\n")
	r, err := parseRecipe("t", `{{toJSON (yaml "a/b/c/d")}}{{toJSON (json "a/b/c/d")}}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content string) {
		_, _ = r.execute(&kitchen{served: serve(t, "a/b/c/d", content), getenv: noEnv})
	})
}
