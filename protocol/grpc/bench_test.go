package grpc

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
)

// The clients of a benchmark are a process of their own, which is this program
// with these variables set, so that the memory measured is the server's alone.
const (
	crowdAddress = "GRPC_TEST_CROWD_ADDRESS"
	crowdToken   = "GRPC_TEST_CROWD_TOKEN"
	crowdSize    = "GRPC_TEST_CROWD_SIZE"
	crowdDoes    = "GRPC_TEST_CROWD_DOES" // "watch" or "read"
)

// benchProfile names a file for the profile of a benchmark: of the heap where
// memory is measured, else of the processor.
const benchProfile = "GRPC_TEST_PROFILE"

// TestCrowd is no test but those clients, who go on until their standard input
// ends. By itself it has nothing to do.
func TestCrowd(t *testing.T) {
	if os.Getenv(crowdAddress) == "" {
		return
	}
	size, err := strconv.Atoi(os.Getenv(crowdSize))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 2*size)
	does := readOften
	if os.Getenv(crowdDoes) == "watch" {
		does = hearAll
	}
	for i := range size {
		r, err := dialRaw(os.Getenv(crowdAddress), &tls.Config{InsecureSkipVerify: true}, os.Getenv(crowdToken), rawWindow)
		if err == nil && os.Getenv(crowdDoes) == "watch" {
			err = r.greet(1, "i"+strconv.Itoa(i))
		}
		if err != nil {
			t.Fatal(err)
		}
		defer r.conn.Close()
		go does(r, told)
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

// hearAll says whenever there are changes.
func hearAll(r *raw, told chan<- error) {
	for {
		b, err := r.message(1)
		var m setpointv1.WatchResponse
		if err == nil {
			err = proto.Unmarshal(b, &m)
		}
		if m.GetChanges() != nil || err != nil {
			told <- err
		}
		if err != nil {
			return
		}
	}
}

// readOften reads a config, one call at a time, and says so now and then.
func readOften(r *raw, told chan<- error) {
	in := &setpointv1.ReadConfigRequest{Path: prod.Join("a.yaml").String(), Client: &setpointv1.ClientIdentity{Id: "reader"}}
	for id := uint32(1); ; id += 2 {
		if id%(2*crowdReads) == 1 && id > 1 {
			told <- nil
		}
		err := r.open(id, readMethod)
		if err == nil {
			err = r.send(id, true, in)
		}
		if err == nil {
			_, err = r.message(id)
		}
		if err != nil {
			told <- err
			return
		}
		delete(r.got, id)
	}
}

// crowdReads is how often each reads before it says so.
const crowdReads = 50

// crowd is the other end of TestCrowd.
type crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

// served is a node with a config and a token that may read it.
func served(b *testing.B) (n *node, token string) {
	n = start(b, func(s *Settings) { s.Recheck = 15 * time.Second })
	n.publish("a.yaml", "a: 1\n# "+strings.Repeat("x", 1000)+"\n")
	return n, n.user("app", auth.Grant{Role: auth.RoleClient, Scope: prod}).caller.Token.Reveal()
}

func (n *node) crowd(b *testing.B, address, token, does string, size int) *crowd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), crowdAddress+"="+address, crowdToken+"="+token, crowdSize+"="+strconv.Itoa(size), crowdDoes+"="+does)
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

// ports are those that watches are measured on.
func (n *node) ports(b *testing.B) map[string]string {
	return map[string]string{"own": n.api.address.String(), "http": addressOf(b, n.Node)}
}

// BenchmarkIdleStream measures what a watch costs that has a TLS connection of its
// own, one subscription and a name, while nothing happens.
func BenchmarkIdleStream(b *testing.B) {
	const size = 2000
	for _, port := range []string{"own", "http"} {
		b.Run(port, func(b *testing.B) {
			for b.Loop() {
				n, token := served(b)
				address := n.ports(b)[port]
				warm := n.crowd(b, address, token, "watch", 10)
				heap, stack := memory()
				c := n.crowd(b, address, token, "watch", size)
				heapThen, stackThen := memory()
				if name := os.Getenv(benchProfile); name != "" {
					n.must(writeProfiles(name))
				}
				b.ReportMetric(float64(heapThen-heap)/size, "heap-B/conn")
				b.ReportMetric(float64(stackThen-stack)/size, "stack-B/conn")
				b.ReportMetric(float64(heapThen-heap+stackThen-stack)/size, "B/conn")
				c.leave()
				warm.leave()
				n.eventually("no watch left", func() bool { return len(n.api.streams.list()) == 0 })
			}
		})
	}
}

func writeProfiles(name string) error {
	for _, kind := range []string{"heap", "goroutine"} {
		f, err := os.Create(name + "." + kind)
		if err != nil {
			return err
		}
		if err := pprof.Lookup(kind).WriteTo(f, 0); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func memory() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// processor is the time that the process has taken so far.
func processor() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // which does not fail
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// profiled profiles the processor while it is measured, if that is wanted.
func profiled(b *testing.B, measured func()) {
	if name := os.Getenv(benchProfile); name != "" {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			b.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	measured()
}

// BenchmarkFanOut publishes to 5,000 watches on TLS connections of their own, and
// measures how long it takes until the last is told.
func BenchmarkFanOut(b *testing.B) {
	const size = 5000
	for _, port := range []string{"own", "http"} {
		b.Run(port, func(b *testing.B) {
			n, token := served(b)
			c := n.crowd(b, n.ports(b)[port], token, "watch", size)
			var took []time.Duration
			i, spent := 0, processor()
			profiled(b, func() {
				for b.Loop() {
					c.next()
					i++
					began := time.Now()
					n.publish("a.yaml", fmt.Sprintf("a: %d\n# %s\n", i, strings.Repeat("x", 1000)))
					c.told()
					took = append(took, time.Since(began))
				}
			})
			b.ReportMetric(float64((processor()-spent).Microseconds())/float64(i*size), "server-µs/delivery")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
			c.leave()
			n.eventually("no watch left", func() bool { return len(n.api.streams.list()) == 0 })
		})
	}
}

// BenchmarkRead reads a config over and over, on 64 TLS connections.
func BenchmarkRead(b *testing.B) {
	const size = 64
	for _, port := range []string{"own", "http"} {
		b.Run(port, func(b *testing.B) {
			n, token := served(b)
			c := n.crowd(b, n.ports(b)[port], token, "read", size)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			waves, began, spent := 0, time.Now(), processor()
			profiled(b, func() {
				for b.Loop() {
					c.next()
					c.told()
					waves++
				}
			})
			runtime.ReadMemStats(&after)
			reads := float64(waves * size * crowdReads)
			b.ReportMetric(reads/time.Since(began).Seconds(), "reads/s")
			b.ReportMetric(float64((processor()-spent).Microseconds())/reads, "server-µs/read")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/reads, "server-allocs/read")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/reads, "server-B/read")
			c.leave()
		})
	}
}
