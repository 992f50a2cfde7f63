package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
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

// server is one server process, and the data that outlives it.
type server struct {
	t     testing.TB
	addr  string // of the main port
	admin string // of the admin port
	dir   string

	fingerprint string
	password    config.Secret // of the user admin
	token       config.Secret // a session of admin

	process *program.Process
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
	s := &server{t: t, dir: filepath.Join(dir, "data"), addr: freeport.For(t), admin: freeport.For(t)}
	process, err := program.NewProcess(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.process = process
	process.Program, process.Args = binary, []string{"serve"}
	process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"SETPOINT_DATA_DIR=" + s.dir, "SETPOINT_HTTP_ADDR=" + s.addr, "SETPOINT_ADMIN_ADDR=" + s.admin,
	}
	for _, kv := range env {
		process.Env = append(process.Env, "SETPOINT_"+kv)
	}
	t.Cleanup(s.finish)
	return s
}

func (s *server) url(path string) string      { return "https://" + s.addr + path }
func (s *server) adminURL(path string) string { return "http://" + s.admin + path }

// launch runs the process; it need not be ready, nor even listen, when this returns.
func (s *server) launch() {
	s.t.Helper()
	if err := s.process.Launch(); err != nil {
		s.t.Fatal(err)
	}
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
	if err := s.process.Until(what, patience, holds); err != nil {
		s.t.Fatal(err)
	}
}

// kill9 ends the process as a power cut would, and waits until it is gone.
func (s *server) kill9() {
	s.t.Helper()
	if err := s.process.Kill(); err != nil {
		s.t.Fatal(err)
	}
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
	if err := s.process.Stop(patience); err != nil {
		s.t.Errorf("the server did not end in order: %v", err)
	}
}

// finish ends the server, if it runs still, and judges its log.
func (s *server) finish() {
	if s.process.Running() {
		s.stop()
	}
	for _, complaint := range s.process.Complaints() {
		s.t.Error(complaint)
	}
	if s.t.Failed() {
		s.t.Logf("log of the server at %s:\n%s", s.addr, s.process.LogEnd())
	}
	if err := s.process.Close(); err != nil {
		s.t.Error(err)
	}
}

// secret notes what must never be logged.
func (s *server) secret(secret config.Secret) config.Secret { return s.process.Secret(secret) }

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

// readFirstWords takes from what the first start prints for a person the
// password of admin and the certificate's fingerprint.
func (s *server) readFirstWords() {
	s.t.Helper()
	s.until("the first words", func() bool {
		var told, shown bool
		s.password, told = s.process.Password()
		s.fingerprint, shown = s.process.Fingerprint()
		return told && shown
	})
}
