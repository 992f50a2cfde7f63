package center

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
)

// A launch under way is a plan that goes on by itself, and who knows in which
// world it arrives: none of the instances that it waits for may be there, or all
// of them at once. So nothing goes on by itself after an import. What runs
// arrives paused, and whoever moved the tenant resumes it; what was to begin at a
// time that has passed meanwhile is called off. What is still to come stays.

const (
	// maxMovedCandidates bounds those of one export, about which a check keeps some
	// 300 bytes each.
	maxMovedCandidates = 1_000_000
	// maxMovedReason is the longest why of an event, in bytes: the system's reasons
	// may be longer than a comment.
	maxMovedReason = 8 << 10
	maxMovedWord   = 64 // bytes of what happened
	// maxMovedHeld bounds how long a step had lasted: a hundred years, which a
	// time.Duration holds.
	maxMovedHeld config.Seconds = 100 * 365 * 24 * 3600

	whyImported = "imported"
	whyTooLate  = "its time passed before it was imported"
)

// movedLaunches are what the rollouts and the launches of an export must agree
// on, and what becomes of launches here.
type movedLaunches struct {
	now time.Time
	// staged are the candidates whose launch has not come yet.
	staged map[stagedAt]staged
	// salts are of the launches that are under way here, too: what their shares
	// went by if they name no salt.
	salts map[string]string
	// late are the launches whose time has passed, and orphans the releases that
	// they alone have kept.
	late    map[string]bool
	orphans map[config.LaunchItem]bool
	count   int // of candidates
}

// stagedAt is where a candidate is.
type stagedAt struct {
	launch string
	path   config.Path
}

// staged is what a launch must agree with.
type staged struct {
	version  int64
	waiting  bool
	strategy string // its digest
}

func newMovedLaunches(now time.Time) movedLaunches {
	return movedLaunches{
		now: now, staged: map[stagedAt]staged{}, salts: map[string]string{},
		late: map[string]bool{}, orphans: map[config.LaunchItem]bool{},
	}
}

// takeCandidates notes the candidates of a rollout, for their launches.
func (m *movedLaunches) takeCandidates(o *config.Rollout) error {
	if len(o.Candidates) == 0 {
		return nil
	}
	if o.Deleted {
		return errors.New("the config is deleted, so it cannot be launched to anybody, and it has a candidate")
	}
	if err := o.Validate(); err != nil {
		return err
	}
	for i := range o.Candidates {
		c := &o.Candidates[i]
		at := stagedAt{c.Launch, o.Path}
		if _, twice := m.staged[at]; twice {
			return config.Errorf(config.Invalid, "", "", "launch %q has two candidates of it", clipText(c.Launch))
		}
		if m.count++; m.count > maxMovedCandidates {
			return config.Errorf(config.TooLarge, "", "", "the file holds more than %d candidates", maxMovedCandidates)
		}
		m.staged[at] = staged{c.Release.Version, c.Waiting, strategyDigest(c.Strategy)}
	}
	return nil
}

func strategyDigest(s config.Strategy) string { return digestOf(record.Encode(s)) }

// unclaimed finds a candidate whose launch did not come.
func (m *movedLaunches) unclaimed() error {
	for at := range m.staged {
		return config.Errorf(config.Invalid, "", at.path.String(), "it has a candidate of launch %q, which is not in the file, has ended, or is of other configs", clipText(at.launch))
	}
	return nil
}

// auditIDForm is how auditID writes ids, which those of launches are, too.
var auditIDForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (m *movedTenant) takeLaunch(l config.Launch) (string, error) {
	if _, err := m.at(config.Path{Tenant: l.Tenant}, config.LevelTenant); err != nil {
		return "", err
	}
	if _, timed := record.AuditTime(l.ID); !timed || !auditIDForm.MatchString(l.ID) {
		return "", config.Errorf(config.Invalid, "", "", "%q is no id of a launch", clipText(l.ID))
	}
	if err := m.soundLaunch(&l); err != nil {
		kind, why := plainly(err)
		return "", config.Errorf(kind, "", "", "launch %s: %w", l.ID, why)
	}
	return l.ID, nil
}

