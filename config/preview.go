package config

// Explained is an Explanation with what it is true of, and where what it knows
// of the client comes from.
type Explained struct {
	Explanation
	// Revision is the position that the answer is true of.
	Revision Token `json:"revision"`
	// Launches are those that bring out the config's candidates, in their order,
	// and last the one that brought out the stable release, if one did.
	Launches []ExplainedLaunch `json:"launches,omitempty"`
	// Instance is the one that labels, slot and address were taken from, since
	// they were not given.
	Instance *Instance `json:"instance,omitempty"`
	// Namesakes are how many instances of other users have the same id.
	Namesakes int `json:"namesakes,omitempty"`
	// Silent are the nodes that were asked for the instance and did not answer.
	Silent []string `json:"silent,omitempty"`
}

// ExplainedLaunch is what an explanation tells of a launch.
type ExplainedLaunch struct {
	ID       string       `json:"id"`
	State    LaunchState  `json:"state"`
	Kind     StrategyKind `json:"kind"`
	Strategy string       `json:"strategy"` // in a few words
	Version  int64        `json:"version"`  // of the config
	// Serves says that the client is served the release that it brings, or brought.
	Serves bool `json:"serves"`
}

// Preview is who would be served what if a launch were started, or changed. It
// is computed by what would really be done, and then not done.
type Preview struct {
	// Revision is the position that it was computed from.
	Revision Token `json:"revision"`
	// Launch is the one that would be changed; empty if it would be a new one.
	Launch string `json:"launch,omitempty"`
	// Strategy is the one that the launch would have, with everything filled in.
	Strategy Strategy `json:"strategy"`
	// Ended are the launches that would be ended by it.
	Ended []string `json:"ended,omitempty"`
	// Problems are what keeps it from being done, errors first in weight, and what
	// looks like a mistake. With an error among them there is nothing else.
	Problems []Problem `json:"problems"`
	// Configs count, for each config, the instances that watch or read it.
	Configs []PreviewCount `json:"configs"`
	// Unnamed are the instances that have no id, so that no share claims them.
	Unnamed int `json:"unnamed,omitempty"`
	// Silent are the nodes that did not answer, and whose instances are missing.
	Silent []string `json:"silent,omitempty"`
	// The instances, by their ids.
	Page[PreviewInstance]
}

// PreviewCount says how many instances would get what of one config.
type PreviewCount struct {
	Path Path `json:"path"`
	// Version is the one that the launch brings; of a new launch, the next there is.
	Version   int64 `json:"version"`
	Instances int   `json:"instances"` // the sum of the next four
	Candidate int   `json:"candidate"` // would get the launch's release
	Stable    int   `json:"stable"`    // would get the stable release, if that is not the launch's
	Other     int   `json:"other"`     // would get the release of another launch
	Nothing   int   `json:"nothing"`   // would get nothing
	Unchanged int   `json:"unchanged"` // would get what they get now
}

// PreviewInstance is what one instance would get.
type PreviewInstance struct {
	ID      string            `json:"id,omitempty"`
	User    string            `json:"user"`
	Node    string            `json:"node"`
	Address string            `json:"address,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Slot    string            `json:"slot,omitempty"`
	Choices []PreviewChoice   `json:"choices"` // of the configs that it watches or reads
}

// PreviewChoice is what an instance gets of one config.
type PreviewChoice struct {
	Path Path `json:"path"`
	// Now and Then are the versions that it is served and would be; 0 for nothing.
	Now  int64 `json:"now"`
	Then int64 `json:"then"`
	// Candidate says that Then is the launch's release, and Reason why it gets it.
	Candidate bool   `json:"candidate"`
	Reason    Reason `json:"reason"`
}

// LaunchChange names a change of a launch that is under way.
type LaunchChange string

// The changes that can be previewed.
const (
	ChangeNone    LaunchChange = ""        // as it is or, if it has not begun, as it will begin
	ChangeAdvance LaunchChange = "advance" // to its next step
	ChangeSwitch  LaunchChange = "switch"  // to the other slot
	ChangePromote LaunchChange = "promote"
	ChangeAbort   LaunchChange = "abort"
)
