package center

import (
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// What a list of instances has in full, so that it can be sent: bytes of reasons,
// which are clipped beyond that, and holdings, of which there are none beyond.
const (
	wholeReasons  = 8 << 20
	wholeHoldings = 200_000
)

// localInstance is an instance of this node before it is described.
type localInstance struct {
	key   instanceKey
	watch *Watch // nil for one that has none open that is of interest
	named *named // nil for one without a name
}

// LocalInstances lists the clients of this node that have to do with a path or
// something below it, in no order or, if not all are wanted, those that come
// first: some more than that, so that it can be told whether there are, and so
// that none of one name is missing. If all of more than one config are wanted, what
// they hold is told only of those that say nothing by their watches. It acts for the
// node itself and asks no rights.
func (c *Center) LocalInstances(q config.InstanceQuery) []config.Instance {
	all := c.localInstances(q)
	snap, now := c.view.Snapshot(), c.now()
	reasons, left := wholeReasons, wholeHoldings
	briefly := q.Limit == 0 && q.Path.Level() != config.LevelConfig
	found := make([]config.Instance, 0, len(all))
	for _, l := range all {
		i := c.describe(l, snap, now, q.Path)
		if left > 0 && (!briefly || l.watch == nil) {
			i.Holds = holdings(l.watch, l.state(), snap, q.Path)
			left -= len(i.Holds)
		}
		for at := range i.Holds {
			if reasons -= len(i.Holds[at].Why); reasons < 0 {
				i.Holds[at].Why = clipped(i.Holds[at].Why, receiptReason)
			}
		}
		found = append(found, i)
	}
	return found
}

// localInstances finds the clients that a query asks for, and those that have the
// name of the one to go on from: they are needed to tell who has left.
func (c *Center) localInstances(q config.InstanceQuery) []localInstance {
	var all, namesakes []localInstance
	after, err := parseInstanceKey(q.After)
	add := func(l localInstance) {
		switch {
		case q.After == "" || err == nil && l.key.compare(after) > 0:
			all = append(all, l)
		case err == nil && l.key.isNamesake(after):
			namesakes = append(namesakes, l)
		}
	}
	for _, w := range c.instances.list() {
		if reach(w.selects, q.Path) {
			add(localInstance{key: instanceKey{w.client.ID, c.node, w.since.UnixNano()}, watch: w, named: w.named})
		}
	}
	oldest := c.now().Add(-c.limits.InstancesKept).UnixMilli()
	for _, e := range c.instances.everybody() {
		s := e.state.Load()
		if s.idle() && e.seen.Load() < oldest || slices.ContainsFunc(s.watches, func(w *Watch) bool { return reach(w.selects, q.Path) }) || !s.concerns(q.Path) {
			continue
		}
		add(localInstance{key: instanceKey{e.key.id, c.node, e.since}, named: e})
	}
	if q.Limit <= 0 || len(all) <= q.Limit {
		return append(all, namesakes...)
	}
	slices.SortFunc(all, func(a, b localInstance) int { return a.key.compare(b.key) })
	n := q.Limit + 1
	for n < len(all) && all[n].key.isNamesake(all[n-1].key) {
		n++
	}
	return append(all[:n], namesakes...)
}

// describe tells what is known of an instance, but for what it holds.
func (c *Center) describe(l localInstance, snap *view.Snapshot, now time.Time, path config.Path) config.Instance {
	i := config.Instance{ID: l.key.id, Node: c.node, Since: time.Unix(0, l.key.since).UTC(), Connected: true, Seen: now.UTC().Round(0)}
	if l.named != nil {
		state := l.state()
		i.Connected = !state.idle()
		if !i.Connected {
			i.Seen = time.UnixMilli(l.named.seen.Load()).UTC()
		}
		i.Labels, i.Slot, i.Address = state.client.Labels, state.client.Slot, state.client.Address
		i.Agent, i.User, i.Protocol = state.agent, l.named.key.user, state.protocol
	}
	if w := l.watch; w != nil {
		i.Connected, i.Seen = true, now.UTC().Round(0)
		i.Labels, i.Slot, i.Address = w.client.Labels, w.client.Slot, w.request.Address
		i.Agent, i.User, i.Protocol = w.request.Agent, w.identity.Subject, w.protocol
		i.Watches = w.concerning(path)
		if revision := w.sub.Revision(); revision > 0 {
			i.Sent = encodeToken(revision, snap.Cluster)
		}
	}
	return i
}

// state is what is known of the client by its name.
func (l localInstance) state() *namedState {
	if l.named == nil {
		return &namedState{}
	}
	return l.named.state.Load()
}

// concerning returns those of the watch's patterns that can match the path or
// what is below it.
func (w *Watch) concerning(path config.Path) []string {
	var found []string
	for i := range w.selects {
		if w.selects[i].Reaches(path) {
			found = append(found, w.patterns[i])
		}
	}
	return found
}

// holdings tells what an instance has of a config, or of the configs of an env by
// their names, of which at most maxHolds are told. Of larger scopes it tells nothing.
func holdings(w *Watch, s *namedState, snap *view.Snapshot, path config.Path) []config.Holding {
	var all []config.Holding
	add := func(cfg *view.Config) bool {
		if h := holdingOf(w, s, cfg); h != (config.Holding{Path: h.Path}) {
			all = append(all, h)
		}
		return len(all) < maxHolds
	}
	switch {
	case path.Level() == config.LevelConfig:
		if cfg, ok := snap.Config(path); ok && cfg.MetaRevision != 0 {
			add(cfg)
		}
	case path.Level() != config.LevelEnv:
	case w == nil && !s.follows(path): // it can have none but those that it is known to hold
		for _, h := range s.holds {
			if cfg, ok := snap.Config(h.path.Value()); ok && cfg.MetaRevision != 0 && path.Contains(cfg.Meta.Path) && !add(cfg) {
				break
			}
		}
	default:
		for cfg := range snap.Configs(path, "") {
			if !add(cfg) {
				break
			}
		}
	}
	return all
}

// holdingOf tells what an instance has of one config: by that watch, if it is
// given and selects it, or by whatever else it did.
func holdingOf(w *Watch, s *namedState, cfg *view.Config) config.Holding {
	var h config.Holding
	if reported := s.said(cfg.Meta.Path); reported != nil {
		h = reported.holding()
	}
	h.Path = cfg.Meta.Path
	if w != nil && reach(w.selects, h.Path) {
		h.Sent = cfg.ServedAt(w.client, w.sub.Revision())
	} else {
		h.Sent = s.sent(cfg)
	}
	return h
}
