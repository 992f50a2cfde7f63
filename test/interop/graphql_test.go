package interop

import "testing"

// TestNodeGraphQL has the libraries that Node.js has for GraphQL ask, change and
// watch: over WebSocket (graphql-transport-ws), and over Server-Sent Events.
func TestNodeGraphQL(t *testing.T) {
	for _, name := range []string{"graphql-ws", "graphql-sse"} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "rest,graphql")
			n.script(name+".js", "ADDR="+localhost(n.addr))
		})
	}
}
