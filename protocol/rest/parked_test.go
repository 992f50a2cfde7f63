package rest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// raw is a client that sees what comes over the connection.
type raw struct {
	*events
	conn   *tls.Conn
	answer *http.Response
}

const patience = 30 * time.Second

// rawly asks for a stream; more are the lines that follow the request's headers.
func (s *server) rawly(version, more string) *raw {
	s.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	s.must(err)
	s.t.Cleanup(func() { conn.Close() })
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	fmt.Fprintf(conn, "GET /v1/watch?path=acme/shop/prod HTTP/%s\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: %s\r\n%s", version, s.app, more)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	s.must(err)
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("got %s", answer.Status)
	}
	return &raw{events: &events{t: s.t, body: answer.Body, lines: bufio.NewReader(answer.Body)}, conn: conn, answer: answer}
}

// However a stream is carried, its client is told the same.
func TestCarriersOfStreams(t *testing.T) {
	for name, c := range map[string]struct {
		version, more string
		want          int // streams that are parked
	}{
		"HTTP/1.1":    {"1.1", "\r\n", 1},
		"with a body": {"1.1", "Content-Length: 2\r\n\r\n{}", 0},
		"HTTP/1.0":    {"1.0", "\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.publish("acme/shop/prod/a.yaml", "a: 1\n")
			r := s.rawly(c.version, c.more)
			if h := r.answer.Header; h.Get("X-Request-Id") == "" || h.Get("Date") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got %v", h)
			}
			open := 0
			s.api.wheel.All(func(*parked) { open++ })
			if open != c.want || c.want > 0 && !r.answer.Close {
				t.Errorf("want %d parked, got %d, %+v", c.want, open, r.answer)
			}
			if ev, err := r.any(); err != nil || ev.retry == "" {
				t.Errorf("want a retry first, got %+v %v", ev, err)
			}
			r.want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
			r.next("current")
			s.publish("acme/shop/prod/a.yaml", "a: 2\n")
			r.want(false, "acme/shop/prod/a.yaml@2=a: 2\n")
			s.drain()
			r.next("bye")
			if _, err := r.any(); !errors.Is(err, io.EOF) {
				t.Errorf("want an orderly end, got %v", err)
			}
		})
	}
}

func TestStreamOverHTTP2(t *testing.T) {
	s, handler := deaf(t, nil)
	listener := httptest.NewUnstartedServer(handler)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	s.url, s.http = listener.URL, listener.Client()
	t.Cleanup(func() {
		s.stop()
		s.http.CloseIdleConnections()
		listener.Close()
	})
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	all := make([]*events, 3)
	for i := range all {
		all[i] = s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
		all[i].want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
		all[i].next("current")
	}
	s.api.wheel.All(func(*parked) { t.Error("a stream over HTTP/2 has taken the connection over") })
	s.publish("acme/shop/prod/a.yaml", "a: 2\n")
	s.drain()
	for _, e := range all {
		e.want(false, "acme/shop/prod/a.yaml@2=a: 2\n")
		e.next("bye")
	}
}

// Whoever goes on talking on a stream has not understood what it is.
func TestStreamsAreNotTalkedTo(t *testing.T) {
	s := start(t)
	r := s.rawly("1.1", "\r\n")
	r.want(true)
	fmt.Fprint(r.conn, "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
	for {
		if _, err := r.any(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Error("the stream goes on")
			}
			break
		}
	}
	s.api.waitForWatchers(t, 0)
	if got := s.center.Self(t.Context()).Watchers; got != 0 {
		t.Errorf("want no watch open, got %d", got)
	}
}

// What is sent ahead of the answer is not lost unnoticed.
func TestStreamWithAnotherRequestBehindIt(t *testing.T) {
	s := start(t)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	s.must(err)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	one := "GET /v1/watch?path=acme/shop/prod HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: " + s.app + "\r\n\r\n"
	fmt.Fprint(conn, one+one)
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is left open")
	}
	s.api.waitForWatchers(t, 0)
}

// Clients that read nothing are no concern of others, and are cut in the end.
func TestStreamsWhoseClientsDoNotRead(t *testing.T) {
	s := start(t, func(s *Settings) { s.StreamWriteTimeout = 2 * time.Second })
	for i := range 7 {
		s.publish(fmt.Sprintf("acme/shop/prod/large%d.yaml", i), "# "+strings.Repeat("x", 900_000)+"\n")
	}
	idle := 4*runtime.GOMAXPROCS(0) + 2 // more than there are hands
	for range idle {
		r := s.rawly("1.1", "\r\n")
		s.must(r.conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	}
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod/a.yaml", auth: s.app})
	e.want(true)
	e.next("current")
	for i := 1; i <= 20; i++ {
		s.publish("acme/shop/prod/a.yaml", fmt.Sprintf("a: %d\n", i))
		e.want(false, fmt.Sprintf("acme/shop/prod/a.yaml@%d=a: %d\n", i, i))
	}
	s.api.waitForWatchers(t, 1) // only the reader
}

// The end of the protocol waits for streams no longer than it is let.
func TestCloseCutsStreamsThatDoNotEnd(t *testing.T) {
	s := start(t)
	for i := range 7 {
		s.publish(fmt.Sprintf("acme/shop/prod/large%d.yaml", i), "# "+strings.Repeat("x", 900_000)+"\n")
	}
	r := s.rawly("1.1", "\r\n")
	s.must(r.conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	for s.api.crew.Busy(20*time.Millisecond) == 0 {
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.drain()
	if err := s.api.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("want it to give up, got %v", err)
	}
	s.api.waitForWatchers(t, 0)
}

// What many are told alike is encoded once, and what differs is not mixed up.
func TestStreamsShareEvents(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	before := s.api.events.Len()
	for _, query := range []string{"?path=acme/shop/prod", "?path=acme/shop/prod/a.yaml", "?path=acme/shop/prod&path=acme/shop/prod"} {
		e := s.subscribe(request{path: "/v1/watch" + query, auth: s.app})
		e.want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
		e.next("current")
	}
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod&content=false", auth: s.app})
	e.want(true, "acme/shop/prod/a.yaml@1")
	if got := s.api.events.Len() - before; got != 2 {
		t.Errorf("want two events encoded, got %d", got)
	}
}

// A chunked output's chunks hold what was written, whatever its pieces are.
func TestChunkedOutput(t *testing.T) {
	a := &api{outputs: newOutputs()}
	for _, sizes := range [][]int{{0}, {1}, {15, 1}, {100, 0, 5000}, {outputSize}, {outputSize - 1, 1, 1}, {outputSize + 1}, {3 * outputSize, 7}, {outputSize - 1, outputSize}} {
		var wire, want bytes.Buffer
		out := a.chunkedOutput(&wire)
		for i, n := range sizes {
			piece := bytes.Repeat([]byte{byte('a' + i)}, n)
			want.Write(piece)
			if i%2 == 0 {
				out.Append(piece)
			} else {
				out.Text(string(piece))
			}
		}
		out.flush()
		out.release()
		wire.WriteString("0\r\n\r\n")
		got, err := io.ReadAll(httputil.NewChunkedReader(&wire))
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%v: want %d bytes, got %d, %v", sizes, want.Len(), len(got), err)
		}
	}
}
