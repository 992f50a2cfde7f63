package view

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/setpointhq/setpoint/config"
)

// Filter says what a subscription is about.
type Filter struct {
	Patterns []config.Pattern
	// Client is who subscribes: it decides which release it is served. Its
	// labels must not be changed afterwards.
	Client config.Client
	// After is the revision that the client has already; 0 for nothing.
	After int64
}

// Delivery is everything that changed for a client, as of one revision.
type Delivery struct {
	Revision int64
	// Reset means: forget whatever is not in Changes. It comes first unless
	// After could be resumed from.
	Reset bool
	// Current marks the delivery with which the client has caught up: the first
	// one, which comes even if there are no changes, and every Reset.
	Current bool
	Changes []Change // in the order of paths
}

// Change is what a client is served of one config from now on.
type Change struct {
	Path    config.Path
	Config  *Config
	Release *config.Release // nil: nothing any more, it was deleted or purged
	// Revision is where what is served of the config last changed.
	Revision int64
}

// Subscription is one client's standing question: what is new for me? It holds
// no queue, only the revision up to which the client was told, so its memory
// does not grow however slow the client is: of what changed several times, the
// client learns the last state.
type Subscription struct {
	view    *View
	client  config.Client
	regions []region
	notify  func()
	pending atomic.Bool // notified, and Next not called since

	mu      sync.Mutex
	last    int64 // told up to here
	told    bool  // something was delivered: last is this view's own
	closed  bool
	waiting *waiter // until the view reaches last
}

// region is a range of keys that patterns select from.
type region struct {
	bucket   string // where the hub keeps it
	prefix   string // what its keys begin with; the whole key, if exact
	exact    bool
	whole    bool             // everything in it is selected
	patterns []config.Pattern // else what these match
}

// Subscribe registers a subscription. notify is called by the apply loop after
// something changed that may concern it, once until Next is called again; it
// must not block, and may be called once more while Close returns. The caller
// calls Next first without being notified, and Close at the end.
func (v *View) Subscribe(f Filter, notify func()) *Subscription {
	s := &Subscription{view: v, client: f.Client, last: f.After, notify: notify, regions: regionsOf(f.Patterns)}
	v.hub.add(s)
	return s
}

// Next returns everything that changed for the client since the last Next, as
// of one snapshot; false if nothing did. It never blocks. If the view has not
// yet come to where the client is already, there is nothing, and notify is
// called once it has.
func (s *Subscription) Next() (Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Delivery{}, false
	}
	s.pending.Store(false) // before the snapshot is loaded: see hub.wake
	snap := s.view.Snapshot()
	if !snap.loaded {
		return Delivery{}, false // the load wakes everybody
	}
	if s.last > snap.Revision {
		if snap = s.await(); s.last > snap.Revision {
			return Delivery{}, false
		}
	}
	d := Delivery{Revision: snap.Revision, Current: !s.told}
	if s.mustReset(snap) {
		d.Reset, d.Current = true, true
		d.Changes = s.everything(snap)
	} else if s.last < snap.Revision {
		d.Changes = s.difference(snap)
	}
	s.last, s.told = snap.Revision, true
	return d, d.Current || len(d.Changes) > 0
}

// Revision returns the position that the client was last brought to: what it
// can resume from. A Next that finds nothing moves it on, too.
func (s *Subscription) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Close ends the subscription; Next then returns nothing.
func (s *Subscription) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.waiting != nil {
		s.view.waiters.remove(s.waiting)
	}
	s.view.hub.remove(s)
}

// await arranges to be woken at the revision that the client has already, and
// returns the snapshot to look at in case that was reached meanwhile.
func (s *Subscription) await() *Snapshot {
	if s.waiting == nil {
		s.waiting = s.view.waiters.add(s.last, func() {
			if s.pending.CompareAndSwap(false, true) {
				s.notify()
			}
		})
	}
	return s.view.Snapshot()
}

// mustReset reports whether the difference to what the client has is unknown.
func (s *Subscription) mustReset(snap *Snapshot) bool {
	if s.told {
		return s.last < snap.dropped
	}
	return s.last <= 0 || s.last < snap.floor
}

func (s *Subscription) everything(snap *Snapshot) (changes []Change) {
	s.walk(snap, -1, func(c *Config) {
		if release := c.Rollout.Resolve(s.client); release != nil {
			changes = append(changes, change(c, release))
		}
	})
	return changes
}

func (s *Subscription) difference(snap *Snapshot) (changes []Change) {
	s.walk(snap, s.last, func(c *Config) {
		if c.changedFor(s.client, s.last) {
			changes = append(changes, change(c, c.Rollout.Resolve(s.client)))
		}
	})
	return changes
}

func change(c *Config, release *config.Release) Change {
	return Change{Path: c.Meta.Path, Config: c, Release: release, Revision: c.ServedRevision}
}

// walk calls fn with every selected config whose served state changed after
// since, in the order of paths, each once: regions are ordered and disjoint.
func (s *Subscription) walk(snap *Snapshot, since int64, fn func(*Config)) {
	for i := range s.regions {
		r := &s.regions[i]
		if r.exact {
			if c, ok := snap.configs.get([]byte(r.prefix)); ok && c.ServedRevision > since {
				fn(c)
			}
			continue
		}
		for c := range snap.configs.walk(r.prefix, "", since) {
			if r.selects(c.Meta.Path) {
				fn(c)
			}
		}
	}
}

// concerns reports whether a region that lies in the named bucket selects the
// config.
func (s *Subscription) concerns(c *Config, bucket string) bool {
	if bucket == c.key {
		return true // only exact regions lie there
	}
	for i := range s.regions {
		r := &s.regions[i]
		if r.bucket == bucket && !r.exact && strings.HasPrefix(c.key, r.prefix) && r.selects(c.Meta.Path) {
			return true
		}
	}
	return false
}

func (r *region) selects(p config.Path) bool {
	return r.whole || slices.ContainsFunc(r.patterns, func(pattern config.Pattern) bool { return pattern.Match(p) })
}

// add has a region select what another one within it does, too.
func (r *region) add(inner region) {
	r.whole = r.whole || inner.whole && inner.prefix == r.prefix
	if r.patterns = append(r.patterns, inner.patterns...); r.whole {
		r.patterns = nil
	}
}

// regionsOf turns patterns, which may overlap, into ordered, disjoint regions:
// one that lies within another joins it.
func regionsOf(patterns []config.Pattern) []region {
	all := make([]region, 0, len(patterns))
	for _, p := range patterns {
		prefix := p.Prefix()
		r := region{prefix: below(prefix), bucket: prefix.String(), patterns: []config.Pattern{p}}
		if _, r.exact = p.Exact(); r.exact {
			r.prefix = r.bucket
		} else if prefix.Level() < config.LevelEnv {
			r.bucket = prefix.Tenant
		}
		r.whole = strings.Trim(strings.TrimPrefix(p.String(), r.prefix), "/*") == ""
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b region) int { return strings.Compare(a.prefix, b.prefix) })
	regions := all[:0]
	for _, r := range all {
		if n := len(regions); n > 0 {
			outer := &regions[n-1]
			if r.prefix == outer.prefix || !outer.exact && strings.HasPrefix(r.prefix, outer.prefix) {
				outer.add(r)
				continue
			}
		}
		if r.whole {
			r.patterns = nil
		}
		regions = append(regions, r)
	}
	return slices.Clip(regions)
}
