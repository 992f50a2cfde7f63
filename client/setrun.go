package client

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// start starts what a Set does by itself; Close waits for it.
func (s *Set) start(ctx context.Context) {
	// What is put in force last is to be told and kept, too: so these end later.
	after, ended := context.WithCancel(ctx)
	ctx, s.cancel = context.WithCancel(ctx)
	s.running.Go(func() {
		defer ended()
		s.run(ctx)
	})
	s.running.Go(func() { s.acks.run(after, s.connected) })
	if s.saver != nil {
		s.running.Go(func() { s.saver.run(after) })
	}
}

// hopeless is about how long a Set waits after an error that trying again does
// not mend, but that somebody may: by giving a right back, say.
const hopeless = time.Minute

// run follows the servers until ctx ends.
func (s *Set) run(ctx context.Context) {
	for {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		s.lost(err)
		select {
		case s.fatal <- err:
		default:
		}
		wait := hopeless/2 + rand.N(hopeless) //nolint:gosec // spreads load, keeps no secret
		s.c.log.Error("the servers refuse to serve this set: what it holds stays in force", "error", err, "again_in", wait)
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// follow takes in what a watch tells, from a snapshot on, until it ends.
func (s *Set) follow(ctx context.Context) error {
	var p picture
	request := WatchRequest{Patterns: s.o.Patterns, OnStale: s.stale, OnRetry: func(err error, wait time.Duration) {
		if s.lost(err) {
			s.c.log.Warn("lost the servers: what the set holds stays in force", "error", err, "again_in", wait)
		}
	}}
	for event, err := range s.c.Watch(ctx, request) {
		if err != nil {
			return err
		}
		s.found()
		if p.add(event) {
			s.offer(&State{revision: p.revision, received: time.Now().UTC().Round(0), configs: p.configs})
		}
	}
	return nil
}

// offer puts a state in force, unless a binding refuses it.
func (s *Set) offer(next *State) {
	s.mu.Lock()
	old := s.State()
	if old != nil && !old.fromCache && s.status.refused == nil && old.equal(next) {
		s.mu.Unlock()
		return // a reconnect, with no news
	}
	refused := s.check(old, next)
	if len(refused) > 0 {
		news := s.status.refused == nil || s.status.refused.Error() != refused[0].err.Error()
		s.status.refused = refused[0].err
		s.mu.Unlock()
		s.refuse(refused, news)
		return
	}
	s.status.refused = nil
	s.swap(next)
	callbacks, bindings := s.onChange, s.bindings // both are only ever appended to
	s.mu.Unlock()
	if old != nil {
		for _, b := range bindings {
			b.tell(old, next)
		}
		for _, f := range callbacks {
			f(old, next)
		}
	}
	s.settle(next)
}

// settle tells and keeps a state that is in force, callbacks included.
func (s *Set) settle(state *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, version := range s.unbound {
		if c, ok := state.Get(path); !ok || c.Version != version {
			delete(s.unbound, path)
		}
	}
	s.acks.prune(state)
	if !s.o.Manual {
		s.acks.appliedAll(state, s.unbound)
	}
	if s.saver != nil && len(s.unbound) == 0 {
		s.saver.save(state)
	}
}

// unfit is that a binding does not take its config as it is in a state.
type unfit struct {
	path    config.Path
	version int64 // 0 if nothing is served
	err     error
}

// check has every binding decode a state before it is in force.
func (s *Set) check(old, next *State) (refused []unfit) {
	values := make([]any, len(s.bindings))
	for i, b := range s.bindings {
		v, err := b.bind(old, next)
		if err != nil {
			c, _ := next.Get(b.at())
			refused = append(refused, unfit{path: b.at(), version: c.Version, err: err})
		}
		values[i] = v
	}
	next.values.Store(&values)
	return refused
}

func (s *Set) refuse(refused []unfit, news bool) {
	for _, r := range refused {
		if news {
			s.c.log.Error("refused a config: what was in force before stays", "path", r.path.String(), "version", r.version, "error", r.err)
		}
		if !s.o.Manual && r.version != 0 {
			s.acks.refused(r.path, r.version, reason(r.err))
		}
	}
}

// swap puts a state in force and wakes who waits for one. The caller holds mu.
func (s *Set) swap(next *State) {
	before := s.now.Swap(&moment{state: next, next: make(chan struct{})})
	close(before.next)
	for _, feed := range s.feeds {
		newest(feed, next)
	}
}

// newest puts a state in a feed, in place of one that was not received. There is
// one sender at a time.
func newest(feed chan *State, state *State) {
	select {
	case <-feed:
	default:
	}
	feed <- state
}
