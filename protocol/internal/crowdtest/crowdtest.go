// Package crowdtest gives a protocol's benchmarks thousands of clients in a process
// of their own, so that the memory measured is the server's alone. That process is
// the test's program again, running nothing but TestCrowd, which is to be
//
//	func TestCrowd(t *testing.T) { crowdtest.Be(t, join) }
//
// The package is for tests only, and knows no protocol: each says how one client
// joins and what it waits for.
package crowdtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What the process is told, by its environment.
const (
	address = "CROWD_ADDRESS"
	token   = "CROWD_TOKEN"
	kind    = "CROWD_KIND"
	size    = "CROWD_SIZE"
)

// profile names the variable for a file that the heap's profile is written to.
const profile = "CROWD_PROFILE"

// said is the line by which the process says that all were told.
const said = "told"

// Client is one of the crowd, before it joins.
type Client struct {
	Conn   *tls.Conn // the crowd closes it
	Number int       // from 0
	Token  string    // as Clients has it
	Kind   string    // as Clients has it
}

// Join makes one client a subscriber. What it returns waits until the client has been
// told once more; the first time, of what there is. It ends t if it cannot join.
type Join func(t *testing.T, c Client) (next func() error)

// Be is the clients' side: they join, say so once all were told, and are told again
// for every Next, until they Leave. In a process that is no crowd it does nothing.
func Be(t *testing.T, join Join) {
	to := os.Getenv(address)
	if to == "" {
		return
	}
	many, err := strconv.Atoi(os.Getenv(size))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, many)
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait) // when the connections are closed
	for i := range many {
		conn, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		next := join(t, Client{Conn: conn, Number: i, Token: os.Getenv(token), Kind: os.Getenv(kind)})
		readers.Go(func() {
			for {
				err := next()
				select {
				case told <- err:
				case <-t.Context().Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	for commands := bufio.NewScanner(os.Stdin); ; { // each wave is a message for everybody
		for range many {
			if err := <-told; err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(os.Stdout, said) // the parent process waits for it
		if !commands.Scan() {
			return
		}
	}
}

// Clients are those that a benchmark wants.
type Clients struct {
	URL   string // of the server: https, a host and a port
	Token string // who they are, as Join says it to the server
	Kind  string // tells the sorts of a protocol's clients from each other
}

// Crowd is the benchmark's side of so many clients.
type Crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

// Start starts the process, and returns when all its clients have been told what
// there is.
func (c Clients) Start(b *testing.B, many int) *Crowd {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), address+"="+strings.TrimPrefix(c.URL, "https://"),
		token+"="+c.Token, kind+"="+c.Kind, size+"="+strconv.Itoa(many))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	crowd := &Crowd{b: b, in: in, out: bufio.NewScanner(out), cmd: cmd}
	crowd.Told()
	return crowd
}

// Next begins a wave, before whatever it is that every client will be told of.
func (c *Crowd) Next() {
	c.b.Helper()
	_, err := io.WriteString(c.in, "next\n")
	must(c.b, err)
}

// Told waits until every client has been told.
func (c *Crowd) Told() {
	c.b.Helper()
	if !c.out.Scan() || c.out.Text() != said {
		c.b.Fatalf("want the clients told, got %q", c.out.Text())
	}
}

// Leave ends the process, which must not have found fault with anything.
func (c *Crowd) Leave() {
	c.b.Helper()
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.b.Error(err)
	}
}

// Idle measures what each of so many idle clients costs this process in bytes of
// memory, beyond what the first few cost: it reports heap-B/unit, stack-B/unit and
// their sum, B/unit. CROWD_PROFILE names a file for the heap's profile.
func (c Clients) Idle(b *testing.B, many int, unit string) {
	b.Helper()
	warm := c.Start(b, 10)
	heap, stack := Memory()
	crowd := c.Start(b, many)
	heapThen, stackThen := Memory()
	if name := os.Getenv(profile); name != "" {
		f, err := os.Create(name)
		must(b, err)
		must(b, pprof.WriteHeapProfile(f))
		must(b, f.Close())
	}
	each := func(before, then uint64) float64 { return (float64(then) - float64(before)) / float64(many) }
	b.ReportMetric(each(heap, heapThen), "heap-B/"+unit)
	b.ReportMetric(each(stack, stackThen), "stack-B/"+unit)
	b.ReportMetric(each(heap+stack, heapThen+stackThen), "B/"+unit)
	crowd.Leave()
	warm.Leave()
}

// Memory returns how many bytes of the heap and of stacks are in use, once what
// nobody uses is collected.
func Memory() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
