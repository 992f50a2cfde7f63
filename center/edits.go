package center

import (
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// systemActor is who acts where nobody asked: what is due by a plan.
const systemActor = "system"

// edits are the rollouts and launches that one transaction changes: each is
// there once, however many reasons there are to change it. They decide nothing
// about rights, freezes or who may be in whose way.
type edits struct {
	center   *Center
	snap     *view.Snapshot
	by       string
	now      time.Time
	rollouts []*rolloutEdit               // as they were first touched
	index    map[config.Path]*rolloutEdit // of rollouts; nil while they are few
	launches []*launchEdit                // likewise
	conds    []store.Cond                 // of more than the rollouts and launches
	ended    []string                     // the launches that were put an end to, but for promoted ones
}

// rolloutEdit is a rollout as it is to be.
type rolloutEdit struct {
	seen    *view.Config // what it is made of; zero if there is none yet
	next    config.Rollout
	changed bool
	purged  bool // its releases are dropped elsewhere
}

// launchEdit is a launch as it is to be.
type launchEdit struct {
	seen int64 // the revision that it is made of; 0 for a new one
	next config.Launch
}

func (c *Center) edit(snap *view.Snapshot, by string, now time.Time) *edits {
	return &edits{center: c, snap: snap, by: by, now: now}
}

// rollout returns that of a config, for changing it.
func (e *edits) rollout(path config.Path) *rolloutEdit {
	r := e.look(path)
	r.changed = true
	return r
}

// look returns the rollout of a config as it is to be, so far.
func (e *edits) look(path config.Path) *rolloutEdit {
	if r := e.touched(path); r != nil {
		return r
	}
	r := &rolloutEdit{}
	if r.seen, _ = e.snap.Config(path); r.seen == nil {
		r.seen = &view.Config{}
	}
	r.next = r.seen.Rollout
	r.next.Path = path
	r.next.Candidates = slices.Clone(r.next.Candidates)
	e.rollouts = append(e.rollouts, r)
	if e.index != nil {
		e.index[path] = r
	}
	return r
}

// fewRollouts are found sooner by looking at each than in a map, and a publish
// nearly always has but one.
const fewRollouts = 8

// touched returns the rollout of a config that was looked at before.
func (e *edits) touched(path config.Path) *rolloutEdit {
	if e.index != nil {
		return e.index[path]
	}
	for _, r := range e.rollouts {
		if r.next.Path == path {
			return r
		}
	}
	if len(e.rollouts) >= fewRollouts {
		e.index = make(map[config.Path]*rolloutEdit, 2*fewRollouts)
		for _, r := range e.rollouts {
			e.index[r.next.Path] = r
		}
	}
	return nil
}

// launch returns one that has not ended, for changing it; nil if there is none.
func (e *edits) launch(tenant, id string) *launchEdit {
	for _, l := range e.launches {
		if l.next.ID == id {
			return l
		}
	}
	seen, ok := e.snap.Launch(tenant, id)
	if !ok {
		return nil
	}
	l := &launchEdit{seen: seen.ModRevision, next: seen.Launch}
	l.next.Events = slices.Clone(l.next.Events)
	e.add(l)
	return l
}

func (e *edits) add(l *launchEdit) { e.launches = append(e.launches, l) }

// into adds the conditions and writes of all edits to a transaction.
func (e *edits) into(txn *store.Txn) {
	txn.Conds = append(txn.Conds, e.conds...)
	for _, r := range e.rollouts {
		if !r.changed {
			continue
		}
		if !r.purged {
			e.center.retire(txn, &r.seen.Rollout, &r.next)
		}
		key := record.Rollouts.Key(r.next.Path.String())
		txn.Conds = append(txn.Conds, store.Cond{Key: key, Revision: r.seen.RolloutRevision})
		txn.Writes = append(txn.Writes, store.Write{Key: key, Value: record.Encode(r.next)})
	}
	for _, l := range e.launches {
		key := record.LaunchKey(l.next.Tenant, l.next.ID)
		txn.Conds = append(txn.Conds, store.Cond{Key: key, Revision: l.seen})
		txn.Writes = append(txn.Writes, store.Write{Key: key, Value: record.Encode(l.next)})
	}
}

// retireAtOnce bounds how many releases one commit drops, for when the number
// kept is lowered; the next publishes drop the rest.
const retireAtOnce = 100

// retire drops the releases that fall out of the number kept, and those past it
// that only the rollout before this one used, in the same commit.
func (c *Center) retire(txn *store.Txn, before, next *config.Rollout) {
	next.Oldest = max(before.Oldest, 1)
	if kept := next.Latest - int64(c.limits.KeepReleases) + 1; kept > next.Oldest {
		next.Oldest = min(kept, next.Oldest+retireAtOnce)
	}
	drop := func(v int64) {
		if !next.InUse(v) {
			txn.Writes = append(txn.Writes,
				store.Write{Key: record.ReleaseKey(next.Path, v), Delete: true},
				store.Write{Key: record.ContentKey(next.Path, v), Delete: true})
		}
	}
	for v := max(before.Oldest, 1); v < next.Oldest; v++ {
		drop(v)
	}
	for v := range before.Served() {
		if v.Version < before.Oldest {
			drop(v.Version)
		}
	}
}

// stabilize makes a release the one that all get whom no candidate claims.
func (r *rolloutEdit) stabilize(release *config.Release) {
	if r.next.Stable != nil {
		r.next.Previous = r.next.Stable.Version
	}
	r.next.Stable = release
}

// event writes down what happens to a launch. When the history is full the
// oldest but the first is forgotten.
func (e *edits) event(l *launchEdit, what, why string) {
	event := config.LaunchEvent{At: e.now, By: e.by, What: what, Why: why}
	switch s := &l.next.Strategy; {
	case s.Kind == config.StrategyProgressive:
		event.Share = s.Steps[s.Step].Share
	case s.Kind == config.StrategyBlueGreen:
		event.Slot = s.Slots.Active
	case s.Kind == config.StrategyCanary && s.Rule != nil && s.Rule.Share != nil:
		event.Share = *s.Rule.Share
	}
	if len(l.next.Events) >= config.MaxLaunchEvents {
		l.next.Events = slices.Delete(l.next.Events, 1, 2)
	}
	l.next.Events = append(l.next.Events, event)
}

// restrategize gives the candidates of a launch another strategy, and starts its
// step anew. The rollouts are checked as they are then.
func (e *edits) restrategize(l *launchEdit, s config.Strategy) error {
	l.next.Strategy = s
	l.next.Held = 0
	if l.next.State != config.LaunchScheduled {
		l.next.StepAt = e.now
	}
	for _, item := range l.next.Items {
		r := e.rollout(item.Path)
		if i := r.next.Launched(l.next.ID); i >= 0 {
			r.next.Candidates[i].Strategy = s
		}
		if err := r.next.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// begin lets a launch claim whom it claims.
func (e *edits) begin(l *launchEdit, what, why string) {
	l.next.State, l.next.StepAt, l.next.BegunAt = config.LaunchRunning, e.now, e.now
	l.expire(l.next.ExpiresAfter)
	for _, item := range l.next.Items {
		r := e.rollout(item.Path)
		if i := r.next.Launched(l.next.ID); i >= 0 {
			r.next.Candidates[i].Waiting = false
		}
	}
	if e.event(l, what, why); l.next.Strategy.Kind == config.StrategyAll {
		e.promote(l, "")
	}
}

// expire sets when a launch expires, counted from when it began.
func (l *launchEdit) expire(after config.Seconds) {
	l.next.ExpiresAfter, l.next.ExpiresAt = after, time.Time{}
	if after > 0 && !l.next.BegunAt.IsZero() {
		l.next.ExpiresAt = l.next.BegunAt.Add(time.Duration(float64(after) * float64(time.Second)))
	}
}

// advance takes a progressive launch to its next step, or to its end after the
// last one.
func (e *edits) advance(l *launchEdit, why string) error {
	s := l.next.Strategy
	if s.Step+1 >= len(s.Steps) {
		e.promote(l, why)
		return nil
	}
	s.Step++
	if err := e.restrategize(l, s); err != nil {
		return err
	}
	e.event(l, "advanced", why)
	return nil
}

// promote makes the releases of a launch the stable ones.
func (e *edits) promote(l *launchEdit, why string) { e.end(l, config.LaunchPromoted, why) }

// end takes the candidates of a launch out of the rollouts. Those of a promoted
// one become stable, for all its configs at once.
func (e *edits) end(l *launchEdit, state config.LaunchState, why string) {
	for _, item := range l.next.Items {
		r := e.rollout(item.Path)
		i := r.next.Launched(l.next.ID)
		if i < 0 {
			continue
		}
		candidate := r.next.Candidates[i]
		r.next.Candidates = slices.Delete(r.next.Candidates, i, i+1)
		if state != config.LaunchPromoted {
			continue
		}
		r.stabilize(&candidate.Release)
		if slots := candidate.Strategy.Slots; slots != nil {
			r.next.Slot = slots.Candidate
		}
	}
	e.event(l, string(state), why)
	l.next.State, l.next.EndedAt, l.next.EndedBy = state, e.now, e.by
	if state != config.LaunchPromoted {
		e.ended = append(e.ended, l.next.ID)
	}
}

// endAll ends every launch of a config, with all the configs that they hold.
func (e *edits) endAll(path config.Path, state config.LaunchState, why string) {
	r := e.look(path)
	for len(r.next.Candidates) > 0 {
		l := e.launch(path.Tenant, r.next.Candidates[0].Launch)
		if l == nil { // nothing drives it any more; it must not stay for ever
			r.next.Candidates = slices.Delete(r.next.Candidates, 0, 1)
			continue
		}
		e.end(l, state, why)
		if i := r.next.Launched(l.next.ID); i >= 0 {
			r.next.Candidates = slices.Delete(r.next.Candidates, i, i+1)
		}
	}
}
