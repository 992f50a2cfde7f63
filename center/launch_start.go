package center

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// MaxLaunches bounds the launches of a tenant that are under way.
const MaxLaunches = 1000

// ReleaseOptions say how releases get to their clients. The zero value gives
// them to everybody, at once.
type ReleaseOptions struct {
	// Launch brings the releases out by a strategy.
	Launch *LaunchOptions
	// BeginsAt is when that begins or, without Launch, when everybody gets them.
	BeginsAt time.Time
	// OnRunning says what becomes of launches that are under way for the configs.
	OnRunning OnRunning
	// OverrideFreeze releases although an env is frozen; it takes the right to
	// manage the env.
	OverrideFreeze bool
}

// LaunchOptions are what a launch is started with.
type LaunchOptions struct {
	// Strategy says whom it claims. An empty salt becomes the least path of its
	// configs, and slots that are not given are blue and green.
	Strategy config.Strategy
	// Gate is nil for no conditions; a progressive launch has at least an empty
	// one, by which the first refusal calls it off.
	Gate *config.Gate
	// ExpiresAfter calls it off if nobody has ended it by then; 0 never does.
	ExpiresAfter config.Seconds
}

// OnRunning says what a release does about launches of its config that are
// under way.
type OnRunning string

// The ways to meet a launch that is under way.
const (
	// RefuseOnRunning is the default: conflicting acts must not pass by accident.
	RefuseOnRunning OnRunning = ""
	// SupersedeRunning ends them, with all the configs that they hold.
	SupersedeRunning OnRunning = "supersede"
	// BeforeRunning and AfterRunning let them be, and have the new candidate asked
	// before or after theirs. A release for everybody can come after them: it
	// is then what those get whom they do not claim.
	BeforeRunning OnRunning = "before"
	AfterRunning  OnRunning = "after"
)

// launches reports whether the releases come with a launch.
func (o *ReleaseOptions) launches() bool { return o.Launch != nil || !o.BeginsAt.IsZero() }

// checkOptions refuses what is wrong whatever the state.
func (c *Center) checkOptions(p *Publish) error {
	switch p.OnRunning {
	case RefuseOnRunning, SupersedeRunning, AfterRunning:
	case BeforeRunning:
		if !p.launches() {
			return config.Errorf(config.Invalid, "", "", "a release for everybody cannot come before a launch: it is what those get whom no launch claims")
		}
	default:
		return config.Errorf(config.Invalid, "", "", "on_running %q: use supersede, before or after, or leave it out", clipText(string(p.OnRunning)))
	}
	if !p.launches() {
		return nil
	}
	if len(p.withdraw) > 0 {
		return config.Errorf(config.Invalid, "", "", "a launch cannot delete configs; prune without one")
	}
	l := newLaunch(&config.ChangeSet{Tenant: p.Tenant}, p).next
	if len(p.Items) > 0 { // which of them it will bring out is not known yet
		l.Items = []config.LaunchItem{{Path: p.Items[0].Path}}
	}
	fillStrategy(&l, "")
	if err := l.Validate(); err != nil {
		return err
	}
	if p.BeginsAt.IsZero() {
		return nil
	}
	return checkBeginning(p.BeginsAt, c.now())
}

