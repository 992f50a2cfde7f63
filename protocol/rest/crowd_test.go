package rest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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
	crowdAddr    = "REST_TEST_CROWD_ADDR"
	crowdRequest = "REST_TEST_CROWD_REQUEST" // with %d for the number of the client
	crowdSize    = "REST_TEST_CROWD_SIZE"
)

// TestCrowd is no test but those clients: they ask for a stream, say once they have
// read the last event of a wave, and read on until they are told to go. By itself it
// has nothing to do.
func TestCrowd(t *testing.T) {
	if os.Getenv(crowdAddr) == "" {
		return
	}
	size, err := strconv.Atoi(os.Getenv(crowdSize))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, size)
	for i := range size {
		conn, err := tls.Dial("tcp", os.Getenv(crowdAddr), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, os.Getenv(crowdRequest), i)
		go func() {
			in := bufio.NewReaderSize(conn, 512)
			for caughtUp := false; ; {
				line, err := in.ReadSlice('\n')
				for errors.Is(err, bufio.ErrBufferFull) {
					line, err = in.ReadSlice('\n')
				}
				switch {
				case err != nil:
					told <- err
					return
				case bytes.HasPrefix(line, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")), bytes.HasPrefix(line, []byte("event: error")):
					told <- fmt.Errorf("told %s", line)
					return
				case bytes.HasPrefix(line, []byte("event: current")), caughtUp && bytes.HasPrefix(line, []byte("event: changes")):
					caughtUp = true
					told <- nil
				}
			}
		}()
	}
	for commands := bufio.NewScanner(os.Stdin); ; { // each wave is an event for everybody
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

// crowd is the other end of TestCrowd.
type crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

// crowd opens so many streams; more are the lines that follow the request's headers.
func (s *server) crowd(b *testing.B, size int, more string) *crowd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), crowdAddr+"="+strings.TrimPrefix(s.url, "https://"), crowdSize+"="+strconv.Itoa(size),
		crowdRequest+"=GET /v1/watch?path=acme/shop/prod&instance=i%d HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: "+s.app+"\r\n"+more)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
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

// crowds are how requests end whose streams are carried in the two ways: a body keeps
// a connection with its handler.
var crowds = map[string]string{"parked": "\r\n", "held": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}

// BenchmarkStreamMemory measures what an idle stream over TLS costs whose client has
// a name. REST_TEST_PROFILE names a file for the heap's profile.
func BenchmarkStreamMemory(b *testing.B) {
	const size = 2000
	for name, more := range crowds {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := start(b)
				s.publish("acme/shop/prod/a.yaml", "a: 1\n")
				warm := s.crowd(b, 10, more)
				heap, stack := heapAndStack()
				c := s.crowd(b, size, more)
				heapThen, stackThen := heapAndStack()
				if name := os.Getenv("REST_TEST_PROFILE"); name != "" {
					f, err := os.Create(name)
					s.must(err)
					s.must(pprof.WriteHeapProfile(f))
					s.must(f.Close())
				}
				b.ReportMetric(float64(heapThen-heap)/size, "heap-B/stream")
				b.ReportMetric(float64(stackThen-stack)/size, "stack-B/stream")
				b.ReportMetric(float64(heapThen-heap+stackThen-stack)/size, "B/stream")
				c.leave()
				warm.leave()
				s.api.waitForWatchers(b, 0)
			}
		})
	}
}

func heapAndStack() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// BenchmarkFanOutTLS publishes to 2,000 streams on TLS connections of their own.
func BenchmarkFanOutTLS(b *testing.B) {
	for name, more := range crowds {
		b.Run(name, func(b *testing.B) {
			s := start(b)
			s.publish("acme/shop/prod/a.yaml", "a: 1\n")
			c := s.crowd(b, 2000, more)
			i := 0
			for b.Loop() {
				c.next()
				i++
				s.publish("acme/shop/prod/a.yaml", fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
				c.told()
			}
			b.StopTimer()
			c.leave()
			s.api.waitForWatchers(b, 0)
		})
	}
}
