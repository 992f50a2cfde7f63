package center

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/setpointhq/setpoint/config"
)

// turns lets those who publish to one config on this node go one after the
// other, in the order in which they came. Their commits are conditional on what
// they saw, so that side by side all but one of them would fail and try again,
// and with many of them some would never get through. Writers of different
// configs never wait for each other, and what other nodes write is caught by
// the conditions all the same.
type turns struct {
	mu    sync.Mutex
	lines map[config.Path]*line
}

// line is where those wait who want one config.
type line struct {
	free    chan struct{} // holds a token while nobody has the turn; waiters are served in order
	members int           // who has the turn or waits for it
}

func newTurns() *turns { return &turns{lines: map[config.Path]*line{}} }

// take waits for the turn at every path and returns how to give them back. The
// paths are taken in one order by everybody, so that no two can wait for each
// other.
func (t *turns) take(ctx context.Context, paths []config.Path) (giveBack func(), err error) {
	paths = slices.Clone(paths)
	slices.SortFunc(paths, func(a, b config.Path) int { return strings.Compare(a.String(), b.String()) })
	paths = slices.Compact(paths)
	taken := 0
	giveBack = func() {
		for _, p := range paths[:taken] {
			t.leave(p, true)
		}
	}
	for _, p := range paths {
		select {
		case <-t.join(p).free:
			taken++
		case <-ctx.Done():
			t.leave(p, false)
			giveBack()
			return nil, ctx.Err()
		}
	}
	return giveBack, nil
}

func (t *turns) join(p config.Path) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[p]
	if l == nil {
		l = &line{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		t.lines[p] = l
	}
	l.members++
	return l
}

// leave steps out of the line, passing the turn on if it was had.
func (t *turns) leave(p config.Path, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[p]
	if had {
		l.free <- struct{}{}
	}
	if l.members--; l.members == 0 {
		delete(t.lines, p)
	}
}
