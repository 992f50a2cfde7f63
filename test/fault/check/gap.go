package check

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Gapless wants what a subscriber knows after each event to be the state as of
// that event's revision, no less and no more, on whichever node it has resumed:
// a change that was skipped shows even if a later one made it good.
func Gapless(watches []history.Watch, past history.Past) []string {
	truth, inconsistent := truthOf(past)
	wrong := problems{found: inconsistent}
	for _, w := range watches {
		last := history.Seen{}
		// Only what an event changed can be wrong in a new way, and what it should
		// have changed: so compare all of it.
		follow(w, func(seen history.Seen, known map[config.Path]history.Item) {
			if seen.First {
				last = seen
			}
			position, err := history.Position(seen.Revision)
			if err != nil {
				wrong.add("%s: an event at %s of %s: %v", w.Name, seen.At, seen.Node, err)
				return
			}
			for path := range truth {
				want, got := truth.at(path, position), known[path]
				if want.version != got.Version || want.digest != got.Digest {
					wrong.add("%s: at revision %d, by %s at %s (resumed from %q), knows version %d (%.8s) of %s; it was at %d (%.8s)",
						w.Name, position, seen.Node, seen.At, last.Resumed, got.Version, got.Digest, path, want.version, want.digest)
				}
			}
		})
	}
	return wrong.list()
}
