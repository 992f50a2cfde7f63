package config

import (
	"iter"
	"slices"
	"time"
)

// Rollout says which release which client gets.
type Rollout struct {
	Path Path `json:"path"`
	// Latest is the highest version ever used; versions only go up.
	Latest int64 `json:"latest"`
	// Oldest is the lowest version that may still be kept.
	Oldest int64 `json:"oldest"`
	// Stable is what every client gets that no candidate claims; nil before
	// the first publish.
	Stable *Release `json:"stable,omitempty"`
	// Previous is the version that was stable before; 0 if none was.
	Previous int64 `json:"previous,omitempty"`
	// Slot is the one that the stable release is in since the last blue-green
	// launch; empty means SlotBlue.
	Slot string `json:"slot,omitempty"`
	// Candidates are tried in order; the first that claims a client wins.
	Candidates []Candidate `json:"candidates,omitempty"`
	// Deleted configs serve nothing and keep their history.
	Deleted   bool      `json:"deleted,omitempty"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	DeletedBy string    `json:"deleted_by,omitempty"`
}

// Candidate is a release that part of the clients get.
type Candidate struct {
	Release  Release  `json:"release"`
	Strategy Strategy `json:"strategy"`
	// Launch is the id of the one that brings it out.
	Launch string `json:"launch,omitempty"`
	// Waiting candidates claim nobody: the time of their launch has not come.
	Waiting bool `json:"waiting,omitempty"`
}

// Client is a running instance as it names itself. It is a claim, used to pick
// releases, never to grant rights.
type Client struct {
	ID      string            `json:"id,omitempty"`
	Address string            `json:"address,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Slot    string            `json:"slot,omitempty"`
}

// Resolve picks the release that a client is served: that of the first
// candidate that claims it, else the stable one; nil if there is nothing to
// serve. It is pure and allocates nothing.
func (r *Rollout) Resolve(client Client) *Release {
	if r.Deleted {
		return nil
	}
	if len(r.Candidates) == 0 { // nearly always: it is worth being inlined
		return r.Stable
	}
	return r.resolve(client)
}

func (r *Rollout) resolve(client Client) *Release {
	e := evaluation{path: &r.Path, client: client}
	if i := r.claimant(&e); i >= 0 {
		return &r.Candidates[i].Release
	}
	return r.Stable
}

// claimant returns the index of the first candidate that claims e's client; -1
// if none does.
func (r *Rollout) claimant(e *evaluation) int {
	for i := range r.Candidates {
		if c := &r.Candidates[i]; c.claims(e) {
			return i
		}
	}
	return -1
}

func (c *Candidate) claims(e *evaluation) bool {
	e.begin(c)
	if c.Waiting {
		return e.found("", "its time has not come", false)
	}
	return c.Strategy.claims(e)
}

// Launched returns the index of the candidate that a launch brings out; -1 if
// none of them is its.
func (r *Rollout) Launched(launch string) int {
	return slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Launch == launch })
}

// Served yields every release that some client may be served, now or once the
// time of its launch has come.
func (r *Rollout) Served() iter.Seq[*Release] {
	return func(yield func(*Release) bool) {
		if r.Stable != nil && !yield(r.Stable) {
			return
		}
		for i := range r.Candidates {
			if !yield(&r.Candidates[i].Release) {
				return
			}
		}
	}
}

// InUse reports whether some client may be served version v.
func (r *Rollout) InUse(v int64) bool {
	for release := range r.Served() {
		if release.Version == v {
			return true
		}
	}
	return false
}
