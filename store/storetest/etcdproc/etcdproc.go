// Package etcdproc runs a real etcd server as a process of its own, for tests
// of drivers and of the whole that talk to an external cluster: on loopback,
// with TLS and client certificates that are made for the test.
//
// The server is built from the module that go.mod pins, through the module
// proxy. Where that is impossible the test fails; it never skips.
package etcdproc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/internal/freeport"
)

const (
	module = "go.etcd.io/etcd/server/v3"

	// patience bounds the wait for the server to serve.
	patience = time.Minute
	pollEach = 20 * time.Millisecond
)

// Process is one etcd server. Its data outlives Kill and Restart, not the test.
type Process struct {
	Endpoint string // https://127.0.0.1:port
	CAFile   string // PEM: who vouches for the server
	CertFile string // PEM: a client certificate that it accepts
	KeyFile  string

	tb     testing.TB
	binary string
	args   []string
	dir    string
	client *http.Client
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start builds the server, if the cache has none, and starts it with flags
// beside the usual ones. It is ready when Start returns, and is killed when the
// test ends.
func Start(tb testing.TB, flags ...string) *Process {
	tb.Helper()
	p := &Process{tb: tb, binary: build(tb), dir: tb.TempDir()}
	certificates(tb, p)
	p.Endpoint = "https://" + freeport.For(tb)
	p.args = append([]string{
		"--name=etcd", "--log-level=warn",
		"--data-dir=" + filepath.Join(p.dir, "data"),
		"--listen-client-urls=" + p.Endpoint, "--advertise-client-urls=" + p.Endpoint,
		"--cert-file=" + filepath.Join(p.dir, "server.pem"), "--key-file=" + filepath.Join(p.dir, "server.key"),
		"--client-cert-auth", "--trusted-ca-file=" + p.CAFile,
		// A lone member has no peers: any port will do, and nobody needs to know it.
		"--listen-peer-urls=http://127.0.0.1:0", "--initial-advertise-peer-urls=http://127.0.0.1:7403",
		"--initial-cluster=etcd=http://127.0.0.1:7403",
	}, flags...)
	p.client = healthClient(tb, p)
	tb.Cleanup(func() {
		p.Kill()
		p.client.CloseIdleConnections()
		if tb.Failed() {
			p.showLog()
		}
	})
	p.Restart()
	return p
}

// Kill ends the server as kill -9 does, and returns when it is gone.
func (p *Process) Kill() {
	p.tb.Helper()
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		p.tb.Logf("kill etcd: %v", err)
	}
	<-p.exited
	p.cmd = nil
}

// Restart starts the server on its data and its port, after Kill.
func (p *Process) Restart() {
	p.tb.Helper()
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.tb.Fatalf("etcd's log: %v", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(p.tb.Context()), p.binary, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.tb.Fatalf("start etcd: %v", err)
	}
	p.cmd, p.exited = cmd, make(chan struct{})
	go func(exited chan<- struct{}) {
		_ = cmd.Wait() // killed, mostly; an exit of its own shows below and in the log
		close(exited)
	}(p.exited)
	p.awaitReady()
}

// awaitReady polls the health endpoint.
func (p *Process) awaitReady() {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(pollEach)
	defer tick.Stop()
	var last error
	for {
		if last = p.healthy(ctx); last == nil {
			return
		}
		select {
		case <-tick.C:
		case <-p.exited:
			p.showLog()
			p.tb.Fatal("etcd ended while it started; its log is above")
		case <-ctx.Done():
			p.showLog()
			p.tb.Fatalf("etcd was not ready in time: %v", last)
		}
	}
}

func (p *Process) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint+"/health", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"health":"true"`)) {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

func (p *Process) logFile() string { return filepath.Join(p.dir, "log") }

func (p *Process) showLog() {
	p.tb.Helper()
	if log, err := os.ReadFile(p.logFile()); err == nil {
		p.tb.Logf("etcd's log:\n%s", log)
	}
}

// build returns the path of the server's binary, which it builds once for each
// version of etcd and Go.
func build(tb testing.TB) string {
	tb.Helper()
	version := goTool(tb, "list", "-m", "-f", "{{.Version}}", module)
	compiler := goTool(tb, "env", "GOVERSION")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = tb.TempDir()
	}
	cache = filepath.Join(cache, "setpoint-test")
	binary := filepath.Join(cache, fmt.Sprintf("etcd-%s-%s", version, compiler))
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		tb.Fatalf("cache of test binaries: %v", err)
	}
	// Built beside its place and moved there whole: other tests may do the same now.
	fresh, err := os.MkdirTemp(cache, "build")
	if err != nil {
		tb.Fatalf("cache of test binaries: %v", err)
	}
	defer os.RemoveAll(fresh)
	goTool(tb, "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(fresh, "etcd"), module)
	if err := os.Rename(filepath.Join(fresh, "etcd"), binary); err != nil {
		tb.Fatalf("cache of test binaries: %v", err)
	}
	return binary
}

// goTool runs the go command in this module and returns what it prints.
func goTool(tb testing.TB, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// healthClient returns an HTTP client with the test's certificates.
func healthClient(tb testing.TB, p *Process) *http.Client {
	tb.Helper()
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
	if err != nil {
		tb.Fatal(err)
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{cert}},
	}}
}
