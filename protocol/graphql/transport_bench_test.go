package graphql

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// The clients of a benchmark are a process of their own, which is this program
// with these variables set, so that the memory measured is the server's alone.
const (
	crowdURL   = "GRAPHQL_TEST_CROWD_URL"
	crowdToken = "GRAPHQL_TEST_CROWD_TOKEN"
	crowdSize  = "GRAPHQL_TEST_CROWD_SIZE"
)

// TestCrowd is no test but those clients: they subscribe, say so, and read until
// they are told to go. By itself it has nothing to do.
func TestCrowd(t *testing.T) {
	if os.Getenv(crowdURL) == "" {
		return
	}
	size, err := strconv.Atoi(os.Getenv(crowdSize))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, size)
	for i := range size {
		conn, in := joinCrowd(t, i)
		defer conn.Close()
		go func() {
			c := &listener{t: t, conn: conn, in: in}
			for {
				m, _, err := c.read()
				if m.Type == typeNext || err != nil {
					told <- err
				}
				if err != nil {
					return
				}
			}
		}()
	}
	commands := bufio.NewScanner(os.Stdin)
	for { // each wave is a message for everybody
		for range size {
			if err := <-told; err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(os.Stdout, "told") // the parent process waits for it
		if !commands.Scan() {
			return
		}
	}
}

// joinCrowd connects, and subscribes with an id of its own, as clients do.
func joinCrowd(t *testing.T, i int) (*tls.Conn, *bufio.Reader) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(os.Getenv(crowdURL), "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, subprotocol, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")))
	in := bufio.NewReaderSize(conn, 512)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	c := &listener{t: t, conn: conn, in: in}
	c.say(fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q,"instance":"i%d"}}`, os.Getenv(crowdToken), i))
	c.must(c.frame(socket.Final|socket.OpText, fmt.Appendf(nil,
		`{"id":"7f4bd65e-0000-4000-8000-%012d","type":"subscribe","payload":{"query":"subscription($p:[Pattern!]!){watch(paths:$p){revision reset changes{path deleted release{version content}}}}","variables":{"p":["acme/shop/prod"]}}}`, i)))
	c.next("", typeAck)
	return conn, in
}

// crowd is the other end of TestCrowd.
type crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func (n *station) crowd(b *testing.B, size int) *crowd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), crowdURL+"="+n.URL, crowdToken+"="+n.app, crowdSize+"="+strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	n.must(err)
	out, err := cmd.StdoutPipe()
	n.must(err)
	n.must(cmd.Start())
	c := &crowd{b: b, in: in, out: bufio.NewScanner(out), cmd: cmd}
	c.told()
	return c
}

func (c *crowd) told() {
	c.b.Helper()
	if !c.out.Scan() || c.out.Text() != "told" {
		c.b.Fatalf("want the clients told, got %q", c.out.Text())
	}
}

func (c *crowd) next() {
	if _, err := io.WriteString(c.in, "next\n"); err != nil {
		c.b.Fatal(err)
	}
}

func (c *crowd) leave() {
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.b.Error(err)
	}
}

// BenchmarkIdleConnection measures what an idle connection over TLS costs that has
// one subscription and a name. GRAPHQL_TEST_PROFILE names a file for the heap's
// profile.
func BenchmarkIdleConnection(b *testing.B) {
	const size = 2000
	for b.Loop() {
		n := launch(b, func(s *Settings) { s.MaxConnections = 2 * size })
		n.publish(pathA, "a: 1\n")
		warm := n.crowd(b, 10)
		heap, stack := memoryInUse()
		c := n.crowd(b, size)
		heapThen, stackThen := memoryInUse()
		if name := os.Getenv("GRAPHQL_TEST_PROFILE"); name != "" {
			f, err := os.Create(name)
			n.must(err)
			n.must(pprof.WriteHeapProfile(f))
			n.must(f.Close())
		}
		b.ReportMetric(float64(heapThen-heap)/size, "heap-B/conn")
		b.ReportMetric(float64(stackThen-stack)/size, "stack-B/conn")
		b.ReportMetric(float64(heapThen-heap+stackThen-stack)/size, "B/conn")
		c.leave()
		warm.leave()
		n.until("no connection left", func() bool { return n.opened() == 0 })
	}
}

func memoryInUse() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// BenchmarkFanOut publishes to 2,000 subscribers on TLS connections of their own.
func BenchmarkFanOut(b *testing.B) {
	n := launch(b)
	c := n.crowd(b, 2000)
	i := 0
	for b.Loop() {
		c.next()
		i++
		n.publish(pathA, fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
		c.told()
	}
	b.StopTimer()
	c.leave()
	n.until("no connection left", func() bool { return n.opened() == 0 })
}
