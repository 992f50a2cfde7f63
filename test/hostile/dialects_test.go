package hostile

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// drivers are what the server is told to speak.
var drivers = []string{"rest", "ws", "grpc", "graphql"}

// dialect is a way of watching, as these tests speak it: by hand, so that they
// can do what no library lets them.
type dialect struct {
	name   string
	driver string // as settings and metrics call it
	addr   func(*node) string
	alpn   string
	// watch asks for a watch on a connection with a handshake done.
	watch func(net.Conn, wish) (stream, error)
	// socket asks for a WebSocket connection, and waits until the token's owner is
	// welcome; of nobody it waits for nothing. It is nil where there are none.
	socket func(c net.Conn, token string) (*webSocket, error)
}

// dialects has a row for every way of watching. Whatever is done to one of them
// is done to all for which it makes sense.
var dialects = []dialect{
	{"SSE", "rest", (*node).httpPort, "http/1.1", watchSSE, nil},
	{"WebSocket", "ws", (*node).httpPort, "http/1.1", watchWebSocket, welcomed},
	{"gRPC", "grpc", (*node).grpcPort, "h2", watchGRPC, nil},
	{"gRPC on the HTTP port", "grpc", (*node).httpPort, "h2", watchGRPC, nil},
	{"GraphQL over WebSocket", "graphql", (*node).httpPort, "http/1.1", watchGraphQL, initialised},
	{"GraphQL over SSE", "graphql", (*node).httpPort, "http/1.1", watchGraphQLEvents, nil},
}

func (n *node) httpPort() string { return n.addr }
func (n *node) grpcPort() string { return n.grpc }

// wish is what is asked for.
type wish struct {
	token string // of the caller; empty for nobody
	paths []string
	after config.Token
}

// stream is a watch that was asked for.
type stream interface {
	// next waits for what comes next. The error is a *refusal if the server says
	// why there is nothing more.
	next() (news, error)
}

// news is one thing that a server tells.
type news struct {
	revision config.Token
	versions map[string]int64 // by path, of what changed
	reset    bool
	current  bool
	bye      bool
	hint     time.Duration // when to come back; 0 if it says nothing of that
}

// change is a change of one config, as JSON has it.
type change struct {
	Path    string `json:"path"`
	Version int64  `json:"version"`
}

func (n *news) add(changes []change) {
	n.versions = map[string]int64{}
	for _, c := range changes {
		n.versions[c.Path] = c.Version
	}
}

// refusal is a server's word for why it does not do something.
type refusal struct {
	native string // as the protocol has it: "HTTP 401", "close 1008", "status 16"
	code   string // the code of the problem, empty if nothing came but the native form
	detail string
	hint   time.Duration // when to come back; 0 if it says nothing of that
}

func (r *refusal) Error() string {
	return fmt.Sprintf("refused with %s (%s): %s", r.native, r.code, r.detail)
}

// wantRefusal says what is wrong with an error that should be a refusal in one of
// the native forms.
func wantRefusal(code string, natives []string, err error) error {
	var got *refusal
	switch {
	case err == nil:
		return fmt.Errorf("want it refused as %s, but it was not", code)
	case !errors.As(err, &got):
		return fmt.Errorf("want it refused as %s, got %w", code, err)
	case got.code != code || !slices.Contains(natives, got.native):
		return fmt.Errorf("want it refused as %s with one of %q, got %w", code, natives, got)
	}
	return nil
}

// open connects and asks for a watch.
func (d *dialect) open(n *node, w wish) (net.Conn, stream, error) {
	c, err := n.dial(d.addr(n), d.alpn)
	if err != nil {
		return nil, nil, err
	}
	s, err := d.watch(c, w)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, s, nil
}

// current reads a stream until it is at the present, and returns all of what it
// told.
func current(s stream) (all news, err error) {
	all.versions = map[string]int64{}
	for !all.current {
		n, err := s.next()
		if err != nil {
			return all, err
		}
		for path, version := range n.versions {
			all.versions[path] = version
		}
		all.current, all.revision = n.current, n.revision
		all.reset = all.reset || n.reset
		if n.hint > 0 {
			all.hint = n.hint
		}
	}
	return all, nil
}
