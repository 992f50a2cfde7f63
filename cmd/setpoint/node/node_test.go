package node_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/node"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/standard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal takes what a command prints, and tells when it holds a text.
type terminal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	until string
	held  chan struct{} // closed once the text holds until
}

func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.until != "" && strings.Contains(t.text.String(), t.until)
	n, err := t.text.Write(b)
	if !before && t.until != "" && strings.Contains(t.text.String(), t.until) {
		close(t.held)
	}
	return n, err
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// running is a command that runs until it is stopped.
type running struct {
	out, log *terminal
	cancel   context.CancelFunc
	ended    chan error
}

// begin runs a command until its output holds the text.
func begin(t *testing.T, until string, args ...string) *running {
	t.Helper()
	r := &running{out: &terminal{until: until, held: make(chan struct{})}, log: &terminal{}, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	root := command(args...)
	root.SetOut(r.out)
	root.SetErr(r.log)
	go func() { r.ended <- root.ExecuteContext(ctx) }()
	select {
	case <-r.out.held:
	case err := <-r.ended:
		t.Fatalf("%v ended with %v before it printed %q; it printed\n%s\n%s", args, err, until, r.out, r.log)
	}
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("want an orderly end, got %v", err)
	}
}

func command(args ...string) *cobra.Command {
	root := &cobra.Command{Use: "setpoint", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(node.Commands(node.Env{Drivers: standard.Drivers(), Program: "setpoint", Version: "v1"})...)
	root.SetArgs(args)
	return root
}

// once runs a command that ends by itself.
func once(args ...string) (string, error) {
	var out bytes.Buffer
	root := command(args...)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("want %s in\n%s", pattern, text)
	}
	return found[1]
}

func whoAmI(t *testing.T, url, fingerprint, password string) error {
	t.Helper()
	c, err := client.New(client.Options{
		Endpoints: []string{url}, Username: "admin", Password: config.NewSecret(password), TLS: client.TLS{Fingerprint: fingerprint},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.WhoAmI(t.Context())
	return err
}

// onFreePorts keeps tests from meeting each other.
func onFreePorts(args ...string) []string {
	return append(args, "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
}

func TestDevSaysHowToLogInNowAndAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	kept := filepath.Join(dir, "admin-password")
	var first string
	for range 2 {
		r := begin(t, "Ctrl-C", onFreePorts("dev", "--data-dir", dir)...)
		out := r.out.String()
		password, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(password)
		}
		if string(password) != first {
			t.Error("want the password to stay")
		}
		url, fingerprint := find(t, out, `login (https://\S+) --fingerprint`), find(t, out, `--fingerprint (\S{64})`)
		if err := whoAmI(t, url, fingerprint, strings.TrimSpace(first)); err != nil {
			t.Errorf("want the password to let one in: %v", err)
		}
		if !strings.Contains(out, "--password-stdin < "+kept) {
			t.Errorf("want a line to copy, got\n%s", out)
		}
		for _, text := range []string{out, r.log.String()} {
			if strings.Contains(text, strings.TrimSpace(first)) {
				t.Error("the password is printed, though it is kept")
			}
		}
		r.stop(t)
	}
	info, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("want the password readable by its owner only, got %v", info.Mode())
	}
}

func TestDevEphemeralLeavesNothing(t *testing.T) {
	r := begin(t, "Ctrl-C", onFreePorts("dev", "--ephemeral")...)
	dir := filepath.Dir(find(t, r.out.String(), `kept in (\S+)`))
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.out.String(), "thrown away") {
		t.Errorf("want it to say what is loose, got\n%s", r.out)
	}
	r.stop(t)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want %s gone, got %v", dir, err)
	}
}

