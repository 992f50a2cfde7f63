package center

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// ExplainRequest asks which release one client gets of a config, and why.
type ExplainRequest struct {
	Path config.Path
	// Client is who asks. If it is an id and nothing else, and an instance with
	// that id is known on some node, its labels, slot and address are taken.
	Client config.Client
	// At is the position to explain, and Time the moment; neither means now. The
	// past reaches back as far as the engine keeps its history.
	//
	// A moment stands for the position of the newest change in the tenant that was
	// made by then: every change has an audit record in the same commit, with the
	// time of the node that wrote it. So the answer is as right as that node's
	// clock, and two changes that different nodes made within the difference of
	// their clocks may be taken in the wrong order.
	At   config.Token
	Time time.Time
}

// Explain tells which release a client is served, or was, and why: by the same
// code that serves it.
func (c *Center) Explain(ctx context.Context, r ExplainRequest) (config.Explained, error) {
	const op = "rollout.explain"
	if _, err := c.authorize(ctx, op, auth.Read, r.Path); err != nil {
		return config.Explained{}, err
	}
	if err := r.Path.Require(config.LevelConfig); err != nil {
		return config.Explained{}, located(op, r.Path.String(), err)
	}
	s, err := c.served(ctx, r)
	if err != nil {
		return config.Explained{}, located(op, r.Path.String(), err)
	}
	x := config.Explained{Revision: c.token(s.revision)}
	if err := c.identify(ctx, &r, &x); err != nil {
		return config.Explained{}, located(op, r.Path.String(), err)
	}
	x.Explanation = s.rollout.Explain(r.Client)
	x.Launches, err = s.launches(ctx, x.Release)
	return x, located(op, r.Path.String(), err)
}

// servedState is what is released of a config as of some revision.
type servedState struct {
	rollout  config.Rollout
	revision int64
	// launch finds a launch as it was then; false if there is none.
	launch func(ctx context.Context, id string) (config.Launch, bool, error)
}

// served finds the state that is to be explained.
func (c *Center) served(ctx context.Context, r ExplainRequest) (servedState, error) {
	if r.At != "" && !r.Time.IsZero() {
		return servedState{}, config.Errorf(config.Invalid, "", "", "ask for a revision or for a time, not for both")
	}
	if r.At != "" || !r.Time.IsZero() {
		return c.servedThen(ctx, r)
	}
	snap := c.view.Snapshot()
	cfg, err := configAt(snap, r.Path)
	if err != nil {
		return servedState{}, err
	}
	now := servedState{rollout: cfg.Rollout, revision: snap.Revision}
	now.rollout.Path = r.Path
	now.launch = func(ctx context.Context, id string) (config.Launch, bool, error) {
		if l, ok := snap.Launch(r.Path.Tenant, id); ok {
			return l.Launch, true, nil
		}
		// It has ended. This node's store will do: ended launches do not change.
		return c.launchThen(ctx, store.Query{Key: record.LaunchKey(r.Path.Tenant, id), Stale: true})
	}
	return now, nil
}

// launchThen reads a launch as a query finds it.
func (c *Center) launchThen(ctx context.Context, q store.Query) (config.Launch, bool, error) {
	page, err := c.store.Range(ctx, q)
	if err != nil || len(page.Entries) == 0 {
		return config.Launch{}, false, err
	}
	l, err := record.Decode[config.Launch](page.Entries[0].Value)
	return l, err == nil, err
}

// launches tells of those that bring out the candidates, and of the one that
// brought out the stable release.
func (s *servedState) launches(ctx context.Context, served *config.Release) ([]config.ExplainedLaunch, error) {
	var found []config.ExplainedLaunch
	add := func(id string, release *config.Release) error {
		l, ok, err := s.launch(ctx, id)
		if err != nil || !ok {
			return err
		}
		found = append(found, config.ExplainedLaunch{
			ID: id, State: l.State, Kind: l.Strategy.Kind, Strategy: l.Strategy.String(),
			Version: release.Version, Serves: served != nil && served.Version == release.Version,
		})
		return nil
	}
	for i := range s.rollout.Candidates {
		candidate := &s.rollout.Candidates[i]
		if err := add(candidate.Launch, &candidate.Release); err != nil {
			return nil, err
		}
	}
	// A launch has the id of the change set that made its releases.
	if stable := s.rollout.Stable; stable != nil && stable.ChangeSet != "" {
		return found, add(stable.ChangeSet, stable)
	}
	return found, nil
}

// identify completes a client of which nothing but the id was given.
func (c *Center) identify(ctx context.Context, r *ExplainRequest, x *config.Explained) error {
	if r.Client.ID == "" || r.Client.Address != "" || r.Client.Slot != "" || r.Client.Labels != nil {
		return nil
	}
	known, silent, err := c.whoever(ctx, []config.Path{r.Path})
	if err != nil {
		return err
	}
	x.Silent = silent
	var newest *party
	for _, p := range known {
		if p.instance.ID != r.Client.ID {
			continue
		}
		if newest == nil {
			newest = p
			continue
		}
		x.Namesakes++
		if later(&p.instance, &newest.instance) {
			newest = p
		}
	}
	if newest != nil {
		x.Instance, r.Client = &newest.instance, newest.instance.Client()
	}
	return nil
}
