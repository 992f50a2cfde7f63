package hostile

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// attack is something that a hostile client does, once over each dialect. It
// returns what is wrong with how the server took it.
type attack struct {
	name string
	over func(*dialect) bool
	do   func(*node, *dialect) error
}

func all(*dialect) bool         { return true }
func http1(d *dialect) bool     { return d.alpn == "http/1.1" }
func overHTTP2(d *dialect) bool { return d.alpn == "h2" }

func overSocket(d *dialect) bool { return d.socket != nil }

func except(names ...string) func(*dialect) bool {
	return func(d *dialect) bool { return !slices.Contains(names, d.name) }
}

func only(names ...string) func(*dialect) bool {
	return func(d *dialect) bool { return slices.Contains(names, d.name) }
}

// wave are attacks that go on at the same time, each so many times.
type wave struct {
	name    string
	times   int
	attacks []attack
}

// besieged are the settings of a server that sheds whoever is slow within seconds,
// though not a bystander on a machine that is busy, and has room for few.
var besieged = []string{
	"HTTP_HEADER_TIMEOUT=5s", "HTTP_IDLE_TIMEOUT=5s", "HTTP_MAX_CONNECTIONS=400",
	"PROTOCOLS_REST_BODY_TIMEOUT=4s", "PROTOCOLS_REST_HEARTBEAT=1s", "PROTOCOLS_REST_STREAM_WRITE_TIMEOUT=2s", "PROTOCOLS_REST_MAX_WATCHERS=100",
	"PROTOCOLS_WS_HELLO_TIMEOUT=4s", "PROTOCOLS_WS_PING_INTERVAL=2s", "PROTOCOLS_WS_WRITE_TIMEOUT=2s", "PROTOCOLS_WS_MAX_CONNECTIONS=100", "PROTOCOLS_WS_MAX_SUBSCRIPTIONS=8",
	"PROTOCOLS_GRPC_HANDSHAKE_TIMEOUT=4s", "PROTOCOLS_GRPC_KEEPALIVE_TIME=2s", "PROTOCOLS_GRPC_KEEPALIVE_TIMEOUT=5s", "PROTOCOLS_GRPC_MAX_CONNECTION_IDLE=5s",
	"PROTOCOLS_GRPC_REQUEST_TIMEOUT=4s", "PROTOCOLS_GRPC_RECHECK=1s", "PROTOCOLS_GRPC_STREAM_WRITE_TIMEOUT=2s", "PROTOCOLS_GRPC_MAX_WATCHERS=100", "PROTOCOLS_GRPC_MAX_SUBSCRIPTIONS=8",
	"PROTOCOLS_GRPC_PORT_MAX_CONNECTIONS=400", "PROTOCOLS_GRPC_MAX_MESSAGE=256KiB", "PROTOCOLS_GRPC_MAX_CONCURRENT_STREAMS=100",
	"PROTOCOLS_GRAPHQL_BODY_TIMEOUT=4s", "PROTOCOLS_GRAPHQL_INIT_TIMEOUT=4s", "PROTOCOLS_GRAPHQL_PING_INTERVAL=2s", "PROTOCOLS_GRAPHQL_WRITE_TIMEOUT=2s",
	"PROTOCOLS_GRAPHQL_MAX_CONNECTIONS=100", "PROTOCOLS_GRAPHQL_MAX_SUBSCRIPTIONS=8",
	// What is kept to be shared is none of the attackers' doing.
	"PROTOCOLS_REST_FRAGMENT_CACHE=1MiB", "PROTOCOLS_REST_COMPRESSION_CACHE=0", "PROTOCOLS_WS_FRAGMENT_CACHE=1MiB", "PROTOCOLS_WS_FRAME_CACHE=1MiB", "PROTOCOLS_GRPC_FRAGMENT_CACHE=1MiB",
	"PROTOCOLS_GRAPHQL_FRAGMENT_CACHE=1MiB", "PROTOCOLS_GRAPHQL_FRAME_CACHE=1MiB", "PROTOCOLS_GRAPHQL_DOCUMENT_CACHE=1MiB", "PROTOCOLS_GRAPHQL_PERSISTED_CACHE=0",
	"LIMITS_KEEP_RELEASES=2", "LIMITS_REVISION_WAIT=200ms",
}

// room is what all attacks together may add to the server's memory: hundreds of
// connections on each of two ports with what they have sent of a message, and what
// is on its way to watchers that do not read.
const room = 128 << 20

// TestAttacks has a server attacked by everybody, while a bystander must not notice.
func TestAttacks(t *testing.T) {
	t.Parallel() // it waits most of the time
	n := start(t, besieged...)
	b := n.bystander(t)
	before, err := n.weigh()
	n.must(err)
	for _, w := range []wave{
		// To be malformed is to wait, too: some ends come when the server's patience does.
		{"malformed and half-open", 3, slices.Concat(malformed, halfOpen)}, {"oversized", 3, oversized}, {"tokens", 2, tokens},
		{"revoked", 1, revoked}, {"unauthenticated", 10, strangers}, {"too many", 1, tooMany}, {"floods", 2, floods},
	} {
		t.Run(w.name, func(t *testing.T) {
			w.run(t, n, b)
			b.goesOn(t)
		})
	}
	t.Run("unread", func(t *testing.T) { unreadIsShed(t, n, b) })
	t.Run("no room", func(t *testing.T) { noRoom(t, n, b) })
	n.until("the attackers' goroutines are gone", func() bool {
		now, err := n.weigh()
		n.must(err)
		const more = 40 // of the runtime, and of the bystander's next connections
		return now.goroutines <= before.goroutines+more
	})
	if grown := b.peak.Load() - before.memory; grown > room {
		t.Errorf("want the server to grow by at most %d MiB, but it grew by %d", room>>20, grown>>20)
	}
}

// run begins all attacks at once, and wants the bystander to go on meanwhile.
func (w wave) run(t *testing.T, n *node, b *bystander) {
	var group sync.WaitGroup
	for _, a := range w.attacks {
		for i := range dialects {
			d := &dialects[i]
			if !a.over(d) {
				continue
			}
			group.Go(func() {
				if err := concurrently(w.times, func() error { return a.do(n, d) }); err != nil {
					t.Errorf("%s over %s: %v", a.name, d.name, err)
				}
			})
		}
	}
	b.goesOn(t)
	group.Wait()
}

// concurrently does something so many times at once, and returns the first error
// with how many more there were.
func concurrently(times int, do func() error) error {
	failed := make(chan error, times)
	var group sync.WaitGroup
	for range times {
		group.Go(func() {
			if err := do(); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	close(failed)
	if first, any := <-failed; any {
		return fmt.Errorf("%d of %d times: %w", len(failed)+1, times, first)
	}
	return nil
}