func TestDevWithoutTLSSpeaksPlainHTTPAndSaysSo(t *testing.T) {
	r := begin(t, "Ctrl-C", onFreePorts("dev", "--ephemeral", "--no-tls")...)
	defer r.stop(t)
	out := r.out.String()
	password, err := os.ReadFile(find(t, out, `kept in (\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	if err := whoAmI(t, find(t, out, `login (http://\S+)`), "", strings.TrimSpace(string(password))); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out, "no TLS") {
		t.Errorf("want it to say what is loose, got\n%s", out)
	}
}

func TestDevIsForThisMachineOnly(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"dev", "--data-dir", dir, "--http-addr", ":0"},
		{"dev", "--data-dir", dir, "--http-addr", "0.0.0.0:0", "--no-tls"},
		{"dev", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--admin-addr", "192.0.2.1:0"},
	} {
		if _, err := once(args...); config.KindOf(err) != config.Invalid {
			t.Errorf("%v: want it refused, got %v", args, err)
		}
	}
	file := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, []byte("protocols: {rest: {}, grpc: {port: {addr: \":0\"}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := once(onFreePorts("dev", "--data-dir", dir, "--config", file)...)
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "protocols.grpc.port.addr") {
		t.Errorf("want the port of a protocol refused too, got %v", err)
	}
}

func TestServeShowsThePasswordOnceAndResetsIt(t *testing.T) {
	dir := t.TempDir()
	const box = `│ {5}(\S+) +│`
	start := func(more ...string) *running {
		return begin(t, "Log in: ", append(onFreePorts("serve", "--data-dir", dir, "--log-level", "debug"), more...)...)
	}
	signIn := func(r *running, password string) error {
		return whoAmI(t, find(t, r.out.String(), `serves (https://\S+)`), find(t, r.out.String(), `fingerprint (\S{64})`), password)
	}
	r := start()
	first := find(t, r.out.String(), box)
	if err := signIn(r, first); err != nil {
		t.Errorf("want the first password to let one in: %v", err)
	}
	r.stop(t)
	if strings.Contains(r.log.String(), first) {
		t.Error("the password is in the log")
	}

	r = start()
	if strings.Contains(r.out.String(), "password") {
		t.Errorf("want no word of the password at the second start, got\n%s", r.out)
	}
	r.stop(t)

	r = start("--reset-admin")
	if err := signIn(r, first); config.KindOf(err) != config.Unauthenticated {
		t.Errorf("want the first password refused, got %v", err)
	}
	if err := signIn(r, find(t, r.out.String(), box)); err != nil {
		t.Errorf("want the new password to let one in: %v", err)
	}
	r.stop(t)
}

func TestServeTakesThePasswordFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "short\n": "password"} {
		write(text)
		args := onFreePorts("serve", "--data-dir", t.TempDir(), "--admin-password-file", file)
		if _, err := once(args...); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want it refused with %q, got %v", text, want, err)
		}
	}
	const password = "correct horse battery staple 7"
	write(password + "\n")
	r := begin(t, "Log in: ", onFreePorts("serve", "--data-dir", t.TempDir(), "--admin-password-file", file)...)
	defer r.stop(t)
	if err := whoAmI(t, find(t, r.out.String(), `serves (https://\S+)`), find(t, r.out.String(), `fingerprint (\S{64})`), password); err != nil {
		t.Errorf("want the password in the file to let one in: %v", err)
	}
	if strings.Contains(r.out.String()+r.log.String(), password) {
		t.Error("the password is shown, though the operator has it")
	}
}

func TestSettingsAreCheckedPrintedAndDescribed(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for file, text := range map[string]string{good: "log: {level: debug}\n", bad: "lgo: {}\nhttp: {addr: x}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"settings", "check", good}, "the settings are good\n"},
		{[]string{"settings", "check"}, "the settings are good\n"},
		{[]string{"settings", "print", good}, "  level: debug  # " + good + ":1\n"},
		{[]string{"settings", "print"}, "  etcd:\n"},
		{[]string{"settings", "reference"}, "`SETPOINT_HTTP_ADDR`"},
	} {
		if out, err := once(tc.args...); err != nil || !strings.Contains(out, tc.want) {
			t.Errorf("%v: want %q, got %v and\n%s", tc.args, tc.want, err, out)
		}
	}
	_, err := once("settings", "check", bad)
	var e *config.Error
	if !errors.As(err, &e) || len(e.Problems) != 2 {
		t.Errorf("want two problems, got %v", err)
	}
}

func TestProgramIsWhatOneCanTypeAgain(t *testing.T) {
	for arg0, want := range map[string]string{
		"bin/setpoint": "bin/setpoint", "setpoint": "setpoint", "/usr/bin/setpoint": "/usr/bin/setpoint",
		"/tmp/go-build123/b001/exe/setpoint": "go run ./cmd/setpoint",
	} {
		if got := node.Program(arg0); got != want {
			t.Errorf("%s: want %q, got %q", arg0, want, got)
		}
	}
}
