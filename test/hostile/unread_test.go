package hostile

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/test/program"
)

// deafness is a way of reading nothing over a dialect.
type deafness struct {
	name   string
	over   string // the dialect
	window uint32 // of HTTP/2, that the client grants; 0 where it is the connection that it does not read
}

// deafnesses are the ways of reading nothing. Whoever does not read from a
// connection to the HTTP port that speaks HTTP/2 is missed when a ping is not
// answered, for which no setting says when.
var deafnesses = []deafness{
	{"SSE", "SSE", 0},
	{"WebSocket", "WebSocket", 0},
	{"gRPC, the connection", "gRPC", 0},
	{"gRPC, the call", "gRPC", 64 << 10},
	{"gRPC, the call on the HTTP port", "gRPC on the HTTP port", 64 << 10},
	{"GraphQL over WebSocket", "GraphQL over WebSocket", 0},
	{"GraphQL over SSE", "GraphQL over SSE", 0},
}

// deaf are watchers that read nothing.
type deaf struct {
	deafness
	watchers []watcher
}

type watcher struct {
	conn   net.Conn
	narrow *net.TCPConn // below conn
	stream stream
}

// watch opens a watch whose client takes in little and reads nothing more than
// what there is at first.
func (d *deaf) watch(n *node, path string) error {
	over := &dialects[slices.IndexFunc(dialects, func(o dialect) bool { return o.name == d.over })]
	plain, err := net.DialTimeout("tcp", over.addr(n), patience)
	if err != nil {
		return err
	}
	w := watcher{narrow: plain.(*net.TCPConn)}
	if d.window == 0 {
		err = w.narrow.SetReadBuffer(8 << 10)
	}
	if err == nil {
		w.conn, err = n.secure(plain, over.alpn)
	}
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	d.watchers = append(d.watchers, w)
	wish := wish{token: n.token.Reveal(), paths: []string{path}}
	if d.window == 0 {
		w.stream, err = over.watch(w.conn, wish)
	} else {
		w.stream, err = watchHTTP2(w.conn, wish, d.window)
	}
	if err == nil {
		_, err = current(w.stream)
	}
	d.watchers[len(d.watchers)-1] = w
	return err
}

// hear has a watcher take in all that comes.
func (w *watcher) hear() error {
	err := errors.Join(w.narrow.SetReadBuffer(4<<20), deadline(w.conn))
	if h, ok := w.stream.(*grpcWatch); ok {
		err = errors.Join(err, h.WriteWindowUpdate(h.id, wide))
	}
	return err
}

func (d *deaf) hangUp() {
	for _, w := range d.watchers {
		w.conn.Close()
	}
}

const (
	large     = env + "/large.yaml"
	largeSize = 32 << 10
	publishes = 250 // 8 MiB for each who reads nothing: more than the system takes for them
	deafEach  = 6   // in each way
)

// publishLarge publishes a large config again and again, and returns its version.
func publishLarge(t testing.TB, n *node) (version int64) {
	t.Helper()
	c, at := n.as(n.token), program.Path(t, large)
	pad := strings.Repeat("x", largeSize)
	for i := range publishes {
		var err error
		if version, err = publish(t.Context(), c, at, fmt.Sprintf("n: %d\npad: %s\n", i, pad)); err != nil {
			t.Fatal(err)
		}
	}
	return version
}

// allDeaf opens watches that nobody reads, over every dialect.
func allDeaf(t *testing.T, n *node) []*deaf {
	t.Helper()
	n.publish(large, "n: first\n")
	var all []*deaf
	for _, how := range deafnesses {
		d := &deaf{deafness: how}
		t.Cleanup(d.hangUp)
		for range deafEach {
			if err := d.watch(n, large); err != nil {
				t.Fatalf("%s: %v", d.name, err)
			}
		}
		all = append(all, d)
	}
	return all
}

// unreadIsShed has watchers read nothing while their config is published hundreds
// of times, and wants them gone when the patience of the settings is over.
func unreadIsShed(t *testing.T, n *node, b *bystander) {
	before := map[string]int{}
	for _, driver := range drivers {
		before[driver] = n.streams(driver)
	}
	for _, d := range allDeaf(t, n) {
		defer d.hangUp()
	}
	publishLarge(t, n)
	b.goesOn(t)
	for _, driver := range drivers {
		n.until("who reads nothing over "+driver+" is shed", func() bool { return n.streams(driver) <= before[driver] })
	}
}

// TestUnreadIsCaughtUpWith has watchers read nothing while their config is
// published hundreds of times, but not for so long that they would be shed. It
// wants the server's memory not to grow by what they have not read, and them to
// get the latest when they read again, without most of what was before it.
func TestUnreadIsCaughtUpWith(t *testing.T) {
	t.Parallel() // who reads nothing takes his time
	n := start(t, "LIMITS_KEEP_RELEASES=2", "PROTOCOLS_WS_PING_INTERVAL=1h", "PROTOCOLS_GRAPHQL_PING_INTERVAL=1h")
	b := n.bystander(t)
	before, err := n.weigh()
	n.must(err)
	all := allDeaf(t, n)
	latest := publishLarge(t, n)
	b.goesOn(t)
	const room = 96 << 20 // beside it, all that is unread is more than 300 MiB
	if grown := b.peak.Load() - before.memory; grown > room {
		t.Errorf("want the server to grow by at most %d MiB, but it grew by %d", room>>20, grown>>20)
	}
	var reading sync.WaitGroup
	for _, d := range all {
		for _, w := range d.watchers {
			reading.Go(func() {
				if err := errors.Join(w.hear(), catchUp(w.stream, latest)); err != nil {
					t.Errorf("%s: %v", d.name, err)
				}
			})
		}
	}
	reading.Wait()
}

// catchUp reads a stream until it tells of the latest version. Versions must rise,
// and not all of them may come.
func catchUp(s stream, latest int64) error {
	var last, told int64
	for last < latest {
		n, err := s.next()
		if err != nil {
			return fmt.Errorf("after version %d: %w", last, err)
		}
		version, changed := n.versions[large]
		if !changed {
			continue
		}
		if version <= last {
			return fmt.Errorf("version %d after %d", version, last)
		}
		last = version
		told++
	}
	if told >= publishes {
		return fmt.Errorf("want only what could be taken in, got %d versions", told)
	}
	return nil
}
