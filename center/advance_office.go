package center

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

const (
	launchesOffice = "launches"
	// launchPause is the shortest time between two looks at all launches, so that a
	// storm of writes does not become one of looks.
	launchPause = 100 * time.Millisecond
	// launchRest is the longest: timers do not notice a clock that is set.
	launchRest = 30 * time.Second
	// actsAtOnce bounds the acts, and the questions to the cluster, that are under
	// way at a time.
	actsAtOnce = 8
	// An act that failed is tried again after a pause that grows with each failure.
	actPause     = time.Second
	actLongPause = time.Minute
)

// errUnseated says that another node holds the office by now.
var errUnseated = errors.New("another node holds the office")

// pilot is one term of driving launches: it begins those that are scheduled, ends
// the steps of progressive ones, calls off what its gate refuses or nobody ended
// in time, and forgets what ended long ago. It remembers nothing that matters:
// whoever holds the office next comes to the same decisions. What keeps a step
// from being taken twice is that each act is on the condition of the launch's
// revision and the term's fence.
type pilot struct {
	center  *Center
	fence   store.Cond
	courses map[string]*course   // by tenant and id
	silent  map[string]time.Time // nodes that do not answer, since when
	asked   time.Time            // when the last round of questions was begun
	sweep   sweep
}

// course is what the pilot knows of one launch.
type course struct {
	launch   *view.Launch
	envs     int64     // the newest revision of its envs, when they were looked at
	reported *reported // nil as long as it is not known
	asked    time.Time // when that was last asked for
	wanting  time.Time // since when nothing but reports is missing
	look     time.Time // when the clock alone may change what becomes of it; zero never
	failures int       // in a row
	retry    time.Time // not to be acted on before
	next     decision  // what is due
}

// driveLaunches is the work of the launches' office.
func (c *Center) driveLaunches(ctx context.Context, term store.Term) error {
	p := &pilot{center: c, fence: term.Fence(), courses: map[string]*course{}, silent: map[string]time.Time{}}
	hurry := false // something was reported
	for {
		snap := c.view.Snapshot()
		p.follow(snap)
		p.ask(ctx, hurry)
		if err := p.act(ctx, p.decide(snap)); err != nil {
			return err
		}
		if err := p.forget(ctx); err != nil {
			return err
		}
		var err error
		if hurry, err = p.rest(ctx, snap.Revision); err != nil {
			return err
		}
	}
}

// follow brings the courses in line with the launches that have not ended. What
// was known of one that has changed is void.
func (p *pilot) follow(snap *view.Snapshot) {
	there := make(map[string]*course, len(p.courses))
	for l := range snap.Launches("") {
		key := l.Tenant + "/" + l.ID
		if there[key] = p.courses[key]; there[key] == nil || there[key].launch.ModRevision != l.ModRevision {
			there[key] = &course{launch: l}
		}
	}
	p.courses = there
}

// decide finds the launches that something is to become of now.
func (p *pilot) decide(snap *view.Snapshot) (due []*course) {
	now := p.center.now()
	freezes := map[config.Path]*freezing{}
	for _, course := range p.courses {
		if now.Before(course.retry) {
			continue
		}
		envs := revisionOf(snap, course.launch)
		if course.envs == envs && !course.gated() && (course.look.IsZero() || now.Before(course.look)) {
			continue // nothing can have changed
		}
		course.envs = envs
		o := &outlook{
			launch: &course.launch.Launch, now: now, reported: course.reported,
			silence: p.silence(course.launch, now), wanting: course.wanting,
		}
		for _, path := range envsOf(&course.launch.Launch) {
			if f := freezingOf(snap, path, now, freezes); f.until.After(o.frozen) {
				o.frozen, o.frozenBy = f.until, f.text
			}
		}
		course.next = decide(o)
		course.look = course.next.until
		switch {
		case !course.next.wanting:
			course.wanting = time.Time{}
		case course.wanting.IsZero():
			course.wanting = now
		}
		switch {
		case course.next.verdict == verdictWait:
		case course.next.forward() && course.gated() && !p.fresh(course, now):
			course.asked, course.look = time.Time{}, now
		default:
			due = append(due, course)
		}
	}
	slices.SortFunc(due, func(a, b *course) int { return cmp.Compare(a.launch.ID, b.launch.ID) })
	return due
}

// freezing is until when an env is frozen, and the words for it.
type freezing struct {
	until time.Time
	text  string
}

// freezingOf tells whether an env is frozen; each is looked at once for all
// launches.
func freezingOf(snap *view.Snapshot, path config.Path, now time.Time, known map[config.Path]*freezing) *freezing {
	if f := known[path]; f != nil {
		return f
	}
	f := &freezing{}
	if env, ok := snap.Env(path); ok {
		if freeze, until, frozen := env.Frozen(now); frozen {
			f.until, f.text = until, frozenText(path, freeze, until)
		}
	}
	known[path] = f
	return f
}

