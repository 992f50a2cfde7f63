package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func noEnv(string) string { return "" }

// planOf reads settings as the command does.
func planOf(at *locator, text, base string) (*plan, *Settings, error) {
	s, err := parseSettings(at, []byte(text))
	if err != nil {
		return nil, nil, err
	}
	s.defaults(base, noEnv)
	p, err := compile(s, at)
	return p, s, err
}

func TestSettings(t *testing.T) {
	base := t.TempDir()
	p, s, err := planOf(&locator{file: "agent.yaml"}, `
endpoints: [https://one.example:7400, https://two.example:7400]
labels: {dc: ams}
state_dir: state
groups:
  - files:
      - config: acme/shop/prod/nginx.conf
        to: conf.d/shop.conf
      - to: /abs/upstreams.conf
        mode: 0o600
        template: |
          {{range configs "acme/shop/prod/up-*"}}{{config .}}{{end}}
          {{with json "acme/shop/prod/app.json"}}{{.port}}{{end}}
        uses: ["acme/*/prod/extra"]
    check: nginx -t
    reload: [nginx, -s, reload]
    timeout: 5s
`, base)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"acme/*/prod/extra", "acme/shop/prod/app.json", "acme/shop/prod/nginx.conf", "acme/shop/prod/up-*"}
	if diff := cmp.Diff(want, p.patterns); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
	g := p.groups[0]
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"the name", filepath.Join(base, "conf.d/shop.conf"), g.Name},
		{"a place that is relative", filepath.Join(base, "conf.d/shop.conf"), g.targets[0].To},
		{"the default mode", Mode(0o640), g.targets[0].Mode},
		{"a mode", Mode(0o600), g.targets[1].Mode},
		{"a command for the shell", Command{Shell: "nginx -t"}, g.Check},
		{"a command of parts", Command{Args: []string{"nginx", "-s", "reload"}}, g.Reload},
		{"the timeout", Duration(5 * time.Second), g.Timeout},
		{"the state's place", filepath.Join(base, "state"), s.StateDir},
		{"the attempts", Retry{Attempts: 3, First: Duration(time.Second), Most: Duration(30 * time.Second)}, s.Retry},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", " \n", "f.yaml: invalid: the file is empty"},
		{"two documents", "a: 1\n---\nb: 2", "multiple"},
		{"broken", "groups: [", "f.yaml:2:1: "},
		{"no groups", "slot: a", "groups: there are none"},
		{"an unknown key", "groups:\n  - files:\n      - {config: a/b/c/d, too: /x}", `f.yaml:3:27: unknown key "too"; there is config, template,`},
		{"a key twice", "slot: a\nslot: b", `f.yaml:2:1: mapping key "slot" already defined`},
		{"a list for a text", "instance: [a]", "f.yaml:1:11: found a list, want a text"},
		{"a text for a list", "groups: 3", "f.yaml:1:9: found `3`, want a list"},
		{"a text for a number", "retry: {attempts: x}", "f.yaml:1:19: found `x`, want a whole number"},
		{"an anchor that holds itself", "labels: &a {x: *a}", "f.yaml"},
		{"an empty command", "groups: [{check: []}]", "f.yaml:1:18: the command is empty"},
		{"a command of keys", "groups: [{check: {a: 1}}]", "f.yaml:1:18: a command is a line for the shell"},
		{"a duration without a unit", "groups: [{timeout: 3}]", `f.yaml:1:20: "3" is not a duration`},
		{"a timeout too long", "groups: [{timeout: 2h}]", "groups[0].timeout: must be at most 1h"},
		{"a wait too long", "retry: {first: 5m}", "retry: first (5m0s) must not be longer than most (30s)"},
		{"too many attempts", "retry: {attempts: 1000}", "f.yaml:1:9: retry.attempts: must be from 1 to 100"},
		{"a mode that is none", "groups: [{files: [{mode: rw}]}]", `mode "rw": write permissions in octal`},
		{"setuid", "groups: [{files: [{mode: 4755}]}]", `mode "4755": only permissions`},
		{"nobody's", "groups: [{files: [{mode: 0}]}]", `nobody could read`},
		{"no files", "groups: [{name: x}]", "f.yaml:1:10: groups[0]: the group has no files"},
		{"a name twice", "groups: [{name: x, files: [{config: a/b/c/d, to: /1}]}, {name: x, files: [{config: a/b/c/d, to: /2}]}]", `groups[1]: another group has the name "x"`},
		{"no place", "groups: [{files: [{config: a/b/c/d}]}]", "says not where the file is to be"},
		{"a place twice", "groups: [{files: [{config: a/b/c/d, to: /x/y}, {config: a/b/c/d, to: /x/./y}]}]", "f.yaml:1:66: groups[0].files[1].to: /x/y is kept by groups[0].files[0] already"},
		{"no source", "groups: [{files: [{to: /x}]}]", "want exactly one of config, template and template_file; there is none"},
		{"two sources", "groups: [{files: [{config: a/b/c/d, template: x, to: /x}]}]", "there is config and template"},
		{"an env for a config", "groups: [{files: [{config: a/b/c, to: /x}]}]", "want the path of a config, got one of an env"},
		{"a template that is none", "groups: [{files: [{template: '{{config', to: /x}]}]", "groups[0].files[0].template: template: x:1:"},
		{"a function that is not there", "groups: [{files: [{template: \"\\n{{foo}}\", to: /x}]}]", `template: x:2: function "foo" not defined`},
		{"a path in a template that is none", "groups: [{files: [{template: '{{config \"/*/x\"}}', to: /x}]}]", "a pattern must name its tenant"},
		{"a template's file that is not there", "groups: [{files: [{template_file: no, to: /x}]}]", "no such file"},
		{"a template without end", "groups: [{files: [{template_file: /dev/zero, to: /x}]}]", "template_file: /dev/zero: the file has more than"},
		{"removal of a template", "groups: [{files: [{template: a, to: /x, remove_when_deleted: true}]}]", "remove_when_deleted: is for a config"},
		{"uses of a config", "groups: [{files: [{config: a/b/c/d, to: /x, uses: [a]}]}]", "uses: is for templates"},
		{"a user that is not there", "groups: [{files: [{config: a/b/c/d, to: /x, owner: no-such-user}]}]", `groups[0].files[0].owner: this machine has no user "no-such-user"`},
		{"a group that is not there", "groups: [{files: [{config: a/b/c/d, to: /x, group: no-such-group}]}]", `has no group "no-such-group"`},
		{"nothing to reload", "groups: [{reload_on_start: true, files: [{config: a/b/c/d, to: /x}]}]", "there is no command to run"},
		{"the token passed on", "groups: [{pass_env: [SETPOINT_TOKEN], files: [{config: a/b/c/d, to: /x}]}]", `pass_env[0]: "SETPOINT_TOKEN" is no variable that can be passed on`},
		{"a level that is none", "log: {level: loud}", `log.level: "loud"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := planOf(&locator{file: "f.yaml"}, c.text, t.TempDir())
			if err == nil || config.KindOf(err) != config.Invalid {
				t.Fatalf("want an error of kind invalid, got %v", err)
			}
			found := err.Error()
			for _, p := range config.AsError(err).Problems {
				found += "\n" + p.String()
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("want %q in:\n%s", c.want, found)
			}
		})
	}
}

func TestSettingsFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxSettings+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{filepath.Join(dir, "none.yaml"): "no such file", large: "the file has more than"} {
		if _, _, err := readSettings(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
	}
}

func TestOwnersWithoutRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		if _, err := ownerID("12345"); err != nil {
			t.Errorf("root can give files to anybody, got %v", err)
		}
		return
	}
	if _, err := ownerID("0"); err == nil || !strings.Contains(err.Error(), "only root") {
		t.Errorf("want that only root can, got %v", err)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("groups: [{files: [{config: a/b/c/d, to: /x, mode: 0640}], check: x, timeout: 3s}]")
	f.Add("groups:\n- files:\n  - to: /x\n    template: '{{\"a/b/c/d\" | config}}{{template \"y\"}}'\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		at := &locator{file: "f.yaml"}
		p, _, err := planOf(at, text, "/base")
		if (p == nil) == (err == nil) {
			t.Errorf("want a plan or an error, got %v and %v", p, err)
		}
		if err != nil && config.KindOf(err) != config.Invalid {
			t.Errorf("want kind invalid, got %v", err)
		}
	})
}

// What the guide shows is taken.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guide", "agent.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(begin string) string {
		t.Helper()
		_, rest, ok := strings.Cut(string(guide), begin)
		text, _, closed := strings.Cut(rest, "```\n")
		if !ok || !closed {
			t.Fatalf("the guide has no block that begins with %q", begin)
		}
		return text
	}
	dir := t.TempDir()
	template := block("Templates are Go's [text/template](https://pkg.go.dev/text/template), over any number of configs:\n\n```\n")
	write(t, filepath.Join(dir, "upstreams.tmpl"), template, 0o600)
	p, _, err := planOf(&locator{file: "agent.yaml"}, block("```yaml\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"acme/shop/prod/app.yaml", "acme/shop/prod/nginx.conf", "acme/shop/prod/site-*"}
	if diff := cmp.Diff(want, p.patterns); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
	got, err := p.groups[0].targets[1].template.execute(&kitchen{getenv: noEnv, patterns: p.groups[0].patterns, served: serve(t,
		"acme/shop/prod/app.yaml", "backends: [{host: a, port: 1}, {host: b}]", "acme/shop/prod/site-x", "text\n")})
	if err != nil {
		t.Fatal(err)
	}
	rendered := "upstream shop {\n    server a:1;\n    server b:8080;\n}\n\n# acme/shop/prod/site-x, version 1\n    text\n\n\n"
	if diff := cmp.Diff(rendered, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range keysOf("Settings") {
		if !strings.Contains(string(guide), s) {
			t.Errorf("the guide says nothing of %s", s)
		}
	}
}
