package view

import (
	"reflect"
	"slices"

	"github.com/setpointhq/setpoint/config"
)

// maxPast bounds the earlier states that a Config remembers.
const maxPast = 8

// Config is everything known about one config, apart from contents. It never
// changes once it is published.
type Config struct {
	// Rollout is zero but for the path, and RolloutRevision 0, before the first
	// publish.
	Rollout         config.Rollout
	RolloutRevision int64
	// MetaRevision is 0, and Meta zero but for the path, if the config was
	// purged or is known by its rollout or draft only.
	MetaRevision int64
	Meta         config.Config
	// DraftRevision is 0 if there is no draft. The view keeps no drafts.
	DraftRevision int64
	// ServedRevision is where what clients are served last changed. Metadata,
	// drafts and the rollout's bookkeeping do not move it.
	ServedRevision int64

	// held is what is known of a config whose tenant is being imported. To
	// everybody else there is none: all of the above is zero.
	held *Config

	key     string // the path
	created int64  // the revision that created the rollout's key
	past    []past // what was served before, oldest first
}

// past is what was served from a revision on, until the next one.
type past struct {
	revision int64
	rollout  *config.Rollout // set if clients were served different releases
	served   identity        // what all clients were served otherwise
	created  int64
}

// identity tells releases of one path apart; the zero value is no release.
// Versions are never used twice while a rollout's key lives.
type identity struct{ created, version int64 }

func identify(r *config.Release, created int64) identity {
	if r == nil {
		return identity{}
	}
	return identity{created: created, version: r.Version}
}

// known reports whether the store has anything but a draft of the config.
func (c *Config) known() bool { return c.MetaRevision > 0 || c.RolloutRevision > 0 }

// gone reports whether the store has nothing of the config any more.
func (c *Config) gone() bool { return !c.known() && c.DraftRevision == 0 && c.held == nil }

// actual returns what the store has of the config, whether it is shown or not.
func (c *Config) actual() *Config {
	if c.held != nil {
		return c.held
	}
	return c
}

// conceal returns what is shown of a config whose tenant is being imported.
func (c *Config) conceal() *Config {
	if c.gone() {
		return c
	}
	shown := newConfig(c.key, c.Meta.Path)
	shown.held = c
	c.ServedRevision, c.past = 0, nil // it serves nobody
	return shown
}

// same reports whether both were made of the same records, and are shown alike.
func (c *Config) same(d *Config) bool {
	a, b := c.actual(), d.actual()
	return (c.held == nil) == (d.held == nil) &&
		a.MetaRevision == b.MetaRevision && a.RolloutRevision == b.RolloutRevision && a.DraftRevision == b.DraftRevision
}

// counts reports whether the config counts towards the size of its env.
func (c *Config) counts() bool { return c.MetaRevision > 0 && !c.Rollout.Deleted }

// changedFor reports whether the client is served something else than at a
// revision. Where the past is no longer remembered it says so, to be safe.
func (c *Config) changedFor(client config.Client, since int64) bool {
	if c.ServedRevision <= since {
		return false
	}
	for i := len(c.past) - 1; i >= 0; i-- {
		if p := &c.past[i]; p.revision <= since {
			return p.resolve(client) != identify(c.Rollout.Resolve(client), c.created)
		}
	}
	return true
}

// ServedAt returns the version that a client was served as of a revision; 0 if
// nothing was, or if what was is not remembered.
func (c *Config) ServedAt(client config.Client, revision int64) int64 {
	if revision <= 0 {
		return 0
	}
	if c.ServedRevision <= revision {
		return identify(c.Rollout.Resolve(client), c.created).version
	}
	for i := len(c.past) - 1; i >= 0; i-- {
		if p := &c.past[i]; p.revision <= revision {
			return p.resolve(client).version
		}
	}
	return 0
}

func (p *past) resolve(client config.Client) identity {
	if p.rollout == nil {
		return p.served
	}
	return identify(p.rollout.Resolve(client), p.created)
}

// settle completes a config that takes the place of old at a revision: it finds
// out whether anything that is served changed and, if so, remembers what was.
// A config that the view never heard of has served nothing since revision 0.
func (c *Config) settle(old *Config, revision int64) (changed bool) {
	if old == nil {
		old = &Config{}
	}
	c.ServedRevision, c.past = old.ServedRevision, old.past
	if sameServed(old, c) {
		return false
	}
	before := past{revision: old.ServedRevision, created: old.created}
	if uniform(&old.Rollout) {
		before.served = identify(old.Rollout.Resolve(config.Client{}), old.created)
	} else {
		rollout := old.Rollout // a copy: a pointer into old would keep all of it, and its past
		before.rollout = &rollout
	}
	kept := old.past[max(0, len(old.past)-maxPast+1):]
	c.past = append(slices.Clone(kept), before)
	c.ServedRevision = revision
	return true
}

// sameServed reports whether no client is served anything else by b than by a.
// It may be false without need, never true without ground.
func sameServed(a, b *Config) bool {
	if uniform(&a.Rollout) && uniform(&b.Rollout) {
		return identify(a.Rollout.Resolve(config.Client{}), a.created) == identify(b.Rollout.Resolve(config.Client{}), b.created)
	}
	return a.created == b.created && reflect.DeepEqual(essence(a.Rollout), essence(b.Rollout))
}

// essence leaves out of a rollout what is never served. What is added to the
// type counts until it is left out here.
func essence(r config.Rollout) config.Rollout {
	noTime := config.Rollout{}.DeletedAt
	r.Latest, r.Oldest, r.Previous, r.Slot, r.DeletedAt, r.DeletedBy = 0, 0, 0, "", noTime, ""
	// A candidate that waits claims nobody, and of a plan only the current step
	// counts: neither who made it nor what is to come serves anybody anything.
	r.Candidates = slices.DeleteFunc(slices.Clone(r.Candidates), func(c config.Candidate) bool { return c.Waiting })
	for i := range r.Candidates {
		c := &r.Candidates[i]
		if s := &c.Strategy; s.Step >= 0 && s.Step < len(s.Steps) {
			s.Steps, s.Step = []config.Step{{Share: s.Steps[s.Step].Share}}, 0
		}
		c.Launch = ""
	}
	return r
}

// uniform reports whether all clients are served the same.
func uniform(r *config.Rollout) bool {
	if r.Deleted {
		return true
	}
	return !slices.ContainsFunc(r.Candidates, func(c config.Candidate) bool { return !c.Waiting })
}