// revisionOf is the newest revision of a launch's envs; it grows with every
// change to one of them.
func revisionOf(snap *view.Snapshot, l *view.Launch) (newest int64) {
	newest = 1
	for _, item := range l.Items {
		if env, ok := snap.Env(item.Path.At(config.LevelEnv)); ok {
			newest = max(newest, env.ModRevision)
		}
	}
	return newest
}

// act does what is due, several launches at a time.
func (p *pilot) act(ctx context.Context, due []*course) error {
	failed := make([]error, len(due))
	atOnce(due, func(i int) { failed[i] = p.center.fly(ctx, p.fence, due[i]) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := p.center.now()
	var errs []error
	late := false // somebody was faster
	for i, course := range due {
		if failed[i] == nil {
			continue
		}
		course.failures++
		course.retry = now.Add(min(actLongPause, actPause<<min(course.failures-1, 10)))
		course.look = course.retry
		if kind := config.KindOf(failed[i]); kind == config.Conflict || kind == config.NotFound {
			late = true
		} else {
			errs = append(errs, failed[i])
		}
	}
	if len(errs) > 0 {
		p.center.log.WarnContext(ctx, "launches cannot be driven; trying again", "launches", len(errs), "error", errs[0])
	}
	if late {
		return p.seated(ctx)
	}
	return nil
}

// atOnce calls do for each of the courses, for a few at a time.
func atOnce(courses []*course, do func(int)) {
	var doing sync.WaitGroup
	room := make(chan struct{}, actsAtOnce)
	for i := range courses {
		room <- struct{}{}
		doing.Go(func() {
			defer func() { <-room }()
			do(i)
		})
	}
	doing.Wait()
}

// seated finds out whether the office is still this node's, when acts failed:
// those of a node that has lost it fail as if others had been faster with each.
func (p *pilot) seated(ctx context.Context) error {
	page, err := p.center.store.Range(ctx, store.Query{Key: p.fence.Key, KeysOnly: true})
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 || page.Entries[0].Revision != p.fence.Revision {
		return errUnseated
	}
	return nil
}

// fly carries out a decision. Whatever it rests on is looked at again in the
// picture that the change is built from.
func (c *Center) fly(ctx context.Context, fence store.Cond, course *course) error {
	l, next := course.launch, course.next
	d := driving{
		op: next.verdict.op(), tenant: l.Tenant, id: l.ID, by: systemActor, why: next.why,
		forward: next.forward(), revision: l.ModRevision, fence: fence,
	}
	_, err := c.drive(ctx, d, func(e *edits, l *launchEdit) error {
		if d.forward {
			known := map[config.Path]*freezing{}
			for _, path := range envsOf(&l.next) {
				if f := freezingOf(e.snap, path, e.now, known); !f.until.IsZero() {
					return config.Errorf(config.Conflict, "", path.String(), "%s", f.text)
				}
			}
		}
		switch next.verdict {
		case verdictBegin:
			e.begin(l, "begun", next.why)
		case verdictAdvance, verdictPromote:
			return e.advance(l, next.why)
		case verdictFallBack:
			e.end(l, config.LaunchFellBack, next.why)
		case verdictExpire:
			e.end(l, config.LaunchExpired, next.why)
		case verdictWait:
		}
		return nil
	})
	return err
}

// rest waits for what comes first: a change of the picture, the time of a launch
// or, if a gate wants to know, a report.
func (p *pilot) rest(ctx context.Context, seen int64) (reported bool, err error) {
	pause := time.NewTimer(launchPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	waiting, cancel := context.WithTimeout(ctx, p.idle())
	defer cancel()
	var listening sync.WaitGroup
	if p.asks() > 0 {
		listening.Go(func() {
			select {
			case <-p.center.instances.reported():
				reported = true
				cancel()
			case <-waiting.Done():
			}
		})
	}
	err = p.center.view.WaitFor(waiting, seen+1)
	cancel()
	listening.Wait()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil && waiting.Err() == nil {
		return false, err // the view has stopped
	}
	return reported, nil
}

// idle is how long nothing can happen by the clock alone.
func (p *pilot) idle() time.Duration {
	now := p.center.now()
	next := earliest(now.Add(launchRest), p.sweep.next)
	interval := p.interval()
	for _, course := range p.courses {
		at := course.look
		if course.gated() {
			at = earliest(at, course.asked.Add(interval))
		}
		next = earliest(next, at)
	}
	return max(0, next.Sub(now))
}
