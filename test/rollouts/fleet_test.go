package rollouts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// simulated is an instance that watches and keeps what it is served: each with a
// connection of its own, and nothing of the SDK's Set.
type simulated struct {
	config.Client
	c     *client.Client
	judge func(*simulated) // is called with mu held, for every whole state

	mu     sync.Mutex
	next   map[config.Path]client.Change // up to the last event
	whole  map[config.Path]client.Change // up to the last revision
	begun  bool                          // next has everything
	states int                           // that were whole, so far
}

// fleet are instances that watch, until the test ends or stop is called.
type fleet struct {
	*house
	all  []*simulated
	stop func()
}

// newFleet begins the watches of instances, and returns when each of them has
// everything.
func newFleet(h *house, who []config.Client, judge func(*simulated), patterns ...string) *fleet {
	h.Helper()
	f := &fleet{house: h}
	ctx, cancel := context.WithCancel(h.Context())
	var watching sync.WaitGroup
	f.stop = func() { cancel(); watching.Wait() }
	h.Cleanup(f.stop)
	for _, id := range who {
		s := &simulated{Client: id, c: h.as(id), judge: judge, next: map[config.Path]client.Change{}}
		f.all = append(f.all, s)
		watching.Go(func() {
			if err := s.watch(ctx, patterns); ctx.Err() == nil {
				h.Errorf("%s: the watch ended: %v", s.ID, err)
			}
		})
	}
	f.until("all instances to be there", func() bool {
		return f.each(func(s *simulated) bool { return s.whole != nil })
	})
	return f
}

// named makes instances with ids that begin alike.
func named(prefix string, n int) []config.Client {
	all := make([]config.Client, n)
	for i := range all {
		all[i].ID = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return all
}

func (s *simulated) watch(ctx context.Context, patterns []string) error {
	for e, err := range s.c.Watch(ctx, client.WatchRequest{Patterns: patterns}) {
		if err != nil {
			return err
		}
		s.take(e)
	}
	return nil
}

func (s *simulated) take(e client.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Reset {
		clear(s.next)
		s.begun = false
	}
	for _, c := range e.Changes {
		if c.Deleted {
			delete(s.next, c.Path)
		} else {
			s.next[c.Path] = c
		}
	}
	s.begun = s.begun || e.Current
	if !s.begun || e.Partial {
		return
	}
	s.whole = maps.Clone(s.next)
	s.states++
	if s.judge != nil {
		s.judge(s)
	}
}

// each reports whether something holds of all instances.
func (f *fleet) each(holds func(*simulated) bool) bool {
	for _, s := range f.all {
		s.mu.Lock()
		ok := holds(s)
		s.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// reach waits until all instances have at least a version of a config, and so
// everything that was committed before it.
func (f *fleet) reach(at config.Path, version int64) {
	f.Helper()
	f.until(fmt.Sprintf("all instances to have %s, version %d", at, version), func() bool {
		return f.each(func(s *simulated) bool { return s.whole[at].Version >= version })
	})
}

// versions tells which version of a config each instance has, by its id.
func (f *fleet) versions(at config.Path) map[string]int64 {
	all := map[string]int64{}
	f.each(func(s *simulated) bool {
		all[s.ID] = s.whole[at].Version
		return true
	})
	return all
}

// states counts the whole states that the instances have been in.
func (f *fleet) states() (n int) {
	f.each(func(s *simulated) bool {
		n += s.states
		return true
	})
	return n
}

// number reads the field n of a config that the instance has.
func (s *simulated) number(at config.Path) (int64, error) {
	var v struct{ N *int64 }
	c, ok := s.whole[at]
	if !ok {
		return 0, fmt.Errorf("%s: nothing is served", at)
	}
	if err := json.Unmarshal(c.Content, &v); err != nil || v.N == nil {
		return 0, fmt.Errorf("%s: version %d is not a number: %q: %w", at, c.Version, c.Content, err)
	}
	return *v.N, nil
}
