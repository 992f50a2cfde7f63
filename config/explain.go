package config

import (
	"fmt"
	"strings"
)

// Reason says in a word why a client is served what it is.
type Reason string

// The reasons.
const (
	ReasonDeleted     Reason = "deleted"     // the config is deleted: nothing is served
	ReasonUnpublished Reason = "unpublished" // there is no release yet
	ReasonStable      Reason = "stable"      // no candidate claims the client
	ReasonAll         Reason = "all"         // a candidate claims everybody
	ReasonRule        Reason = "rule"        // a canary's rule claims it
	ReasonTarget      Reason = "target"      // it is named
	ReasonSlot        Reason = "slot"        // by the slot that it gets, be it the stable one
	ReasonStep        Reason = "step"        // a progressive rollout has come to it
)

// Explanation is what a client is served of a config, and why.
type Explanation struct {
	Path   Path   `json:"path"`
	Client Client `json:"client"`
	// Release is what it is served, exactly what Resolve returns.
	Release *Release `json:"release,omitempty"`
	Reason  Reason   `json:"reason"`
	// Slot is the one that it gets, where there are slots.
	Slot string `json:"slot,omitempty"`
	// Verdicts are those on the candidates, in order, up to the one that claims
	// the client.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// Verdict is why one candidate claims a client or does not.
type Verdict struct {
	Candidate int          `json:"candidate"` // its place in the order, from 0
	Version   int64        `json:"version"`
	Kind      StrategyKind `json:"kind"`
	Claims    bool         `json:"claims"`
	// Bucket is the client's, if a share was asked about, and Share the last
	// that it was compared with.
	Bucket *int  `json:"bucket,omitempty"`
	Share  Share `json:"share,omitempty"`
	// Findings are what was asked, in order, until the answer was certain.
	Findings []Finding `json:"findings,omitempty"`
}

// Finding is one question that a strategy asked about the client.
type Finding struct {
	Field string `json:"field"` // where in the strategy, "rule.any[1].labels"
	What  string `json:"what"`  // "its labels satisfy region in (eu, us)"
	Holds bool   `json:"holds"`
}

// Explain resolves as Resolve does, by the same code, and says why.
func (r *Rollout) Explain(client Client) Explanation {
	x := Explanation{Path: r.Path, Client: client}
	if r.Deleted {
		x.Reason = ReasonDeleted
		return x
	}
	x.Release, x.Reason = r.Stable, ReasonStable
	if r.Stable == nil {
		x.Reason = ReasonUnpublished
	}
	t := trace{explanation: &x}
	e := evaluation{path: &r.Path, client: client, trace: &t}
	i := r.claimant(&e)
	if i >= 0 {
		x.Verdicts[i].Claims = true
		x.Release, x.Reason = &r.Candidates[i].Release, reasonOf(r.Candidates[i].Strategy.Kind)
	} else if x.Slot != "" && x.Release != nil {
		x.Reason = ReasonSlot
	}
	return x
}

func reasonOf(kind StrategyKind) Reason {
	switch kind {
	case StrategyCanary:
		return ReasonRule
	case StrategyTargets:
		return ReasonTarget
	case StrategyBlueGreen:
		return ReasonSlot
	case StrategyProgressive:
		return ReasonStep
	default:
		return ReasonAll
	}
}

// String tells a person, a line for what is served and one for each finding.
func (x Explanation) String() string {
	var b strings.Builder
	if x.Release == nil {
		fmt.Fprintf(&b, "%s: nothing is served: %s", x.Path, x.Reason)
	} else {
		fmt.Fprintf(&b, "%s: version %d, by %s", x.Path, x.Release.Version, x.Reason)
	}
	if x.Slot != "" {
		fmt.Fprintf(&b, " %q", x.Slot)
	}
	for _, v := range x.Verdicts {
		fmt.Fprintf(&b, "\ncandidate %d, version %d, %s: %s", v.Candidate, v.Version, v.Kind, either(v.Claims, "claims it", "does not claim it"))
		for _, f := range v.Findings {
			fmt.Fprintf(&b, "\n  %s %s: %s", either(f.Holds, "yes", "no "), f.Field, f.What)
		}
	}
	return b.String()
}

// trace writes an explanation while an evaluation goes on.
type trace struct {
	explanation *Explanation
	at          []string // where in the strategy the evaluation is
}

func (t *trace) begin(c *Candidate) {
	x := t.explanation
	x.Verdicts = append(x.Verdicts, Verdict{Candidate: len(x.Verdicts), Version: c.Release.Version, Kind: c.Strategy.Kind})
}

func (t *trace) verdict() *Verdict {
	return &t.explanation.Verdicts[len(t.explanation.Verdicts)-1]
}

func (t *trace) bucket(bucket int, share Share) {
	v := t.verdict()
	v.Bucket, v.Share = &bucket, share
}

func (t *trace) slot(name string) { t.explanation.Slot = name }

func (t *trace) add(field, what string, holds bool) {
	at := strings.Join(t.at, ".")
	if at != "" && field != "" {
		at += "."
	}
	v := t.verdict()
	v.Findings = append(v.Findings, Finding{Field: at + field, What: what, Holds: holds})
}

// within runs ask with the place noted.
func (t *trace) within(place string, ask func() bool) bool {
	t.at = append(t.at, place)
	defer func() { t.at = t.at[:len(t.at)-1] }()
	return ask()
}
