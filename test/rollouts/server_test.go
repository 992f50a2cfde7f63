package rollouts

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/test/program"
)

// patience bounds every wait of these tests. Nothing takes nearly as long; a
// wait that does is a failure.
const patience = 60 * time.Second

// shop is the env that most of these tests are about.
const shop = "acme/shop/prod"

// house is one server process, its data, and everything that speaks to it.
type house struct {
	testing.TB
	dir         string
	addr        string
	process     *program.Process
	fingerprint string
	token       config.Secret // a session of admin
	admin       *client.Client
}

// newHouse runs a server, with an env for each of the paths.
func newHouse(t testing.TB, envs ...string) *house {
	t.Helper()
	h := &house{TB: t, dir: t.TempDir()}
	h.addr = freeport.For(h)
	h.process = h.newProcess("server", binary, "serve")
	h.process.Env = append(h.process.Env,
		"SETPOINT_DATA_DIR="+filepath.Join(h.dir, "data"), "SETPOINT_HTTP_ADDR="+h.addr, "SETPOINT_ADMIN_ADDR=127.0.0.1:0",
		// The cheapest hash that is allowed, and a disk that nobody pulls out.
		"SETPOINT_AUTH_BASIC_MEMORY=7MiB", "SETPOINT_AUTH_BASIC_TIME=5", "SETPOINT_STORE_ETCD_UNSAFE_NO_FSYNC=true",
	)
	h.run()
	var password config.Secret
	h.until("the first words", func() bool {
		var told, shown bool
		password, told = h.process.Password()
		h.fingerprint, shown = h.process.Fingerprint()
		return told && shown
	})
	session, err := h.as(config.Client{}).Login(t.Context(), "admin", password, 0)
	h.must(err)
	h.token = h.process.Secret(session.Token)
	h.admin = h.as(config.Client{})
	program.Envs(t, h.admin, envs...)
	return h
}

// newProcess prepares a program that is ended, and its log judged, when the test
// ends.
func (h *house) newProcess(name, path string, args ...string) *program.Process {
	h.Helper()
	dir := filepath.Join(h.dir, name)
	h.must(os.MkdirAll(dir, 0o700))
	p, err := program.NewProcess(dir)
	h.must(err)
	p.Program, p.Args = path, args
	p.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + dir}
	h.Cleanup(func() {
		if p.Running() {
			if err := p.Stop(patience); err != nil {
				h.Errorf("%s did not end in order: %v", name, err)
			}
		}
		for _, complaint := range p.Complaints() {
			h.Errorf("%s: %s", name, complaint)
		}
		if h.Failed() {
			h.Logf("log of %s:\n%s", name, p.LogEnd())
		}
		h.must(p.Close())
	})
	return p
}

// run runs the server and waits until it is ready.
func (h *house) run() {
	h.Helper()
	h.must(h.process.Launch())
	trust, err := client.TLS{Insecure: true}.Config()
	h.must(err)
	probe := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: patience}
	defer probe.CloseIdleConnections()
	h.until("ready", func() bool {
		resp, err := probe.Get(h.url() + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (h *house) url() string { return "https://" + h.addr }

// options are how to reach the server as admin.
func (h *house) options() client.Options {
	return client.Options{Endpoints: []string{h.url()}, TLS: client.TLS{Fingerprint: h.fingerprint}, Token: h.token, Timeout: patience}
}

// as returns a client that names itself.
func (h *house) as(who config.Client) *client.Client {
	h.Helper()
	o := h.options()
	o.Instance = who
	c, err := client.New(o)
	h.must(err)
	h.Cleanup(c.Close)
	return c
}

// until waits for a condition, and fails the test if the server ends before.
func (h *house) until(what string, holds func() bool) {
	h.Helper()
	h.must(h.process.Until(what, patience, holds))
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// path reads a path that the test wrote.
func (h *house) path(text string) config.Path {
	h.Helper()
	return program.Path(h, text)
}

// publish releases configs, "path=content", at once and for everybody.
func (h *house) publish(items ...string) config.ChangeSet {
	h.Helper()
	return h.release(client.Publish{}, items...)
}

// release publishes configs, "path=content".
func (h *house) release(p client.Publish, items ...string) config.ChangeSet {
	h.Helper()
	set, err := h.admin.Publish(h.Context(), h.releasing(p, items...))
	h.must(err)
	return set
}

func (h *house) releasing(p client.Publish, items ...string) client.Publish {
	h.Helper()
	for _, item := range items {
		at, content, _ := strings.Cut(item, "=")
		p.Items = append(p.Items, client.PublishItem{Path: h.path(at), Content: []byte(content)})
	}
	return p
}

// records returns what the audit of the tenant has of an act, the newest first.
func (h *house) records(action string) []client.AuditRecord {
	h.Helper()
	all, err := program.Collect(h.admin.Audit(h.Context(), "acme", client.AuditFilter{Action: action}))
	h.must(err)
	return all
}

// cli runs a command of the program as admin. The error is an *exec.ExitError if
// it failed.
func (h *house) cli(args ...string) (stdout, stderr string, err error) {
	h.Helper()
	cmd := exec.CommandContext(h.Context(), binary, args...)
	cmd.Dir = h.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir}, h.environ()...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return out.String(), words.String(), err
}

// environ are the variables by which programs reach the server.
func (h *house) environ() []string {
	return []string{"SETPOINT_ENDPOINT=" + h.url(), "SETPOINT_FINGERPRINT=" + h.fingerprint, "SETPOINT_TOKEN=" + h.token.Reveal()}
}

// mustCLI runs a command that goes well, and returns what it prints.
func (h *house) mustCLI(args ...string) string {
	h.Helper()
	stdout, stderr, err := h.cli(args...)
	if err != nil {
		h.Fatalf("setpoint %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// refusedCLI runs a command that must be refused, with all of the words in what
// it says.
func (h *house) refusedCLI(words []string, args ...string) {
	h.Helper()
	stdout, stderr, err := h.cli(args...)
	if err == nil {
		h.Errorf("setpoint %s: want it refused, got\n%s%s", strings.Join(args, " "), stdout, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			h.Errorf("setpoint %s: want %q in why it is refused, got\n%s", strings.Join(args, " "), word, stderr)
		}
	}
}

// file writes a file and returns its name.
func (h *house) file(name, content string) string {
	h.Helper()
	full := filepath.Join(h.dir, name)
	h.must(os.MkdirAll(filepath.Dir(full), 0o700))
	h.must(os.WriteFile(full, []byte(content), 0o600))
	return full
}