// soundLaunch checks a launch by itself and, if it has not ended, against the
// candidates that the rollouts hold.
func (m *movedTenant) soundLaunch(l *config.Launch) error {
	if len(l.Warnings) > 0 {
		return errors.New("it holds warnings, which are never stored")
	}
	if err := m.state(false, l.Revision); err != nil {
		return err
	}
	if what := contradiction(l); what != "" {
		return errors.New(what)
	}
	if err := l.Validate(); err != nil {
		return err
	}
	if err := m.center.checkComment("", "", l.Comment); err != nil {
		return err
	}
	if err := soundEvents(l.Events); err != nil {
		return err
	}
	if err := m.soundItems(l); err != nil || l.State.Ended() {
		return err
	}
	m.launches.salts[l.ID] = leastPath(l.Items)
	if l.State == config.LaunchScheduled && !l.BeginsAt.After(m.launches.now) {
		m.launches.late[l.ID] = true
	}
	strategy := strategyDigest(l.Strategy)
	for _, item := range l.Items {
		if err := m.bringsOut(l, item, strategy); err != nil {
			return err
		}
	}
	return nil
}

// contradiction says what a launch tells of itself that cannot all be so.
func contradiction(l *config.Launch) string {
	if !slices.Contains(config.LaunchStates(), l.State) {
		return `there is no state "` + clipText(string(l.State)) + `" of launches`
	}
	scheduled := l.State == config.LaunchScheduled
	switch {
	case l.StartedAt.IsZero():
		return "it does not say when it was started"
	case l.State.Ended() == l.EndedAt.IsZero():
		return "its state is " + string(l.State) + ", and when it ended says otherwise"
	case scheduled && l.BeginsAt.IsZero():
		return "it is scheduled and does not say for when"
	case scheduled && !l.BegunAt.IsZero():
		return "it is scheduled and has begun"
	case !scheduled && !l.State.Ended() && (l.BegunAt.IsZero() || l.StepAt.IsZero()):
		return "its state is " + string(l.State) + ", and it does not say when it began"
	case l.Held < 0 || l.Held > maxMovedHeld:
		return "how long its step had lasted (held_seconds) cannot be"
	}
	return ""
}

func soundEvents(events []config.LaunchEvent) error {
	if len(events) == 0 || len(events) > config.MaxLaunchEvents {
		return config.Errorf(config.Invalid, "", "", "its history has %d events; want 1 to %d", len(events), config.MaxLaunchEvents)
	}
	for i := range events {
		switch e := &events[i]; {
		case e.At.IsZero() || e.What == "" || len(e.What) > maxMovedWord:
			return config.Errorf(config.Invalid, "", "", "event %d of its history does not say what happened, or when", i)
		case e.Share < 0 || e.Share > config.FullShare:
			return config.Errorf(config.Invalid, "", "", "event %d of its history has the share %d, which cannot be", i, e.Share)
		case !isSlot(e.Slot):
			return config.Errorf(config.Invalid, "", "", "event %d of its history: there can be no slot %q", i, clipText(e.Slot))
		case len(e.Why) > maxMovedReason:
			return config.Errorf(config.TooLarge, "", "", "the reason in event %d of its history has %d bytes; at most %d are taken", i, len(e.Why), maxMovedReason)
		}
	}
	return nil
}

// isSlot reports whether s can be the name of a slot; none is good, too.
func isSlot(s string) bool {
	return s == "" || (config.Path{Tenant: "t", App: "a", Env: s}).Require(config.LevelEnv) == nil
}

