package e2e

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// scissors stands between a client and a server and cuts their connections, at
// random: after so many bytes from the server, in the middle of whatever they
// are, or when nothing has come for a while.
type scissors struct {
	net.Listener
	server string
	cuts   atomic.Int64
	all    sync.WaitGroup
	mu     sync.Mutex
	open   map[net.Conn]bool
}

// newScissors begins to listen and to cut.
func newScissors(t testing.TB, server string) *scissors {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scissors{Listener: l, server: server, open: map[net.Conn]bool{}}
	s.all.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.open {
			c.Close()
		}
		s.open = nil
		s.mu.Unlock()
		s.all.Wait()
	})
	return s
}

func (s *scissors) accept() {
	for {
		client, err := s.Accept()
		if err != nil {
			return
		}
		s.all.Go(func() { s.carry(client) })
	}
}

// keep notes a connection to be closed at the end; false if it has come.
func (s *scissors) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		c.Close()
		return false
	}
	s.open[c] = true
	return true
}

func (s *scissors) drop(c net.Conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	c.Close()
}

// carry connects a client with the server until the cut.
func (s *scissors) carry(client net.Conn) {
	if !s.keep(client) {
		return
	}
	defer s.drop(client)
	server, err := net.Dial("tcp", s.server)
	if err != nil || !s.keep(server) {
		return
	}
	defer s.drop(server)
	var up sync.WaitGroup
	up.Go(func() { _, _ = io.Copy(server, client) })
	defer up.Wait()
	if s.down(client, server) {
		s.cuts.Add(1)
		if tcp, ok := client.(*net.TCPConn); ok && rand.N(2) == 0 {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
	}
	client.Close()
	server.Close()
}

// down carries what the server sends; true if it was cut.
func (s *scissors) down(client, server net.Conn) bool {
	// A TLS handshake and the head of an answer take about 2,500 bytes. Most
	// cuts come later, else nothing would get on.
	budget := rand.N(20_000)
	buf := make([]byte, 4096)
	for passed := 0; ; {
		idle := 300 * time.Millisecond
		if passed > 2500 {
			idle = time.Duration(rand.N(int64(40 * time.Millisecond)))
		}
		_ = server.SetReadDeadline(time.Now().Add(idle))
		n, err := server.Read(buf)
		if left := budget - passed; n > left {
			_, _ = client.Write(buf[:max(left, 0)])
			return true
		}
		passed += n
		if _, err := client.Write(buf[:n]); err != nil {
			return false
		}
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return true
		case err != nil:
			return false
		}
	}
}
