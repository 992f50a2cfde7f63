package center

import (
	"cmp"
	"context"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// driving is one act on a launch.
type driving struct {
	op, tenant, id string
	by             string // who acts; systemActor for what is due by a plan
	why            string // the comment, or the reason
	// forward acts give clients something new: no env may be frozen, and protected
	// ones want a comment. The system has looked at the freezes itself.
	forward, override bool
	expected          config.Token // what the caller saw; empty expects nothing
	revision          int64        // what the system saw; 0 expects nothing
	fence             store.Cond   // of the office that the system acts in
}

// drive changes a launch: act edits it, and what follows for its configs, as
// both are now. All of it, and the audit record, is one transaction. An act that
// changes nothing writes nothing.
func (c *Center) drive(ctx context.Context, d driving, act func(*edits, *launchEdit) error) (config.Launch, error) {
	giveBack, err := c.takeTurns(ctx, d)
	if err != nil {
		return config.Launch{}, located(d.op, d.tenant, err)
	}
	defer giveBack()
	var after config.Launch
	var unchanged int64 // where it was changed last, if the act changed nothing
	revision, err := c.commit(ctx, d.op, func(snap *view.Snapshot) (store.Txn, error) {
		e := c.edit(snap, d.by, c.now().UTC().Round(0))
		l := e.launch(d.tenant, d.id)
		if l == nil {
			return store.Txn{}, errNoLaunch(LaunchRef{Tenant: d.tenant, ID: d.id})
		}
		before := l.next
		if err := c.asSeen(d, l); err != nil {
			return store.Txn{}, err
		}
		if d.forward {
			if err := e.goForward(ctx, d, l); err != nil {
				return store.Txn{}, err
			}
		}
		if err := act(e, l); err != nil {
			return store.Txn{}, err
		}
		after, unchanged = l.next, 0
		if reflect.DeepEqual(after.Events, before.Events) { // whatever is done to a launch is one
			unchanged = l.seen
			return store.Txn{}, nil
		}
		after.Warnings = e.warnings(l)
		return e.recorded(ctx, d.begin(), c.driven(d, snap, e, &before, &after)), nil
	})
	if err != nil {
		return config.Launch{}, c.endedSince(ctx, d, err)
	}
	after.Revision = c.token(cmp.Or(unchanged, revision))
	return after, nil
}

// begin makes a transaction with the condition that the act stands under.
func (d *driving) begin() store.Txn {
	if d.fence.Key == "" {
		return store.Txn{}
	}
	return store.Txn{Conds: []store.Cond{d.fence}}
}

// takeTurns keeps publishers of the same configs on this node from getting in
// between.
func (c *Center) takeTurns(ctx context.Context, d driving) (giveBack func(), err error) {
	var paths []config.Path
	if l, ok := c.view.Snapshot().Launch(d.tenant, d.id); ok {
		for _, item := range l.Items {
			paths = append(paths, item.Path)
		}
	}
	return c.turns.take(ctx, paths)
}

// asSeen refuses an act on a launch that is not as it was when it was decided.
func (c *Center) asSeen(d driving, l *launchEdit) error {
	if d.revision != 0 && d.revision != l.seen {
		return config.Errorf(config.Conflict, "", "", "launch %s was changed meanwhile", d.id)
	}
	return c.expect(d.op, d.tenant, d.expected, l.seen)
}

// goForward refuses to give clients something new in an env that is frozen, or
// protected and without a comment. The envs become conditions as they were looked
// at: a freeze that was acknowledged before holds the act up.
func (e *edits) goForward(ctx context.Context, d driving, l *launchEdit) error {
	for _, path := range envsOf(&l.next) {
		env, ok := e.snap.Env(path)
		if !ok {
			continue
		}
		e.conds = append(e.conds, store.Cond{Key: record.Envs.Key(path.String()), Revision: env.ModRevision})
		if d.by == systemActor {
			continue
		}
		if env.Protected && d.why == "" {
			return errUncommented(path)
		}
		if err := e.center.thawed(ctx, d.op, env, d.override); err != nil {
			return err
		}
	}
	return nil
}

// envsOf returns the envs that a launch has configs in, each once.
func envsOf(l *config.Launch) []config.Path {
	var envs []config.Path
	seen := map[config.Path]bool{}
	for _, item := range l.Items {
		if env := item.Path.At(config.LevelEnv); !seen[env] {
			seen[env] = true
			envs = append(envs, env)
		}
	}
	return envs
}

// driven is the audit record of an act.
func (c *Center) driven(d driving, snap *view.Snapshot, e *edits, before, after *config.Launch) audit.Record {
	overridden := []string{}
	if d.override {
		for _, path := range envsOf(after) {
			if env, ok := snap.Env(path); ok {
				overridden = append(overridden, overriddenIn(env, e.now)...)
			}
		}
	}
	r := audit.Record{
		Action: d.op, Path: commonPath(after.Items), Time: e.now,
		Detail: detail(map[string]string{
			"launch": after.ID, "state": string(after.State), "configs": strconv.Itoa(len(after.Items)),
			"before": before.Strategy.String(), "strategy": after.Strategy.String(),
			"overridden_freeze": strings.Join(overridden, " "),
		}),
	}
	if d.by == systemActor {
		r.Actor = audit.Actor{Subject: systemActor}
		if d.why != "" {
			r.Detail["why"] = d.why
		}
		return r
	}
	r.Comment = d.why
	return r
}

// commonPath is the deepest scope that all configs of a launch are in.
func commonPath(items []config.LaunchItem) config.Path {
	if len(items) == 0 {
		return config.Path{}
	}
	path := items[0].Path
	for _, item := range items[1:] {
		for !path.Contains(item.Path) {
			path = path.Parent()
		}
	}
	return path
}

// endedSince says more of a launch that cannot be found among those under way.
func (c *Center) endedSince(ctx context.Context, d driving, err error) error {
	if config.KindOf(err) != config.NotFound {
		return err
	}
	l, _, loadErr := c.loadLaunch(ctx, d.tenant, d.id)
	if loadErr != nil || !l.State.Ended() || d.by != systemActor && !c.allows(auth.FromContext(ctx), auth.Read, &l) {
		return err
	}
	return config.Errorf(config.Conflict, d.op, commonPath(l.Items).String(), "launch %s has ended: %s by %s at %s",
		l.ID, l.State, l.EndedBy, l.EndedAt.Format(time.RFC3339))
}

// steer is drive for a caller: it takes the right to publish all configs of the
// launch. Who may not read them all is told that there is none.
func (c *Center) steer(ctx context.Context, op string, a LaunchAct, forward bool, act func(*edits, *launchEdit) error) (config.Launch, error) {
	id, err := c.authorizeLaunch(ctx, op, auth.Rollout, &a.LaunchRef)
	if err != nil {
		return config.Launch{}, err
	}
	if err := c.checkComment(op, a.Tenant, a.Comment); err != nil {
		return config.Launch{}, err
	}
	if l, ok := c.view.Snapshot().Launch(a.Tenant, a.ID); ok {
		if !c.allows(id, auth.Read, &l.Launch) {
			return config.Launch{}, located(op, "", errNoLaunch(a.LaunchRef))
		}
		for _, item := range l.Items {
			if _, err := c.authorize(ctx, op, auth.Rollout, item.Path); err != nil {
				return config.Launch{}, err
			}
		}
	}
	return c.drive(ctx, driving{
		op: op, tenant: a.Tenant, id: a.ID, by: id.Subject, why: a.Comment,
		forward: forward, override: a.OverrideFreeze, expected: a.Expected,
	}, func(e *edits, l *launchEdit) error {
		// It may have come to this node since, with configs that were not looked at.
		if !c.allows(id, auth.Rollout, &l.next) {
			return errNoLaunch(a.LaunchRef)
		}
		return act(e, l)
	})
}

// overriddenIn names the freeze that is on in an env, as the audit keeps it; none
// if there is none.
func overriddenIn(env *view.Env, now time.Time) []string {
	if f, _, frozen := env.Frozen(now); frozen {
		return []string{env.Path().String() + ":" + f.Name}
	}
	return nil
}
