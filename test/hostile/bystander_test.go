package hostile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// bystander uses a server as it should be used: it publishes, watches with the
// SDK and over every protocol, and reads. It fails the test if it notices
// anything of what else goes on.
type bystander struct {
	n     *node
	t     testing.TB
	path  config.Path
	end   context.CancelFunc
	group sync.WaitGroup

	rounds atomic.Int64 // each a change that all watchers have seen
	reads  atomic.Int64
	peak   atomic.Int64 // of the server's memory

	mu      sync.Mutex
	changed chan struct{}    // closed, and made anew, at each step
	seen    map[string]int64 // version, by watcher
}

// watchedBy are the names of the SDK's watch and of those by hand.
const bySDK = "the SDK"

// bystander begins to use the server and stops when the test ends.
func (n *node) bystander(t testing.TB) *bystander {
	t.Helper()
	b := &bystander{n: n, t: t, path: program.Path(t, app), changed: make(chan struct{}), seen: map[string]int64{}}
	first := n.publish(app, "n: 0\n")
	ctx, end := context.WithCancel(context.Background())
	b.end = end
	t.Cleanup(b.stop)
	sdk := n.as(n.token)
	b.group.Go(func() { b.watchSDK(ctx, sdk) })
	for i := range dialects {
		b.group.Go(func() { b.watchBy(ctx, &dialects[i]) })
	}
	b.group.Go(func() { b.publish(ctx, n.as(n.token), first) })
	b.group.Go(func() { b.read(ctx, n.as(n.token)) })
	b.group.Go(func() { b.weigh(ctx) })
	b.goesOn(t)
	return b
}

func (b *bystander) stop() {
	b.end()
	b.group.Wait()
	b.t.Logf("meanwhile %d changes, each seen by all, and %d reads; the server took at most %d MiB", b.rounds.Load(), b.reads.Load(), b.peak.Load()>>20)
}

// goesOn waits until a change that was made from now on was seen by everybody,
// and something was read.
func (b *bystander) goesOn(t testing.TB) {
	t.Helper()
	rounds, reads := b.rounds.Load(), b.reads.Load()
	err := b.n.process.Until("the bystander goes on", patience, func() bool {
		return b.rounds.Load() > rounds+1 && b.reads.Load() > reads
	})
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.Fatalf("%v; what its watchers have seen: %v", err, b.seen)
	}
}

// fails notes what went wrong, unless it is only that the test is over.
func (b *bystander) fails(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && err != nil {
		b.t.Errorf("the bystander notices: %s: %v", what, err)
		b.end()
	}
}

// publish makes a change, waits until all have seen it, and so on.
func (b *bystander) publish(ctx context.Context, c *client.Client, version int64) {
	pace := time.NewTicker(25 * time.Millisecond) // the machine has other things to do
	defer pace.Stop()
	for {
		if !b.awaitSeen(ctx, version) {
			return
		}
		b.rounds.Add(1)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		next, err := publish(ctx, c, b.path, fmt.Sprintf("n: %d\n", version))
		if err == nil && next != version+1 {
			err = fmt.Errorf("want version %d, got %d", version+1, next)
		}
		if err != nil {
			b.fails(ctx, "publishing", err)
			return
		}
		version = next
	}
}

func (b *bystander) awaitSeen(ctx context.Context, version int64) bool {
	for {
		b.mu.Lock()
		changed, all := b.changed, len(b.seen) == len(dialects)+1
		for _, seen := range b.seen {
			all = all && seen >= version
		}
		b.mu.Unlock()
		if all {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// sees notes a change. Each must be seen: the next is only made when all have.
func (b *bystander) sees(who string, version int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, begun := b.seen[who]
	if begun && version != last+1 {
		return fmt.Errorf("version %d after %d", version, last)
	}
	b.seen[who] = version
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (b *bystander) watchSDK(ctx context.Context, c *client.Client) {
	err := c.WatchFunc(ctx, client.WatchRequest{Patterns: []string{app}, OnRetry: func(err error, _ time.Duration) {
		b.fails(ctx, bySDK+"'s watch was interrupted", err)
	}}, func(e client.Event) error {
		for _, c := range e.Changes {
			if err := b.sees(bySDK, c.Version); err != nil {
				return err
			}
		}
		return nil
	})
	b.fails(ctx, bySDK+"'s watch", err)
}

func (b *bystander) watchBy(ctx context.Context, d *dialect) {
	c, s, err := d.open(b.n, wish{token: b.n.token.Reveal(), paths: []string{app}})
	if err != nil {
		b.fails(ctx, d.name, err)
		return
	}
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	defer c.Close()
	for {
		n, err := s.next()
		err = errors.Join(err, deadline(c))
		for _, version := range n.versions {
			err = errors.Join(err, b.sees(d.name, version))
		}
		if err != nil {
			b.fails(ctx, d.name, err)
			return
		}
	}
}

// read reads all along, and wants what everybody has seen, or what is newer.
func (b *bystander) read(ctx context.Context, c *client.Client) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		b.mu.Lock()
		seen := maps.Clone(b.seen)
		b.mu.Unlock()
		got, err := c.Get(ctx, b.path, client.ReadOptions{})
		for who, version := range seen {
			if err == nil && got.Version < version {
				err = fmt.Errorf("got version %d, after %s saw %d", got.Version, who, version)
			}
		}
		if err != nil {
			b.fails(ctx, "reading", err)
			return
		}
		b.reads.Add(1)
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

// weigh notes the most memory that the server has taken.
func (b *bystander) weigh(ctx context.Context) {
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		w, err := b.n.weigh()
		if err != nil {
			b.fails(ctx, "metrics", err)
			return
		}
		b.peak.Store(max(b.peak.Load(), w.memory))
	}
}

// weight is what the server takes up.
type weight struct {
	memory     int64 // bytes that it holds; what the store maps of its file is the system's to take back
	goroutines int64
}

func (n *node) weigh() (weight, error) {
	sums, err := n.metrics("go_memstats_sys_bytes", "go_memstats_heap_released_bytes", "go_goroutines", "process_resident_memory_bytes")
	if err != nil {
		return weight{}, err
	}
	return weight{memory: int64(sums[0] - sums[1]), goroutines: int64(sums[2])}, nil
}
