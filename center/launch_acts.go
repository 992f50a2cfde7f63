package center

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// PauseLaunch keeps a launch from advancing. It claims whom it claimed.
func (c *Center) PauseLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.steer(ctx, "rollout.pause", a, false, func(e *edits, l *launchEdit) error {
		switch l.next.State {
		case config.LaunchPaused:
			return nil
		case config.LaunchScheduled:
			return config.Errorf(config.Conflict, "", "", "launch %s has not begun; adjust when it begins, or abort it", l.next.ID)
		}
		l.next.State = config.LaunchPaused
		l.next.Held = config.Seconds(max(0, e.now.Sub(l.next.StepAt).Seconds()))
		e.event(l, string(config.LaunchPaused), a.Comment)
		return nil
	})
}

// ResumeLaunch lets a paused launch go on. Its step lasts as long as was left of
// it when it was paused.
func (c *Center) ResumeLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.steer(ctx, "rollout.resume", a, true, func(e *edits, l *launchEdit) error {
		switch l.next.State {
		case config.LaunchRunning:
			return nil
		case config.LaunchScheduled:
			return config.Errorf(config.Conflict, "", "", "launch %s has not begun, so it is not paused", l.next.ID)
		}
		l.next.State = config.LaunchRunning
		l.next.StepAt = e.now.Add(-time.Duration(float64(l.next.Held) * float64(time.Second)))
		l.next.Held = 0
		e.event(l, "resumed", a.Comment)
		return nil
	})
}

// PromoteLaunch ends a launch by making its releases stable: everybody gets
// them.
func (c *Center) PromoteLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.steer(ctx, "rollout.promote", a, true, func(e *edits, l *launchEdit) error {
		e.promote(l, a.Comment)
		return nil
	})
}

// AbortLaunch ends a launch: everybody gets the stable releases. No freeze holds
// it up.
func (c *Center) AbortLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.steer(ctx, "rollout.abort", a, false, func(e *edits, l *launchEdit) error {
		e.end(l, config.LaunchAborted, a.Comment)
		return nil
	})
}

// AdvanceLaunch takes a launch to its next step now: a scheduled one begins, a
// progressive one goes to the next of its steps without waiting, and is promoted
// after the last.
func (c *Center) AdvanceLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.steer(ctx, "rollout.advance", a, true, func(e *edits, l *launchEdit) error { return e.step(l, a.Comment) })
}

// step takes a launch to its next step because somebody asked for it.
func (e *edits) step(l *launchEdit, why string) error {
	switch {
	case l.next.State == config.LaunchScheduled:
		e.begin(l, "begun", why)
		return nil
	case l.next.State == config.LaunchPaused:
		return config.Errorf(config.Conflict, "", "", "launch %s is paused; resume it first", l.next.ID)
	case l.next.Strategy.Kind != config.StrategyProgressive:
		return config.Errorf(config.Conflict, "", "", "a %s launch has no steps; adjust it, switch it or promote it", l.next.Strategy.Kind)
	}
	return e.advance(l, why)
}

// SwitchLaunch asks for the other slot of a blue-green launch to be the active
// one.
type SwitchLaunch struct {
	LaunchAct
	// To is the slot; empty means the one that is not active.
	To string
}

// SwitchLaunch makes a slot the active one, for all configs of the launch and all
// clients that ask for no slot, at one revision. Back to the stable releases it
// goes however frozen an env is.
func (c *Center) SwitchLaunch(ctx context.Context, a SwitchLaunch) (config.Launch, error) {
	const op = "rollout.switch"
	return c.steer(ctx, op, a.LaunchAct, false, func(e *edits, l *launchEdit) error {
		slots := l.next.Strategy.Slots
		if slots == nil {
			return config.Errorf(config.Conflict, "", "", "a %s launch has no slots to switch", l.next.Strategy.Kind)
		}
		next, to := *slots, a.To
		if to == "" {
			to = otherSlot(&next)
		}
		switch {
		case to != next.Stable && to != next.Candidate:
			return config.Errorf(config.Invalid, "", "", "there is no slot %q; there are %q and %q", clipText(to), next.Stable, next.Candidate)
		case l.next.State == config.LaunchScheduled:
			return config.Errorf(config.Conflict, "", "", "launch %s has not begun", l.next.ID)
		case to == next.Active:
			return nil
		case to == next.Candidate:
			if err := e.goForward(ctx, driving{op: op, why: a.Comment, override: a.OverrideFreeze}, l); err != nil {
				return err
			}
		}
		next.Active = to
		s := l.next.Strategy
		s.Slots = &next
		if err := e.restrategize(l, s); err != nil {
			return err
		}
		e.event(l, "switched", a.Comment)
		return nil
	})
}

