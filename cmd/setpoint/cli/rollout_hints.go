package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// hinted is an error with what to type next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func withHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return hinted{err, hint}
}

const overrideHint = "Whoever may manage the env can add --override-freeze. Rollback, abort and pause are always allowed."

// frozen reports whether an env is frozen now.
func frozen(ctx context.Context, c *client.Client, env config.Path) bool {
	e, err := c.Env(ctx, env)
	if err != nil {
		return false
	}
	_, _, is := e.Frozen(time.Now())
	return is
}

// hintRelease says how to go on after a release of configs was refused.
func hintRelease(ctx context.Context, c *client.Client, o client.ReleaseOptions, paths []config.Path, err error) error {
	if config.KindOf(err) != config.Conflict || len(paths) == 0 {
		return err
	}
	if !o.OverrideFreeze && slices.ContainsFunc(envsOf(paths), func(env config.Path) bool { return frozen(ctx, c, env) }) {
		return withHint(err, overrideHint)
	}
	if o.OnRunning != client.RefuseOnRunning {
		return err
	}
	for _, path := range paths {
		if r, problem := c.Rollout(ctx, path); problem == nil && len(r.Candidates) > 0 {
			return withHint(err, fmt.Sprintf("'setpoint rollout status %s' shows it. End it with 'setpoint rollout promote %s' or 'abort', or add --on-running supersede, before or after.", path, path))
		}
	}
	return err
}

// hintPromote is hintRelease for what a promotion would have released.
func hintPromote(ctx context.Context, c *client.Client, p client.Promote, err error) error {
	if config.KindOf(err) != config.Conflict {
		return err
	}
	to := p.App.Join(p.To)
	if len(p.Names) == 0 {
		var e *config.Error
		if !errors.As(err, &e) {
			return err
		}
		path, problem := config.ParsePath(e.Path)
		if problem != nil {
			path = to
		}
		return hintRelease(ctx, c, p.ReleaseOptions, []config.Path{path}, err)
	}
	paths := make([]config.Path, len(p.Names))
	for i, name := range p.Names {
		paths[i] = to.Join(name)
	}
	return hintRelease(ctx, c, p.ReleaseOptions, paths, err)
}

func envsOf(paths []config.Path) []config.Path {
	var envs []config.Path
	for _, path := range paths {
		if env := path.At(config.LevelEnv); !slices.Contains(envs, env) {
			envs = append(envs, env)
		}
	}
	return envs
}

// hintLaunch says how to go on after an act on a launch was refused.
func hintLaunch(ctx context.Context, c *client.Client, act client.LaunchAct, t launchAct, err error) error {
	at := act.Path.String()
	if at == "" {
		at = act.Tenant
	}
	switch config.KindOf(err) {
	case config.NotFound:
		return withHint(err, fmt.Sprintf("'setpoint rollout list %s --all' lists those that have ended as well.", at))
	case config.Conflict:
	default:
		return err
	}
	scope := act.Path
	if scope == (config.Path{}) {
		scope.Tenant = act.Tenant
	}
	var found []config.Launch
	for l, problem := range c.Launches(ctx, client.LaunchFilter{Path: scope}) {
		if problem != nil {
			return err
		}
		if act.ID == "" || l.ID == act.ID {
			found = append(found, l)
		}
	}
	if len(found) > 1 {
		ids := make([]string, len(found))
		for i := range found {
			ids[i] = found[i].ID
		}
		return withHint(err, fmt.Sprintf("Add --launch with one of %s; 'setpoint rollout list %s' tells them apart.", strings.Join(ids, ", "), at))
	}
	if len(found) == 0 {
		return err
	}
	return withHint(err, hintState(ctx, c, &found[0], act, t))
}

// hintState goes by how the launch is.
func hintState(ctx context.Context, c *client.Client, l *config.Launch, act client.LaunchAct, t launchAct) string {
	of := func(verb string) string {
		if act.Path.Name != "" && act.ID == "" {
			return fmt.Sprintf("'setpoint rollout %s %s'", verb, act.Path)
		}
		return fmt.Sprintf("'setpoint rollout %s %s --launch %s'", verb, l.Tenant, l.ID)
	}
	var paths []config.Path
	for _, item := range l.Items {
		paths = append(paths, item.Path)
	}
	switch {
	case t.forward && !act.OverrideFreeze && slices.ContainsFunc(envsOf(paths), func(env config.Path) bool { return frozen(ctx, c, env) }):
		return overrideHint
	case l.State == config.LaunchPaused && t.name == "advance":
		return of("resume") + " lets it go on."
	case l.State == config.LaunchScheduled:
		return of("advance") + " lets it begin now, " + of("abort") + " calls it off; adjust takes another --at."
	}
	return of("status") + " shows how it is."
}
