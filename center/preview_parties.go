package center

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// party is one instance, however many connections it has and to however many
// nodes, with those of the configs asked about that it has to do with.
type party struct {
	instance config.Instance
	concerns []int // indices of the paths, in order
}

// key is where the party is in listings. Where it is connected has no part in
// it: that changes while somebody turns pages.
func (p *party) key() instanceKey {
	if p.instance.ID == "" {
		return keyOfInstance(p.instance)
	}
	return instanceKey{id: p.instance.ID, node: p.instance.User}
}

// there reports whether it is connected, or gave a sign a short while ago.
func (p *party) there(now time.Time) bool {
	return p.instance.Connected || now.Sub(p.instance.Seen) <= present
}

// later reports whether a tells more recently than b what their instance is.
func later(a, b *config.Instance) bool {
	switch {
	case a.Connected != b.Connected:
		return a.Connected
	case a.Connected || a.Seen.Equal(b.Seen):
		return a.Since.After(b.Since)
	}
	return a.Seen.After(b.Seen)
}

// whoever gathers the instances, on all nodes, that have to do with any of the
// paths: each once, as it described itself last. Nodes that did not answer are
// named.
func (c *Center) whoever(ctx context.Context, paths []config.Path) (parties []*party, silent []string, err error) {
	g := gathering{paths: paths, named: map[namedKey]*party{}, unnamed: map[instanceKey]*party{}}
	for _, scope := range scopesOf(paths) {
		q := config.InstanceQuery{Path: scope}
		g.add(scope, c.LocalInstances(q))
		if c.nodes == nil {
			continue
		}
		others, missing, err := c.nodes.Instances(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		g.add(scope, others)
		silent = append(silent, missing...)
	}
	for _, p := range g.all {
		slices.Sort(p.concerns)
		p.concerns = slices.Compact(p.concerns)
	}
	slices.Sort(silent)
	return g.all, slices.Compact(silent), nil
}

// fewPaths is up to how many configs of an env are asked about one by one. Of an
// env as a whole a node tells what instances without a watch read last, and of
// each at most maxHolds of its configs.
const fewPaths = 8

// scopesOf returns what to ask nodes for to learn of all paths.
func scopesOf(paths []config.Path) []config.Path {
	envs := map[config.Path][]config.Path{}
	for _, path := range paths {
		env := path.At(config.LevelEnv)
		envs[env] = append(envs[env], path)
	}
	var scopes []config.Path
	for env, those := range envs {
		if len(those) > fewPaths {
			those = []config.Path{env}
		}
		scopes = append(scopes, those...)
	}
	slices.SortFunc(scopes, comparePaths)
	return scopes
}

// gathering puts together what nodes tell of instances.
type gathering struct {
	paths   []config.Path
	all     []*party
	named   map[namedKey]*party
	unnamed map[instanceKey]*party
}

func (g *gathering) add(scope config.Path, found []config.Instance) {
	for i := range found {
		instance := &found[i]
		if concerns := g.concerning(scope, instance); len(concerns) > 0 {
			p := g.party(instance)
			p.concerns = append(p.concerns, concerns...)
		}
	}
}

// party returns the one that an instance is.
func (g *gathering) party(i *config.Instance) *party {
	p := g.named[namedKey{i.User, i.ID}]
	if i.ID == "" {
		p = g.unnamed[keyOfInstance(*i)]
	}
	switch {
	case p == nil:
		p = &party{instance: *i}
		g.all = append(g.all, p)
		if i.ID == "" {
			g.unnamed[keyOfInstance(*i)] = p
		} else {
			g.named[namedKey{i.User, i.ID}] = p
		}
	case later(i, &p.instance):
		p.instance = *i
	}
	return p
}

// concerning returns the indices of the paths that an instance has to do with.
func (g *gathering) concerning(scope config.Path, i *config.Instance) []int {
	if scope.Level() == config.LevelConfig {
		return []int{slices.Index(g.paths, scope)}
	}
	var selects []config.Pattern
	for _, text := range i.Watches {
		if pattern, err := config.ParsePattern(text); err == nil {
			selects = append(selects, pattern)
		}
	}
	var all []int
	for at, path := range g.paths {
		if scope.Contains(path) && (reach(selects, path) ||
			slices.ContainsFunc(i.Holds, func(h config.Holding) bool { return h.Path == path })) {
			all = append(all, at)
		}
	}
	return all
}
