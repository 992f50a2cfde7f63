package load

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// reader reads from one node, whatever happens to that.
type reader struct {
	load  *Load
	node  Node
	name  string
	rand  *rand.Rand
	count int
}

func (r *reader) run(ctx context.Context, next func(context.Context)) {
	for r.load.pause(ctx, r.rand) {
		r.count++
		next(context.WithoutCancel(ctx))
	}
}

// easy asks for what the node has.
func (r *reader) easy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	if r.count%8 == 0 {
		r.snapshot(ctx)
		return
	}
	item := history.Item{Path: r.choose()}
	r.read(ctx, history.Read, item, client.ReadOptions{})
}

// strict asks for what is true now, or was when a write was acknowledged.
func (r *reader) strict(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if made, token := r.load.known.newest(); r.count%2 == 0 && token != "" {
		item := history.Item{Path: made.Path, AtLeast: made.Version}
		r.read(ctx, history.ReadAfter, item, client.ReadOptions{MinRevision: token})
		return
	}
	r.read(ctx, history.ReadStrong, history.Item{Path: r.choose()}, client.ReadOptions{Strong: true})
}

// choose names a config; there need not be one.
func (r *reader) choose() config.Path {
	path := r.load.o.Env
	path.Name = fmt.Sprintf("shared-%d.yaml", r.rand.IntN(shared))
	if r.rand.IntN(3) == 0 {
		path.Name = fmt.Sprintf("own-%d.yaml", r.rand.IntN(r.load.o.Writers))
	}
	return path
}

func (r *reader) read(ctx context.Context, kind history.Kind, item history.Item, options client.ReadOptions) {
	o := history.Op{Client: r.name, Node: r.node.String(), Kind: kind, Call: r.load.h.Now()}
	got, err := r.node.Client().Get(ctx, item.Path, options)
	switch {
	case config.KindOf(err) == config.NotFound && err != nil:
		o.Items, err = []history.Item{item}, nil // an answer, too: there is none yet
	case err == nil:
		item.Version, item.Digest, o.Revision = got.Version, history.Digest(got.Content), got.Revision
		o.Items = []history.Item{item}
	}
	r.load.note(o, err)
}

func (r *reader) snapshot(ctx context.Context) {
	o := history.Op{Client: r.name, Node: r.node.String(), Kind: history.Snapshot, Call: r.load.h.Now()}
	got, err := r.node.Client().Snapshot(ctx, r.load.o.Env, client.ReadOptions{})
	o.Revision = got.Revision
	for _, c := range got.Configs {
		o.Items = append(o.Items, history.Item{Path: c.Path, Version: c.Version, Digest: history.Digest(c.Content)})
	}
	r.load.note(o, err)
}
