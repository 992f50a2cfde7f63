package ws

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

// TestCrowd is no test but the clients of the benchmarks.
func TestCrowd(t *testing.T) { crowdtest.Be(t, joinCrowd) }

func joinCrowd(t *testing.T, one crowdtest.Client) func() error {
	fmt.Fprintf(one.Conn, "GET %s?instance=i%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		path, one.Number, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")), one.Token)
	in := bufio.NewReaderSize(one.Conn, 512)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	c := &client{&sockettest.Client{T: t, Conn: one.Conn, In: in}}
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	return func() error {
		for {
			m, text, err := c.read()
			switch {
			case err != nil:
				return err
			case m.Type == "error":
				return fmt.Errorf("told %s", text)
			case m.Type == "changes":
				return nil
			}
		}
	}
}

func (n *node) crowd() crowdtest.Clients { return crowdtest.Clients{URL: n.URL, Token: n.app} }

// BenchmarkIdleConnection measures what an idle connection over TLS costs that has
// one subscription and a name.
func BenchmarkIdleConnection(b *testing.B) {
	for b.Loop() {
		n := start(b)
		n.publish(pathA, "a: 1\n")
		n.crowd().Idle(b, 2000, "conn")
		n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
	}
}

// BenchmarkFanOut publishes to 2,000 subscribers on TLS connections of their own.
func BenchmarkFanOut(b *testing.B) {
	n := start(b)
	c := n.crowd().Start(b, 2000)
	i := 0
	for b.Loop() {
		c.Next()
		i++
		n.publish(pathA, fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
		c.Told()
	}
	b.StopTimer()
	c.Leave()
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}
