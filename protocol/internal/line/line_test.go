package line

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// taken is what a handler found.
type taken struct {
	able bool
	line *Line
	err  error
}

// ask sends text to a server that takes connections over if it can.
func ask(t *testing.T, timeout time.Duration, text string) (net.Conn, taken) {
	t.Helper()
	found := make(chan taken, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := taken{able: Able(w, r)}
		if got.able {
			got.line, got.err = Take(w, timeout)
		}
		found <- got
	}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got := <-found
	if got.line != nil {
		t.Cleanup(got.line.Abort)
	}
	return conn, got
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestAble(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"HTTP/1.1":     {get, true},
		"HTTP/1.0":     {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", false},
		"a body":       {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", false},
		"an empty one": {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := ask(t, time.Second, c.text); got.able != c.want || got.able && (got.line == nil || got.err != nil) {
				t.Errorf("want %v, got %+v", c.want, got)
			}
		})
	}
	if Able(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody)) {
		t.Error("a recorder has no connection")
	}
	if _, err := Take(httptest.NewRecorder(), time.Second); err == nil {
		t.Error("want an error without a connection")
	}
}

// A request behind the first would be lost, so the connection is.
func TestSomethingBehindTheRequest(t *testing.T) {
	conn, got := ask(t, time.Second, get+get)
	if got.line != nil || got.err != nil {
		t.Errorf("got %+v", got)
	}
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection was left open")
	}
}

// A client that takes nothing in is given up.
func TestWriteTimeout(t *testing.T) {
	conn, got := ask(t, 50*time.Millisecond, get)
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	piece := []byte(strings.Repeat("x", 1<<20))
	var err error
	for err == nil {
		_, err = got.line.Write(piece)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("want it too late, got %v", err)
	}
}

// What was written before the end is read, whatever the client still sends.
func TestCloseLosesNothing(t *testing.T) {
	conn, got := ask(t, time.Minute, get)
	fmt.Fprint(conn, strings.Repeat("unread", 1000))
	fmt.Fprint(got.line, "last words\n")
	if err := got.line.Close(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		got.line.Drain()
		got.line.Abort()
	}()
	in := bufio.NewReader(conn)
	if text, err := in.ReadString('\n'); text != "last words\n" || err != nil {
		t.Errorf("got %q %v", text, err)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("want the end, got %v", err)
	}
	conn.Close()
	<-drained
}
