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
)

// The clients of a benchmark are a process of their own, which is this program
// with these variables set, so that the memory measured is the server's alone.
const (
	crowdURL   = "GRAPHQL_TEST_CROWD_URL"
	crowdToken = "GRAPHQL_TEST_CROWD_TOKEN"
	crowdSize  = "GRAPHQL_TEST_CROWD_SIZE"
	crowdKind  = "GRAPHQL_TEST_CROWD_KIND"
)

// The kinds of crowd.
const (
	bySocket = "graphql-transport-ws"
	byEvents = "events"
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
		conn, err := tls.Dial("tcp", strings.TrimPrefix(os.Getenv(crowdURL), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		join := map[string]func(*testing.T, *tls.Conn, int) func() error{bySocket: joinCrowd, byEvents: streamToCrowd}[os.Getenv(crowdKind)]
		next := join(t, conn, i)
		go func() {
			for {
				err := next()
				told <- err
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

// crowdQuery is what the crowd watches.
const crowdQuery = `subscription($p:[Pattern!]!){watch(paths:$p){revision reset changes{path deleted release{version content}}}}`

// joinCrowd subscribes with an id of its own, as clients do, and returns what reads
// the next event.
func joinCrowd(t *testing.T, conn *tls.Conn, i int) func() error {
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, subprotocol, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")))
	in := bufio.NewReaderSize(conn, 512)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	c := &listener{t: t, conn: conn, in: in}
	c.say(fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q,"instance":"i%d"}}`, os.Getenv(crowdToken), i))
	c.subscribe(fmt.Sprintf("7f4bd65e-0000-4000-8000-%012d", i), crowdQuery, map[string]any{"p": []string{"acme/shop/prod"}})
	c.next("", typeAck)
	return func() error {
		_, _, err := c.read()
		return err
	}
}

// streamToCrowd asks for a stream of events, and returns what reads the next.
func streamToCrowd(t *testing.T, conn *tls.Conn, i int) func() error {
	body := string(encode(map[string]any{"query": crowdQuery, "variables": map[string]any{"p": []string{"acme/shop/prod"}}}))
	fmt.Fprintf(conn, "POST %s?instance=i%d HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n%s",
		path, i, eventType, jsonType, len(body), os.Getenv(crowdToken), body)
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	events := eventReader{in: bufio.NewReaderSize(answer.Body, 512)}
	return func() error {
		_, err := events.next()
		return err
	}
}

// crowd is the other end of TestCrowd.
type crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func (n *station) crowd(b *testing.B, kind string, size int) *crowd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), crowdURL+"="+n.URL, crowdToken+"="+n.app, crowdSize+"="+strconv.Itoa(size), crowdKind+"="+kind)
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

// BenchmarkIdle measures what an idle connection over TLS costs that has one
// subscription and a name. GRAPHQL_TEST_PROFILE names a file for the heap's profile.
func BenchmarkIdle(b *testing.B) {
	const size = 2000
	for _, kind := range []string{bySocket, byEvents} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				n := launch(b)
				n.publish(pathA, "a: 1\n")
				warm := n.crowd(b, kind, 10)
				heap, stack := memoryInUse()
				c := n.crowd(b, kind, size)
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
				n.until("no connection left", func() bool { return n.opened()+n.streaming() == 0 })
			}
		})
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
	for _, kind := range []string{bySocket, byEvents} {
		b.Run(kind, func(b *testing.B) {
			n := launch(b)
			c := n.crowd(b, kind, 2000)
			i := 0
			for b.Loop() {
				c.next()
				i++
				n.publish(pathA, fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
				c.told()
			}
			b.StopTimer()
			c.leave()
			n.until("no connection left", func() bool { return n.opened()+n.streaming() == 0 })
		})
	}
}
