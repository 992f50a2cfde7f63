//go:build unix

package tour

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both languages say the same.
func TestPagesShowTheSame(t *testing.T) {
	for _, language := range []string{"console", "go"} {
		want, wantInfos := fences(page(t, "README.md"), language)
		got, gotInfos := fences(page(t, "README.zh-CN.md"), language)
		if len(want) == 0 {
			t.Errorf("there are no blocks of %s in README.md", language)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s blocks of README.zh-CN.md (-README.md +README.zh-CN.md):\n%s", language, diff)
		}
		if diff := cmp.Diff(wantInfos, gotInfos); diff != "" {
			t.Errorf("terminals of README.zh-CN.md (-README.md +README.zh-CN.md):\n%s", diff)
		}
	}
}

// What the pages say works as typed.
func TestTour(t *testing.T) {
	r := begin(t)
	for _, name := range []string{"README.md", "docs/guide/api.md"} {
		for _, s := range steps(without(page(t, name), clusterHeading)) {
			r.take(name, s)
		}
	}
	r.program(page(t, "README.md"))
	server := r.terminals["server"]
	server.end(syscall.SIGINT) // as Ctrl-C does
	if text := server.screen.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "panic") {
		t.Errorf("the server complained:\n%s", text)
	}
}

// clusterHeading begins the part of the README that is about clusters. It has
// servers of its own, and so a reader of its own.
const clusterHeading = "## Three nodes"

// What the README says of a cluster works as typed: in each language, since the
// commands are the same, it is the same part.
func TestClusterTour(t *testing.T) {
	r := begin(t)
	for _, s := range steps(only(page(t, "README.md"), clusterHeading)) {
		r.take("README.md", s)
	}
}

// make cluster starts the three nodes, says how to log in, and ends them.
func TestMakeCluster(t *testing.T) {
	r := begin(t)
	script, err := filepath.Abs("../../tools/cluster")
	if err != nil {
		t.Fatal(err)
	}
	// A block of ports that is free, most likely: the script counts on from the first.
	terminal := open(t, r.dir, append(r.env, "BINARY=bin/setpoint", "PORT="+freePort(t)))
	terminal.start(script)
	const last = "Stop all three: Ctrl-C"
	if !terminal.await(func(all string) bool { return strings.Contains(all, last) }) {
		t.Fatalf("the script never said %q:\n%s", last, terminal.screen.String())
	}
	login := regexp.MustCompile(`Log in: +(.+)`).FindStringSubmatch(terminal.screen.String())
	got := open(t, r.dir, r.env).run(login[1] + " && bin/setpoint cluster status")
	for _, name := range []string{"n1", "n2", "n3"} {
		if !regexp.MustCompile(`(?m)^` + name + ` +voter .* ok `).MatchString(strings.Join(got, "\n")) {
			t.Errorf("want %s voting and well, got\n%s", name, strings.Join(got, "\n"))
		}
	}
	terminal.end(syscall.SIGINT)
}

// reader is who follows the tour.
type reader struct {
	t         *testing.T
	dir       string
	env       []string
	port      string            // the server's, which the pages call 7400
	ports     map[string]string // those that the pages give to the nodes of a cluster, and which they are here
	terminals map[string]*shell
}

// begin sets a table for a reader: a directory that looks like a fresh clone
// after a build, and a home of its own.
func begin(t *testing.T) *reader {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bin", "test", "home"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link(t, binary(t, dir), filepath.Join(dir, "bin", "setpoint"))
	data, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	link(t, data, filepath.Join(dir, "test", "testdata"))
	// The reader's part of the tour: what is changed in the editor.
	editor := filepath.Join(dir, "home", "editor")
	script := "#!/bin/sh\nsed 's/max: 200$/max: 400/' \"$1\" >\"$1.new\" && mv \"$1.new\" \"$1\"\n"
	if err := os.WriteFile(editor, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	r := &reader{t: t, dir: dir, ports: map[string]string{}, terminals: map[string]*shell{}, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"TMPDIR=" + home, "EDITOR=" + editor, "TZ=UTC", "LC_ALL=C.UTF-8",
	}}
	return r
}

func link(t *testing.T, old, name string) {
	t.Helper()
	if err := os.Symlink(old, name); err != nil {
		t.Fatal(err)
	}
}

// binary is the program that SETPOINT_BIN names, else one that is built in dir.
func binary(t *testing.T, dir string) string {
	t.Helper()
	if given := os.Getenv("SETPOINT_BIN"); given != "" {
		name, err := filepath.Abs(given)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	out := filepath.Join(dir, "setpoint")
	build(t, out, "./cmd/setpoint")
	return out
}

func build(t *testing.T, out, source string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, source)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", source, err, text)
	}
}

