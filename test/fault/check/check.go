// Package check judges a history: whether what clients saw of a cluster in
// trouble is what the cluster promises. Each check returns what is wrong, in
// words, and nothing if all is well. None of them looks at how long things took
// but Revoked, whose promise is a time.
package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// mostProblems bounds what one check tells: a broken promise is mostly broken
// many times over.
const mostProblems = 20

// problems gathers what is wrong.
type problems struct {
	found []string
	more  int
}

func (p *problems) add(format string, args ...any) {
	if len(p.found) >= mostProblems {
		p.more++
		return
	}
	p.found = append(p.found, fmt.Sprintf(format, args...))
}

func (p *problems) list() []string {
	if p.more > 0 {
		return append(p.found, fmt.Sprintf("and %d more of the kind", p.more))
	}
	return p.found
}

// paths are the keys of a map in order, so that verdicts read the same each time.
func paths[V any](m map[config.Path]V) []config.Path {
	return slices.SortedFunc(maps.Keys(m), func(a, b config.Path) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
}

// made is where in the order of all changes a version came to be.
type made struct {
	position int64
	version  int64
	digest   string
	set      *config.ChangeSet
}

// truth is what was served when: for each config its versions, oldest first.
type truth map[config.Path][]made

// truthOf reads the truth out of the past. It is wrong by itself if versions do
// not come one after another, or not in the order of the changes.
func truthOf(past history.Past) (truth, []string) {
	var wrong problems
	t := truth{}
	for i := range past.Sets {
		set := &past.Sets[i]
		position, err := history.Position(set.Revision)
		if err != nil {
			wrong.add("change set %s: %v", set.ID, err)
			continue
		}
		for _, item := range set.Items {
			t[item.Path] = append(t[item.Path], made{position, item.Version, item.Digest, set})
		}
	}
	for _, path := range paths(t) {
		all := t[path]
		slices.SortFunc(all, func(a, b made) int { return int(a.version - b.version) })
		for i := 1; i < len(all); i++ {
			if all[i].version != all[i-1].version+1 || all[i].position <= all[i-1].position {
				wrong.add("%s: version %d at %d comes after version %d at %d", path, all[i].version, all[i].position, all[i-1].version, all[i-1].position)
			}
		}
	}
	return t, wrong.list()
}

// at is the version of a config that was served at a position; the zero made
// before there was one.
func (t truth) at(path config.Path, position int64) made {
	all := t[path]
	i, found := slices.BinarySearchFunc(all, position, func(m made, p int64) int { return int(m.position - p) })
	if found {
		return all[i]
	}
	if i == 0 {
		return made{}
	}
	return all[i-1]
}
