package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWatchersThatDoNotRead opens watches and reads nothing from them while far
// more is published than their connections hold. It wants the publisher not to
// be held up, the server's memory not to grow with what they have not read, and
// them to get the latest, and not all before it, when they read again.
func TestWatchersThatDoNotRead(t *testing.T) {
	const (
		watchers  = 60
		publishes = 600
		size      = 32 << 10 // 1.2 GB in all, if the server kept it for each
		room      = 450 << 20
	)
	s := start(t, "LIMITS_KEEP_RELEASES=2", "PROTOCOLS_REST_HEARTBEAT=1h")
	root := s.root()
	build(t, root, watchedEnv)
	at := watchedEnv + "/large.yaml"
	publish(t, root, at, "n: 0\n")
	stalled := make([]net.Conn, watchers)
	narrow := make([]*net.TCPConn, watchers)
	for i := range stalled {
		var c net.Conn
		c, narrow[i] = s.narrow(t)
		if _, err := io.WriteString(c, request("GET", "/v1/watch?path="+watchedEnv, "", "Authorization: "+bearer(s.token), "Accept: text/event-stream")); err != nil {
			t.Fatal(err)
		}
		stalled[i] = c
	}
	s.until("watches", func() bool { return s.metric(`setpoint_streams{`) == watchers })
	before := s.metric("process_resident_memory_bytes")
	for n := range publishes {
		publish(t, root, at, fmt.Sprintf("n: %d\npad: %s\n", n+1, strings.Repeat("x", size)))
	}
	grown := s.metric("process_resident_memory_bytes") - before
	t.Logf("the server grew by %.0f MiB", grown/(1<<20))
	if grown > room {
		t.Errorf("want its memory not to hold what is unread, but it grew by %.0f MiB", grown/(1<<20))
	}
	var reading sync.WaitGroup
	for i, c := range stalled {
		reading.Go(func() {
			wide := errors.Join(narrow[i].SetReadBuffer(4<<20), c.SetDeadline(time.Now().Add(patience)))
			seen, err := readUntil(bufio.NewReader(c), publishes+1)
			err = errors.Join(wide, err)
			if err != nil {
				t.Errorf("watcher %d: %v", i, err)
			}
			if seen >= publishes {
				t.Errorf("watcher %d: want only what it could take, got %d deliveries", i, seen)
			}
		})
	}
	reading.Wait()
}

// narrow opens a connection that takes in little that is not read.
func (s *server) narrow(t testing.TB) (secure net.Conn, below *net.TCPConn) {
	t.Helper()
	plain, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	tcp, ok := plain.(*net.TCPConn)
	if !ok {
		t.Fatal("no TCP connection")
	}
	conf := s.trust()
	conf.NextProtos = []string{"http/1.1"}
	c := tls.Client(plain, conf)
	if err := errors.Join(tcp.SetReadBuffer(8<<10), c.SetDeadline(time.Now().Add(patience)), c.Handshake()); err != nil {
		t.Fatal(err)
	}
	return c, tcp
}

// readUntil reads a stream until it tells of the version; versions must rise.
func readUntil(in *bufio.Reader, version int64) (deliveries int, err error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	var last int64
	done := errors.New("done")
	err = readEvents(resp.Body, func(e sse) error {
		var w wireEvent
		if err := json.Unmarshal([]byte(e.data), &w); err != nil {
			return err
		}
		for _, c := range w.Changes {
			if c.Version <= last {
				return fmt.Errorf("version %d after %d", c.Version, last)
			}
			last = c.Version
			deliveries++
		}
		if last == version {
			return done
		}
		return nil
	})
	if errors.Is(err, done) {
		return deliveries, nil
	}
	if err == nil {
		err = fmt.Errorf("the stream ended at version %d", last)
	}
	return deliveries, err
}
