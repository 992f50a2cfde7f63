package graphql

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/protocol/internal/crowdtest"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
)

// The kinds of crowd.
const (
	bySocket = "graphql-transport-ws"
	byEvents = "events"
)

// TestCrowd is no test but the clients of the benchmarks.
func TestCrowd(t *testing.T) {
	crowdtest.Be(t, func(t *testing.T, one crowdtest.Client) func() error {
		return map[string]crowdtest.Join{bySocket: joinCrowd, byEvents: streamToCrowd}[one.Kind](t, one)
	})
}

// crowdQuery is what the crowd watches.
const crowdQuery = `subscription($p:[Pattern!]!){watch(paths:$p){revision reset changes{path deleted release{version content}}}}`

// joinCrowd subscribes with an id of its own, as clients do, and returns what reads
// the next event.
func joinCrowd(t *testing.T, one crowdtest.Client) func() error {
	fmt.Fprintf(one.Conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, subprotocol, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")))
	in := bufio.NewReaderSize(one.Conn, 512)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	c := &listener{&sockettest.Client{T: t, Conn: one.Conn, In: in}}
	c.Say(fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q,"instance":"i%d"}}`, one.Token, one.Number))
	c.subscribe(fmt.Sprintf("7f4bd65e-0000-4000-8000-%012d", one.Number), crowdQuery, map[string]any{"p": []string{"acme/shop/prod"}})
	c.next("", typeAck)
	return func() error {
		_, _, err := c.read()
		return err
	}
}

// streamToCrowd asks for a stream of events, and returns what reads the next.
func streamToCrowd(t *testing.T, one crowdtest.Client) func() error {
	body := string(encode(map[string]any{"query": crowdQuery, "variables": map[string]any{"p": []string{"acme/shop/prod"}}}))
	fmt.Fprintf(one.Conn, "POST %s?instance=i%d HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n%s",
		path, one.Number, eventType, jsonType, len(body), one.Token, body)
	answer, err := http.ReadResponse(bufio.NewReaderSize(one.Conn, 512), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	events := eventReader{in: bufio.NewReaderSize(answer.Body, 512)}
	return func() error {
		_, err := events.next()
		return err
	}
}

func (n *station) crowd(kind string) crowdtest.Clients {
	return crowdtest.Clients{URL: n.URL, Token: n.app, Kind: kind}
}

// BenchmarkIdle measures what an idle connection over TLS costs that has one
// subscription and a name.
func BenchmarkIdle(b *testing.B) {
	for _, kind := range []string{bySocket, byEvents} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				n := launch(b)
				n.publish(pathA, "a: 1\n")
				n.crowd(kind).Idle(b, 2000, "conn")
				n.until("no connection left", func() bool { return n.opened()+n.streaming() == 0 })
			}
		})
	}
}

// BenchmarkFanOut publishes to 2,000 subscribers on TLS connections of their own.
func BenchmarkFanOut(b *testing.B) {
	for _, kind := range []string{bySocket, byEvents} {
		b.Run(kind, func(b *testing.B) {
			n := launch(b)
			c := n.crowd(kind).Start(b, 2000)
			i := 0
			for b.Loop() {
				c.Next()
				i++
				n.publish(pathA, fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
				c.Told()
			}
			b.StopTimer()
			c.Leave()
			n.until("no connection left", func() bool { return n.opened()+n.streaming() == 0 })
		})
	}
}
