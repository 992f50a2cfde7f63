package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// verdict is what became of what a group is to be.
type verdict string

const (
	waiting  verdict = "waiting"  // nothing was tried yet
	applied  verdict = "applied"  // in force
	retrying verdict = "retrying" // it failed, and will be tried again
	refused  verdict = "refused"  // it will not be tried again by itself
)

// group is a group with what became of it.
type group struct {
	*groupPlan
	kit

	verdict  verdict
	key      string                // of what the verdict is about
	versions map[config.Path]int64 // likewise
	why      error                 // unless applied
	attempts int                   // that failed
	next     time.Time             // when retrying
	since    time.Time             // of the verdict
	// pending says that the commands are to run even if the files are as they
	// should be: whether the program knows of them is not sure.
	pending bool
}

// kit is what groups share.
type kit struct {
	run    runner
	home   journal
	getenv func(string) string
	retry  Retry
	jitter func(time.Duration) time.Duration
	log    *slog.Logger
}

// journal remembers a swap over a crash, or until it could be undone.
type journal interface {
	begin(*swap) error
	end() error
	recover() (places []string, err error)
}

// desired is what a group is to be.
type desired struct {
	files    []*rendering
	versions map[config.Path]int64 // of all configs that it is made of
	key      string                // equal if all of it is
	err      error                 // why it cannot be: a config is missing, a template fails
}

// render works out what the group is to be with what is served.
func (g *group) render(served map[config.Path]client.Config) desired {
	d := desired{versions: map[config.Path]int64{}}
	for path, c := range served {
		if slices.ContainsFunc(g.patterns, func(p config.Pattern) bool { return p.Match(path) }) {
			d.versions[path] = c.Version
		}
	}
	k := &kitchen{served: served, patterns: g.patterns, getenv: g.getenv}
	for _, t := range g.targets {
		r := &rendering{target: t}
		if t.template != nil {
			var err error
			if r.content, err = t.template.execute(k); err != nil {
				d.err = errors.Join(d.err, fmt.Errorf("%s: %w", t.To, err))
			}
		} else if c, ok := served[t.config]; ok {
			r.content = c.Content
		} else {
			r.absent, r.keep = t.RemoveWhenDeleted, !t.RemoveWhenDeleted
		}
		d.files = append(d.files, r)
	}
	d.key = d.digest()
	return d
}

func (d *desired) digest() string {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	for _, path := range sortedPaths(d.versions) {
		fmt.Fprintf(h, "%s\x00", path)
		number(d.versions[path])
	}
	for _, r := range d.files {
		fmt.Fprintf(h, "%t %t ", r.absent, r.keep)
		number(int64(len(r.content)))
		h.Write(r.content)
	}
	return string(h.Sum(nil))
}

// step brings the group to what it is to be, if that has changed or an attempt is
// due. force tries what was refused again, and looks at the files again.
func (g *group) step(ctx context.Context, d desired, now time.Time, force bool) {
	fresh := d.key != g.key
	switch {
	case fresh || force:
		g.attempts = 0
	case g.verdict == retrying && !now.Before(g.next):
	default:
		return
	}
	g.key, g.versions = d.key, d.versions
	if d.err != nil {
		g.refuse(d.err, now)
		return
	}
	wrote, err := g.apply(ctx, d.files)
	switch {
	case err == nil:
		g.settle(applied, nil, now)
		g.log.Info("applied", "group", g.Name, "written", wrote, "versions", versionsText(d.versions))
	case ctx.Err() != nil: // interrupted: nothing was learned of these files
		g.settle(retrying, err, now)
		g.next = now
	default:
		g.failed(err, now)
	}
}

