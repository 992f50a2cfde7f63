package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
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
const patience = 30 * time.Second

// The configs that everybody watches and reads. The env beside is quiet: nothing
// is published to it while it is watched.
const (
	env    = "acme/shop/prod"
	app    = env + "/app.yaml"
	quiet  = "acme/shop/quiet"
	hushed = quiet + "/app.yaml"
)

// node is a server that runs as a process of its own.
type node struct {
	t     testing.TB
	addr  string // of the HTTP port
	grpc  string // of gRPC's own port
	admin string // of the admin port

	fingerprint string
	token       config.Secret // a session of admin's
	trust       *tls.Config
	process     *program.Process
}

// start runs a server that speaks every protocol and waits until it is ready.
// settings are variables, "HTTP_HEADER_TIMEOUT=1s".
func start(t testing.TB, settings ...string) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{t: t, addr: freeport.For(t), grpc: freeport.For(t), admin: freeport.For(t)}
	process, err := program.NewProcess(dir)
	n.must(err)
	n.process = process
	process.Program, process.Args = built, []string{"serve"}
	process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SETPOINT_DATA_DIR=" + filepath.Join(dir, "data"),
		"SETPOINT_HTTP_ADDR=" + n.addr, "SETPOINT_ADMIN_ADDR=" + n.admin, "SETPOINT_PROTOCOLS_GRPC_PORT_ADDR=" + n.grpc,
		"SETPOINT_PROTOCOLS=" + strings.Join(drivers, ","), "SETPOINT_STORE_ETCD_UNSAFE_NO_FSYNC=true",
		"SETPOINT_LOG_LEVEL=debug",
		"GOGC=40", // what is garbage must not hide what is kept
	}
	for _, setting := range settings {
		process.Env = append(process.Env, "SETPOINT_"+setting)
	}
	t.Cleanup(n.finish)
	n.must(process.Launch())
	n.firstWords()
	n.awaitReady()
	root := n.as(config.Secret{})
	password, _ := process.Password()
	session, err := root.Login(t.Context(), "admin", password, 0)
	n.must(err)
	n.token = process.Secret(session.Token)
	program.Envs(t, n.as(n.token), env, quiet)
	n.publish(hushed, "n: 1\n")
	return n
}

// firstWords waits for what the first start prints for a person.
func (n *node) firstWords() {
	n.t.Helper()
	n.until("the first words", func() bool {
		_, told := n.process.Password()
		var shown bool
		n.fingerprint, shown = n.process.Fingerprint()
		return told && shown
	})
	trust, err := client.TLS{Fingerprint: n.fingerprint}.Config()
	n.must(err)
	n.trust = trust
}

// awaitReady waits until the server says that it is ready.
func (n *node) awaitReady() {
	n.t.Helper()
	n.until("ready", func() bool {
		resp, err := http.Get("http://" + n.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	http.DefaultClient.CloseIdleConnections()
}

// finish ends the server and judges its log.
func (n *node) finish() {
	if n.process.Running() {
		if err := n.process.Stop(patience); err != nil {
			n.t.Errorf("the server did not end in order: %v", err)
		}
	}
	for _, complaint := range n.process.Complaints() {
		n.t.Error(complaint)
	}
	if n.t.Failed() {
		n.t.Logf("the end of the server's log:\n%s", n.process.LogEnd())
	}
	if err := n.process.Close(); err != nil {
		n.t.Error(err)
	}
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// until waits for a condition, and fails the test if the server ends before.
func (n *node) until(what string, holds func() bool) {
	n.t.Helper()
	n.must(n.process.Until(what, patience, holds))
}

// as returns an SDK client that carries a token, or none.
func (n *node) as(token config.Secret) *client.Client {
	n.t.Helper()
	c, err := client.New(client.Options{
		Endpoints: []string{"https://" + n.addr}, Token: token, TLS: client.TLS{Fingerprint: n.fingerprint},
	})
	n.must(err)
	n.t.Cleanup(c.Close)
	return c
}

// publish releases a config and returns its version.
func (n *node) publish(at, content string) int64 {
	n.t.Helper()
	version, err := publish(n.t.Context(), n.as(n.token), program.Path(n.t, at), content)
	n.must(err)
	return version
}

func publish(ctx context.Context, c *client.Client, at config.Path, content string) (int64, error) {
	set, err := c.Publish(ctx, client.Publish{Items: []client.PublishItem{{Path: at, Content: []byte(content)}}})
	if err != nil {
		return 0, err
	}
	return set.Items[0].Version, nil
}

// dial opens a connection with a TLS handshake done.
func (n *node) dial(addr, alpn string) (net.Conn, error) {
	plain, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return n.secure(plain, alpn)
}

// secure does a TLS handshake on a connection, which it closes if that fails.
func (n *node) secure(plain net.Conn, alpn string) (net.Conn, error) {
	conf := n.trust.Clone()
	conf.NextProtos = []string{alpn}
	c := tls.Client(plain, conf)
	if err := errors.Join(c.SetDeadline(time.Now().Add(patience)), c.Handshake()); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return c, nil
}

// metrics reads the sums of the series that begin with each text, as
// "setpoint_streams{" does.
func (n *node) metrics(series ...string) ([]float64, error) {
	plain := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := plain.Get("http://" + n.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	sums := make([]float64, len(series))
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		for i, wanted := range series {
			if !strings.HasPrefix(name, wanted) {
				continue
			}
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", lines.Text(), err)
			}
			sums[i] += value
		}
	}
	return sums, nil
}

// streams is how many watches of a protocol the server holds.
func (n *node) streams(protocol string) int {
	n.t.Helper()
	sums, err := n.metrics(`setpoint_streams{protocol="` + protocol + `"`)
	n.must(err)
	return int(sums[0])
}

// closes waits until the server closes a connection, and returns what it sent
// before that.
func closes(c net.Conn) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return got, errors.New("the server keeps the connection open")
	}
	return got, nil
}
