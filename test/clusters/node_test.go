package clusters

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// node is one node, through all of its lives.
type node struct {
	house   *house
	name    string
	data    string
	certs   string // of its own, if it is given any
	peer    string // host:port for other nodes
	http    string
	admin   string
	process *program.Process
	client  *client.Client
	probe   *http.Client
}

// node prepares a node that does not run yet.
func (h *house) node(name string) *node {
	h.Helper()
	dir, err := os.MkdirTemp(h.dir, name+"-")
	if err != nil {
		h.Fatal(err)
	}
	n := &node{
		house: h, name: name, data: filepath.Join(dir, "data"), certs: filepath.Join(dir, "certs"),
		peer: h.addr(), http: h.addr(), admin: h.addr(),
	}
	if n.process, err = program.NewProcess(dir); err != nil {
		h.Fatal(err)
	}
	n.process.Program, n.process.Args = binary, []string{"serve", "--name", name}
	n.process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SETPOINT_DATA_DIR=" + n.data,
		"SETPOINT_HTTP_ADDR=" + n.http, "SETPOINT_ADMIN_ADDR=" + n.admin,
		// The cheapest hash that is allowed, and a disk that nobody pulls out.
		"SETPOINT_AUTH_BASIC_MEMORY=7MiB", "SETPOINT_AUTH_BASIC_TIME=5", "SETPOINT_STORE_ETCD_UNSAFE_NO_FSYNC=true",
	}
	trust, err := client.TLS{Insecure: true}.Config()
	if err != nil {
		h.Fatal(err)
	}
	n.probe = &http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: patience}
	h.Cleanup(n.finish)
	return n
}

// args adds to the command line.
func (n *node) args(more ...string) { n.process.Args = append(n.process.Args, more...) }

// set adds settings as variables, "CLUSTER_TOKEN=other".
func (n *node) set(settings ...string) {
	for _, s := range settings {
		n.process.Env = append(n.process.Env, "SETPOINT_"+s)
	}
}

func (n *node) launch() {
	n.house.Helper()
	if err := n.process.Launch(); err != nil {
		n.house.Fatal(err)
	}
}

// ready waits until the node says that it is.
func (n *node) ready() {
	n.house.Helper()
	err := n.process.Until(n.name+" to be ready", patience, func() bool {
		status, _ := n.ask("/readyz")
		return status == http.StatusOK
	})
	if err != nil {
		n.house.Fatal(err)
	}
}

// ask asks the node as anybody, once; status 0 if it does not answer.
func (n *node) ask(path string) (status int, body string) {
	resp, err := n.probe.Get("https://" + n.http + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(text)
}

// restart begins a new life on the data that is there.
func (n *node) restart() {
	n.house.Helper()
	n.launch()
	n.ready()
}

// stop ends the node as an operator does, and wants it to go in order.
func (n *node) stop() {
	n.house.Helper()
	if err := n.process.Stop(patience); err != nil {
		n.house.Errorf("%s did not end in order: %v", n.name, err)
	}
}

// kill9 ends the node as a power cut would.
func (n *node) kill9() {
	n.house.Helper()
	if err := n.process.Kill(); err != nil {
		n.house.Fatal(err)
	}
}

// finish ends the node, if it runs still, and judges its log.
func (n *node) finish() {
	if n.process.Running() {
		n.stop()
	}
	for _, complaint := range n.process.Complaints() {
		n.house.Errorf("%s: %s", n.name, complaint)
	}
	if n.house.Failed() {
		n.house.Logf("%s at %s said:\n%s\n%s", n.name, n.http, n.process.Out(), n.process.LogEnd())
	}
	n.probe.CloseIdleConnections()
	if err := n.process.Close(); err != nil {
		n.house.Error(err)
	}
}

// as returns a client of the node that carries a token, or none. It trusts the
// house's authority, as people do.
func (n *node) as(token config.Secret) *client.Client {
	n.house.Helper()
	c, err := client.New(client.Options{
		Endpoints: []string{"https://" + n.http}, Token: token, Timeout: patience, TLS: n.trust(),
	})
	if err != nil {
		n.house.Fatal(err)
	}
	n.house.Cleanup(c.Close)
	return c
}

// trust is how people know the nodes: by the house's authority.
func (n *node) trust() client.TLS {
	return client.TLS{CAFile: filepath.Join(n.house.certs, "ca.pem")}
}

// root is a client of the admin's.
func (n *node) root() *client.Client {
	if n.client == nil {
		n.client = n.as(n.house.token)
	}
	return n.client
}

// command runs a command of the program against the node.
func (n *node) command(args ...string) (stdout, stderr string, err error) {
	return n.house.cli([]string{
		"SETPOINT_ENDPOINT=https://" + n.http, "SETPOINT_TOKEN=" + n.house.token.Reveal(),
		"SETPOINT_CA_FILE=" + filepath.Join(n.house.certs, "ca.pem"),
	}, args...)
}

// soon bounds how long a node may take to find out that it cannot start.
const soon = 20 * time.Second

// refused starts a node that must not start, and returns what it says to whoever
// started it.
func (n *node) refused() string {
	n.house.Helper()
	before := len(n.process.Log())
	n.launch()
	if err := n.process.Wait(soon); err == nil || strings.Contains(err.Error(), "does not end") {
		n.house.Errorf("want the start to fail with an exit code that tells of it, got %v", err)
	}
	return n.words(before)
}

// words is what the node has said from a place in its log on, but for the log.
func (n *node) words(from int) string {
	n.house.Helper()
	said := n.process.Log()[from:]
	if strings.Contains(said, "goroutine ") {
		n.house.Errorf("want a clear error alone, got:\n%s", said)
	}
	var words []string
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "time=") {
			words = append(words, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(words, "\n")
}