// take follows one step, and compares what it shows.
func (r *reader) take(page string, s step) {
	r.t.Helper()
	terminal := r.terminals[s.terminal]
	if terminal == nil {
		terminal = open(r.t, r.dir, r.env)
		r.terminals[s.terminal] = terminal
	}
	if s.terminal == "" {
		got := r.shown(terminal.run(r.meant(s.command)))
		if !matches(s.want, got) {
			r.differs(page, s, got)
		}
		return
	}
	if s.command != "" {
		terminal.start(r.meant(s.command))
	}
	terminal.want = append(terminal.want, s.want...)
	want := append(slices.Clip(terminal.want), more)
	if !terminal.await(func(all string) bool { return matches(want, r.shown(lines(all))) }) {
		r.differs(page, s, r.shown(lines(terminal.screen.String())))
	}
}

// differs tells of output that is not what the page says, or mends the pages.
func (r *reader) differs(page string, s step, got []string) {
	r.t.Helper()
	if os.Getenv("UPDATE") == "" || s.terminal != "" {
		r.t.Fatalf("%s shows after\n\n$ %s\nwhat is not shown (-want +got); UPDATE=1 writes what is:\n%s", page, s.command, cmp.Diff(s.want, got))
	}
	now := "$ " + s.command + strings.Join(append(slices.Clip(got), ""), "\n")
	for _, name := range []string{page, strings.Replace(page, ".md", ".zh-CN.md", 1)} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			continue // not every page is there in both languages
		}
		if err := os.WriteFile("../../"+name, []byte(strings.Replace(string(text), s.text, now, 1)), 0o600); err != nil {
			r.t.Error(err)
		}
	}
	r.t.Logf("%s: wrote what is shown after $ %s", page, s.command)
}

// meant is a command with what must differ here: the port, which may be taken,
// and make, which has built already.
func (r *reader) meant(command string) string {
	r.t.Helper()
	if strings.TrimSpace(command) == "make run" {
		recipe := regexp.MustCompile(`(?m)^run:.*\n\t(.+)$`).FindStringSubmatch(page(r.t, "Makefile"))
		if recipe == nil {
			r.t.Fatal("the Makefile has no recipe for run")
		}
		return strings.NewReplacer("$(BINARY)", "bin/setpoint", "$(RUNARGS)", "--http-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0").Replace(recipe[1])
	}
	command = clusterPort.ReplaceAllStringFunc(command, func(port string) string {
		if r.ports[port] == "" {
			r.ports[port] = freePort(r.t)
		}
		return r.ports[port]
	})
	return strings.ReplaceAll(command, "localhost:7400", "localhost:"+r.port)
}

// clusterPort is a port that a page gives to a node of a cluster.
var clusterPort = regexp.MustCompile(`\b74[1-9]\d\b`)

// freePort finds one that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeport.For(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serverURL is what a server prints when it serves.
var serverURL = regexp.MustCompile(`https://localhost:(\d+)`)

// shown is what was shown, as if the server had the usual port.
func (r *reader) shown(got []string) []string {
	var all []string
	for _, line := range got {
		for meant, real := range r.ports {
			line = strings.ReplaceAll(line, ":"+real, ":"+meant)
		}
		if m := serverURL.FindStringSubmatch(line); m != nil && r.port == "" && len(r.ports) == 0 {
			r.port = m[1]
			// Where the pages name no server they mean the one at the usual port.
			r.env = append(r.env, "SETPOINT_ENDPOINT="+m[0])
		}
		if r.port != "" {
			line = strings.ReplaceAll(line, "localhost:"+r.port, "localhost:7400")
		}
		all = append(all, line)
	}
	return all
}

// program builds the page's program as it stands there, and runs it.
func (r *reader) program(text string) {
	r.t.Helper()
	blocks, _ := fences(text, "go")
	if len(blocks) != 1 {
		r.t.Fatalf("want one program in the page, got %d", len(blocks))
	}
	source := filepath.Join(r.dir, "app.go")
	if err := os.WriteFile(source, []byte(r.meant(blocks[0])), 0o600); err != nil {
		r.t.Fatal(err)
	}
	build(r.t, filepath.Join(r.dir, "app"), source)
	app := open(r.t, r.dir, append(slices.Clip(r.env), "TOKEN="+strings.Join(r.terminals[""].run("echo $TOKEN"), "")))
	app.start("./app")
	const want = "acme/checkout/prod/bootstrap.yml is version 1: 523 bytes\n"
	if !app.await(func(all string) bool { return strings.Contains(all, want) }) {
		r.t.Fatal(fmt.Sprintf("the program never said %q, but:\n", want) + app.screen.String())
	}
}
