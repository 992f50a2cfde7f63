package client

import "time"

// Status says how current a Set is.
type Status struct {
	// Connected says that a server is being watched.
	Connected bool
	// FromCache says that what is in force was read from the local cache.
	FromCache bool
	// Stale is for how long what is in force may have been old news: since the
	// servers were lost, since the node that is watched was cut off from the
	// others, or since what the cache holds was received. 0 if it is current.
	Stale time.Duration
	// Err is why the servers are not reached; nil when Connected.
	Err error
	// Refused is why the newest state is not in force; nil if it is.
	Refused error
}

// status is what a Status is made of.
type status struct {
	connected  bool
	again      bool // it had been, before
	nodeStale  bool // the node that is watched is cut off
	staleSince time.Time
	err        error
	refused    error
}

// Status returns how current the Set is now.
func (s *Set) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Connected: s.status.connected, Err: s.status.err, Refused: s.status.refused}
	if state := s.State(); state != nil {
		st.FromCache = state.fromCache
	}
	if !s.status.staleSince.IsZero() {
		st.Stale = max(time.Since(s.status.staleSince), 1)
	}
	return st
}

func (s *Set) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.connected
}

// lost notes that the servers are not reached, and reports whether that is news.
func (s *Set) lost(err error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.status.connected || s.status.err == nil
	s.status.connected, s.status.nodeStale, s.status.err = false, false, err
	if s.status.staleSince.IsZero() {
		s.status.staleSince = time.Now()
	}
	return news
}

// found notes that a server has sent something.
func (s *Set) found() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.connected {
		return
	}
	if s.status.again {
		s.c.log.Info("a server answers again")
	}
	s.acks.again() // it may be another, which knows nothing of what the one before was told
	s.status.connected, s.status.again, s.status.err = true, true, nil
	if !s.status.nodeStale {
		s.status.staleSince = time.Time{}
	}
}

// stale notes that the node that is watched is cut off from the others, or with
// 0 that it no longer is.
func (s *Set) stale(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.nodeStale = d > 0
	switch {
	case d > 0:
		s.status.staleSince = time.Now().Add(-d)
	case s.status.connected:
		s.status.staleSince = time.Time{}
	}
}