// otherSlot returns the one that is not active.
func otherSlot(s *config.Slots) string {
	if s.Active == s.Candidate {
		return s.Stable
	}
	return s.Candidate
}

// AdjustLaunch asks for a launch to be changed while it is under way. What is nil
// stays.
type AdjustLaunch struct {
	LaunchAct
	Strategy *config.Strategy
	// Share is what a canary claims, a shortcut for a strategy that differs in
	// nothing else.
	Share        *config.Share
	Gate         *config.Gate
	ExpiresAfter *config.Seconds // from when it began
	BeginsAt     *time.Time
}

// AdjustLaunch changes a launch that is under way. Canary, targets and
// progressive launches may become each other; the salt stays unless another is
// given, so that whoever was claimed by a share is claimed by a greater one.
func (c *Center) AdjustLaunch(ctx context.Context, a AdjustLaunch) (config.Launch, error) {
	forward := a.Strategy != nil || a.Share != nil || a.BeginsAt != nil
	return c.steer(ctx, "rollout.adjust", a.LaunchAct, forward, func(e *edits, l *launchEdit) error { return e.adjust(l, &a) })
}

// adjust changes a launch as it was asked for.
func (e *edits) adjust(l *launchEdit, a *AdjustLaunch) error {
	s, err := a.strategy(l.next.Strategy)
	if err != nil {
		return err
	}
	if a.Gate != nil {
		l.next.Gate = fillGate(a.Gate, s.Kind)
	}
	if s.Kind == config.StrategyProgressive && l.next.Gate == nil {
		l.next.Gate = fillGate(nil, s.Kind)
	}
	if a.ExpiresAfter != nil {
		l.expire(*a.ExpiresAfter)
	}
	if err := a.reschedule(e, l); err != nil {
		return err
	}
	check := l.next
	check.Strategy = s
	fillStrategy(&check, "") // one that had no shares had no salt
	s = check.Strategy
	if err := check.Validate(); err != nil {
		return err
	}
	if a.Strategy != nil || a.Share != nil {
		if err := e.restrategize(l, s); err != nil {
			return err
		}
	}
	e.event(l, "adjusted", a.Comment)
	return nil
}

// strategy returns the one to go on with.
func (a *AdjustLaunch) strategy(now config.Strategy) (config.Strategy, error) {
	switch {
	case a.Strategy != nil && a.Share != nil:
		return now, config.Errorf(config.Invalid, "", "", "give a strategy or a share, not both")
	case a.Strategy != nil:
		next := *a.Strategy
		fixed := func(k config.StrategyKind) bool {
			return k == config.StrategyBlueGreen || k == config.StrategyAll
		}
		if next.Kind != now.Kind && (fixed(next.Kind) || fixed(now.Kind)) {
			return now, config.Errorf(config.Conflict, "", "", "a %s launch cannot become %q; start another that supersedes it", now.Kind, clipText(string(next.Kind)))
		}
		if next.Kind == config.StrategyBlueGreen {
			return now, config.Errorf(config.Conflict, "", "", "the slots of a launch stay as they are; switch between them")
		}
		if shares := next.Kind == config.StrategyCanary || next.Kind == config.StrategyProgressive; shares && next.Salt == "" {
			next.Salt = now.Salt
		}
		return next, nil
	case a.Share != nil:
		if now.Kind != config.StrategyCanary || now.Rule == nil || now.Rule.Share == nil {
			return now, config.Errorf(config.Conflict, "", "", "the launch (%s) has no share of its own to adjust; a progressive one is advanced, and others take a whole strategy", now)
		}
		rule := *now.Rule
		rule.Share = a.Share
		now.Rule = &rule
	}
	return now, nil
}

// reschedule changes when a launch begins that has not.
func (a *AdjustLaunch) reschedule(e *edits, l *launchEdit) error {
	if a.BeginsAt == nil {
		return nil
	}
	if l.next.State != config.LaunchScheduled {
		return config.Errorf(config.Conflict, "", "", "launch %s has begun already", l.next.ID)
	}
	if err := checkBeginning(*a.BeginsAt, e.now); err != nil {
		return err
	}
	l.next.BeginsAt = a.BeginsAt.UTC().Round(0)
	return nil
}
