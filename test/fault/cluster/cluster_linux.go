package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/lab"
)

// Patience bounds every wait for a condition. Nothing takes nearly as long; a
// wait that does has found a fault.
const Patience = 60 * time.Second

// peerPort is where nodes meet.
const peerPort = "7403"

// Options say what a cluster is like.
type Options struct {
	// Program is the binary of all nodes.
	Program string
	// Dir is an empty folder for data, certificates and logs. It is kept.
	Dir string
	// Number, from 0 to 255, keeps the networks of clusters apart.
	Number int
	// Voters found the cluster.
	Voters int
	// Env are settings for all nodes, "LIMITS_KEEP_RELEASES=10".
	Env []string
	// SmallDisk is the size in bytes of a disk that the last voter has to itself;
	// 0 for one shared with all.
	SmallDisk int64
}

// Cluster is nodes that belong together.
type Cluster struct {
	Net *lab.Net

	o        Options
	certs    string
	nodes    []*Node
	password config.Secret
	token    config.Secret
	undo     []func() error
}

// Start founds a cluster and waits until all of its nodes are ready. Close it in
// any case.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{o: o, certs: filepath.Join(o.Dir, "certs")}
	var err error
	if c.Net, err = lab.NewNet(o.Number); err != nil {
		return c, err
	}
	if _, err := c.Run(ctx, "cert", "init", "--dir", c.certs); err != nil {
		return c, err
	}
	for i := range o.Voters {
		n, err := c.node(fmt.Sprintf("n%d", i+1))
		if err != nil {
			return c, err
		}
		if err := c.issue(ctx, n); err != nil {
			return c, err
		}
	}
	if o.SmallDisk > 0 {
		unmount, err := lab.SmallDisk(c.nodes[o.Voters-1].Data, o.SmallDisk)
		if err != nil {
			return c, err
		}
		c.undo = append(c.undo, unmount)
	}
	for _, n := range c.nodes {
		n.Process.Args = append([]string{"serve"}, n.founding(members(c.nodes))...)
		if err := n.Process.Launch(); err != nil {
			return c, err
		}
	}
	return c, errors.Join(c.Ready(ctx), c.login(ctx))
}

// founding are the flags of a node that founds a cluster of members.
func (n *Node) founding(members []string) []string {
	return []string{"--name", n.Name, "--cluster", strings.Join(members, ","), "--cert-dir", n.cluster.certs}
}

// members are nodes as they are written in settings.
func members(nodes []*Node) (all []string) {
	for _, n := range nodes {
		all = append(all, n.Name+"="+n.Peer())
	}
	return all
}

// issue makes a certificate for a node and where it is reached.
func (c *Cluster) issue(ctx context.Context, n *Node) error {
	_, err := c.Run(ctx, "cert", "issue", n.Name, "--host", n.Host.Addr, "--dir", c.certs)
	return err
}

// Run runs a command of the program that speaks to no server.
func (c *Cluster) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.o.Program, args...) //nolint:gosec // the program under test
	cmd.Env = []string{"HOME=" + c.o.Dir, "PATH=" + os.Getenv("PATH")}
	text, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("setpoint %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return string(text), err
}

// Nodes are all nodes, in the order in which they came.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Others are all nodes but those.
func (c *Cluster) Others(not ...*Node) []*Node {
	return slices.DeleteFunc(c.Nodes(), func(n *Node) bool { return slices.Contains(not, n) })
}

// Hosts are the machines of nodes.
func Hosts(nodes []*Node) []*lab.Host {
	var all []*lab.Host
	for _, n := range nodes {
		all = append(all, n.Host)
	}
	return all
}

// Ready waits until all nodes that run are ready.
func (c *Cluster) Ready(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.Process.Running() {
			if err := n.Ready(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// login begins a session of the admin, whose password one node has printed.
func (c *Cluster) login(ctx context.Context) error {
	for _, n := range c.nodes {
		if password, told := n.Process.Password(); told {
			c.password = password
		}
	}
	if c.password.Empty() {
		return errors.New("no node has printed the password of admin")
	}
	anyone, err := c.nodes[0].As(config.Secret{})
	if err != nil {
		return err
	}
	defer anyone.Close()
	session, err := anyone.Login(ctx, "admin", c.password, 0)
	if err != nil {
		return err
	}
	c.token = session.Token
	for _, n := range c.nodes {
		if err := n.login(c.token); err != nil {
			return err
		}
		err := Await(ctx, n.Name+" to know the session", func() bool {
			_, err := n.client.WhoAmI(ctx)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Status asks the nodes in turn how the cluster is doing, until one answers.
func (c *Cluster) Status(ctx context.Context) (s config.ClusterStatus, err error) {
	for _, n := range c.nodes {
		if !n.Process.Running() || n.Frozen() {
			continue
		}
		if s, err = n.Status(ctx); err == nil {
			return s, nil
		}
	}
	return s, err
}

// Leader waits until the nodes that run follow one of them, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	var leader *Node
	err := Await(ctx, "a leader", func() bool {
		s, err := c.Status(ctx)
		if err != nil {
			return false
		}
		for _, n := range c.nodes {
			if n.Name == s.Leader && n.Process.Running() {
				leader = n
			}
		}
		return leader != nil
	})
	return leader, err
}

// Await waits until a condition holds.
func Await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("in vain waited for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Abandon kills all nodes: they are in trouble that nobody will mend.
func (c *Cluster) Abandon() {
	for _, n := range c.nodes {
		n.abandon()
	}
}

// Close ends all nodes in order and removes their network. The error tells of
// what went wrong with them, the logs of which stay.
func (c *Cluster) Close() error {
	ended := make([]error, len(c.nodes))
	var ending sync.WaitGroup
	for i, n := range c.nodes {
		ending.Go(func() { ended[i] = n.close() })
	}
	ending.Wait()
	errs := slices.Clone(ended)
	for _, undo := range slices.Backward(c.undo) {
		errs = append(errs, undo())
	}
	if c.Net != nil {
		errs = append(errs, c.Net.Close())
	}
	return errors.Join(errs...)
}

// Logs are the ends of the logs of all nodes.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "--- %s at %s, pid %d, running %t\n%s\n%s\n", n.Name, n.Host.Addr, n.Process.PID(), n.Process.Running(), n.Process.Out(), n.Process.LogEnd())
	}
	return b.String()
}
