package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"setpoint": main})
}

// leakless runs the tests and then looks for goroutines left behind.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	return code
}

// TestScripts runs each script with a server of its own. Scripts know it by
// $ENDPOINT, $FINGERPRINT, $CERT and $PASSWORD, that of admin.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp(t.TempDir(), "")
			if err != nil {
				return err
			}
			endpoint, fingerprint, password, stop, err := startServer(dir)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := stop(); err != nil {
					t.Errorf("the server's end: %v", err)
				}
			})
			env.Setenv("ENDPOINT", endpoint)
			env.Setenv("FINGERPRINT", fingerprint)
			env.Setenv("PASSWORD", password)
			env.Setenv("CERT", filepath.Join(dir, "data", "tls", "cert.pem"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a race-detecting build takes a second
			return os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte(password+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"await":   await,
			"until":   until,
			"keep":    keep,
			"replace": replace,
		},
	})
}

// exits runs a command that must end with the exit code: exits CODE NAME ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE NAME ARGS…")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code: want %s, got %s", args[0], got)
	}
}

// await waits until a file holds a text: await FILE TEXT. The scripts' own
// deadline ends a wait in vain.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(text), args[1]) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s never held %q; it holds:\n%s", args[0], args[1], text)
		}
	}
}

// until runs a command again and again until its standard output holds a text:
// until TEXT NAME ARGS…. The scripts' own deadline ends a wait in vain.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT NAME ARGS…")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && strings.Contains(out, args[0]) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s never showed %q; it shows:\n%s", args[1], args[0], out)
		}
	}
}

// keep puts what an expression matches in the last command's standard output
// into a variable: keep NAME REGEXP.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME REGEXP")
	}
	expression, err := regexp.Compile(args[1])
	ts.Check(err)
	out := ts.ReadFile("stdout")
	found := expression.FindString(out)
	if found == "" {
		ts.Fatalf("nothing matches %s in:\n%s", args[1], out)
	}
	ts.Setenv(args[0], found)
}

// replace changes a text in a file: replace FILE OLD NEW.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	ts.Check(err)
	if !strings.Contains(string(text), args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(name, []byte(strings.ReplaceAll(string(text), args[1], args[2])), 0o600))
}

// The quickest password hash that there is, and no ports but one of its own.
const settings = `
data_dir: %s
log: {level: error}
http: {addr: "127.0.0.1:0"}
admin: {addr: ""}
store: {memory: {}}
auth: {token: {}, basic: {memory: 7MiB, time: 5}}
`

// startServer runs a node of the standard build in this process, in a directory
// of its own.
func startServer(dir string) (endpoint, fingerprint, password string, stop func() error, err error) {
	file := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, settings, filepath.Join(dir, "data")), 0o600); err != nil {
		return "", "", "", nil, err
	}
	s, err := server.LoadSettings(standard.Drivers(), server.Sources{File: file})
	if err != nil {
		return "", "", "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan server.Started, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, s, server.Options{
			Version: "test", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
			AdminPassword: func(p config.Secret) error { password = p.Reveal(); return nil },
			Ready:         func(s server.Started) { started <- s },
		})
	}()
	select {
	case at := <-started:
		return at.URL, at.Fingerprint, password, func() error { cancel(); return <-ended }, nil
	case err := <-ended:
		cancel()
		return "", "", "", nil, err
	}
}