// soundItems checks what the launch brings out: releases of configs that the file
// knows, each once.
func (m *movedTenant) soundItems(l *config.Launch) error {
	if len(l.Items) == 0 {
		return errors.New("it brings out no release")
	}
	seen := make(map[config.Path]bool, len(l.Items))
	for _, item := range l.Items {
		if err := item.Path.Require(config.LevelConfig); err != nil {
			kind, why := plainly(err)
			return config.Errorf(kind, "", "", "it brings out %q: %w", clipText(item.Path.String()), why)
		}
		c := m.configs[item.Path]
		switch {
		case item.Path.Tenant != m.name:
			return config.Errorf(config.Invalid, "", "", "it brings out %s, and the file is the export of tenant %s", item.Path, m.name)
		case seen[item.Path]:
			return config.Errorf(config.Invalid, "", "", "it brings out %s twice", item.Path)
		case c == nil || item.Version < 1 || item.Version > c.latest:
			return config.Errorf(config.Invalid, "", "", "it brings out release %d of %s, which there never was", item.Version, item.Path)
		}
		seen[item.Path] = true
	}
	return nil
}

// bringsOut checks that one item of a launch under way is a candidate of its
// config, just as the launch says.
func (m *movedTenant) bringsOut(l *config.Launch, item config.LaunchItem, strategy string) error {
	at := stagedAt{l.ID, item.Path}
	c, there := m.launches.staged[at]
	switch {
	case !there:
		return config.Errorf(config.Invalid, "", "", "it is %s and brings out %s, which has no candidate of it", l.State, item.Path)
	case c.version != item.Version:
		return config.Errorf(config.Invalid, "", "", "it brings out release %d of %s, and the candidate is release %d", item.Version, item.Path, c.version)
	case c.waiting != (l.State == config.LaunchScheduled):
		return config.Errorf(config.Invalid, "", "", "it is %s, and its candidate of %s says otherwise", l.State, item.Path)
	case c.strategy != strategy:
		return config.Errorf(config.Invalid, "", "", "its candidate of %s has another strategy", item.Path)
	}
	delete(m.launches.staged, at)
	if m.launches.late[l.ID] && item.Version < m.configs[item.Path].oldest {
		m.launches.orphans[item] = true
	}
	return nil
}

func leastPath(items []config.LaunchItem) string {
	least := ""
	for i, item := range items {
		if p := item.Path.String(); i == 0 || strings.Compare(p, least) < 0 {
			least = p
		}
	}
	return least
}

// salted gives a strategy that has shares and names no salt the one that it went
// by, before the path has another name: nobody changes sides because a tenant
// does.
func salted(s config.Strategy, salt string) config.Strategy {
	if shares := s.Kind == config.StrategyCanary || s.Kind == config.StrategyProgressive; shares && s.Salt == "" {
		s.Salt = salt
	}
	return s
}

// arrival is what becomes of launches as they are written.
type arrival struct {
	movedLaunches
	by       string
	exported time.Time
}

// rollout takes the candidates out of a rollout whose launches are called off. If
// the tenant gets another name, the others keep what their shares go by.
func (a *arrival) rollout(o config.Rollout, renamed bool) config.Rollout {
	o.Candidates = slices.DeleteFunc(o.Candidates, func(c config.Candidate) bool { return a.late[c.Launch] })
	for i := range o.Candidates {
		if c := &o.Candidates[i]; renamed {
			c.Strategy = salted(c.Strategy, a.salts[c.Launch])
		}
	}
	return o
}

// launch returns a launch as it is to be here.
func (a *arrival) launch(l config.Launch, renamed bool) config.Launch {
	if renamed && !l.State.Ended() {
		l.Strategy = salted(l.Strategy, a.salts[l.ID])
	}
	edit := launchEdit{next: l}
	e := edits{by: a.by, now: a.now}
	switch next := &edit.next; {
	case a.late[l.ID]:
		next.State, next.EndedAt, next.EndedBy = config.LaunchAborted, a.now, a.by
		e.event(&edit, string(config.LaunchAborted), whyTooLate)
	case l.State == config.LaunchRunning:
		next.State = config.LaunchPaused
		next.Held = config.Seconds(min(max(0, a.exported.Sub(l.StepAt).Seconds()), float64(maxMovedHeld)))
		e.event(&edit, string(config.LaunchPaused), whyImported)
	}
	return edit.next
}

func (r rename) launch(old config.Launch) config.Launch {
	if old.Tenant == r.from {
		old.Tenant = r.to
	}
	for i := range old.Items { // decoded for this alone
		old.Items[i].Path = r.path(old.Items[i].Path)
	}
	return old
}
