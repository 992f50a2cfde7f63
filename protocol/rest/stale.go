package rest

import (
	"net/http"
	"strconv"
	"time"
)

// staleHeader is on every answer of a node that is cut off from the others.
const staleHeader = "Setpoint-Stale-Seconds"

const staleMeaning = "there only if the node is cut off from the others: for how many seconds it has been, and so how old the answer may be"

// markStale says in an answer's headers how old it may be; a node in touch with
// the others says nothing.
func (a *api) markStale(h http.Header) {
	if stale := a.center.Staleness(); stale > 0 {
		h[staleHeader] = []string{wholeSeconds(stale)}
	} else {
		delete(h, staleHeader)
	}
}

// tellStale tells a stream that its node is cut off, or no longer is, if that
// has changed since it was last told; false if the client is gone. An event of
// its own without an id it is, so that a client that does not know it loses
// nothing.
func (s *stream) tellStale() (alive bool) {
	stale := s.api.center.Staleness()
	if (stale > 0) == s.stale {
		return true
	}
	s.stale = stale > 0
	return s.send(func(out *output) { out.Text("event: stale\ndata: {\"seconds\":", wholeSeconds(stale), "}\n\n") })
}

func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
