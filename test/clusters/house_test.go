package clusters

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// patience bounds every wait of these tests. Nothing takes nearly as long; a
// wait that does is a failure.
const patience = 60 * time.Second

// clientToken is the usual token to join with.
var clientToken client.NewJoinToken

// house is where the nodes of one cluster live, and what they share.
type house struct {
	testing.TB
	dir   string
	certs string // the authority, and certificates that it issued

	password config.Secret // of the user admin
	token    config.Secret // a session of admin

	mu    sync.Mutex
	ports map[int]bool
}

// newHouse has an authority and no nodes.
func newHouse(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{TB: t, dir: dir, certs: filepath.Join(dir, "certs"), ports: map[int]bool{}}
	h.must("cert", "init", "--dir", h.certs)
	return h
}

// foundedBy is a house whose cluster the nodes named have founded. The first of
// them has the authority's key, the others do not.
func foundedBy(t testing.TB, names ...string) (*house, []*node) {
	t.Helper()
	h := newHouse(t)
	var nodes []*node
	var members []string
	for _, name := range names {
		n := h.node(name)
		nodes, members = append(nodes, n), append(members, name+"="+n.peer)
		h.must("cert", "issue", name, "--dir", h.certs, "--out", n.certs)
	}
	h.copy(filepath.Join(h.certs, "ca-key.pem"), filepath.Join(nodes[0].certs, "ca-key.pem"))
	for _, n := range nodes {
		n.args("--cluster", strings.Join(members, ","), "--cert-dir", n.certs)
		n.launch()
	}
	for _, n := range nodes {
		n.ready()
	}
	h.login(nodes...)
	return h, nodes
}

// login begins a session of admin, whose password one of the nodes has printed.
func (h *house) login(nodes ...*node) {
	h.Helper()
	for _, n := range nodes {
		if password, told := n.process.Password(); told {
			session, err := n.as(config.Secret{}).Login(h.Context(), "admin", password, 0)
			if err != nil {
				h.Fatalf("admin cannot log in: %v", err)
			}
			h.password, h.token = password, n.process.Secret(session.Token)
			return
		}
	}
	h.Fatal("no node has printed the password of admin")
}

// invite makes a token to join with, in a file.
func (h *house) invite(by *node, o client.NewJoinToken) (file string) {
	h.Helper()
	offer, err := by.root().CreateJoinToken(h.Context(), o)
	if err != nil {
		h.Fatal(err)
	}
	by.process.Secret(offer.Secret)
	return h.tokenFile(offer.Secret.Reveal())
}

func (h *house) tokenFile(text string) string {
	h.Helper()
	f, err := os.CreateTemp(h.dir, "token-")
	if err != nil {
		h.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, text); err != nil {
		h.Fatal(err)
	}
	return f.Name()
}

// joins starts a node that is let in by a token. It need not be ready when this
// returns.
func (h *house) joins(name string, by *node, flags ...string) *node {
	h.Helper()
	n := h.node(name)
	edge := slices.Contains(flags, "--edge")
	n.args(append(flags, "--join", by.peer, "--token-file", h.invite(by, client.NewJoinToken{Edge: edge}))...)
	if !edge {
		n.args("--advertise", n.peer)
	}
	n.launch()
	return n
}

// addr finds a loopback port that no other node of the house gets. It lies below
// those that systems give to outgoing connections, which could take it while the
// node is away.
func (h *house) addr() string {
	h.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 100 {
		port := 12_000 + rand.N(20_000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil && !h.ports[port] {
			l.Close()
			h.ports[port] = true
			return addr
		}
	}
	h.Fatal("no free port")
	return ""
}

// must runs a command that needs no login and returns what it prints.
func (h *house) must(args ...string) string {
	h.Helper()
	out, text, err := h.cli(nil, args...)
	if err != nil {
		h.Fatalf("setpoint %s: %v\n%s%s", strings.Join(args, " "), err, out, text)
	}
	return out
}

// cli runs a command of the program.
func (h *house) cli(env []string, args ...string) (stdout, stderr string, err error) {
	return h.run(env, nil, args...)
}

// piped runs a command of the program that reads a file.
func (h *house) piped(file string, args ...string) (stdout, stderr string, err error) {
	h.Helper()
	f, err := os.Open(file)
	if err != nil {
		h.Fatal(err)
	}
	defer f.Close()
	return h.run(nil, f, args...)
}

func (h *house) run(env []string, in io.Reader, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append([]string{"HOME=" + h.dir, "PATH=" + os.Getenv("PATH")}, env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (h *house) copy(from, to string) {
	h.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// await waits until a condition holds that no single process is to blame for.
func (h *house) await(what string, holds func() bool) {
	h.Helper()
	h.awaitFor(patience, what, holds)
}

func (h *house) awaitFor(limit time.Duration, what string, holds func() bool) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			h.Fatalf("in vain waited for: %s", what)
		case <-tick.C:
		}
	}
}

// leader waits until one of the nodes leads, in the eyes of the one asked.
func (h *house) leader(asked *node, nodes ...*node) (leader *node) {
	h.Helper()
	h.await("a leader", func() bool {
		s, err := asked.root().Cluster(h.Context())
		i := slices.IndexFunc(nodes, func(n *node) bool { return n.name == s.Leader })
		if err != nil || i < 0 {
			return false
		}
		leader = nodes[i]
		return true
	})
	return leader
}

// roles waits until the cluster consists of nodes in these roles, all healthy.
func (h *house) roles(asked *node, want map[string]config.Role) {
	h.Helper()
	var last config.ClusterStatus
	defer func() {
		if h.Failed() {
			h.Logf("the last status, of %s: %+v", asked.name, last)
		}
	}()
	h.await(fmt.Sprintf("the nodes %v", want), func() bool {
		s, err := asked.root().Cluster(h.Context())
		if err != nil || len(s.Nodes) != len(want) || !s.Writable {
			last = s
			return false
		}
		last = s
		for _, n := range s.Nodes {
			if want[n.Name] != n.Role || !n.Healthy {
				return false
			}
		}
		return true
	})
}

// publish releases a config through a node.
func (n *node) publish(at, content string) (config.ChangeSet, error) {
	return n.root().Publish(n.house.Context(), client.Publish{
		Items: []client.PublishItem{{Path: program.Path(n.house, at), Content: []byte(content)}},
	})
}

// write is publish that must go well.
func (n *node) write(at, content string) config.ChangeSet {
	n.house.Helper()
	set, err := n.publish(at, content)
	if err != nil {
		n.house.Fatalf("publish through %s: %v", n.name, err)
	}
	return set
}

// reads wants a node to serve a content, not older than a revision.
func (n *node) reads(at, want string, after config.Token) {
	n.house.Helper()
	got, err := n.root().Get(n.house.Context(), program.Path(n.house, at), client.ReadOptions{MinRevision: after})
	if err != nil || string(got.Content) != want {
		n.house.Errorf("read through %s: want %q, got %q, %v", n.name, want, got.Content, err)
	}
}
