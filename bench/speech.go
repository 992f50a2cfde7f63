package bench

import (
	"bytes"
	"net/http"
	"net/url"

	"github.com/setpointhq/setpoint/config"
)

// speech is a protocol as a subscriber speaks it: as little of it as tells one
// message from the next, since subscribers share the machine with the server
// that they measure. It holds nothing, so one serves all.
type speech interface {
	// alpn is the name of what bears it, for the TLS handshake.
	alpn() string
	// subscription renders what somebody sends to watch the paths. All but the
	// first part are sent in answer to the server's answers.
	subscription(s server, authorization string, paths ...config.Path) [][]byte
	// listen sends the parts, and hands on each message that comes, until the
	// stream is at its end or heard returns an error. A message is good until
	// heard returns.
	listen(c *conn, parts [][]byte, heard func(message []byte) error) error
	// isCurrent tells the message after which nothing more is to be caught up with.
	isCurrent(message []byte) bool
	// welcome is what the floor answers in a server's place: all that comes up to
	// a message that is current.
	welcome() []byte
	// frame is a message as it goes over the wire.
	frame(message []byte) []byte
}

// sse is Server-Sent Events over HTTP/1.1.
type sse struct{}

func (sse) alpn() string { return alpnHTTP1 }

func (sse) subscription(s server, authorization string, paths ...config.Path) [][]byte {
	return [][]byte{watchRequest(s, authorization, "", paths)}
}

// current begins the event that tells a subscriber that it will miss nothing
// from here on.
const current = "event: current\n"

func (sse) isCurrent(message []byte) bool { return bytes.HasPrefix(message, []byte(current)) }

func (s sse) welcome() []byte {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	return append([]byte(head), s.frame([]byte(current+"data: {}"))...)
}

func (sse) frame(message []byte) []byte { return chunk(append(bytes.Clone(message), "\n\n"...)) }

func (sse) listen(c *conn, parts [][]byte, heard func([]byte) error) error {
	if _, err := c.Write(parts[0]); err != nil {
		return err
	}
	head, err := c.in.head()
	if err != nil {
		return err
	}
	if head.status != http.StatusOK || !head.chunked {
		return c.unexpected(head)
	}
	var events listener
	return c.in.body(head, func(piece []byte) error { return events.take(piece, heard) })
}

// watchRequest renders the request to watch paths; lines are further header lines.
func watchRequest(s server, authorization, lines string, paths []config.Path) []byte {
	query := url.Values{}
	for _, path := range paths {
		query.Add("path", path.String())
	}
	return s.request(http.MethodGet, "/v1/watch?"+query.Encode(), authorization, "Accept: text/event-stream\r\n"+lines, nil)
}

// The protocols that can be watched over, as they are called on the command line.
const (
	overSSE      = "sse"
	overWS       = "ws"
	overGRPC     = "grpc"
	overGRPCHTTP = "grpc-http"
	overGraphQL  = "graphql"
)

// Protocols lists the protocols that can be watched over.
func Protocols() []string { return []string{overSSE, overWS, overGRPC, overGRPCHTTP, overGraphQL} }

// voice is a protocol and where it is spoken.
type voice struct {
	speech speech
	server server
	title  string
}

// over returns how to watch the target over a protocol. Where gRPC is to be asked
// for at a port of its own and nobody said which that is, it is the HTTP port.
func (t *target) over(protocol string) voice {
	v := voice{speech: speechOf(protocol), server: t.server}
	switch {
	case protocol == overSSE:
		v.title = "SSE"
	case protocol == overWS:
		v.title = "WebSocket"
	case protocol == overGraphQL:
		v.title = "GraphQL"
	case protocol == overGRPC && t.grpc.addr != "":
		v.title, v.server = "gRPC", t.grpc
	default:
		v.title = "gRPC on the HTTP port"
	}
	return v
}

// speechOf returns how a protocol is spoken.
func speechOf(protocol string) speech {
	switch protocol {
	case overWS:
		return webSocket{}
	case overGRPC, overGRPCHTTP:
		return grpc{}
	case overGraphQL:
		return graphQL{}
	default:
		return sse{}
	}
}
