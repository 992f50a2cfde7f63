package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// shared is how many configs all writers publish, with conditions.
const shared = 3

// writer makes one change after another. It stays at a node until that fails it.
type writer struct {
	load   *Load
	name   string
	number int
	rand   *rand.Rand
	at     int // the index of its node
	count  int
}

func (w *writer) run(ctx context.Context) {
	for w.load.pause(ctx, w.rand) {
		node := w.load.o.Nodes[w.at%len(w.load.o.Nodes)]
		o := w.next(node)
		// What has begun is finished: else its outcome would be unknown for nothing.
		o = w.do(context.WithoutCancel(ctx), node.Client(), o)
		switch o.Outcome {
		case history.OK:
			w.load.known.add(o)
		case history.Unknown:
			w.at++
		}
	}
}

// next decides on a change. Its comment and content are its own.
func (w *writer) next(node Node) history.Op {
	w.count++
	o := history.Op{
		Client: w.name, Node: node.String(), Kind: history.Publish,
		Comment: fmt.Sprintf("%s%s number %d", w.load.o.Label, w.name, w.count),
	}
	own := w.path(fmt.Sprintf("own-%d.yaml", w.number))
	common := w.path(fmt.Sprintf("shared-%d.yaml", w.rand.IntN(shared)))
	switch n := w.count % 10; {
	case n < 3:
		w.put(&o, own, false)
	case n < 6:
		w.put(&o, common, true)
	case n == 6: // never written again: what is lost of it, nothing makes good
		w.put(&o, w.path(fmt.Sprintf("once-%d-%d.yaml", w.number, w.count)), w.rand.IntN(2) == 0)
	case n == 7:
		w.put(&o, common, false)
	case n == 8 && w.back(&o, own, common):
	default: // several, whole or not at all
		w.put(&o, w.path("twin-a.yaml"), false)
		w.put(&o, w.path("twin-b.yaml"), false)
		w.put(&o, own, false)
	}
	return o
}

func (w *writer) path(name string) config.Path {
	p := w.load.o.Env
	p.Name = name
	return p
}

// put adds a config to be published, if it is to be, on the condition that it
// is as it was last known.
func (w *writer) put(o *history.Op, path config.Path, conditional bool) {
	item := history.Item{Path: path, Digest: history.Digest(w.content(o, path))}
	if conditional {
		expected := w.load.known.current(path)
		item.Expected = &expected
	}
	o.Items = append(o.Items, item)
}

func (w *writer) content(o *history.Op, path config.Path) []byte {
	return fmt.Appendf(nil, "by: %s\nat: %s\npad: %s\n", o.Comment, path.Name, strings.Repeat("x", w.count*37%500))
}

// back makes a rollback of it; false if nothing is known to go back to.
func (w *writer) back(o *history.Op, paths ...config.Path) bool {
	old, found := w.load.known.some(paths[w.rand.IntN(len(paths))], w.rand)
	if !found {
		return false
	}
	o.Kind, o.To = history.Rollback, old.Version
	o.Items = []history.Item{{Path: old.Path, Digest: old.Digest}}
	return true
}

// do makes the change and notes how that went.
func (w *writer) do(ctx context.Context, c *client.Client, o history.Op) history.Op {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	o.Call = w.load.h.Now()
	var set config.ChangeSet
	var err error
	if o.Kind == history.Rollback {
		set, err = c.Rollback(ctx, client.Rollback{Path: o.Items[0].Path, Version: o.To, Comment: o.Comment})
	} else {
		p := client.Publish{Comment: o.Comment}
		for _, item := range o.Items {
			p.Items = append(p.Items, client.PublishItem{Path: item.Path, Content: w.content(&o, item.Path), ExpectedVersion: item.Expected})
		}
		set, err = c.Publish(ctx, p)
	}
	o.ChangeSet, o.Revision = set.ID, set.Revision
	for i := range set.Items {
		if i < len(o.Items) {
			o.Items[i].Version = set.Items[i].Version
		}
	}
	return w.load.note(o, err)
}
