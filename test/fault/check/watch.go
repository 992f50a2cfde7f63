package check

import (
	"maps"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Rising wants the versions that each subscriber is told of a config to rise
// only, over all of its connections, and the same version to be the same.
func Rising(watches []history.Watch) []string {
	var wrong problems
	for _, w := range watches {
		highest := map[config.Path]history.Item{}
		var position int64
		for _, seen := range w.Seen {
			p, err := history.Position(seen.Revision)
			if err != nil || p < position {
				wrong.add("%s: at %s %s brought it from revision %d to %q", w.Name, seen.At, seen.Node, position, seen.Revision)
			}
			position = max(position, p)
			for _, c := range seen.Changes {
				before := highest[c.Path]
				if c.Version == 0 {
					continue // deleted: it goes on from where it was
				}
				if c.Version < before.Version || c.Version == before.Version && c.Digest != before.Digest {
					wrong.add("%s: at %s %s brought %s from version %d (%.8s) to %d (%.8s)",
						w.Name, seen.At, seen.Node, c.Path, before.Version, before.Digest, c.Version, c.Digest)
				}
				highest[c.Path] = c
			}
		}
	}
	return wrong.list()
}

// follow gives to see what a subscriber knows after each event that completes
// something, and returns what it knows in the end. The map is valid during the
// call only.
func follow(w history.Watch, see func(history.Seen, map[config.Path]history.Item)) map[config.Path]history.Item {
	known := map[config.Path]history.Item{}
	for _, seen := range w.Seen {
		if seen.Reset {
			clear(known)
		}
		for _, c := range seen.Changes {
			if c.Version == 0 {
				delete(known, c.Path)
			} else {
				known[c.Path] = c
			}
		}
		see(seen, known)
	}
	return known
}

// Whole wants no subscriber and no snapshot to have seen a change set in part:
// whoever knows one of its releases, or a later one, knows the others as well.
func Whole(ops []history.Op, watches []history.Watch, past history.Past) []string {
	var wrong problems
	sets := setsOf(past)
	half := func(who string, known map[config.Path]history.Item, changed []history.Item) {
		for _, c := range changed {
			set := sets[releaseID{c.Path, c.Version}]
			for _, item := range set {
				if known[item.Path].Version < item.Version {
					wrong.add("%s has seen half a change set: %s at version %d and %s at %d, which belongs to %d", who, c.Path, c.Version, item.Path, known[item.Path].Version, item.Version)
				}
			}
		}
	}
	for _, w := range watches {
		before := map[config.Path]int64{}
		follow(w, func(seen history.Seen, known map[config.Path]history.Item) {
			half(w.Name, known, passed(seen.Changes, before))
		})
	}
	for _, o := range ops {
		if o.Kind != history.Snapshot || o.Outcome != history.OK {
			continue
		}
		known := map[config.Path]history.Item{}
		for _, item := range o.Items {
			known[item.Path] = item
		}
		half("a snapshot of "+o.Client+" at "+o.Node, known, o.Items)
	}
	return wrong.list()
}

// releaseID names a release.
type releaseID struct {
	path    config.Path
	version int64
}

// setsOf finds the change set of a release, where it has others.
func setsOf(past history.Past) map[releaseID][]config.ChangeItem {
	sets := map[releaseID][]config.ChangeItem{}
	for _, set := range past.Sets {
		if len(set.Items) < 2 {
			continue
		}
		for _, item := range set.Items {
			sets[releaseID{item.Path, item.Version}] = set.Items
		}
	}
	return sets
}

// passed are all the releases that changes have brought or passed over: who is
// at version 5 of a config knows of 4, too.
func passed(changes []history.Item, before map[config.Path]int64) (all []history.Item) {
	for _, c := range changes {
		for v := before[c.Path] + 1; v <= c.Version; v++ {
			all = append(all, history.Item{Path: c.Path, Version: v})
		}
		before[c.Path] = max(before[c.Path], c.Version)
	}
	return all
}

// Converged wants each subscriber to have come to what is served in the end.
func Converged(watches []history.Watch, past history.Past) []string {
	var wrong problems
	for _, w := range watches {
		known := follow(w, func(history.Seen, map[config.Path]history.Item) {})
		for _, path := range paths(past.Served) {
			if want, got := past.Served[path], known[path]; got.Version != want.Version || got.Digest != want.Digest {
				wrong.add("%s: knows version %d (%.8s) of %s, and served is %d (%.8s)", w.Name, got.Version, got.Digest, path, want.Version, want.Digest)
			}
		}
		extra := maps.Clone(known)
		maps.DeleteFunc(extra, func(p config.Path, _ history.Item) bool { _, served := past.Served[p]; return served })
		for _, path := range paths(extra) {
			wrong.add("%s: knows version %d of %s, which is not served", w.Name, extra[path].Version, path)
		}
	}
	return wrong.list()
}
