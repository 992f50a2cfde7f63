package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The bounds of rollouts. They keep the answer to "what is this client served?"
// quick and the record small.
const (
	MaxCandidates = 16
	MaxTargets    = 1000 // instances that one strategy, or one rule, names
	MaxRules      = 64   // in one strategy, all levels together
	MaxRuleDepth  = 8
	MaxNetworks   = 256 // in one rule
	MaxSteps      = 100
	MaxSaltLength = 512 // bytes, enough for any path
	MaxInstanceID = 256 // bytes
	// MaxHold is the longest that a step may last: 30 days.
	MaxHold Seconds = 30 * 24 * 3600
)

// Check finds everything that is wrong with the rollout's candidates, and what
// looks like a mistake. Every message begins with the field that it is about.
func (r *Rollout) Check() []Problem {
	var c checker
	if len(r.Candidates) > MaxCandidates {
		c.fail("candidates", "there are %d; at most %d are taken", len(r.Candidates), MaxCandidates)
		return c.problems
	}
	named := map[string]int{}
	for i := range r.Candidates {
		s := &r.Candidates[i].Strategy
		c.within("candidates["+strconv.Itoa(i)+"].strategy", func() {
			c.strategy(s)
			c.targetedOnce(named, i, s)
			if s.Kind == StrategyBlueGreen && len(r.Candidates) > 1 {
				c.fail("kind", "blue-green decides about every client, so it cannot stand beside another candidate")
			}
			if s.Kind == StrategyBlueGreen && r.Stable == nil {
				c.fail("slots.stable", "there is no stable release for the slot to hold; publish one first")
			}
			c.reachable(r.Candidates[:i], s)
		})
	}
	return c.problems
}

// Validate is Check for those who go on or do not: an Invalid error with every
// problem that is more than a warning, nil if there is none.
func (r *Rollout) Validate() error { return invalid(r.Path.String(), r.Check()) }

// Check finds what is wrong with the strategy, seen alone.
func (s *Strategy) Check() []Problem {
	var c checker
	c.strategy(s)
	return c.problems
}

// Validate is to Strategy.Check what Rollout.Validate is to Rollout.Check.
func (s *Strategy) Validate() error { return invalid("", s.Check()) }

func invalid(path string, problems []Problem) error {
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Severity != SeverityError })
	if len(problems) == 0 {
		return nil
	}
	more := ""
	if len(problems) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(problems)-1)
	}
	e := Errorf(Invalid, "", path, "%s%s", problems[0].Message, more)
	e.Problems = problems
	return e
}

// checker gathers problems while it goes through a strategy.
type checker struct {
	problems []Problem
	at       []string // where it is
	rules    int      // of the strategy, so far

	comparisons int // of values of requirements, so far
}

func (c *checker) within(place string, check func()) {
	c.at = append(c.at, place)
	check()
	c.at = c.at[:len(c.at)-1]
}

func (c *checker) fail(field, format string, args ...any) {
	c.add(SeverityError, field, format, args...)
}

func (c *checker) warn(field, format string, args ...any) {
	c.add(SeverityWarning, field, format, args...)
}

func (c *checker) add(severity Severity, field, format string, args ...any) {
	at := strings.Join(append(slices.Clip(c.at), field), ".")
	at = strings.Trim(at, ".")
	c.problems = append(c.problems, Problem{Severity: severity, Message: at + ": " + fmt.Sprintf(format, args...)})
}

func (c *checker) strategy(s *Strategy) {
	c.rules = 0
	if !slices.Contains(StrategyKinds(), s.Kind) {
		c.fail("kind", "%q is no strategy: use all, canary, targets, blue-green or progressive", clip(string(s.Kind)))
		return
	}
	c.onlyOwnFields(s)
	if len(s.Salt) > MaxSaltLength || wordProblem(s.Salt) != "" {
		c.fail("salt", "want at most %d bytes without control characters", MaxSaltLength)
	}
	switch s.Kind {
	case StrategyCanary:
		if s.Rule == nil {
			c.fail("rule", "a canary without a rule claims nobody; say who is to get the release")
		}
	case StrategyTargets:
		if len(s.Targets) == 0 {
			c.fail("targets", "it names no instance, so it claims nobody")
		}
		c.instances("targets", s.Targets)
	case StrategyBlueGreen:
		c.slots(s.Slots)
	case StrategyProgressive:
		c.steps(s.Steps, s.Step)
	}
	if s.Rule != nil {
		c.within("rule", func() { c.group(s.Rule, 1) })
	}
}

// onlyOwnFields refuses what the kind does not look at: whoever wrote it meant
// something by it.
func (c *checker) onlyOwnFields(s *Strategy) {
	shares := s.Kind == StrategyCanary || s.Kind == StrategyProgressive
	for _, field := range []struct {
		name     string
		set, own bool
		whose    string
	}{
		{"rule", s.Rule != nil, shares, "canary and progressive"},
		{"salt", s.Salt != "", shares, "canary and progressive"},
		{"targets", len(s.Targets) > 0, s.Kind == StrategyTargets, "targets"},
		{"slots", s.Slots != nil, s.Kind == StrategyBlueGreen, "blue-green"},
		{"steps", len(s.Steps) > 0, s.Kind == StrategyProgressive, "progressive"},
		{"step", s.Step != 0, s.Kind == StrategyProgressive, "progressive"},
	} {
		if field.set && !field.own {
			c.fail(field.name, "strategy %s does not have it, only %s", s.Kind, field.whose)
		}
	}
}

