package config

import "time"

// The bounds of launches.
const (
	MaxLaunchItems  = 100 // configs that one launch brings out together
	MaxLaunchEvents = 100 // of a launch's history; the oldest but the first are dropped
)

// Launch brings the releases of one change set to their clients by a strategy,
// a part of them first: it is a rollout that is under way, or was. While it
// runs, each of its releases is a candidate in its config's Rollout. Whatever
// happens to it happens to all of its configs at one revision.
type Launch struct {
	// ID is that of the change set that made the releases.
	ID     string       `json:"id"`
	Tenant string       `json:"tenant"`
	Items  []LaunchItem `json:"items"`
	State  LaunchState  `json:"state"`
	// Strategy is the one that the candidates have now.
	Strategy Strategy `json:"strategy"`
	// Gate is what instances must report for it to go on; nil asks nothing.
	Gate      *Gate     `json:"gate,omitempty"`
	Comment   string    `json:"comment,omitempty"`
	StartedAt time.Time `json:"started_at"`
	StartedBy string    `json:"started_by"`
	// BeginsAt is when a scheduled launch begins.
	BeginsAt time.Time `json:"begins_at,omitzero"`
	// BegunAt is when it began; zero of one that has not.
	BegunAt time.Time `json:"begun_at,omitzero"`
	// StepAt is since when it claims whom it claims now; zero before it began.
	StepAt time.Time `json:"step_at,omitzero"`
	// Held is how long the step had lasted when it was paused.
	Held Seconds `json:"held_seconds,omitempty"`
	// ExpiresAfter is how long after it began it is called off if it has not ended
	// by then, and ExpiresAt when that is.
	ExpiresAfter Seconds   `json:"expires_after_seconds,omitempty"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	EndedBy      string    `json:"ended_by,omitempty"`
	// Events are its history, the oldest first.
	Events []LaunchEvent `json:"events"`
	// Warnings are what looks like a mistake in it. They are not stored.
	Warnings []Problem `json:"warnings,omitempty"`
	Revision Token     `json:"revision,omitempty"`
}

// LaunchItem is one release of a launch.
type LaunchItem struct {
	Path    Path  `json:"path"`
	Version int64 `json:"version"`
}

// LaunchState is where a launch is in its life.
type LaunchState string

// The states of launches; the last five are final.
const (
	// LaunchScheduled claims nobody until its time comes.
	LaunchScheduled LaunchState = "scheduled"
	LaunchRunning   LaunchState = "running"
	// LaunchPaused claims whom it claimed and does not advance.
	LaunchPaused     LaunchState = "paused"
	LaunchPromoted   LaunchState = "promoted"    // its releases are the stable ones
	LaunchAborted    LaunchState = "aborted"     // a person called it off
	LaunchSuperseded LaunchState = "superseded"  // another release took its place
	LaunchFellBack   LaunchState = "fallen-back" // its gate called it off
	LaunchExpired    LaunchState = "expired"     // nobody had ended it in time
)

// LaunchStates returns every state.
func LaunchStates() []LaunchState {
	return []LaunchState{
		LaunchScheduled, LaunchRunning, LaunchPaused,
		LaunchPromoted, LaunchAborted, LaunchSuperseded, LaunchFellBack, LaunchExpired,
	}
}

// Ended reports whether the state is final.
func (s LaunchState) Ended() bool {
	switch s {
	case LaunchScheduled, LaunchRunning, LaunchPaused:
		return false
	}
	return true
}

// LaunchEvent is one step in the life of a launch.
type LaunchEvent struct {
	At time.Time `json:"at"`
	By string    `json:"by"` // a user, or "system"
	// What happened, in a word: started, begun, adjusted, advanced, paused,
	// resumed, switched, or the final state.
	What string `json:"what"`
	// Share is what part of the instances a progressive launch claimed from then
	// on, Slot the one that was active.
	Share Share  `json:"share,omitempty"`
	Slot  string `json:"slot,omitempty"`
	// Why is the comment of a person, or the reason of the system.
	Why string `json:"why,omitempty"`
}

// Gate is what the instances that a launch claims must report for it to go on.
// Those that say nothing count as nothing: never as a success.
type Gate struct {
	// Applied is the part of them that must have applied all of its releases
	// before a step ends; 0 asks for none.
	Applied Share `json:"applied_share,omitempty"`
	// AtLeast is how many that must be, whatever part it is: 1 if Applied is not 0.
	AtLeast int `json:"at_least,omitempty"`
	// More refusals than Refused, that are also more than RefusedShare of the
	// instances claimed, call the launch off.
	Refused      int   `json:"refused,omitempty"`
	RefusedShare Share `json:"refused_share,omitempty"`
	// Patience is how long beyond its hold a step may wait for reports before the
	// launch is called off; 0 waits until it expires.
	Patience Seconds `json:"patience_seconds,omitempty"`
}

// AckState is what an instance said of a release that it was sent.
type AckState string

// The states of acknowledgement.
const (
	AckNone    AckState = "" // nothing yet
	AckApplied AckState = "applied"
	AckRefused AckState = "refused"
)

// Receipt is what is known of one instance that is served a certain release.
type Receipt struct {
	// Instance is a hash of who it is, to count each once.
	Instance uint64 `json:"i"`
	// Seen is when it last gave a sign, in milliseconds since 1970.
	Seen  int64    `json:"s"`
	State AckState `json:"a,omitempty"`
	// ID and Why are given of some of those that refused.
	ID  string `json:"id,omitempty"`
	Why string `json:"why,omitempty"`
}
