package config

// StrategyKind names a way to choose the clients of a candidate.
type StrategyKind string

// The kinds of strategy.
const (
	// StrategyAll claims every client.
	StrategyAll StrategyKind = "all"
	// StrategyCanary claims whom its Rule claims.
	StrategyCanary StrategyKind = "canary"
	// StrategyTargets claims the instances that Targets names and no others.
	StrategyTargets StrategyKind = "targets"
	// StrategyBlueGreen has the candidate in one slot and the stable release in
	// the other. A client that asks for a slot by name gets what is in it; all
	// others get what is in the active one. It claims whoever gets the
	// candidate's slot.
	StrategyBlueGreen StrategyKind = "blue-green"
	// StrategyProgressive claims the share of instances of the current one of its
	// Steps, and among them whom its Rule claims if it has one.
	StrategyProgressive StrategyKind = "progressive"
)

// StrategyKinds returns every kind, for messages and for tests that prove a
// table total.
func StrategyKinds() []StrategyKind {
	return []StrategyKind{StrategyAll, StrategyCanary, StrategyTargets, StrategyBlueGreen, StrategyProgressive}
}

// Strategy says which clients a candidate claims. Each kind has fields of its
// own; Validate refuses the others.
type Strategy struct {
	Kind StrategyKind `json:"kind"`
	// Rule is whom a canary claims, and whom a progressive strategy is limited to.
	Rule *Rule `json:"rule,omitempty"`
	// Salt is what, with an instance's id, decides its bucket for shares; empty
	// means the config's path. Canaries with different salts are independent of
	// each other; configs whose strategies have the same salt move together, which
	// is how a change set keeps its configs in step.
	Salt string `json:"salt,omitempty"`
	// Targets are the instances of a targets strategy.
	Targets InstanceSet `json:"targets,omitempty"`
	// Slots are those of a blue-green strategy.
	Slots *Slots `json:"slots,omitempty"`
	// Steps are the plan of a progressive strategy, Step the index of the current
	// one. Who is served what depends on that one's share and nothing else.
	Steps []Step `json:"steps,omitempty"`
	Step  int    `json:"step,omitempty"`
}

// Slots names the two slots of a config: which of them holds the stable
// release, which the candidate, and which is active. To switch is to change
// Active, so it is atomic by nature, and nothing is lost by switching back.
type Slots struct {
	Stable    string `json:"stable"`
	Candidate string `json:"candidate"`
	Active    string `json:"active"`
}

// The usual names of slots.
const (
	SlotBlue  = "blue"
	SlotGreen = "green"
)

// serving returns the slot that a client gets which asks for one by name. One
// that is not there, or none, means the active slot: a client that was told of a
// slot long gone must not be left without its config.
func (s *Slots) serving(asked string) string {
	if asked != "" && (asked == s.Stable || asked == s.Candidate) {
		return asked
	}
	return s.Active
}

// Step is one step of a progressive rollout.
type Step struct {
	Share Share `json:"share"`
	// Hold is how long the step lasts before the next one may begin.
	Hold Seconds `json:"hold_seconds"`
}

// claims is pure and allocates nothing.
func (s *Strategy) claims(e *evaluation) bool {
	e.use(s.Salt)
	switch s.Kind {
	case StrategyAll:
		return e.found("kind", "it claims every client", true)
	case StrategyCanary:
		return s.Rule != nil && e.obeys(s.Rule)
	case StrategyTargets:
		return e.isOneOf("targets", s.Targets)
	case StrategyBlueGreen:
		return s.Slots != nil && e.inSlot(s.Slots)
	case StrategyProgressive:
		return s.Step >= 0 && s.Step < len(s.Steps) && e.inShare("steps", s.Steps[s.Step].Share) &&
			(s.Rule == nil || e.obeys(s.Rule))
	}
	return false
}
