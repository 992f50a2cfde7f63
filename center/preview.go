package center

import (
	"cmp"
	"context"
	"slices"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// PreviewRequest asks who would be served what, if a launch of the configs were
// started with the options or, with Change, if a launch were changed that is
// under way.
type PreviewRequest struct {
	PageRequest
	// Paths are the configs of a new launch, all of one tenant.
	Paths []config.Path
	ReleaseOptions
	Change *PreviewChange
}

// PreviewChange is what would be done to a launch: first it is adjusted, if there
// is a Strategy or a Share, then changed. With neither it is previewed as it is.
type PreviewChange struct {
	LaunchRef
	Strategy *config.Strategy
	Share    *config.Share
	Change   config.LaunchChange
}

// Preview tells which of the instances that are there, on whatever node, would be
// served what. It goes by what starting or changing the launch really does, and
// by what really serves, so that it comes out like that as long as nothing else
// changes meanwhile. What would be refused as invalid is among the problems of
// the answer; what would be a conflict is one here too. An instance is there
// while a watch of it is open, and for a minute after each other sign of it.
func (c *Center) Preview(ctx context.Context, r PreviewRequest) (config.Preview, error) {
	const op = "rollout.preview"
	var o *prospect
	var err error
	if r.Change != nil {
		o, err = c.previewChange(ctx, op, *r.Change)
	} else {
		o, err = c.previewStart(ctx, op, r)
	}
	if err != nil {
		return config.Preview{}, located(op, "", err)
	}
	answer := config.Preview{
		Revision: c.token(o.edits.snap.Revision), Launch: o.id, Strategy: o.strategy, Ended: o.edits.ended,
		Problems: o.problems, Configs: []config.PreviewCount{}, Page: config.Page[config.PreviewInstance]{Items: []config.PreviewInstance{}},
	}
	if !o.refused() {
		if err := c.foresee(ctx, o, r.PageRequest, &answer); err != nil {
			return config.Preview{}, located(op, "", err)
		}
	}
	slices.SortStableFunc(answer.Problems, func(a, b config.Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	return answer, nil
}

// prospect is what there would be.
type prospect struct {
	edits    *edits
	id       string // of a launch that is under way
	strategy config.Strategy
	choices  []choice
	ended    bool // the launch would be
	problems []config.Problem
}

// choice is one config of the launch, as it is and as it would be.
type choice struct {
	path      config.Path
	version   int64 // that the launch brings
	now, then config.Rollout
}

func (o *prospect) refused() bool {
	return slices.ContainsFunc(o.problems, func(p config.Problem) bool { return p.Severity == config.SeverityError })
}

// settle takes what came of the edits to a launch. What is invalid is a problem;
// any other error stays one.
func (o *prospect) settle(l *launchEdit, err error) error {
	o.strategy, o.ended = l.next.Strategy, l.next.State.Ended()
	if err != nil {
		if config.KindOf(err) != config.Invalid {
			return err
		}
		e := config.AsError(err)
		if o.problems = append(o.problems, e.Problems...); len(e.Problems) == 0 {
			o.problems = append(o.problems, config.Problem{Path: e.Path, Severity: config.SeverityError, Message: e.Detail()})
		}
		return nil
	}
	o.problems = append(o.problems, o.edits.warnings(l)...)
	for _, item := range l.next.Items {
		r := o.edits.look(item.Path)
		one := choice{path: item.Path, version: item.Version, now: r.seen.Rollout, then: r.next}
		one.now.Path = item.Path
		o.choices = append(o.choices, one)
	}
	return nil
}

// previewStart finds out what starting a launch would do.
func (c *Center) previewStart(ctx context.Context, op string, r PreviewRequest) (*prospect, error) {
	for _, path := range r.Paths {
		if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
			return nil, err
		}
	}
	id, err := c.authenticated(ctx, op) // no paths are anybody's
	if err != nil {
		return nil, err
	}
	snap := c.view.Snapshot()
	o := &prospect{problems: []config.Problem{}, edits: c.edit(snap, id.Subject, c.now().UTC())}
	if err := c.checkPaths(snap, o, r.Paths); err != nil {
		return nil, err
	}
	p := Publish{Tenant: r.Paths[0].Tenant, ReleaseOptions: r.ReleaseOptions}
	for _, path := range r.Paths {
		p.Items = append(p.Items, PublishItem{Path: path})
	}
	if !p.launches() {
		return nil, config.Errorf(config.Invalid, "", "", "a release without a launch is for everybody; say by what strategy it is to be launched")
	}
	const provisional = "preview" // no change set has such an id
	b := changeSetBuilder{
		center: c, snap: snap, op: op, publish: &p, edits: o.edits, envs: map[config.Path]int{},
		set: config.ChangeSet{ID: provisional, Tenant: p.Tenant, Author: id.Subject, Time: o.edits.now},
	}
	b.launch = newLaunch(&b.set, &p)
	err = c.checkOptions(&p)
	if err == nil {
		err = b.launchAll(r.Paths)
	}
	return o, o.settle(b.launch, err)
}

// launchAll builds the launch of the next releases of configs, as it is when it
// has begun.
func (b *changeSetBuilder) launchAll(paths []config.Path) error {
	for _, path := range paths {
		edit := b.edits.look(path)
		if err := b.meet(path, edit); err != nil {
			return located("", path.String(), err)
		}
		next := &b.edits.rollout(path).next
		next.Latest++
		b.stage(edit, config.Release{Path: path, Version: next.Latest, ChangeSet: b.set.ID})
	}
	if err := b.begun(); err != nil {
		return err
	}
	if b.launch.next.State == config.LaunchScheduled {
		b.edits.begin(b.launch, "begun", "")
	}
	return nil
}

// checkPaths refuses configs that cannot be launched together, and notes which
// envs are frozen.
func (c *Center) checkPaths(snap *view.Snapshot, o *prospect, paths []config.Path) error {
	if n := len(paths); n == 0 || n > config.MaxLaunchItems {
		return config.Errorf(config.Invalid, "", "", "there are %d configs; want 1 to %d", n, config.MaxLaunchItems)
	}
	seen, envs := map[config.Path]bool{}, map[config.Path]bool{}
	for _, path := range paths {
		if err := path.Require(config.LevelConfig); err != nil {
			return located("", path.String(), err)
		}
		switch {
		case path.Tenant != paths[0].Tenant:
			return config.Errorf(config.Invalid, "", path.String(), "the launch is of tenant %q; it cannot hold another tenant's config", paths[0].Tenant)
		case seen[path]:
			return config.Errorf(config.Invalid, "", path.String(), "the launch names this config twice")
		}
		seen[path] = true
		at := path.At(config.LevelEnv)
		if envs[at] {
			continue
		}
		envs[at] = true
		env, ok := snap.Env(at)
		if !ok {
			return errNoScope("", at)
		}
		if freeze, until, frozen := env.Frozen(c.now()); frozen {
			o.problems = append(o.problems, config.Problem{Path: at.String(), Severity: config.SeverityWarning, Message: frozenText(at, freeze, until)})
		}
	}
	return nil
}

// previewChange finds out what a change of a launch would do.
func (c *Center) previewChange(ctx context.Context, op string, r PreviewChange) (*prospect, error) {
	id, err := c.authorizeLaunch(ctx, op, auth.Read, &r.LaunchRef)
	if err != nil {
		return nil, err
	}
	snap := c.view.Snapshot()
	o := &prospect{problems: []config.Problem{}, edits: c.edit(snap, id.Subject, c.now().UTC()), id: r.ID}
	l := o.edits.launch(r.Tenant, r.ID)
	if l == nil || !c.allows(id, auth.Read, &l.next) {
		return nil, config.Errorf(config.NotFound, "", r.scope().String(), "no launch %q is under way", clipText(r.ID))
	}
	return o, o.settle(l, o.edits.change(l, r))
}

// change does to a launch what a preview asks for.
func (e *edits) change(l *launchEdit, r PreviewChange) error {
	if r.Strategy != nil || r.Share != nil {
		if err := e.adjust(l, &AdjustLaunch{Strategy: r.Strategy, Share: r.Share}); err != nil {
			return err
		}
	}
	switch r.Change {
	case config.ChangeNone:
		if l.next.State == config.LaunchScheduled {
			e.begin(l, "begun", "")
		}
		return nil
	case config.ChangeAdvance:
		return e.step(l, "")
	case config.ChangeSwitch:
		s := l.next.Strategy
		if s.Slots == nil || l.next.State == config.LaunchScheduled {
			return config.Errorf(config.Conflict, "", "", "launch %s (%s, %s) has no slots to switch between", l.next.ID, s, l.next.State)
		}
		slots := *s.Slots
		s.Slots = &slots
		slots.Active = otherSlot(&slots)
		return e.restrategize(l, s)
	case config.ChangePromote:
		e.promote(l, "")
		return nil
	case config.ChangeAbort:
		e.end(l, config.LaunchAborted, "")
		return nil
	}
	return config.Errorf(config.Invalid, "", "", "change %q: use advance, switch, promote or abort, or leave it out", clipText(string(r.Change)))
}
