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
		got := map[config.Path]history.Item{}
		for _, item := range o.Items {
			got[item.Path] = item
			if item.Version < item.AtLeast {
				wrong.add("%s of %s at %s returned version %d of %s for a token that stands for %d", o.Kind, o.Client, o.Node, item.Version, item.Path, item.AtLeast)
			}
		}
		if nothing(o) {
			continue
		}
		position, err := history.Position(o.Revision)
		if err != nil {
			wrong.add("%s of %s at %s: %v", o.Kind, o.Client, o.Node, err)
			continue
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

// nothing reports whether the answer was that there is no such config. It names
// no revision.
func nothing(o history.Op) bool {
	return o.Kind != history.Snapshot && o.Revision == "" && len(o.Items) == 1 && o.Items[0].Version == 0
}

// forward wants a read that was made after another one had returned from the
// same node not to be as of an earlier revision, nor to find less.
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
	type place struct {
		node string
		path config.Path
	}
	reached := map[string]int64{}    // by node, so far
	found := map[place]bool{}        // so far
	floor := map[*history.Op]int64{} // where its node was when the call was made
	must := map[*history.Op]bool{}   // what it asks for had been found by then
	for _, m := range all {
		o := m.op
		at := place{node: o.Node}
		if len(o.Items) == 1 {
			at.path = o.Items[0].Path
		}
		if !m.returns {
			floor[o], must[o] = reached[o.Node], found[at]
			continue
		}
		if nothing(*o) {
			if must[o] {
				wrong.add("%s went back: it had found %s before a %s of %s at %s, and did not then", o.Node, at.path, o.Kind, o.Client, o.Call)
			}
			continue
		}
		position, err := history.Position(o.Revision)
		if err != nil {
			continue // Reads has said so
		}
		if position < floor[o] {
			wrong.add("%s went back: it had answered as of revision %d before a %s of %s at %s, and answered that as of %d",
				o.Node, floor[o], o.Kind, o.Client, o.Call, position)
		}
		reached[o.Node] = max(reached[o.Node], position)
		found[at] = true
	}
}