func checkBeginning(at, now time.Time) error {
	if !at.After(now) || at.Sub(now).Seconds() > float64(config.MaxExpiry) {
		return config.Errorf(config.Invalid, "", "", "begins_at %s: want a time after now, which is %s, and at most 366 days ahead",
			at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func clipText(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// newLaunch makes the launch of a change set, without its configs.
func newLaunch(set *config.ChangeSet, p *Publish) *launchEdit {
	l := &launchEdit{next: config.Launch{
		ID: set.ID, Tenant: set.Tenant, Items: []config.LaunchItem{}, State: config.LaunchScheduled,
		Comment: set.Comment, StartedAt: set.Time, StartedBy: set.Author, BeginsAt: p.BeginsAt.UTC().Round(0),
		Strategy: config.Strategy{Kind: config.StrategyAll},
	}}
	if o := p.Launch; o != nil {
		l.next.Strategy, l.next.ExpiresAfter = o.Strategy, o.ExpiresAfter
		l.next.Gate = fillGate(o.Gate, o.Strategy.Kind)
	}
	return l
}

// fillGate returns a gate with what it means when it says nothing.
func fillGate(g *config.Gate, kind config.StrategyKind) *config.Gate {
	filled := config.Gate{}
	switch {
	case g != nil:
		filled = *g
	case kind != config.StrategyProgressive:
		return nil
	}
	if filled.Applied > 0 {
		filled.AtLeast = max(filled.AtLeast, 1)
	}
	return &filled
}

// fillStrategy completes the strategy of a launch: shares get the salt that has
// its configs move together, and a blue-green one gets its slots, stable being
// the one that the stable release is in.
func fillStrategy(l *config.Launch, stable string) {
	s := &l.Strategy
	shares := s.Kind == config.StrategyCanary || s.Kind == config.StrategyProgressive
	if shares && s.Salt == "" && len(l.Items) > 0 {
		s.Salt = leastPath(l.Items)
	}
	if s.Kind == config.StrategyBlueGreen && s.Slots == nil {
		if stable == "" {
			stable = config.SlotBlue
		}
		other := config.SlotGreen
		if stable == config.SlotGreen {
			other = config.SlotBlue
		}
		s.Slots = &config.Slots{Stable: stable, Candidate: other, Active: stable}
	}
}

// meet settles what becomes of launches that are under way when a config is
// released anew.
func (b *changeSetBuilder) meet(path config.Path, edit *rolloutEdit) error {
	switch {
	case len(edit.next.Candidates) == 0:
		return nil
	case b.publish.rollback:
		b.edits.endAll(path, config.LaunchAborted, "rolled back"+because(b.set.Comment))
	case b.publish.OnRunning == SupersedeRunning:
		b.edits.endAll(path, config.LaunchSuperseded, "another release took its place"+because(b.set.Comment))
	case b.publish.OnRunning == RefuseOnRunning && b.others(edit):
		return errRunning(path, b.edits, &edit.next)
	}
	return nil
}

// because appends a comment to a reason.
func because(comment string) string {
	if comment == "" {
		return ""
	}
	return ": " + comment
}

// others reports whether a launch of another change set is under way.
func (b *changeSetBuilder) others(edit *rolloutEdit) bool {
	return slices.ContainsFunc(edit.next.Candidates, func(c config.Candidate) bool { return c.Launch != b.set.ID })
}

func errRunning(path config.Path, e *edits, r *config.Rollout) error {
	what := "launches " + strings.Join(launchIDs(r), " and ") + " are"
	if len(r.Candidates) == 1 {
		what = "launch " + r.Candidates[0].Launch + " is"
		if l := e.launch(path.Tenant, r.Candidates[0].Launch); l != nil {
			what = "launch " + l.next.ID + " (" + l.next.Strategy.String() + ", " + string(l.next.State) + ", by " + l.next.StartedBy + ") is"
		}
	}
	return &config.Error{Kind: config.Conflict, Path: path.String(), Current: r.Latest, Err: fmt.Errorf(
		"%s under way: promote or abort first, or say what is meant: supersede, before or after", what)}
}

// launchIDs names the launches of a config, in the order of its candidates.
func launchIDs(r *config.Rollout) []string {
	ids := make([]string, len(r.Candidates))
	for i := range r.Candidates {
		ids[i] = r.Candidates[i].Launch
	}
	return ids
}

// stage makes a release a candidate of the launch.
func (b *changeSetBuilder) stage(edit *rolloutEdit, release config.Release) {
	l := &b.launch.next
	l.Items = append(l.Items, config.LaunchItem{Path: release.Path, Version: release.Version})
	candidate := config.Candidate{Release: release, Launch: l.ID, Waiting: true}
	at := len(edit.next.Candidates)
	if b.publish.OnRunning == BeforeRunning {
		at = 0
	}
	edit.next.Candidates = slices.Insert(edit.next.Candidates, at, candidate)
}

// begun completes the launch, if there is one: only when all its configs are
// known its strategy can be.
func (b *changeSetBuilder) begun() error {
	l := b.launch
	if l == nil || len(l.next.Items) == 0 { // everything is served as it is
		return nil
	}
	if b.snap.CountLaunches(b.set.Tenant) >= MaxLaunches {
		return config.Errorf(config.Exhausted, "", b.set.Tenant, "%d launches of the tenant are under way, which is the most: promote or abort some first", MaxLaunches)
	}
	first := b.edits.look(l.next.Items[0].Path)
	for _, item := range l.next.Items {
		if b.edits.look(item.Path).next.Deleted {
			return config.Errorf(config.Conflict, "", item.Path.String(), "the config is deleted, so there is nobody to launch it to; undelete it first, or release it for everybody")
		}
	}
	fillStrategy(&l.next, first.next.Slot)
	if err := l.next.Validate(); err != nil {
		return err
	}
	b.edits.add(l)
	if err := b.edits.restrategize(l, l.next.Strategy); err != nil {
		return err
	}
	if l.next.BeginsAt.IsZero() {
		b.edits.begin(l, "started", b.set.Comment)
	} else {
		b.edits.event(l, string(config.LaunchScheduled), b.set.Comment)
	}
	shown := l.next
	shown.Warnings = b.edits.warnings(l)
	b.set.Launch = &shown
	return nil
}

// warnings are what looks like a mistake in a launch, beside what else its
// configs serve.
func (e *edits) warnings(l *launchEdit) []config.Problem {
	var found []config.Problem
	for _, item := range l.next.Items {
		r := &e.look(item.Path).next
		for _, p := range r.Check() {
			p.Path = item.Path.String()
			found = append(found, p)
		}
		if r.Stable == nil && !l.next.State.Ended() {
			found = append(found, config.Problem{
				Path: item.Path.String(), Severity: config.SeverityWarning,
				Message: "there is no stable release, so instances that the launch does not claim get nothing",
			})
		}
	}
	return found
}

// detail is what the audit keeps of a publish beside its items.
func (b *changeSetBuilder) detail() map[string]string {
	if b.set.Launch == nil && len(b.edits.ended) == 0 && !b.publish.OverrideFreeze {
		return nil
	}
	pairs := map[string]string{"ended": strings.Join(b.edits.ended, " "), "overridden_freeze": b.overridden()}
	if b.set.Launch != nil {
		pairs["launch"], pairs["strategy"] = b.set.Launch.ID, b.set.Launch.Strategy.String()
		if at := b.set.Launch.BeginsAt; !at.IsZero() {
			pairs["begins_at"] = at.Format(time.RFC3339)
		}
	}
	return detail(pairs)
}

// overridden names the freezes that the change set was made in spite of.
func (b *changeSetBuilder) overridden() string {
	if !b.publish.OverrideFreeze {
		return ""
	}
	var names []string
	for path := range b.envs {
		if env, ok := b.snap.Env(path); ok {
			names = append(names, overriddenIn(env, b.set.Time)...)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
