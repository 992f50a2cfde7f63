// Package load is the clients of a cluster: they publish, roll back, read and
// watch all the time, on every node, whatever happens to it, and write down what
// they see. They judge nothing.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Node is where clients call. It stands for the node through all of its lives.
type Node interface {
	String() string
	// Client returns a client of the node as it is now, with a session that may
	// do everything.
	Client() *client.Client
	// Chosen returns one that names itself history.Chosen.
	Chosen() *client.Client
}

// Options say how much is to be done, and where.
type Options struct {
	Env      config.Path // it must be there, and be empty
	Launches config.Path // an env in which releases are launched
	Nodes    []Node
	// Label begins the comment of every change.
	Label string
	// Writers publish, each one change after another. Every node has its own
	// readers and watchers.
	Writers int
	// Pace is how long each client waits between calls.
	Pace time.Duration
	// Seed makes the calls the same in each run; their order is the machine's.
	Seed uint64
}

// Load is clients at work.
type Load struct {
	o Options
	h *history.History

	acks     atomic.Int64 // writes that were acknowledged
	reads    atomic.Int64
	known    known
	working  sync.WaitGroup // writers and readers
	watching sync.WaitGroup
	rest     context.CancelFunc
	leave    context.CancelFunc
	watchers []*watcher
	probes   int
}

// Patience bounds one call. It is longer than any node takes to refuse what it
// cannot do, so that a client that runs out of it has found a fault.
const Patience = 15 * time.Second

// readPatience bounds reads, which wait for nothing.
const readPatience = 3 * time.Second

// Start sets the clients to work until Stop.
func Start(ctx context.Context, h *history.History, o Options) *Load {
	working, rest := context.WithCancel(ctx)
	watching, leave := context.WithCancel(ctx)
	l := &Load{o: o, h: h, rest: rest, leave: leave}
	for i := range o.Writers {
		w := &writer{load: l, name: fmt.Sprintf("writer %d", i), number: i, rand: l.random(i), at: i}
		l.working.Go(func() { w.run(working) })
	}
	launches := &launcher{load: l, rand: l.random(500)}
	l.working.Go(func() { launches.run(working) })
	for i, node := range o.Nodes {
		plain := &reader{load: l, node: node, name: fmt.Sprintf("reader %d", i), rand: l.random(100 + i)}
		strict := &reader{load: l, node: node, name: fmt.Sprintf("strict reader %d", i), rand: l.random(200 + i)}
		l.working.Go(func() { plain.run(working, plain.easy) })
		l.working.Go(func() { strict.run(working, strict.strict) })
		l.watch(watching, &watcher{load: l, name: fmt.Sprintf("steady watcher %d", i), rand: l.random(300 + i), at: i})
		l.watch(watching, &watcher{load: l, name: fmt.Sprintf("hopping watcher %d", i), rand: l.random(400 + i), at: i, hops: true})
	}
	return l
}

func (l *Load) random(n int) *rand.Rand { return rand.New(rand.NewPCG(l.o.Seed, uint64(n))) } //nolint:gosec // keeps no secret

func (l *Load) watch(ctx context.Context, w *watcher) {
	l.watchers = append(l.watchers, w)
	l.watching.Go(func() { w.run(ctx) })
}

// Acks is how many writes have been acknowledged so far.
func (l *Load) Acks() int64 { return l.acks.Load() }

// Reads is how many reads have been answered so far.
func (l *Load) Reads() int64 { return l.reads.Load() }

// Rest has writers and readers finish what they do, and waits for them. Watchers
// go on.
func (l *Load) Rest() {
	l.rest()
	l.working.Wait()
}

// Stop ends everything and waits for it.
func (l *Load) Stop() {
	l.Rest()
	l.leave()
	l.watching.Wait()
}

// Caught reports whether all watchers have come to what is served, or past it,
// and names one that has not.
func (l *Load) Caught(past history.Past) (late string, all bool) {
	for _, w := range l.watchers {
		if !w.caught(past) {
			return w.name, false
		}
	}
	return "", true
}

// pause waits for the pace of the load; false if the work is over.
func (l *Load) pause(ctx context.Context, r *rand.Rand) bool {
	return wait(ctx, l.o.Pace/2+time.Duration(r.Int64N(int64(l.o.Pace)+1)))
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// note completes a call with how it ended.
func (l *Load) note(o history.Op, err error) history.Op {
	o.Return = l.h.Now()
	o.Outcome = history.OK
	if err != nil {
		o.Err, o.Failure = err.Error(), config.KindOf(err)
		o.Outcome = outcome(o.Failure)
		var refused *config.Error
		if o.Failure == config.Conflict && errors.As(err, &refused) {
			o.Conflict, o.Current = true, refused.Current
		}
		var answer *client.Refusal
		o.Answered = errors.As(err, &answer)
	}
	l.h.Add(o)
	if o.Outcome == history.OK {
		if o.Kind.Writes() {
			l.acks.Add(1)
		} else {
			l.reads.Add(1)
		}
	}
	return o
}

// outcome tells whether a failed call can have had an effect.
func outcome(kind config.ErrorKind) history.Outcome {
	switch kind {
	case config.Unavailable, config.Timeout, config.Canceled, config.Internal:
		return history.Unknown
	default:
		return history.Refused
	}
}

// known is what writers have made so far, for all clients to build on.
type known struct {
	mu     sync.Mutex
	made   map[config.Path][]history.Item // by version; what was acknowledged only
	last   history.Item
	lastAt config.Token
}

// add notes an acknowledged write.
func (k *known) add(o history.Op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made == nil {
		k.made = map[config.Path][]history.Item{}
	}
	for _, item := range o.Items {
		k.made[item.Path] = append(k.made[item.Path], item)
		k.last = item
	}
	k.lastAt = o.Revision
}

// newest is the latest write that was acknowledged and the token for it.
func (k *known) newest() (history.Item, config.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last, k.lastAt
}

// some is one of the versions made of a config; false if there is none.
func (k *known) some(path config.Path, r *rand.Rand) (history.Item, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.made[path]
	if len(all) == 0 {
		return history.Item{}, false
	}
	return all[r.IntN(len(all))], true
}

// current is the highest version made of a config, as far as is known.
func (k *known) current(path config.Path) (highest int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, item := range k.made[path] {
		highest = max(highest, item.Version)
	}
	return highest
}
