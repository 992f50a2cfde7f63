package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
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
	client  atomic.Pointer[client.Client]
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
	}
	for _, setting := range c.o.Env {
		n.Process.Env = append(n.Process.Env, "SETPOINT_"+setting)
	}
	// Its answers prove nothing: they say when to go on.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // see above
	n.http = http.Client{Transport: transport, Timeout: 5 * time.Second}
	c.nodes = append(c.nodes, n)
	return n, nil
}

func (n *Node) addr(port string) string { return n.Host.Addr + ":" + port }

// Peer is where other nodes reach it.
func (n *Node) Peer() string { return n.addr(peerPort) }

// URL is where clients reach it.
func (n *Node) URL() string { return "https://" + n.addr("7400") }

// String is its name.
func (n *Node) String() string { return n.Name }

// Client returns a client of it that may do everything.
func (n *Node) Client() *client.Client { return n.client.Load() }

// As returns a client of the node that carries a token.
func (n *Node) As(token config.Secret) (*client.Client, error) {
	return n.connect(n.Process.Secret(token))
}

// connect makes a client that pins the certificate which the node shows now.
func (n *Node) connect(token config.Secret) (*client.Client, error) {
	fingerprint, told := n.Process.Fingerprint()
	if !told {
		return nil, fmt.Errorf("%s does not say what its certificate is", n.Name)
	}
	return client.New(client.Options{
		Endpoints: []string{n.URL()}, Token: token, TLS: client.TLS{Fingerprint: fingerprint},
		Timeout: Patience / 2, Heartbeat: 3 * time.Second,
	})
}

// renew makes a new client for all.
func (n *Node) renew() error {
	c, err := n.connect(n.cluster.token)
	if err != nil {
		return err
	}
	if old := n.client.Swap(c); old != nil {
		old.Close()
	}
	return nil
}

// Ready waits until the node is ready to serve.
func (n *Node) Ready(ctx context.Context) error {
	err := n.Process.Until(n.Name+" to be ready", Patience, func() bool {
		a, err := n.Ask(ctx, "/readyz")
		_, told := n.Process.Fingerprint()
		return err == nil && a.Status == http.StatusOK && told || ctx.Err() != nil
	})
	return errors.Join(err, ctx.Err())
}

// Answer is what a node says.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask asks the node as its admin, once.
func (n *Node) Ask(ctx context.Context, path string) (Answer, error) {
	return n.ask(ctx, http.MethodGet, path, nil)
}

func (n *Node) ask(ctx context.Context, method, path string, body io.Reader) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, n.URL()+path, body)
	if err != nil {
		return Answer{}, err
	}
	if !n.cluster.token.Empty() {
		req.Header.Set("Authorization", "Bearer "+n.cluster.token.Reveal())
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
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
func (n *Node) Status(ctx context.Context) (s config.ClusterStatus, err error) {
	a, err := n.Ask(ctx, "/v1/cluster")
	if err != nil {
		return s, err
	}
	if a.Status != http.StatusOK {
		return s, fmt.Errorf("%s: status %d: %s", n.Name, a.Status, a.Body)
	}
	return s, json.Unmarshal(a.Body, &s)
}

// Launch begins a new life of a node that has ended, on the data that it has. It
// need not be ready when this returns.
func (n *Node) Launch() error { return n.Process.Launch() }

// Restart begins a new life and waits until the node is ready, and known to its
// clients by the certificate that it has now.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	if err := n.Ready(ctx); err != nil {
		return err
	}
	return n.renew()
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

// close ends the node, whatever state it is in, and judges its log.
func (n *Node) close() error {
	var errs []error
	if n.frozen {
		errs = append(errs, n.Thaw())
	}
	if n.Process.Running() {
		if err := n.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s did not end in order: %w", n.Name, err))
		}
	}
	for _, complaint := range n.Process.Complaints() {
		errs = append(errs, fmt.Errorf("%s: %s", n.Name, complaint))
	}
	if c := n.Client(); c != nil {
		c.Close()
	}
	n.http.CloseIdleConnections()
	return errors.Join(append(errs, n.Process.Close())...)
}
