package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
)

// TestSlowClientsAreShed opens connections that send next to nothing, in every
// way that there is, and wants them closed while others are served all along.
func TestSlowClientsAreShed(t *testing.T) {
	s := besieged(t)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	served := 0
	serving.Go(func() {
		c := s.root()
		for ; ctx.Err() == nil; served++ {
			if _, err := c.Get(ctx, path(t, "acme/shop/prod/app.yaml"), client.ReadOptions{}); err != nil && ctx.Err() == nil {
				t.Errorf("another is not served: %v", err)
				return
			}
		}
	})
	head := request("PUT", draft, "", "Authorization: "+bearer(s.token), "Content-Type: application/json", "Content-Length: 1000")
	head = strings.TrimSuffix(head, "\r\n")
	slow := map[string]struct {
		handshake bool
		first     string // sent at once
		drip      string // a byte of it, again and again
	}{
		"nothing at all":    {false, "", ""},
		"half a handshake":  {false, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ""},
		"dripped handshake": {false, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00"},
		"no request":        {true, "", ""},
		"half a request":    {true, "GET /v1/version HTTP/1.1\r\nHost: x\r\nX-", ""},
		"dripped headers":   {true, "GET /v1/version HTTP/1.1\r\nHost: x\r\nX-", "y"},
		"half a body":       {true, head + "\r\n{\"content\":", ""},
		"dripped body":      {true, head + "\r\n{\"content\":\"", "x"},
	}
	var all sync.WaitGroup
	for name, how := range slow {
		for i := range 25 {
			all.Go(func() { drip(t, s, fmt.Sprintf("%s %d", name, i), how.handshake, how.first, how.drip) })
		}
	}
	all.Wait()
	cancel()
	serving.Wait()
	if served == 0 {
		t.Error("nobody else was served")
	}
	t.Logf("%d reads meanwhile", served)
}

// drip behaves as said and waits until it is cut off.
func drip(t testing.TB, s *server, name string, handshake bool, first, more string) {
	var c net.Conn
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer c.Close()
	if handshake {
		conf := s.trust()
		conf.NextProtos = []string{"http/1.1"}
		secure := tls.Client(c, conf)
		if err := secure.Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		c = secure
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		closes(t, c)
	}()
	_, _ = io.WriteString(c, first)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			_, _ = io.WriteString(c, more) // fails once it was cut off
		}
	}
}

// TestAThousandIdleConnections holds them open while others are served, and
// wants them closed when they have been idle for long enough.
func TestAThousandIdleConnections(t *testing.T) {
	const count = 1000
	s := start(t, "HTTP_IDLE_TIMEOUT=5s", "HTTP_HEADER_TIMEOUT=20s")
	root := s.root()
	build(t, root, "acme/shop/prod")
	publish(t, root, "acme/shop/prod/app.yaml", "a: 1\n")
	before := s.metric("process_resident_memory_bytes")
	conns := make([]net.Conn, count)
	work := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range work {
				c, err := s.dial()
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				conns[i] = c
				// Half of them have had an answer, and half never ask.
				if i%2 == 0 {
					_, _ = io.WriteString(c, request("GET", "/livez", ""))
				}
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	all.Wait()
	if t.Failed() {
		return
	}
	if _, err := root.Get(t.Context(), path(t, "acme/shop/prod/app.yaml"), client.ReadOptions{}); err != nil {
		t.Errorf("another is not served: %v", err)
	}
	resp, err := s.http().Get(s.url("/readyz"))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("want it ready, got %v, %v", resp, err)
	}
	if resp != nil {
		resp.Body.Close()
	}
	grown := s.metric("process_resident_memory_bytes") - before
	t.Logf("a connection takes %.0f KiB", grown/count/1024)
	for i, c := range conns {
		if i%2 == 0 {
			closes(t, c)
		}
		c.Close()
	}
}
