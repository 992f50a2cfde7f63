package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

// running is an agent that runs for a test.
type running struct {
	testing.TB
	dir   string
	log   *guarded
	stop  context.CancelFunc
	ended chan error
}

// guarded is a log that can be read while it is written.
type guarded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// launch runs an agent in a folder, with settings in which $DIR is that folder.
func launch(t testing.TB, s *clienttest.Server, dir, text string, once bool, env map[string]string) *running {
	t.Helper()
	getenv := func(name string) string {
		if value, ok := env[name]; ok {
			return value
		}
		return os.Getenv(name)
	}
	plan, settings, err := planOf(&locator{file: "f.yaml"}, strings.ReplaceAll(text, "$DIR", dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	log := &guarded{}
	a := &agent{Env: Env{Getenv: getenv, Version: "test"}, settings: settings, plan: plan, options: s.Options(), log: slog.New(slog.NewTextHandler(log, nil))}
	a.options.Log = a.log
	a.options.Instance = config.Client{ID: settings.Instance, Labels: settings.Labels}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{TB: t, dir: dir, log: log, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- a.run(ctx, once) }()
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", log)
		}
	})
	return r
}

// end has the agent end, and returns its error.
func (r *running) end() error {
	r.Helper()
	r.stop()
	return r.wait()
}

func (r *running) wait() error {
	r.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		r.Fatal("the agent does not end")
		return nil
	}
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

func said(t testing.TB, s *clienttest.Server, version int64, state config.AckState) clienttest.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := s.WaitReport(ctx, func(r clienttest.Report) bool { return r.Version == version && r.State == state })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const shop = "acme/shop/prod/app.conf"

const agentSettings = `
instance: web-1
labels: {dc: ams}
state_dir: $DIR/state
status_file: $DIR/run/status.json
start_within: 100ms
retry: {attempts: 1}
groups:
  - name: shop
    files: [{config: acme/shop/prod/app.conf, to: $DIR/app.conf}]
    check: 'grep -q good "$SETPOINT_FILE_1" || { echo "this is not good"; exit 1; }'
`

func TestAgent(t *testing.T) {
	s := clienttest.NewServer(t)
	s.Put(shop, "good 1")
	dir := t.TempDir()
	system, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	told := func() string {
		b := make([]byte, 1000)
		n, err := system.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	a := launch(t, s, dir, agentSettings, false, map[string]string{"NOTIFY_SOCKET": filepath.Join(dir, "notify")})
	if want, got := "READY=1\nSTATUS=1 applied", told(); want != got {
		t.Errorf("want systemd told %q, got %q", want, got)
	}
	want := clienttest.Report{Instance: "web-1", Labels: map[string]string{"dc": "ams"}, Path: shop, Version: 1, State: config.AckApplied}
	if diff := cmp.Diff(want, said(t, s, 1, config.AckApplied)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}

	s.Put(shop, "bad 2")
	want = clienttest.Report{
		Instance: "web-1", Labels: map[string]string{"dc": "ams"}, Path: shop, Version: 2, State: config.AckRefused,
		Why: `check: grep -q good "$SETPOINT_FILE_1" || { echo "this is not good"; exit 1; }: exit status 1: this is not good`,
	}
	if diff := cmp.Diff(want, said(t, s, 2, config.AckRefused)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if want, got := "good 1", read(filepath.Join(dir, "app.conf")); want != got {
		t.Errorf("want %q in place, got %q", want, got)
	}
	if want, got := "STATUS=1 refused", told(); want != got {
		t.Errorf("want systemd told %q, got %q", want, got)
	}
	var status statusReport
	if err := json.Unmarshal([]byte(read(filepath.Join(dir, "run", "status.json"))), &status); err != nil {
		t.Fatal(err)
	}
	g := status.Groups[0]
	if !status.Connected || status.FromCache || status.Instance != "web-1" || g.State != refused || g.Configs[0].Version != 2 || !strings.Contains(g.Why, "not good") {
		t.Errorf("want a status of what was refused, got %+v", status)
	}

	s.Put(shop, "good 3")
	said(t, s, 3, config.AckApplied)
	if err := a.end(); err != nil {
		t.Errorf("want a clean end, got %v", err)
	}
	if want, got := "STATUS=1 applied", told(); want != got {
		t.Errorf("want systemd told %q, got %q", want, got)
	}
	if want, got := "STOPPING=1", told(); want != got {
		t.Errorf("want systemd told %q, got %q", want, got)
	}
	if want, got := "good 3", read(filepath.Join(dir, "app.conf")); want != got {
		t.Errorf("want %q left in place, got %q", want, got)
	}
}

func TestAgentStartsWithoutServers(t *testing.T) {
	s := clienttest.NewServer(t)
	s.Put(shop, "good 1")
	dir := t.TempDir()
	if err := launch(t, s, dir, agentSettings, true, nil).wait(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	place := filepath.Join(dir, "app.conf")
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	a := launch(t, s, dir, agentSettings, false, nil)
	until(t, "the file, from the agent's own copy", func() bool { return read(place) == "good 1" })
	until(t, "a status that says so", func() bool {
		return strings.Contains(read(filepath.Join(dir, "run", "status.json")), `"from_cache": true`)
	})
	s.Start()
	s.Put(shop, "good 2")
	said(t, s, 2, config.AckApplied)
	if want, got := "good 2", read(place); want != got {
		t.Errorf("want %q in place, got %q", want, got)
	}
	if err := a.end(); err != nil {
		t.Error(err)
	}
}

func TestAgentWaitsForServers(t *testing.T) {
	s := clienttest.NewServer(t)
	s.Put(shop, "good 1")
	s.Stop()
	dir := t.TempDir()
	a := launch(t, s, dir, agentSettings, false, nil)
	until(t, "a note of that", func() bool { return strings.Contains(a.log.String(), "no server answers, and nothing is known") })
	if err := a.end(); err != nil {
		t.Errorf("want a clean end, got %v", err)
	}
	err := launch(t, s, dir, agentSettings, true, nil).wait()
	if config.KindOf(err) != config.Unavailable {
		t.Errorf("want a single run to fail with kind unavailable, got %v", err)
	}
}

// An agent that was killed in the midst of a swap leaves it to the next to undo
// that, and to tell the program.
func TestAgentAfterACrash(t *testing.T) {
	s := clienttest.NewServer(t)
	s.Put(shop, "good 1")
	dir := t.TempDir()
	text := strings.Replace(agentSettings, "check:", "reload: echo told >> $DIR/told\n    check:", 1)
	if err := launch(t, s, dir, text, true, nil).wait(); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, "app.conf")
	h, err := openHome(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	sw, err := stage([]*rendering{to(place, "bad, and never checked")})
	if err == nil {
		err = sw.take(h.begin)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if err := launch(t, s, dir, text, true, nil).wait(); err != nil {
		t.Fatal(err)
	}
	if want, got := "good 1", read(place); want != got {
		t.Errorf("want %q in place, got %q", want, got)
	}
	if want, got := "told\ntold\n", read(filepath.Join(dir, "told")); want != got {
		t.Errorf("want the program told again, got %q", got)
	}
}
