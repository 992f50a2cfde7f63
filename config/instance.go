package config

import "time"

// Instance is a client as it names itself and as the node that it speaks to
// knows it.
type Instance struct {
	// ID is what it calls itself; empty if it does not say.
	ID     string            `json:"id,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Slot is the one that it asks for.
	Slot     string `json:"slot,omitempty"`
	Address  string `json:"address"`
	Agent    string `json:"agent,omitempty"`
	User     string `json:"user"`
	Protocol string `json:"protocol"`
	// Node is the name of the node that it speaks to, and Since when. Connected
	// says that a watch is open; if not, it reads now and then, or has left.
	Node      string    `json:"node"`
	Since     time.Time `json:"since"`
	Connected bool      `json:"connected"`
	// Seen is when it last gave a sign; of one that is connected, now.
	Seen time.Time `json:"seen"`
	// Watches are the paths and patterns that it watches, Sent is the position
	// that it was last brought to.
	Watches []string `json:"watches,omitempty"`
	Sent    Token    `json:"sent,omitempty"`
	// Holds are its versions of the configs that were asked about.
	Holds []Holding `json:"holds,omitempty"`
}

// InstanceQuery asks a node for its instances.
type InstanceQuery struct {
	// Path is what they have to do with, or something below it.
	Path Path
	// After is where to go on from, and Limit about how many are wanted in the
	// order of listings; 0 is all.
	After string
	Limit int
}

// Client returns the instance as rollouts choose by it.
func (i *Instance) Client() Client {
	return Client{ID: i.ID, Address: i.Address, Labels: i.Labels, Slot: i.Slot}
}

// Holding is what an instance has of one config.
type Holding struct {
	Path Path `json:"path"`
	// Sent is the version that it was last sent; 0 if that is not known.
	Sent int64 `json:"sent,omitempty"`
	// Applied is the version that it runs with, by its own word.
	Applied   int64     `json:"applied,omitempty"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
	// Refused is the version that it would not take since it applied one, and Why.
	Refused   int64     `json:"refused,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
	Why       string    `json:"why,omitempty"`
}

// State returns what it said of a version.
func (h Holding) State(version int64) AckState {
	switch {
	case version == 0:
		return AckNone
	case h.Refused == version:
		return AckRefused
	case h.Applied == version:
		return AckApplied
	}
	return AckNone
}

// VersionCount says how many instances there are to a version of a config.
type VersionCount struct {
	Path    Path  `json:"path"`
	Version int64 `json:"version"`
	Sent    int   `json:"sent"` // were last sent it
	Applied int   `json:"applied"`
	Refused int   `json:"refused"`
	Silent  int   `json:"silent"` // were sent it and said nothing
}
