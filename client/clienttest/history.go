package clienttest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// history is what was served since which revision.
type history struct {
	revision int64
	configs  map[config.Path][]serving // in order
	latest   map[config.Path]int64     // versions
}

// serving is what was served of one config from a revision on.
type serving struct {
	since  int64
	stable *client.Release            // nil for nothing
	own    map[string]*client.Release // by instance
}

func (s serving) to(instance string) *client.Release {
	if r, ok := s.own[instance]; ok {
		return r
	}
	return s.stable
}

// put releases a content at the present revision, for everybody or some.
func (h *history) put(p config.Path, content []byte, instances []string) int64 {
	if h.configs == nil {
		h.configs, h.latest = map[config.Path][]serving{}, map[config.Path]int64{}
	}
	h.latest[p]++
	sum := sha256.Sum256(content)
	r := &client.Release{
		Release: config.Release{
			Path: p, Version: h.latest[p], Format: formatOf(p.Name), Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)),
			Author: "clienttest", Time: time.Now().UTC().Round(0),
		},
		Content: content,
	}
	next := serving{since: h.revision, stable: r}
	if instances != nil {
		last := h.at(p, h.revision)
		next.stable, next.own = last.stable, maps.Clone(last.own)
		if next.own == nil {
			next.own = map[string]*client.Release{}
		}
		for _, i := range instances {
			next.own[i] = r
		}
	}
	h.configs[p] = append(h.configs[p], next)
	return r.Version
}

func (h *history) remove(p config.Path) {
	if len(h.configs[p]) > 0 {
		h.configs[p] = append(h.configs[p], serving{since: h.revision})
	}
}

// at returns what was served of a config at a revision.
func (h *history) at(p config.Path, revision int64) (s serving) {
	for _, s := range slices.Backward(h.configs[p]) {
		if s.since <= revision {
			return s
		}
	}
	return serving{}
}

// served returns what an instance is served now, in the order of paths.
func (h *history) served(instance string, selects func(config.Path) bool) (all []*client.Release) {
	for _, p := range h.paths(selects) {
		if r := h.at(p, h.revision).to(instance); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// since returns what an instance is served otherwise than at a revision.
func (h *history) since(revision int64, instance string, selects func(config.Path) bool) []client.Change {
	changes := []client.Change{}
	for _, p := range h.paths(selects) {
		before, now := h.at(p, revision).to(instance), h.at(p, h.revision).to(instance)
		switch {
		case before == now:
		case now == nil:
			changes = append(changes, client.Change{Path: p, Deleted: true})
		default:
			changes = append(changes, changeTo(now))
		}
	}
	return changes
}

func changeTo(r *client.Release) client.Change {
	return client.Change{
		Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest, Size: r.Size, Time: r.Time, Content: r.Content,
	}
}

func (h *history) paths(selects func(config.Path) bool) (all []config.Path) {
	for p := range h.configs {
		if selects(p) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b config.Path) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

func formatOf(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "json"
	case ".yaml", ".yml":
		return "yaml"
	case ".toml":
		return "toml"
	}
	return "text"
}
