package config

import (
	"fmt"
	"math"
	"strconv"
)

// MaxExpiry is the longest time after which a launch expires, and the furthest
// that one is scheduled ahead: 366 days.
const MaxExpiry Seconds = 366 * 24 * 3600

// Check finds what is wrong with the launch, seen without the rollouts of its
// configs. Every message begins with the field that it is about.
func (l *Launch) Check() []Problem {
	var c checker
	c.within("strategy", func() { c.strategy(&l.Strategy) })
	if len(l.Items) > MaxLaunchItems {
		c.fail("items", "it brings out %d configs; at most %d go together", len(l.Items), MaxLaunchItems)
	}
	if l.Strategy.Kind == StrategyAll && l.BeginsAt.IsZero() {
		c.fail("strategy.kind", "all is what a release without a launch does; schedule it, or choose canary, targets, blue-green or progressive")
	}
	if !seconds(l.ExpiresAfter, MaxExpiry) {
		c.fail("expires_after_seconds", "%s: want 0 to %.0f seconds, 366 days", number(l.ExpiresAfter), float64(MaxExpiry))
	}
	if l.Gate != nil {
		c.within("gate", func() { c.gate(l) })
	}
	return c.problems
}

// Validate is to Launch.Check what Rollout.Validate is to Rollout.Check.
func (l *Launch) Validate() error { return invalid("", l.Check()) }

func (c *checker) gate(l *Launch) {
	g := l.Gate
	if l.Strategy.Kind == StrategyAll {
		c.fail("", "a release for all at once has nothing to fall back to; choose canary, targets, blue-green or progressive")
	}
	for _, share := range []struct {
		field string
		value Share
	}{{"applied_share", g.Applied}, {"refused_share", g.RefusedShare}} {
		if share.value < 0 || share.value > FullShare {
			c.fail(share.field, "%d: want 0 to %d hundredths of a percent", share.value, FullShare)
		}
	}
	if g.AtLeast < 0 || g.AtLeast > math.MaxInt32 {
		c.fail("at_least", "%d: want how many instances, 0 or more", g.AtLeast)
	}
	if g.Refused < 0 || g.Refused > math.MaxInt32 {
		c.fail("refused", "%d: want how many instances, 0 or more", g.Refused)
	}
	if !seconds(g.Patience, MaxHold) {
		c.fail("patience_seconds", "%s: want 0 to %.0f seconds, 30 days", number(g.Patience), float64(MaxHold))
	}
	asks := g.Applied > 0 || g.AtLeast > 0
	if asks && l.Strategy.Kind != StrategyProgressive {
		c.fail("applied_share", "only a progressive launch has steps that wait for reports; a gate of %s can have refused and refused_share", l.Strategy.Kind)
	}
	if !asks && g.Patience > 0 {
		c.fail("patience_seconds", "there is nothing to be patient for: applied_share and at_least ask for no reports")
	}
}

func seconds(s, most Seconds) bool {
	return !math.IsNaN(float64(s)) && s >= 0 && s <= most
}

func number(s Seconds) string { return strconv.FormatFloat(float64(s), 'f', -1, 64) }

// String tells in a few words whom the strategy claims now.
func (s Strategy) String() string {
	text := string(s.Kind)
	switch s.Kind {
	case StrategyCanary:
		if share, ok := s.onlyShare(); ok {
			return text + " " + share.String()
		}
		return text + " by rule"
	case StrategyTargets:
		return fmt.Sprintf("%s, %d instances", text, len(s.Targets))
	case StrategyBlueGreen:
		if s.Slots != nil {
			return text + ", " + s.Slots.Active + " active"
		}
	case StrategyProgressive:
		if s.Step >= 0 && s.Step < len(s.Steps) {
			return fmt.Sprintf("%s, step %d of %d: %s", text, s.Step+1, len(s.Steps), s.Steps[s.Step].Share)
		}
	}
	return text
}
