package rest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/protocol/internal/crowdtest"
)

// TestCrowd is no test but the clients of the benchmarks.
func TestCrowd(t *testing.T) { crowdtest.Be(t, joinCrowd) }

// crowds are how requests end whose streams are carried in the two ways: a body keeps
// a connection with its handler.
var crowds = map[string]string{"parked": "\r\n", "held": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}

// joinCrowd asks for a stream, and returns what reads the last event of a wave.
func joinCrowd(_ *testing.T, one crowdtest.Client) func() error {
	fmt.Fprintf(one.Conn, "GET /v1/watch?path=acme/shop/prod&instance=i%d HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: %s\r\n%s",
		one.Number, one.Token, crowds[one.Kind])
	in := bufio.NewReaderSize(one.Conn, 512)
	caughtUp := false
	return func() error {
		for {
			line, err := in.ReadSlice('\n')
			for errors.Is(err, bufio.ErrBufferFull) {
				line, err = in.ReadSlice('\n')
			}
			switch {
			case err != nil:
				return err
			case bytes.HasPrefix(line, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")), bytes.HasPrefix(line, []byte("event: error")):
				return fmt.Errorf("told %s", line)
			case bytes.HasPrefix(line, []byte("event: current")), caughtUp && bytes.HasPrefix(line, []byte("event: changes")):
				caughtUp = true
				return nil
			}
		}
	}
}

func (s *server) crowd(kind string) crowdtest.Clients {
	return crowdtest.Clients{URL: s.url, Token: s.app, Kind: kind}
}

// BenchmarkStreamMemory measures what an idle stream over TLS costs whose client has
// a name.
func BenchmarkStreamMemory(b *testing.B) {
	for name := range crowds {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := start(b)
				s.publish("acme/shop/prod/a.yaml", "a: 1\n")
				s.crowd(name).Idle(b, 2000, "stream")
				s.api.waitForWatchers(b, 0)
			}
		})
	}
}

// BenchmarkFanOutTLS publishes to 2,000 streams on TLS connections of their own.
func BenchmarkFanOutTLS(b *testing.B) {
	for name := range crowds {
		b.Run(name, func(b *testing.B) {
			s := start(b)
			s.publish("acme/shop/prod/a.yaml", "a: 1\n")
			c := s.crowd(name).Start(b, 2000)
			i := 0
			for b.Loop() {
				c.Next()
				i++
				s.publish("acme/shop/prod/a.yaml", fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
				c.Told()
			}
			b.StopTimer()
			c.Leave()
			s.api.waitForWatchers(b, 0)
		})
	}
}
