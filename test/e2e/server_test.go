package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// patience bounds every wait of these tests. Nothing takes nearly as long; a
// wait that does is a failure.
const patience = 60 * time.Second

// server is one server process, and the data that outlives it.
type server struct {
	t       testing.TB
	addr    string // of the main port
	admin   string // of the admin port
	dir     string
	env     []string
	secrets []string // must never be logged

	fingerprint string
	password    config.Secret // of the user admin
	token       config.Secret // a session of admin

	cmd   *exec.Cmd
	out   *os.File // what it says to people
	log   *os.File
	ended chan struct{}
	exit  error // valid when ended is closed
}

// start runs a new server and waits until it is ready. env are further settings
// as variables, "HTTP_HEADER_TIMEOUT=1s".
func start(t testing.TB, env ...string) *server {
	t.Helper()
	s := prepare(t, env...)
	s.launch()
	s.awaitReady()
	s.readFirstWords()
	session, err := s.as(config.Secret{}).Login(t.Context(), "admin", s.password, 0)
	if err != nil {
		t.Fatalf("admin cannot log in: %v", err)
	}
	s.token = s.secret(session.Token)
	return s
}

// prepare chooses ports and a place for the data of a server.
func prepare(t testing.TB, env ...string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, dir: filepath.Join(dir, "data"), addr: freeAddr(t), admin: freeAddr(t)}
	s.out, s.log = create(t, filepath.Join(dir, "out")), create(t, filepath.Join(dir, "log"))
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"SETPOINT_DATA_DIR=" + s.dir, "SETPOINT_HTTP_ADDR=" + s.addr, "SETPOINT_ADMIN_ADDR=" + s.admin,
	}
	for _, kv := range env {
		s.env = append(s.env, "SETPOINT_"+kv)
	}
	t.Cleanup(s.finish)
	return s
}

// create makes a file that a process may write to while others read it.
func create(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// read returns all that is in a file now.
func read(t testing.TB, f *os.File) string {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freeAddr finds a loopback port for a server that must come back to it. It
// lies below those that systems give to outgoing connections, which could take
// it while the server is away.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *server) url(path string) string      { return "https://" + s.addr + path }
func (s *server) adminURL(path string) string { return "http://" + s.admin + path }

// launch runs the process; it need not be ready, nor even listen, when this returns.
func (s *server) launch() {
	s.t.Helper()
	cmd := exec.Command(binary, "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.env, s.out, s.log, dieWithUs()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.cmd, s.ended = cmd, ended
	go func() {
		s.exit = cmd.Wait()
		close(ended)
	}()
}

// awaitReady waits until the server says that it is ready.
func (s *server) awaitReady() {
	s.t.Helper()
	probe := s.http()
	defer probe.CloseIdleConnections()
	s.until("ready", func() bool {
		resp, err := probe.Get(s.url("/readyz"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// until waits for a condition, and fails the test if the server ends before.
func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-s.ended:
			s.t.Fatalf("the server ended while the test waited for: %s: %v", what, s.exit)
		case <-limit:
			s.t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// kill9 ends the process as a power cut would, and waits until it is gone.
func (s *server) kill9() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
}

// restart runs a server that ended on the same data and ports, and waits until
// it is ready.
func (s *server) restart() {
	s.t.Helper()
	s.launch()
	s.awaitReady()
}

// stop ends the server as an operator does, and wants it to go in order.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.wait(); err != nil {
		s.t.Errorf("the server did not end in order: %v", err)
	}
}

// wait returns how the process ended; one that does not end fails the test.
func (s *server) wait() error {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.exit
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.t.Error("the server does not end")
		return errors.New("had to be killed")
	}
}

// running reports whether the process lives.
func (s *server) running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// finish ends the server, if it runs still, and judges its log.
func (s *server) finish() {
	if s.running() {
		s.stop()
	}
	s.judgeLog()
	if s.t.Failed() {
		text := read(s.t, s.log)
		const most = 16 << 10
		if len(text) > most {
			text = "…" + text[len(text)-most:]
		}
		s.t.Logf("log of the server at %s:\n%s", s.addr, text)
	}
	s.out.Close()
	s.log.Close()
}

var alarm = regexp.MustCompile(`(?m)^(panic: |fatal error: |goroutine \d+ \[)|DATA RACE|panicked|level=ERROR|"level":"ERROR"`)

// judgeLog fails the test for panics, errors and secrets in the log.
func (s *server) judgeLog() {
	text := read(s.t, s.log)
	for line := range strings.Lines(text) {
		if alarm.MatchString(line) {
			s.t.Errorf("in the log: %s", line)
		}
	}
	for _, secret := range s.secrets {
		if strings.Contains(text, secret) {
			s.t.Errorf("a secret is in the log: %s…", secret[:min(6, len(secret))])
		}
	}
}

// secret notes what must never be logged.
func (s *server) secret(secret config.Secret) config.Secret {
	s.secrets = append(s.secrets, secret.Reveal())
	return secret
}

// as returns an SDK client of the server that carries a token, or none.
func (s *server) as(token config.Secret, change ...func(*client.Options)) *client.Client {
	s.t.Helper()
	o := client.Options{Endpoints: []string{s.url("")}, Token: token, TLS: client.TLS{Fingerprint: s.fingerprint}}
	for _, f := range change {
		f(&o)
	}
	c, err := client.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// root is a client of the admin's.
func (s *server) root() *client.Client { return s.as(s.token) }

// trust is a TLS configuration for the server.
func (s *server) trust() *tls.Config {
	s.t.Helper()
	conf, err := client.TLS{Fingerprint: s.fingerprint, Insecure: s.fingerprint == ""}.Config()
	if err != nil {
		s.t.Fatal(err)
	}
	return conf
}

// http is a plain HTTP client that trusts the server, for what the SDK does not
// say. It keeps bodies as they are.
func (s *server) http() *http.Client {
	transport := &http.Transport{TLSClientConfig: s.trust(), DisableCompression: true, MaxIdleConnsPerHost: 64}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body []byte
}

// call sends one request. headers are name, value, name, value …
func (s *server) call(c *http.Client, method, path string, body []byte, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(c, method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *server) try(c *http.Client, method, path string, body []byte, headers ...string) (answer, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url(path), in)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp, got}, err
}

// bearer is the header value that carries a token.
func bearer(token config.Secret) string { return "Bearer " + token.Reveal() }

var (
	passwordText    = regexp.MustCompile(`shown this once:[^A-Z0-9]+([A-Z0-9]{20,})`)
	fingerprintText = regexp.MustCompile(`SHA-256 fingerprint ([0-9a-f]{64})`)
)

// readFirstWords takes from what the first start prints for a person the
// password of admin and the certificate's fingerprint.
func (s *server) readFirstWords() {
	s.t.Helper()
	var password, fingerprint []string
	s.until("the first words", func() bool {
		text := read(s.t, s.out)
		password, fingerprint = passwordText.FindStringSubmatch(text), fingerprintText.FindStringSubmatch(text)
		return password != nil && fingerprint != nil
	})
	s.password = s.secret(config.NewSecret(password[1]))
	s.fingerprint = fingerprint[1]
}
