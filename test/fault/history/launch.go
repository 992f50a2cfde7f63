package history

import "github.com/setpointhq/setpoint/config"

// Chosen is the instance that all launches are for; none claims anybody else.
const Chosen = "chosen"

// Launch is the life of one launch, of a config that nobody else changes: it was
// begun, looked at, and promoted or aborted by one client.
type Launch struct {
	Path config.Path
	ID   string
	// Stable is the version that was served before, Version the candidate.
	Stable, Version int64
	// Wanted is how it was to end, and Ended how that went; "" if nobody came so far.
	Wanted config.LaunchState
	Ended  Outcome
	Looks  []Look
}

// Look is what one client was served when it read strongly.
type Look struct {
	Node    string
	Chosen  bool // by the instance that is claimed; else by one without a name
	After   bool // after the end was acknowledged; else before it was asked for
	Version int64
}

// AddLaunch enters a launch as far as it was followed.
func (h *History) AddLaunch(l Launch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.launches = append(h.launches, l)
}

// Launches returns all of them, in the order in which they were left.
func (h *History) Launches() []Launch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Launch(nil), h.launches...)
}