// failed notes that an attempt failed, and when the next is due, if any.
func (g *group) failed(err error, now time.Time) {
	g.attempts++
	if g.attempts >= g.retry.Attempts {
		g.refuse(err, now)
		return
	}
	wait := min(g.retry.First<<min(g.attempts-1, 30), g.retry.Most)
	if wait <= 0 {
		wait = g.retry.Most
	}
	g.settle(retrying, err, now)
	g.next = now.Add(g.jitter(time.Duration(wait)))
	g.log.Warn("could not apply; what was there before is in place", "group", g.Name, "attempt", g.attempts, "again_in", g.next.Sub(now).Round(time.Millisecond), "error", err)
}

func (g *group) refuse(err error, now time.Time) {
	g.settle(refused, err, now)
	g.log.Error("refused; what was there before is in place", "group", g.Name, "attempts", g.attempts, "versions", versionsText(g.versions), "error", err)
}

func (g *group) settle(v verdict, why error, now time.Time) {
	g.verdict, g.why, g.since = v, why, now
}

// apply puts files in place, checks them and makes them known, in that order. On
// an error all is as it was before. It reports how many files it wrote.
func (g *group) apply(ctx context.Context, files []*rendering) (int, error) {
	if _, err := g.home.recover(); err != nil {
		return 0, fmt.Errorf("a swap before this one could not be undone: %w", err)
	}
	var changed []*rendering
	for _, r := range files {
		same, err := r.inPlace()
		if err != nil {
			return 0, err
		}
		if !same {
			changed = append(changed, r)
		}
	}
	if len(changed) == 0 && !g.pending {
		return 0, nil
	}
	s, err := stage(changed)
	if err != nil {
		return 0, err
	}
	if err := g.command(ctx, "check_new", g.CheckNew, files, s); err != nil {
		s.discard()
		return 0, err
	}
	return len(changed), g.swap(ctx, files, s)
}

// swap has the new files take their places, for good if the commands like them.
func (g *group) swap(ctx context.Context, files []*rendering, s *swap) error {
	err := s.take(g.home.begin)
	if err != nil {
		return g.restore(s, err)
	}
	if err := g.command(ctx, "check", g.Check, files, &swap{}); err != nil {
		return g.restore(s, err)
	}
	// Half a reload is worse than a late end: it is not interrupted.
	calm := context.WithoutCancel(ctx)
	if err := g.command(calm, "reload", g.Reload, files, &swap{}); err != nil {
		err = g.restore(s, err)
		// The program may run with the new files, in whole or in part.
		g.pending = true
		if again := g.command(calm, "reload", g.Reload, files, &swap{}); again != nil {
			g.log.Error("reload failed with the files of before, too", "group", g.Name, "error", again)
			return err
		}
		g.pending = false
		return err
	}
	if err := g.home.end(); err != nil {
		g.pending = true
		return g.restore(s, err)
	}
	g.pending = false
	s.discard()
	return nil
}

// restore undoes a swap because of an error, which it returns.
func (g *group) restore(s *swap, why error) error {
	if err := s.undo(); err != nil {
		g.pending = true
		// The journal stays: the agent that starts next tries again.
		return errors.Join(why, fmt.Errorf("the files of before could not be put back: %w", err))
	}
	return errors.Join(why, g.home.end())
}

// command runs one of the group's commands, if it has it.
func (g *group) command(ctx context.Context, which string, c Command, files []*rendering, s *swap) error {
	if c.empty() {
		return nil
	}
	env := append(environment(g.getenv, g.PassEnv), fileVariables(files, s)...)
	if err := g.run(ctx, invocation{Command: c, env: env, timeout: time.Duration(g.Timeout)}); err != nil {
		return fmt.Errorf("%s: %w", which, err)
	}
	return nil
}

func sortedPaths[T any](m map[config.Path]T) []config.Path {
	paths := make([]config.Path, 0, len(m))
	for p := range m {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b config.Path) int { return strings.Compare(a.String(), b.String()) })
	return paths
}

func versionsText(versions map[config.Path]int64) string {
	var parts []string
	for _, p := range sortedPaths(versions) {
		parts = append(parts, fmt.Sprintf("%s@%d", p, versions[p]))
	}
	return clip(strings.Join(parts, " "), maxWhy)
}
