package center

import (
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// verdict is what is to become of a launch now.
type verdict string

// The verdicts.
const (
	verdictWait     verdict = "wait"
	verdictBegin    verdict = "begin"
	verdictAdvance  verdict = "advance"
	verdictPromote  verdict = "promote"
	verdictFallBack verdict = "fall back"
	verdictExpire   verdict = "expire"
)

// op is the name of the act in the audit.
func (v verdict) op() string {
	switch v {
	case verdictBegin:
		return "rollout.begin"
	case verdictAdvance:
		return "rollout.advance"
	case verdictPromote:
		return "rollout.promote"
	case verdictFallBack:
		return "rollout.fall-back"
	case verdictExpire:
		return "rollout.expire"
	case verdictWait:
	}
	return ""
}

// decision is a verdict with its reason.
type decision struct {
	verdict verdict
	why     string
	// until is when the clock alone may lead to another verdict than to wait; zero
	// if it never does.
	until time.Time
	// wanting says that nothing but reports is missing for the step to end.
	wanting bool
}

// forward reports whether the verdict gives clients something new.
func (d decision) forward() bool {
	return d.verdict == verdictBegin || d.verdict == verdictAdvance || d.verdict == verdictPromote
}

// gateSettles is how long after a step has begun its reports are not judged: so
// long a node may not know of the step, and tell of the one before.
const gateSettles = pulsePatience

// silencePatience is how long a node that does not answer keeps steps from
// ending. Then it is taken for dead, and its instances for gone elsewhere.
const silencePatience = time.Minute

// outlook is everything that a decision about a launch rests on.
type outlook struct {
	launch *config.Launch
	now    time.Time
	// frozen is until when one of its envs is frozen, and frozenBy says so in
	// words; zero if none is.
	frozen   time.Time
	frozenBy string
	// reported is what its instances said; nil as long as that is not known.
	reported *reported
	// silence is since when a node has not answered: of several, the one that has
	// for the shortest time; zero if all answer.
	silence time.Time
	// wanting is since when nothing but reports has been missing; zero if something
	// else is, or if that was not known before. Patience is counted from it and not
	// from the step's end: in a freeze, or while the cluster stood still, nobody was
	// waiting.
	wanting time.Time
}

// decide says what is to become of a launch. It is pure: who decides anew after
// another has acted, or in another's place, comes to what is right then.
//
// Refusals and expiry act whatever else there is, for they give clients nothing
// new. A freeze, a pause, a gate that is not met and a node that has just fallen
// silent keep things as they are.
func decide(o *outlook) decision {
	l := o.launch
	if l.State.Ended() {
		return decision{verdict: verdictWait}
	}
	if why := o.refused(); why != "" && l.State != config.LaunchScheduled {
		return decision{verdict: verdictFallBack, why: why}
	}
	if expires := l.ExpiresAt; !expires.IsZero() && !o.now.Before(expires) {
		return decision{verdict: verdictExpire, why: "nobody ended it by " + rfc3339(expires)}
	}
	d := o.forward()
	if d.verdict == verdictWait {
		d.until = earliest(d.until, l.ExpiresAt)
	}
	return d
}

// forward decides about what gives clients something new.
func (o *outlook) forward() decision {
	l, s := o.launch, &o.launch.Strategy
	switch {
	case l.State == config.LaunchScheduled:
		if o.now.Before(l.BeginsAt) {
			return wait(l.BeginsAt, "its time has not come")
		}
		return o.thawed(decision{verdict: verdictBegin, why: "scheduled for " + rfc3339(l.BeginsAt)})
	case l.State != config.LaunchRunning:
		return wait(time.Time{}, "it is "+string(l.State))
	case s.Kind != config.StrategyProgressive || s.Step < 0 || s.Step >= len(s.Steps):
		return wait(time.Time{}, "it has no steps")
	}
	next := decision{verdict: verdictAdvance, why: fmt.Sprintf("step %d of %d is over", s.Step+1, len(s.Steps))}
	if s.Step == len(s.Steps)-1 {
		if s.Steps[s.Step].Share < config.FullShare {
			return wait(time.Time{}, "its last step claims a part of the instances only, and stays")
		}
		next.verdict, next.why = verdictPromote, "the last step is over"
	}
	end := l.StepAt.Add(duration(s.Steps[s.Step].Hold))
	if o.now.Before(end) {
		return wait(end, "its step is not over")
	}
	return o.gated(next)
}

// thawed has a decision wait until no env is frozen.
func (o *outlook) thawed(next decision) decision {
	if !o.frozen.IsZero() {
		return wait(o.frozen, o.frozenBy)
	}
	return next
}

// gated has a decision wait until the instances have reported what the gate
// wants, or calls the launch off if they took too long.
func (o *outlook) gated(next decision) decision {
	g := o.launch.Gate
	if g == nil {
		return o.thawed(next)
	}
	answered, settled := o.silence.Add(silencePatience), o.launch.StepAt.Add(gateSettles)
	switch {
	case o.reported == nil:
		return wait(time.Time{}, "it is not known what its instances say")
	case !o.silence.IsZero() && o.now.Before(answered):
		return wait(answered, "a node does not answer")
	case !o.frozen.IsZero():
		return o.thawed(next)
	case asks(g) && o.now.Before(settled):
		return wait(settled, "its step has just begun")
	}
	missing := o.missing()
	if missing == "" {
		return next
	}
	if g.Patience <= 0 {
		return decision{verdict: verdictWait, why: missing, wanting: true}
	}
	since := o.wanting
	if since.IsZero() {
		since = o.now
	}
	limit := since.Add(duration(g.Patience))
	if !o.now.Before(limit) {
		return decision{verdict: verdictFallBack, why: missing + ", and waiting for more than " + duration(g.Patience).String() + " is not wanted"}
	}
	return decision{verdict: verdictWait, why: missing, until: limit, wanting: true}
}

// missing says what the gate still wants; "" if it is met. Those that said
// nothing count as nothing.
func (o *outlook) missing() string {
	g, t := o.launch.Gate, o.reported
	if !asks(g) {
		return ""
	}
	least := max(g.AtLeast, 1)
	switch {
	case t.applied < least:
		return fmt.Sprintf("%d instances have applied it, and at least %d must", t.applied, least)
	case int64(t.applied)*int64(config.FullShare) < int64(g.Applied)*int64(t.claimed):
		return fmt.Sprintf("%d of %d instances have applied it, and %s must", t.applied, t.claimed, g.Applied)
	}
	return ""
}

// asks reports whether the gate wants reports of success.
func asks(g *config.Gate) bool { return g.Applied > 0 || g.AtLeast > 0 }

// refused says that more instances refused than the gate allows; "" if not.
func (o *outlook) refused() string {
	g, t := o.launch.Gate, o.reported
	if g == nil || t == nil || t.refused <= g.Refused ||
		int64(t.refused)*int64(config.FullShare) <= int64(g.RefusedShare)*int64(t.claimed) {
		return ""
	}
	text := fmt.Sprintf("%d of %d instances refused it", t.refused, t.claimed)
	if t.complaint != "" {
		text += ", such as " + t.complaint
	}
	return text
}

func wait(until time.Time, why string) decision {
	return decision{verdict: verdictWait, until: until, why: why}
}

// earliest returns the earlier of two times; zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// duration is what a number of seconds is; those of launches are bounded.
func duration(s config.Seconds) time.Duration {
	return time.Duration(float64(s) * float64(time.Second))
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
