package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/toml"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/rest"
	"github.com/setpointhq/setpoint/store/memory"
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
// $ENDPOINT, $FINGERPRINT and $PASSWORD, that of admin.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			endpoint, fingerprint, password, stop, err := startServer()
			if err != nil {
				return err
			}
			env.Defer(stop)
			env.Setenv("ENDPOINT", endpoint)
			env.Setenv("FINGERPRINT", fingerprint)
			env.Setenv("PASSWORD", password)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a race-detecting build takes a second
			return os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte(password+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"await":   await,
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

// startServer runs a node in this process, on the memory store, behind TLS.
func startServer() (endpoint, fingerprint, password string, stop func(), err error) {
	n := &node{log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	draining := make(chan struct{})
	chain, password, err := n.open(ctx)
	if err != nil {
		cancel()
		return "", "", "", nil, err
	}
	var mux protocol.Mux
	var settings rest.Settings
	settings.Defaults()
	api, err := settings.Open(ctx, protocol.Host{
		Center: n.center, Auth: chain, Log: n.log, Observer: protocol.NoObserver{}, Version: "test",
		MediaType: func(f string) string { return "application/" + f }, Draining: draining, HTTP: mux.Handle,
	})
	if err != nil {
		cancel()
		return "", "", "", nil, err
	}
	listener := httptest.NewUnstartedServer(&mux)
	listener.EnableHTTP2 = true
	listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener.StartTLS()
	return listener.URL, client.Fingerprint(listener.Certificate()), password, func() {
		close(draining)
		api.Close(context.Background())
		listener.Close()
		cancel()
		n.running.Wait()
		n.store.Close()
	}, nil
}

// node is what a server is made of.
type node struct {
	log     *slog.Logger
	store   *memory.Store
	center  *center.Center
	running sync.WaitGroup
}

func (n *node) open(ctx context.Context) (auth.Chain, string, error) {
	n.store = memory.New()
	v := view.New(view.Options{Store: n.store, Cache: forgetful{}, Log: n.log})
	directory := center.NewDirectory(n.log)
	v.Tail(directory.Sections(), directory.Apply)
	env := auth.Env{Directory: directory, Log: n.log}
	var passwords basic.Settings
	passwords.Defaults()
	passwords.Memory, passwords.Time = 7*plugin.MiB, 5 // the quickest that there is
	byPassword, err := passwords.Open(ctx, env)
	if err != nil {
		return nil, "", err
	}
	var tokens token.Settings
	tokens.Defaults()
	byToken, err := tokens.Open(ctx, env)
	if err != nil {
		return nil, "", err
	}
	hasher := byPassword.(auth.PasswordHasher)
	secret, _, err := center.Bootstrap(ctx, n.store, hasher, time.Now())
	if err != nil {
		return nil, "", err
	}
	var limits center.Limits
	limits.Defaults()
	n.center = center.New(center.Options{
		Store: n.store, View: v, Formats: format.NewSet(json.New(), yaml.New(), toml.New()), Directory: directory,
		Authorizer: rbac.New(directory), Passwords: hasher, Limits: limits, Log: n.log,
	})
	n.running.Go(func() { _ = v.Run(ctx) })
	n.running.Go(func() { _ = n.center.Run(ctx) })
	<-v.Ready()
	return auth.Chain{byToken, byPassword}, secret.Reveal(), nil
}

// forgetful is a cache that keeps nothing, as a cache may.
type forgetful struct{}

func (forgetful) Get(context.Context, string) ([]byte, bool) { return nil, false }
func (forgetful) Put(string, []byte)                         {}
func (forgetful) Close() error                               { return nil }
