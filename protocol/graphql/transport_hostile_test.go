package graphql

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// large publishes more than sockets hold.
func (n *station) large() {
	n.t.Helper()
	for i := range 7 {
		n.publish(fmt.Sprintf("acme/shop/prod/large%d.yaml", i), "# "+strings.Repeat("x", 900_000)+"\n")
	}
}

// fill has clients that do not read hold up as many who send to them.
func (n *station) fill(clients ...*listener) {
	n.t.Helper()
	for _, c := range clients {
		n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
		c.watch("s", "acme/shop/prod")
	}
	n.until("everybody held up", func() bool { return n.api.transport.hub.HeldUp(20*time.Millisecond) >= len(clients) })
}

// Clients that read nothing are no concern of others, and are cut in the end.
func TestClientsThatDoNotRead(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t, func(s *Settings) { s.WriteTimeout = 2 * time.Second })
	n.large()
	idle := make([]*listener, 4*runtime.GOMAXPROCS(0)+2) // more than there are hands
	for i := range idle {
		idle[i] = n.greeted(n.app)
	}
	c := n.greeted(n.app)
	c.watch("s", pathA)
	c.want("s", true)
	n.fill(idle...)
	for i := 1; i <= 20; i++ {
		n.publish(pathA, fmt.Sprintf("a: %d\n", i))
		c.want("s", false, fmt.Sprintf("%s@%d=a: %d\n", pathA, i, i))
	}
	if got := n.opened(); got != len(idle)+1 {
		t.Errorf("want all still open, got %d", got)
	}
	n.until("only the reader left", func() bool { return n.opened() == 1 })
}

// Who asks and asks, and reads no answer, is not read from any more.
func TestOperationsWithoutReading(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t, func(s *Settings) { s.WriteTimeout = 200 * time.Millisecond })
	n.publish(pathA, "# "+strings.Repeat("x", 500_000)+"\n")
	c := n.greeted(n.app)
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	var err error
	for err == nil {
		err = c.trySubscribe("q", `query($p:Path!){read(path:$p){release{content}}}`, map[string]any{"p": pathA})
	}
	n.until("no connection left", func() bool { return n.opened() == 0 })
}

// Close does not wait for a client that takes nothing in any longer than it may.
func TestShutdownCutsWhoDoesNotRead(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t)
	n.large()
	n.fill(n.greeted(n.app))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.api.Close(ctx); err == nil {
		t.Error("want it cut, got a clean end")
	}
	n.until("no connection left", func() bool { return n.opened() == 0 })
}

// Who selects something else in each subscription holds no more memory than others.
func TestManyDifferentSubscriptions(t *testing.T) {
	n := launch(t, func(s *Settings) { s.MaxSubscriptions = 1000 })
	n.publish(pathA, "a: 1\n")
	c := n.greeted(n.app)
	ask := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprint(i)
			c.subscribe(id, fmt.Sprintf("subscription{watch(paths:[%q]){%s}}", pathA, manyAliases(i%100+1, "revision")), nil)
			c.next(id, "next")
			c.Say(`{"id":"` + id + `","type":"complete"}`)
		}
	}
	ask(0, 100)
	goroutines := runtime.NumGoroutine()
	ask(100, 300)
	n.until("no watch left", func() bool { return n.Center.Self(t.Context()).Watchers == 0 })
	if got := runtime.NumGoroutine(); got > goroutines+5 {
		t.Errorf("want %d goroutines, got %d", goroutines, got)
	}
}

// A storm of clients that connect, subscribe and go leaves nothing behind.
func TestStormOfReconnects(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	const clients, rounds = 20, 10
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			for round := range rounds {
				c, err := dialNode(t, n.Node, dial{Auth: "Bearer " + n.app})
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.TryFrame(socket.Final|socket.OpText, []byte(`{"type":"connection_init"}`))
				if i%4 > 0 {
					_ = c.trySubscribe("s", prodOnly, nil)
				}
				if (i+round)%3 == 0 {
					_, _, _ = c.read()
				}
				if i%2 == 0 {
					_ = c.TryFrame(socket.Final|8, []byte{3, 233})
				}
				c.Conn.Close()
			}
		})
	}
	running.Wait()
	n.until("no connection left", func() bool { return n.opened() == 0 })
	if got := n.Center.Self(t.Context()).Watchers; got != 0 {
		t.Errorf("want no watch open, got %d", got)
	}
}
