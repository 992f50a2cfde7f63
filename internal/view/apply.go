package view

import (
	"log/slog"
	"sync/atomic"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// maxGraves bounds the purged configs that are remembered, so that subscribers
// who were away learn of the purge.
const maxGraves = 10_000

// applier turns batches of the log into the next snapshot. It belongs to the
// apply loop alone and does no I/O.
type applier struct {
	log     *slog.Logger
	corrupt *atomic.Int64

	work    Snapshot  // the snapshot in the making; always at a whole revision between calls
	edit    *edit     // the right to change what work does not share with a published snapshot
	changed []*Config // those whose served state changed since the last take
	graves  []grave   // purged configs in the order of their purge
	bound   int       // the most graves

	batch  []*Config          // the configs that the current batch changes, in the order of its events
	index  map[string]*Config // the same by key
	turned []string           // the tenants that it conceals or shows
}

// grave is where a purged config lies: a Config that is gone, kept in the tree.
type grave struct {
	key      string
	revision int64
}

func newApplier(log *slog.Logger, corrupt *atomic.Int64) *applier {
	return &applier{log: log, corrupt: corrupt, edit: new(edit), bound: maxGraves, index: map[string]*Config{}}
}

// take returns the snapshot to publish. What the applier makes from now on
// shares nodes with it and changes none of them.
func (a *applier) take() *Snapshot {
	snap := a.work
	a.edit = new(edit)
	return &snap
}

// apply takes in one revision as a whole. One that is not new changes nothing.
func (a *applier) apply(b store.Batch) {
	if b.Revision <= a.work.Revision {
		return
	}
	for i := range b.Events {
		a.event(&b.Events[i], b.Revision)
	}
	for _, tenant := range a.turned {
		a.turn(tenant)
	}
	for _, next := range a.batch {
		a.put(next, b.Revision)
	}
	clear(a.index)
	clear(a.batch) // or the array would keep what is long replaced
	a.batch, a.turned = a.batch[:0], a.turned[:0]
	a.work.Revision = b.Revision
}

func (a *applier) event(ev *store.Event, revision int64) {
	section, rest := record.Split(ev.Key)
	switch section {
	case record.Configs, record.Rollouts, record.Drafts:
		a.configEvent(section, rest, ev, revision)
	case record.Meta:
		if ev.Key == record.ClusterKey {
			a.work.Cluster = string(ev.Value)
		}
	default:
		a.scopeEvent(section, rest, ev, revision)
	}
}

func (a *applier) configEvent(section record.Section, rest string, ev *store.Event, revision int64) {
	next, ok := a.pending(rest)
	switch {
	case !ok:
		a.unreadable(ev.Key, revision)
	case ev.Deleted:
		next.drop(section)
	default:
		if err := next.take(section, ev.Entry, revision); err != nil {
			a.unreadable(ev.Key, revision)
		}
	}
}

// turn has the batch put every config of a tenant anew, so that it is concealed
// or shown from this revision on.
func (a *applier) turn(tenant string) {
	for c := range a.work.configs.walk(tenant+"/", "", -1) {
		if !c.gone() {
			a.pending(c.key)
		}
	}
}

// pending returns the config as this batch has changed it so far.
func (a *applier) pending(rest string) (*Config, bool) {
	if next, ok := a.index[rest]; ok {
		return next, true
	}
	var next *Config
	if old, ok := a.work.configs.get([]byte(rest)); ok {
		c := *old.actual()
		next = &c
	} else {
		path, ok := splitPath(rest, config.LevelConfig)
		if !ok {
			return nil, false
		}
		next = newConfig(rest, path)
	}
	a.index[next.key] = next
	a.batch = append(a.batch, next)
	return next, true
}

// put completes a config and puts it in the place of the one before.
func (a *applier) put(next *Config, revision int64) {
	old, _ := a.work.configs.get([]byte(next.key))
	if a.work.concealed(next.Meta.Path.Tenant) {
		next = next.conceal()
	}
	if next.settle(old, revision) {
		a.changed = append(a.changed, next)
	}
	if next.gone() && next.ServedRevision == 0 {
		a.work.configs = a.work.configs.remove(a.edit, next.key) // nobody was ever served it
		return
	}
	a.set(next)
	if next.gone() && old != nil && !old.gone() {
		a.bury(next)
	}
}

func (a *applier) set(c *Config) {
	count := 0
	if c.counts() {
		count = 1
	}
	a.work.configs = a.work.configs.set(a.edit, c.key, c, c.ServedRevision, count)
}

// bury remembers a purged config and forgets the one purged longest ago, if
// there are too many. Who has not heard of that one must start over.
func (a *applier) bury(c *Config) {
	a.graves = append(a.graves, grave{key: c.key, revision: c.ServedRevision})
	if len(a.graves) <= a.bound {
		return
	}
	g := a.graves[0]
	a.graves = a.graves[1:]
	if c, ok := a.work.configs.get([]byte(g.key)); ok && c.gone() && c.ServedRevision == g.revision {
		a.work.configs = a.work.configs.remove(a.edit, g.key)
		a.work.dropped = max(a.work.dropped, g.revision)
		a.work.floor = max(a.work.floor, a.work.dropped)
	}
}

func (a *applier) scopeEvent(section record.Section, rest string, ev *store.Event, revision int64) {
	switch section {
	case record.Tenants:
		a.tenantEvent(rest, ev, revision)
	case record.Apps:
		a.work.apps = setScope(a, a.work.apps, config.LevelApp, rest, ev, func(p config.App) (*App, config.Path) {
			return &App{p, revision}, p.Path()
		})
	case record.Envs:
		a.work.envs = setScope(a, a.work.envs, config.LevelEnv, rest, ev, func(e config.Env) (*Env, config.Path) {
			return &Env{e, revision}, e.Path()
		})
	case record.Launches:
		a.launchEvent(rest, ev, revision)
	}
}

// launchEvent keeps the launches that have not ended.
func (a *applier) launchEvent(rest string, ev *store.Event, revision int64) {
	if ev.Deleted {
		a.work.launches = a.work.launches.remove(a.edit, rest)
		return
	}
	l, err := record.Decode[config.Launch](ev.Value)
	switch {
	case err != nil || l.Tenant+"/"+l.ID != rest:
		a.unreadable(ev.Key, revision)
	case l.State.Ended():
		a.work.launches = a.work.launches.remove(a.edit, rest)
	default:
		a.work.launches = a.work.launches.set(a.edit, rest, &Launch{Launch: l, ModRevision: revision}, 0, 1)
	}
}

// tenantEvent keeps tenants apart from those that are being imported.
func (a *applier) tenantEvent(rest string, ev *store.Event, revision int64) {
	before, importing := a.work.concealed(rest), false
	both := [...]*tree[*Tenant]{&a.work.tenants, &a.work.importing}
	if !ev.Deleted {
		t, err := record.Decode[record.Tenant](ev.Value)
		if _, ok := splitPath(rest, config.LevelTenant); !ok || err != nil || t.Name != rest {
			a.unreadable(ev.Key, revision)
			return
		}
		if importing = t.Import != nil; importing {
			both[0], both[1] = both[1], both[0]
		}
		*both[0] = both[0].set(a.edit, rest, &Tenant{Tenant: t.Tenant, ModRevision: revision, Imported: t.Imported}, 0, 1)
	} else {
		*both[0] = both[0].remove(a.edit, rest)
	}
	*both[1] = both[1].remove(a.edit, rest)
	if importing != before {
		a.turned = append(a.turned, rest)
	}
}

// setScope applies an event of an app or env to the tree of these.
func setScope[N, V any](a *applier, t tree[*V], level config.Level, rest string, ev *store.Event, wrap func(N) (*V, config.Path)) tree[*V] {
	if ev.Deleted {
		return t.remove(a.edit, rest)
	}
	if path, ok := splitPath(rest, level); ok {
		if noun, err := record.Decode[N](ev.Value); err == nil {
			if v, own := wrap(noun); own == path {
				return t.set(a.edit, rest, v, 0, 1)
			}
		}
	}
	a.unreadable(ev.Key, ev.Revision)
	return t
}

// unreadable counts and logs a record that cannot be understood. What was
// there before stays in force: one bad record must not stop a node. The value
// may hold anything, and decoding errors quote it, so neither is logged.
func (a *applier) unreadable(key string, revision int64) {
	a.corrupt.Add(1)
	a.log.Error("a record of the store cannot be read; what it replaces stays in force", "key", key, "revision", revision)
}
