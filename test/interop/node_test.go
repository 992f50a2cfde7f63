package interop

import (
	"bytes"
	"context"
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

// patience bounds every wait of these tests. Nothing takes nearly as long.
const patience = 30 * time.Second

// shop is the env that these tests are about, limits a config in it.
const (
	shop   = "acme/shop/prod"
	limits = shop + "/limits.json"
)

// node is a node that speaks everything, as a process of its own. Only what has
// to be there before a foreign client can begin is done with Setpoint's own.
type node struct {
	testing.TB
	dir     string
	addr    string // of the HTTP port
	grpc    string // of the port that gRPC has of its own
	ca      string // the file with the certificate to trust
	process *program.Process
	// password is admin's, token a session of admin's.
	password, token config.Secret
	admin           *client.Client
}

// newNode runs a node until the test ends. The env shop is there, and in it limits,
// at version 1, which is {"n": 1}.
func newNode(t testing.TB, protocols string, settings ...string) *node {
	t.Helper()
	n := &node{TB: t, dir: t.TempDir(), addr: freeport.For(t), grpc: freeport.For(t)}
	n.ca = filepath.Join(n.dir, "data", "tls", "cert.pem")
	var err error
	n.process, err = program.NewProcess(n.dir)
	n.must(err)
	n.process.Program, n.process.Args = binary, []string{"serve"}
	n.process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir,
		"SETPOINT_DATA_DIR=" + filepath.Join(n.dir, "data"), "SETPOINT_HTTP_ADDR=" + n.addr, "SETPOINT_ADMIN_ADDR=127.0.0.1:0",
		"SETPOINT_PROTOCOLS=" + protocols,
		// The cheapest hash that is allowed, and a disk that nobody pulls out.
		"SETPOINT_AUTH_BASIC_MEMORY=7MiB", "SETPOINT_AUTH_BASIC_TIME=5", "SETPOINT_STORE_ETCD_UNSAFE_NO_FSYNC=true",
	}
	if strings.Contains(protocols, "grpc") {
		n.process.Env = append(n.process.Env, "SETPOINT_PROTOCOLS_GRPC_PORT_ADDR="+n.grpc)
	}
	for _, s := range settings {
		n.process.Env = append(n.process.Env, "SETPOINT_"+s)
	}
	n.must(n.process.Launch())
	n.Cleanup(n.finish)
	n.settle()
	return n
}

// settle waits until the node is ready, and puts into it what is to be there.
func (n *node) settle() {
	n.Helper()
	trust, err := client.TLS{Insecure: true}.Config()
	n.must(err)
	probe := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: patience}
	defer probe.CloseIdleConnections()
	n.must(n.process.Until("ready", patience, func() bool {
		resp, err := probe.Get(n.url() + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}))
	n.must(n.process.Until("the password", patience, func() bool {
		var told bool
		n.password, told = n.process.Password()
		return told
	}))
	session, err := n.as(config.Secret{}).Login(n.Context(), "admin", n.password, 0)
	n.must(err)
	n.token = n.process.Secret(session.Token)
	n.admin = n.as(n.token)
	program.Envs(n, n.admin, shop)
	n.publish(`{"n": 1}`)
}

func (n *node) finish() {
	if n.process.Running() {
		if err := n.process.Stop(patience); err != nil {
			n.Errorf("the node did not end in order: %v", err)
		}
	}
	for _, complaint := range n.process.Complaints() {
		n.Error(complaint)
	}
	if n.Failed() {
		n.Logf("the node's log:\n%s", n.process.LogEnd())
	}
	n.must(n.process.Close())
}

func (n *node) url() string { return "https://" + n.addr }

// as returns a client of the SDK that carries a token, or none.
func (n *node) as(token config.Secret) *client.Client {
	n.Helper()
	c, err := client.New(client.Options{Endpoints: []string{n.url()}, TLS: client.TLS{CAFile: n.ca}, Token: token, Timeout: patience})
	n.must(err)
	n.Cleanup(c.Close)
	return c
}

// publish releases a content of limits.
func (n *node) publish(content string) {
	n.Helper()
	_, err := n.admin.Publish(n.Context(), client.Publish{Items: []client.PublishItem{{Path: program.Path(n, limits), Content: []byte(content)}}})
	n.must(err)
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// tool finds a program that the tests need.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; run tools/install-test-deps", err)
	}
	return path
}

// command prepares a program that is given time, and nothing of the environment
// but where programs and the home are.
func (n *node) command(name string, args ...string) *exec.Cmd {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	n.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, tool(n, name), args...)
	cmd.Dir, cmd.Env = n.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir}
	return cmd
}

// output runs a program that goes well, and returns what it prints.
func (n *node) output(cmd *exec.Cmd) string {
	n.Helper()
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		n.Fatalf("%s: %v\n%s%s", filepath.Base(cmd.Path), err, out.String(), words.String())
	}
	return out.String()
}
