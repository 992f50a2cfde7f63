package grpc

import (
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// streams are the watches that are open.
type streams struct {
	mu      sync.Mutex
	open    map[*stream]struct{}
	leaving bool
	group   sync.WaitGroup // of what must have ended before the protocol has
}

// enter takes one of the places that there are for watches.
func (s *streams) enter(one *stream, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaving:
		return errGoing("config.watch")
	case len(s.open) >= most:
		return config.Errorf(config.Unavailable, "config.watch", "", "this node has %d watches open, which is the most (max_watchers); try another", len(s.open))
	}
	s.open[one] = struct{}{}
	s.group.Add(1)
	return nil
}

// left gives the place back, once nothing of the watch goes on any more.
func (s *streams) left(one *stream) {
	s.mu.Lock()
	delete(s.open, one)
	s.mu.Unlock()
	s.group.Done()
}

// run runs something else that wait waits for; false if it is too late for that.
func (s *streams) run(what func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.group.Go(what)
	return true
}

// leave tells all watches that the node goes away. Nobody enters after it.
func (s *streams) leave() {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	for _, one := range s.list() {
		one.leave()
	}
}

// cut ends all watches that still are there, whatever they wait for.
func (s *streams) cut() {
	for _, one := range s.list() {
		one.finish(errGoing("config.watch"))
	}
}

// tick looks which watches are due for something.
func (s *streams) tick(now time.Time) {
	for _, one := range s.list() {
		one.tick(now)
	}
}

func (s *streams) list() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*stream, 0, len(s.open))
	for one := range s.open {
		all = append(all, one)
	}
	return all
}

// wait returns when all have ended. It is called after leave.
func (s *streams) wait() { s.group.Wait() }
