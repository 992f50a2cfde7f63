package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Reads wants every read and snapshot to be the state as of the revision that it
// names, one with a token never to return less than the token stands for, and
// what a node answers never to go back.
func Reads(ops []history.Op, past history.Past) []string {
	truth, inconsistent := truthOf(past)
	wrong := problems{found: inconsistent}
	var reads []history.Op
	for _, o := range ops {
		if o.Kind.Writes() || o.Outcome != history.OK {
			continue
		}
		reads = append(reads, o)
		position, err := history.Position(o.Revision)
		if err != nil {
			wrong.add("%s of %s at %s: %v", o.Kind, o.Client, o.Node, err)
			continue
		}
		got := map[config.Path]history.Item{}
		for _, item := range o.Items {
			got[item.Path] = item
			if item.Version < item.AtLeast {
				wrong.add("%s of %s at %s returned version %d of %s for a token that stands for %d", o.Kind, o.Client, o.Node, item.Version, item.Path, item.AtLeast)
			}
		}
		asked := got
		if o.Kind == history.Snapshot {
			asked = whole(truth, got)
		}
		for _, path := range paths(asked) {
			if item, want := got[path], truth.at(path, position); item.Version != want.version || item.Digest != want.digest {
				wrong.add("%s of %s at %s returned version %d (%.8s) of %s as of revision %d; it was at %d (%.8s)",
					o.Kind, o.Client, o.Node, item.Version, item.Digest, path, position, want.version, want.digest)
			}
		}
	}
	forward(&wrong, reads)
	return wrong.list()
}

// whole is what a snapshot must hold: all that there ever was, and nothing else.
func whole(t truth, got map[config.Path]history.Item) map[config.Path]history.Item {
	asked := maps.Clone(got)
	for path := range t {
		asked[path] = history.Item{}
	}
	return asked
}

// forward wants a read that was made after another one had returned from the
// same node not to be as of an earlier revision.
func forward(wrong *problems, reads []history.Op) {
	type moment struct {
		at      time.Duration
		returns bool
		op      *history.Op
	}
	var all []moment
	for i := range reads {
		all = append(all, moment{reads[i].Call, false, &reads[i]}, moment{reads[i].Return, true, &reads[i]})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	reached := map[string]int64{}    // by node, so far
	floor := map[*history.Op]int64{} // where its node was when the call was made
	for _, m := range all {
		if !m.returns {
			floor[m.op] = reached[m.op.Node]
			continue
		}
		position, err := history.Position(m.op.Revision)
		if err != nil {
			continue // Reads has said so
		}
		if position < floor[m.op] {
			wrong.add("%s went back: it had answered as of revision %d before a %s of %s at %s, and answered that as of %d",
				m.op.Node, floor[m.op], m.op.Kind, m.op.Client, m.op.Call, position)
		}
		reached[m.op.Node] = max(reached[m.op.Node], position)
	}
}
