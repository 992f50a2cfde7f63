package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// watcher watches the whole env, and goes to another node with the token that it
// has when its own fails it, or when it feels like it.
type watcher struct {
	load *Load
	name string
	rand *rand.Rand
	at   int  // the index of its node
	hops bool // of its own accord

	after config.Token

	mu    sync.Mutex
	state map[config.Path]history.Item
}

func (w *watcher) run(ctx context.Context) {
	const breath = 20 * time.Millisecond // so that it does not spin where nobody answers
	for ctx.Err() == nil {
		w.connect(ctx, w.load.o.Nodes[w.at%len(w.load.o.Nodes)])
		w.at++
		wait(ctx, breath)
	}
}

// connect watches at one node for as long as that goes well.
func (w *watcher) connect(ctx context.Context, node Node) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	most := -1
	if w.hops {
		most = 5 + w.rand.IntN(30)
	}
	first, resumed := true, w.after
	request := client.WatchRequest{
		Patterns: []string{w.load.o.Env.String()}, After: w.after,
		OnRetry: func(error, time.Duration) { cancel() }, // another node may do better
	}
	for e, err := range node.Client().Watch(ctx, request) {
		if err != nil {
			if ctx.Err() == nil {
				w.load.h.Complain(w.name+" at "+node.String(), err)
			}
			return
		}
		seen := history.Seen{
			At: w.load.h.Now(), Node: node.String(), First: first, Resumed: resumed,
			Revision: e.Revision, Reset: e.Reset, Current: e.Current, Changes: itemsOf(e.Changes),
		}
		first = false
		w.load.h.See(w.name, seen)
		w.take(seen)
		w.after = e.Revision
		if most--; most == 0 {
			return
		}
	}
}

// itemsOf takes the digests of the contents that came.
func itemsOf(changes []client.Change) []history.Item {
	items := make([]history.Item, 0, len(changes))
	for _, c := range changes {
		item := history.Item{Path: c.Path}
		if !c.Deleted {
			item.Version, item.Digest = c.Version, history.Digest(c.Content)
		}
		items = append(items, item)
	}
	return items
}

func (w *watcher) take(seen history.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen.Reset || w.state == nil {
		w.state = map[config.Path]history.Item{}
	}
	for _, c := range seen.Changes {
		w.state[c.Path] = c
	}
}

// caught reports whether the watcher knows all that is served, or something newer.
func (w *watcher) caught(past history.Past) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, item := range past.Served {
		if w.state[path].Version < item.Version {
			return false
		}
	}
	return true
}
