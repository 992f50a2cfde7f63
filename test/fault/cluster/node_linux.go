package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
	"github.com/setpointhq/setpoint/test/fault/lab"
	"github.com/setpointhq/setpoint/test/program"
)

// Node is one node, through all of its lives. Its methods are for one goroutine,
// but for String and Client.
type Node struct {
	Name    string
	Host    *lab.Host
	Process *program.Process
	// Data is its folder.
	Data string

	cluster *Cluster
	client  *client.Client
	chosen  *client.Client
	http    http.Client
	frozen  bool
}

// node makes a node that does not run yet.
func (c *Cluster) node(name string) (*Node, error) {
	host, err := c.Net.Add(name)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.o.Dir, name)
	n := &Node{Name: name, Host: host, Data: filepath.Join(dir, "data"), cluster: c}
	if err := os.MkdirAll(n.Data, 0o700); err != nil {
		return nil, err
	}
	if n.Process, err = program.NewProcess(dir); err != nil {
		return nil, err
	}
	n.Process.Program, n.Process.Start, n.Process.Troubled = c.o.Program, host.Start, true
	n.Process.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SETPOINT_DATA_DIR=" + n.Data,
		"SETPOINT_HTTP_ADDR=" + n.addr("7400"), "SETPOINT_ADMIN_ADDR=" + n.addr("7402"),
		// The clock that jumps here takes the even one along, by which sessions idle out
		// and which no real jump moves; so sessions end by their age alone.
		"SETPOINT_LIMITS_SESSION_IDLE=0",
	}
	for _, setting := range c.o.Env {
		n.Process.Env = append(n.Process.Env, "SETPOINT_"+setting)
	}
	trust, err := c.trust().Config()
	if err != nil {
		return nil, err
	}
	n.http = http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: 5 * time.Second}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// trust is how clients know the nodes: by the cluster's authority.
func (c *Cluster) trust() client.TLS { return client.TLS{CAFile: filepath.Join(c.certs, "ca.pem")} }

func (n *Node) addr(port string) string { return n.Host.Addr + ":" + port }

// Peer is where other nodes reach it.
func (n *Node) Peer() string { return n.addr(peerPort) }

// URL is where clients reach it.
func (n *Node) URL() string { return "https://" + n.addr("7400") }

// String is its name.
func (n *Node) String() string { return n.Name }

// Client returns a client of it that may do everything.
func (n *Node) Client() *client.Client { return n.client }

// Chosen returns one that names itself, as whom launches claim.
func (n *Node) Chosen() *client.Client { return n.chosen }

// login gives the node's clients a session.
func (n *Node) login(token config.Secret) (err error) {
	if n.client, err = n.As(token); err != nil {
		return err
	}
	n.chosen, err = n.as(token, history.Chosen)
	return err
}

// As returns a client of the node that carries a token, or none.
func (n *Node) As(token config.Secret) (*client.Client, error) { return n.as(token, "") }

func (n *Node) as(token config.Secret, id string) (*client.Client, error) {
	if !token.Empty() {
		n.Process.Secret(token)
	}
	return client.New(client.Options{
		Endpoints: []string{n.URL()}, Token: token, TLS: n.cluster.trust(),
		Timeout: Patience / 2, Heartbeat: 3 * time.Second, Instance: config.Client{ID: id},
	})
}

// Ready waits until the node is ready to serve.
func (n *Node) Ready(ctx context.Context) error {
	said := ""
	err := n.Process.Until(n.Name+" to be ready", Patience, func() bool {
		a, err := n.Ask(ctx, "/readyz?verbose")
		said = fmt.Sprintf("%d %s %v", a.Status, a.Body, err)
		return err == nil && a.Status == http.StatusOK || ctx.Err() != nil
	})
	if err != nil {
		return fmt.Errorf("%w; it said last: %s", err, said)
	}
	return ctx.Err()
}

// Answer is what a node says.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask asks the node as anybody, once.
func (n *Node) Ask(ctx context.Context, path string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+path, http.NoBody)
	if err != nil {
		return Answer{}, err
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, text}, err
}

// Status asks the node how the cluster is doing.
func (n *Node) Status(ctx context.Context) (config.ClusterStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return n.Client().Cluster(ctx)
}

// Launch begins a new life of a node that has ended, on the data that it has. It
// need not be ready when this returns.
func (n *Node) Launch() error { return n.Process.Launch() }

// Restart begins a new life and waits until the node is ready.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.Ready(ctx)
}

// Kill ends it as a power cut does.
func (n *Node) Kill() error { return n.Process.Kill() }

// Stop ends it as an operator does.
func (n *Node) Stop() error { return n.Process.Stop(Patience) }

// Freeze stops all of its threads, as a machine does that is paused.
func (n *Node) Freeze() error {
	n.frozen = true
	return n.Process.Signal(syscall.SIGSTOP)
}

// Thaw lets it go on as if no time had passed.
func (n *Node) Thaw() error {
	n.frozen = false
	return n.Process.Signal(syscall.SIGCONT)
}

// Frozen reports whether Freeze was called last.
func (n *Node) Frozen() bool { return n.frozen }

// Wipe removes all of its data; it must have ended.
func (n *Node) Wipe() error {
	entries, err := os.ReadDir(n.Data)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(n.Data, e.Name())))
	}
	return err
}

// abandon kills the node, whatever state it is in.
func (n *Node) abandon() {
	if n.Process.Running() {
		_ = n.Process.Kill() // it may have ended by itself just now
	}
	n.frozen = false
}

// close ends the node, whatever state it is in, and judges its log.
func (n *Node) close() error {
	var errs []error
	if n.Process.Running() {
		if err := n.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s did not end in order: %w", n.Name, err))
		}
	}
	for _, complaint := range n.Process.Complaints() {
		errs = append(errs, fmt.Errorf("%s: %s", n.Name, complaint))
	}
	for _, c := range []*client.Client{n.client, n.chosen} {
		if c != nil {
			c.Close()
		}
	}
	n.http.CloseIdleConnections()
	return errors.Join(append(errs, n.Process.Close())...)
}
