package clusters

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// writer publishes through one node, again and again, and forgives nothing.
type writer struct {
	node  *node
	count atomic.Int64
	stop  func()
}

// writes begins to publish through a node, with a client that trusts what is the
// house's authority now.
func (n *node) writes() *writer {
	n.house.Helper()
	ctx, cancel := context.WithCancel(n.house.Context())
	w, c := &writer{node: n}, n.as(n.house.token)
	at := program.Path(n.house, "acme/shop/prod/of-"+n.name+".yaml")
	var working sync.WaitGroup
	working.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			_, err := c.Publish(ctx, client.Publish{Items: []client.PublishItem{{Path: at, Content: fmt.Appendf(nil, "n: %d\n", i)}}})
			if err != nil && ctx.Err() == nil {
				n.house.Errorf("a write through %s failed: %v", n.name, err)
				return
			}
			w.count.Add(1)
		}
	})
	w.stop = sync.OnceFunc(func() { cancel(); working.Wait() })
	n.house.Cleanup(w.stop)
	return w
}

// more waits until the writer has made a few more changes.
func (w *writer) more() {
	w.node.house.Helper()
	until := w.count.Load() + 5
	w.node.house.await("writes through "+w.node.name, func() bool { return w.count.Load() >= until || w.node.house.Failed() })
}

// watcher is an instance that watches an env through one node.
type watcher struct {
	mu   sync.Mutex
	seen map[string]string // content by name
}

// watches begins to watch, until the test ends.
func (n *node) watches(id string) *watcher {
	n.house.Helper()
	c, err := client.New(client.Options{
		Endpoints: []string{"https://" + n.http}, Token: n.house.token, TLS: n.trust(),
		Instance: config.Client{ID: id},
	})
	if err != nil {
		n.house.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.house.Context())
	w := &watcher{seen: map[string]string{}}
	var working sync.WaitGroup
	working.Go(func() {
		for event, err := range c.Watch(ctx, client.WatchRequest{Patterns: []string{"acme/shop/prod"}}) {
			if err != nil {
				return // the test has ended, or nothing arrives, which it notices
			}
			w.take(event)
		}
	})
	n.house.Cleanup(func() { cancel(); working.Wait(); c.Close() })
	return w
}

func (w *watcher) take(e client.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, change := range e.Changes {
		w.seen[change.Path.Name] = string(change.Content)
	}
}

// has reports whether the watcher was told of a content.
func (w *watcher) has(name, content string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[name] == content
}
