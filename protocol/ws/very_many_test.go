package ws

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/protocol/internal/crowdtest"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
)

// BenchmarkVeryMany publishes to 50,000 subscribers, each on a TLS connection of its
// own. The connections go through memory: there are systems that let no process have
// so many sockets open. So it shows that a node serves so many, and how long one
// change takes to reach all of them, clients of the same process included; what it
// costs over the network is measured by setpoint bench.
func BenchmarkVeryMany(b *testing.B) {
	const size = 50_000
	n := start(b)
	n.publish(pathA, "a: 0\n")
	crowd := n.gather(b, size)
	heap, stack := crowdtest.Memory()
	version := 0
	for b.Loop() {
		version++
		crowd.wave.Add(size)
		n.publish(pathA, fmt.Sprintf("a: %d\n", version))
		crowd.wave.Wait()
	}
	b.StopTimer()
	b.ReportMetric(float64(heap+stack)/size, "B/conn-and-client")
	if got := n.gateway.opened(); got != size {
		b.Errorf("want %d connections open, got %d", size, got)
	}
	crowd.leave()
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}

// pipes is a listener of connections that go through memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// gathered are clients of this process.
type gathered struct {
	b       *testing.B
	wave    sync.WaitGroup // of those who have yet to be told
	readers sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
	leaving bool
}

// gather connects so many clients through memory, and returns when each has what
// there is.
func (n *node) gather(b *testing.B, size int) *gathered {
	listener := pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: n.gateway, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute}
	certificate := n.TLS.Clone()
	secure := &tls.Config{Certificates: n.Secured.Certificates, NextProtos: []string{"http/1.1"}}
	go func() { _ = server.Serve(tls.NewListener(listener, secure)) }() // ends when it is closed
	b.Cleanup(func() { server.Close() })

	g := &gathered{b: b}
	g.wave.Add(size)
	const dialing = 16
	places := make(chan struct{}, dialing)
	for i := range size {
		places <- struct{}{}
		go func() {
			defer func() { <-places }()
			here, there := net.Pipe()
			listener.accepted <- there
			if err := g.join(tls.Client(here, certificate), i, n.app); err != nil {
				b.Error(err)
				g.wave.Done()
			}
		}()
	}
	g.wave.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return g
}

func (g *gathered) join(conn *tls.Conn, i int, token string) error {
	g.mu.Lock()
	g.conns = append(g.conns, conn)
	g.mu.Unlock()
	fmt.Fprintf(conn, "GET %s?instance=i%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		path, i, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")), token)
	in := bufio.NewReaderSize(conn, 512)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(answer.Status)
	}
	c := &client{&sockettest.Client{T: g.b, Conn: conn, In: in}}
	g.readers.Go(func() { g.listen(c) }) // first: a pipe holds nothing
	subscribe := `{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`
	return c.TryFrame(socket.Final|socket.OpText, []byte(subscribe))
}

func (g *gathered) listen(c *client) {
	for {
		m, _, err := c.read()
		switch {
		case err == nil && m.Type == "changes":
			g.wave.Done()
		case err != nil:
			g.mu.Lock()
			defer g.mu.Unlock()
			if !g.leaving {
				g.b.Error(err)
				g.wave.Done()
			}
			return
		}
	}
}

func (g *gathered) leave() {
	g.mu.Lock()
	g.leaving = true
	for _, conn := range g.conns {
		conn.Close()
	}
	g.mu.Unlock()
	g.readers.Wait()
}
