package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNodeGRPC has a client that Node.js makes of the .proto files do everything:
// on the port that gRPC has of its own, and on the HTTP port.
func TestNodeGRPC(t *testing.T) {
	for name, addr := range map[string]func(*node) string{
		"own port":  func(n *node) string { return n.grpc },
		"HTTP port": func(n *node) string { return n.addr },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "rest,grpc")
			n.script("grpc.js", "ADDR="+localhost(addr(n)))
		})
	}
}

// script runs one of the programs in the folder node, which must end well. More
// of its environment than it always has stands in env.
func (n *node) script(name string, env ...string) {
	n.Helper()
	const libraries = "node/node_modules"
	if _, err := os.Stat(libraries); err != nil {
		n.Fatalf("%v; run make node-libs", err)
	}
	file, err := filepath.Abs(filepath.Join("node", name))
	n.must(err)
	cmd := n.command("node", file)
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+n.ca, "ENV="+shop, "LIMITS="+limits, "PASSWORD="+n.password.Reveal(), "TOKEN="+n.token.Reveal())
	cmd.Env = append(cmd.Env, env...)
	n.output(cmd)
}

// localhost names an address as people do: a name is also what TLS sends along.
func localhost(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }
