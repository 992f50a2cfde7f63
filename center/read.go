package center

import (
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// Freshness says how new an answer must be. The zero value takes what this node
// serves, which is never older than what it last sent on any watch.
type Freshness struct {
	// MinRevision waits until this node has caught up with a token.
	MinRevision config.Token
	// Strong includes every change that was finished when the call was made.
	Strong bool
}

// Read asks for what a client is served of one config.
type Read struct {
	Path   config.Path
	Client config.Client
	// Protocol names what the client speaks, for listings of instances.
	Protocol string
	Freshness
}

// Served is the release that a client is served. Its content is fetched apart,
// by Content, so that a client that has it already costs no byte.
type Served struct {
	Release  *config.Release
	Revision config.Token // the position that the answer is true of
}

// Get finds the release that the client is served of one config.
func (c *Center) Get(ctx context.Context, r Read) (Served, error) {
	const op = "config.read"
	id, err := c.authorize(ctx, op, auth.Fetch, r.Path)
	if err != nil {
		return Served{}, err
	}
	snap, err := c.fresh(ctx, op, r.Freshness)
	if err != nil {
		return Served{}, err
	}
	cfg, ok := snap.Config(r.Path)
	if !ok || cfg.MetaRevision == 0 {
		if err := r.Path.Require(config.LevelConfig); err != nil {
			return Served{}, located(op, r.Path.String(), err)
		}
		return Served{}, located(op, "", errNoConfig(r.Path))
	}
	release := cfg.Rollout.Resolve(r.Client)
	if release == nil {
		if cfg.Rollout.Deleted {
			return Served{}, located(op, "", errDeleted(r.Path))
		}
		return Served{}, located(op, "", errNoRelease(r.Path))
	}
	if r.Client.ID != "" {
		c.noteRead(ctx, id, &r, release.Version)
	}
	return Served{Release: release, Revision: c.token(snap.Revision)}, nil
}

// noteRead is apart from Get so that who has no name pays nothing for it.
func (c *Center) noteRead(ctx context.Context, id auth.Identity, r *Read, version int64) {
	c.instances.readConfig(c.visiting(id, auth.RequestFrom(ctx), r.Client, r.Protocol), r.Path, version)
}

// Content returns a release's bytes, exactly as they were published. It takes
// releases that Get, Snapshot or a Watch gave out, which is where the right to
// them was checked.
func (c *Center) Content(ctx context.Context, r *config.Release) ([]byte, error) {
	if _, err := c.authorize(ctx, "config.read", auth.Fetch, r.Path); err != nil {
		return nil, err
	}
	content, err := c.view.Content(ctx, r)
	return content, located("config.read", r.Path.String(), err)
}

// ReadEnv asks for what a client is served of a whole env.
type ReadEnv struct {
	Env    config.Path
	Client config.Client
	// Protocol names what the client speaks, for listings of instances.
	Protocol string
	Freshness
}

// EnvSnapshot is what a client is served of an env at one revision.
type EnvSnapshot struct {
	Revision config.Token
	Releases []*config.Release // by name
}

// Snapshot finds everything that the client is served of an env, as of one
// revision: never half of a change set.
func (c *Center) Snapshot(ctx context.Context, r ReadEnv) (EnvSnapshot, error) {
	const op = "env.read"
	id, err := c.authorize(ctx, op, auth.Fetch, r.Env)
	if err != nil {
		return EnvSnapshot{}, err
	}
	snap, err := c.fresh(ctx, op, r.Freshness)
	if err != nil {
		return EnvSnapshot{}, err
	}
	if _, ok := snap.Env(r.Env); !ok || r.Env.Level() != config.LevelEnv {
		return EnvSnapshot{}, errNoScope(op, r.Env)
	}
	answer := EnvSnapshot{Revision: c.token(snap.Revision), Releases: []*config.Release{}}
	for cfg := range snap.Configs(r.Env, "") {
		if release := cfg.Rollout.Resolve(r.Client); release != nil && cfg.MetaRevision != 0 {
			answer.Releases = append(answer.Releases, release)
		}
	}
	if r.Client.ID != "" {
		c.instances.readEnv(c.visiting(id, auth.RequestFrom(ctx), r.Client, r.Protocol), r.Env, snap.Revision)
	}
	return answer, nil
}

// fresh returns a snapshot that is as new as asked for.
func (c *Center) fresh(ctx context.Context, op string, f Freshness) (*view.Snapshot, error) {
	if f.Strong {
		if _, err := c.catchUp(ctx); err != nil {
			return nil, located(op, "", err)
		}
	}
	if f.MinRevision == "" {
		return c.view.Snapshot(), nil
	}
	revision, cluster, err := decodeToken(f.MinRevision)
	if err != nil {
		return nil, located(op, "", err)
	}
	if cluster != c.view.Snapshot().Cluster {
		return nil, config.Errorf(config.Invalid, op, "", "the revision token is of another installation")
	}
	if err := c.waitFor(ctx, revision); err != nil {
		return nil, config.Errorf(config.Timeout, op, "", "this node has not caught up with the revision asked for within %s", c.limits.RevisionWait)
	}
	return c.view.Snapshot(), nil
}