func (c *checker) slots(s *Slots) {
	if s == nil {
		c.fail("slots", "say which slot holds the stable release, which the candidate, and which is active")
		return
	}
	for _, slot := range []struct{ field, name string }{{"slots.stable", s.Stable}, {"slots.candidate", s.Candidate}} {
		if !isLabel(slot.name) {
			c.fail(slot.field, "slot %q: use 1 to 63 lower-case letters, digits or '-', not beginning or ending with '-'", clip(slot.name))
		}
	}
	if s.Stable == s.Candidate {
		c.fail("slots.candidate", "both releases cannot be in slot %q", clip(s.Candidate))
	}
	if s.Active != s.Stable && s.Active != s.Candidate {
		c.fail("slots.active", "there is no slot %q; there are %q and %q", clip(s.Active), clip(s.Stable), clip(s.Candidate))
	}
}

func (c *checker) steps(steps []Step, current int) {
	switch {
	case len(steps) == 0:
		c.fail("steps", "a progressive strategy wants at least one step")
		return
	case len(steps) > MaxSteps:
		c.fail("steps", "there are %d; at most %d are taken", len(steps), MaxSteps)
		return
	case current < 0 || current >= len(steps):
		c.fail("step", "there is no step %d; they are 0 to %d", current, len(steps)-1)
	}
	before := Share(0)
	for i, step := range steps {
		at := "steps[" + strconv.Itoa(i) + "]"
		switch {
		case step.Share < 1 || step.Share > FullShare:
			c.fail(at+".share", "%d: want 1 to %d hundredths of a percent", step.Share, FullShare)
		case step.Share <= before:
			c.fail(at+".share", "%d (%s) is not more than the step before, %d (%s)", step.Share, step.Share, before, before)
		}
		before = max(before, step.Share)
		if hold := float64(step.Hold); math.IsNaN(hold) || step.Hold < 0 || step.Hold > MaxHold {
			c.fail(at+".hold_seconds", "%s: want 0 to %.0f seconds, 30 days", strconv.FormatFloat(hold, 'f', -1, 64), float64(MaxHold))
		}
	}
}

func (c *checker) instances(field string, ids InstanceSet) {
	if len(ids) > MaxTargets {
		c.fail(field, "it names %d instances; at most %d are taken", len(ids), MaxTargets)
		return
	}
	for i, id := range ids {
		switch at := field + "[" + strconv.Itoa(i) + "]"; {
		case id == "" || len(id) > MaxInstanceID || wordProblem(id) != "":
			c.fail(at, "instance %q: want 1 to %d bytes without control characters", clip(id), MaxInstanceID)
		case i > 0 && ids[i-1] == id:
			c.fail(at, "instance %q is named twice", clip(id))
		case i > 0 && ids[i-1] > id:
			c.fail(at, "the ids are not sorted, so some would not be found; NewInstanceSet sorts them")
			return
		}
	}
}

// targetedOnce refuses to name one instance in two candidates' targets.
func (c *checker) targetedOnce(named map[string]int, candidate int, s *Strategy) {
	if s.Kind != StrategyTargets || len(s.Targets) > MaxTargets {
		return
	}
	for i, id := range s.Targets {
		if first, twice := named[id]; twice && first != candidate {
			c.fail("targets["+strconv.Itoa(i)+"]", "instance %q is a target of candidates[%d] already, which would win", clip(id), first)
			continue
		}
		named[id] = candidate
	}
}

// reachable finds strategies that never get to claim anybody because an earlier
// one always does.
func (c *checker) reachable(earlier []Candidate, s *Strategy) {
	own, hasOwn := s.onlyShare()
	for i := range earlier {
		first := &earlier[i].Strategy
		if first.Kind == StrategyAll {
			c.fail("kind", "candidates[%d] claims every client, so this one is never asked", i)
			return
		}
		theirs, has := first.onlyShare()
		if hasOwn && has && first.Salt == s.Salt && own > 0 && own <= theirs {
			c.warn("", "claims nobody: candidates[%d] claims the same %s of instances first, and %s is no more; give this one a salt of its own or a greater share", i, theirs, own)
		}
	}
}

// onlyShare returns the share that a strategy claims if it asks for nothing else.
func (s *Strategy) onlyShare() (Share, bool) {
	switch {
	case s.Kind == StrategyProgressive && s.Rule == nil && s.Step >= 0 && s.Step < len(s.Steps):
		return s.Steps[s.Step].Share, true
	case s.Kind == StrategyCanary && s.Rule != nil && s.Rule.Share != nil &&
		len(s.Rule.All)+len(s.Rule.Any)+len(s.Rule.Labels)+len(s.Rule.Addresses)+len(s.Rule.Instances) == 0:
		return *s.Rule.Share, true
	}
	return 0, false
}
