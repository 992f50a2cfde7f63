package view

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// loadPage is how many entries one Range of the load asks for.
const loadPage = 2000

// row is what a load found of one config in one of its three sections.
type row struct {
	section record.Section
	entry   store.Entry
	config  *Config // holds what the section says; nil if that cannot be read
}

// load reads the whole store as of one revision and publishes it. After the
// first time it carries over what subscribers depend on: configs that are the
// same keep their past, changed ones remember what was served before, and
// vanished ones leave a grave.
func (v *View) load(ctx context.Context) error {
	page, err := v.store.Range(ctx, store.Query{Key: record.ClusterKey})
	if err != nil {
		return err
	}
	old := v.applier.work
	if page.Revision < old.Revision {
		return config.Errorf(config.Unavailable, "load", "", "the store went back from revision %d to %d: if it was restored from a backup, restart this node", old.Revision, page.Revision)
	}
	next := newApplier(v.log, &v.counters.corrupt)
	next.bound, next.graves = v.applier.bound, v.applier.graves
	next.work = Snapshot{Revision: page.Revision, loaded: true, floor: page.Revision, dropped: old.dropped, tenants: old.tenants, importing: old.importing, apps: old.apps, envs: old.envs, launches: old.launches}
	if !old.loaded {
		next.work.dropped = page.Revision
	}
	for _, e := range page.Entries {
		next.work.Cluster = string(e.Value)
	}
	l := loading{view: v, revision: page.Revision, kept: map[record.Section][]store.Entry{record.Meta: page.Entries}}
	rows, err := l.read(ctx)
	if err != nil {
		return err
	}
	next.loadScopes(l.scopes)
	next.loadConfigs(rows, &old)
	v.applier = next
	l.tellTails()
	v.publish(true)
	if old.loaded {
		v.counters.rebuilds.Add(1)
	} else {
		close(v.ready)
	}
	return nil
}

// loading is one pass over the store at a fixed revision.
type loading struct {
	view     *View
	revision int64

	mu     sync.Mutex
	kept   map[record.Section][]store.Entry // what tails want to see
	scopes []store.Entry                    // tenants, apps, envs and launches
}

// read reads all sections that are held in memory, the two large ones at the
// same time, since decoding is most of the work. Each result is in key order.
func (l *loading) read(ctx context.Context) ([3][]row, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var rows [3][]row
	var wg sync.WaitGroup
	for i, section := range [...]record.Section{record.Configs, record.Rollouts, record.Drafts} {
		wg.Go(func() {
			err := l.section(ctx, section, func(e store.Entry) { rows[i] = append(rows[i], l.row(section, e)) })
			if err != nil {
				cancel(err)
			}
		})
	}
	for _, section := range l.others() {
		err := l.section(ctx, section, func(e store.Entry) {
			switch section {
			case record.Tenants, record.Apps, record.Envs, record.Launches:
				l.scopes = append(l.scopes, e)
			}
		})
		if err != nil {
			cancel(err)
		}
	}
	wg.Wait()
	return rows, context.Cause(ctx)
}

// others are the small sections: those of the tree, and what tails ask for.
func (l *loading) others() []record.Section {
	sections := []record.Section{record.Tenants, record.Apps, record.Envs, record.Launches}
	for _, s := range [...]record.Section{record.Users, record.Tokens, record.Bindings} {
		if l.wanted(s) {
			sections = append(sections, s)
		}
	}
	return sections
}

func (l *loading) wanted(s record.Section) bool {
	return slices.ContainsFunc(l.view.tails, func(t tail) bool { return slices.Contains(t.sections, s) })
}

// section calls fn with every entry of a section, in key order.
func (l *loading) section(ctx context.Context, s record.Section, fn func(store.Entry)) error {
	keep := l.wanted(s)
	q := store.Query{Key: s.Prefix(), Prefix: true, Limit: loadPage, Revision: l.revision, KeysOnly: s == record.Drafts}
	for {
		page, err := l.view.store.Range(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			fn(e)
		}
		if keep {
			l.mu.Lock()
			l.kept[s] = append(l.kept[s], page.Entries...)
			l.mu.Unlock()
		}
		if !page.More || len(page.Entries) == 0 {
			return nil
		}
		q.After = page.Entries[len(page.Entries)-1].Key
	}
}

// row decodes one entry. The value is let go of.
func (l *loading) row(section record.Section, e store.Entry) row {
	_, rest := record.Split(e.Key)
	r := row{section: section, entry: e}
	r.entry.Key, r.entry.Value = rest, nil
	path, ok := splitPath(rest, config.LevelConfig)
	err := errors.New("not a path")
	if ok {
		r.config = newConfig(rest, path)
		err = r.config.take(section, e, e.Revision)
	}
	if err != nil {
		l.view.applier.unreadable(e.Key, e.Revision)
		r.config = nil
	}
	return r
}

// tellTails gives each tail all entries of its sections.
func (l *loading) tellTails() {
	for _, t := range l.view.tails {
		b := store.Batch{Revision: l.revision}
		for _, s := range t.sections {
			for _, e := range l.kept[s] {
				b.Events = append(b.Events, store.Event{Entry: e})
			}
		}
		t.fn(true, b)
	}
}

// loadScopes replaces tenants, apps, envs and launches. One that cannot be read stays as
// it was known before.
func (a *applier) loadScopes(entries []store.Entry) {
	old := a.work
	a.work.tenants, a.work.importing, a.work.apps, a.work.envs = tree[*Tenant]{}, tree[*Tenant]{}, tree[*App]{}, tree[*Env]{}
	a.work.launches = tree[*Launch]{}
	for _, e := range entries {
		section, rest := record.Split(e.Key)
		key := []byte(rest)
		switch section {
		case record.Tenants:
			a.work.tenants = carry(a, old.tenants, a.work.tenants, key)
			a.work.importing = carry(a, old.importing, a.work.importing, key)
		case record.Apps:
			a.work.apps = carry(a, old.apps, a.work.apps, key)
		case record.Envs:
			a.work.envs = carry(a, old.envs, a.work.envs, key)
		case record.Launches:
			a.work.launches = carry(a, old.launches, a.work.launches, key)
		}
		a.scopeEvent(section, rest, &store.Event{Entry: e}, e.Revision)
	}
	a.turned = nil // all configs are put anew
}

// carry takes an entry over from one tree to another.
func carry[V any](a *applier, from, to tree[V], key []byte) tree[V] {
	if v, ok := from.get(key); ok {
		return to.set(a.edit, string(key), v, 0, 1)
	}
	return to
}

// loadConfigs builds the tree of configs from the rows of the three sections.
func (a *applier) loadConfigs(rows [3][]row, old *Snapshot) {
	for group := range merge(rows) {
		before, _ := old.configs.get([]byte(group[0].entry.Key))
		var known *Config
		if before != nil {
			known = before.actual()
		}
		if c := join(group, known); c != nil {
			a.loadConfig(c, before, old)
		}
	}
	for before := range old.configs.walk("", "", -1) {
		if _, still := a.work.configs.get([]byte(before.key)); !still {
			a.loadConfig(newConfig(before.key, before.Meta.Path), before, old)
		}
	}
}

// loadConfig puts a loaded config into the tree, in the place of before.
func (a *applier) loadConfig(c, before *Config, old *Snapshot) {
	if a.work.concealed(c.Meta.Path.Tenant) {
		c = c.conceal()
	}
	if before != nil && c.same(before) {
		a.set(before)
		return
	}
	if !old.loaded {
		// Nobody can resume from before the first load, so it is the beginning.
		c.ServedRevision = c.RolloutRevision
		a.set(c)
		return
	}
	revision := c.RolloutRevision
	if revision <= old.Revision {
		// Changed in between by a purge: subscribers are past its rollout.
		revision = a.work.Revision
	}
	c.settle(before, revision)
	switch {
	case !c.gone():
		a.set(c)
	case c.ServedRevision > 0:
		a.set(c)
		a.bury(c)
	}
}

// join makes one config of the rows of one key. What cannot be read stays as it
// was before; nil if nothing is left.
func join(group []row, before *Config) *Config {
	var c *Config
	for _, r := range group {
		from := r.config
		if from == nil {
			if from = before; from == nil {
				continue
			}
		}
		if c == nil {
			c = newConfig(from.key, from.Meta.Path)
		}
		switch r.section {
		case record.Configs:
			c.Meta, c.MetaRevision = from.Meta, from.MetaRevision
			c.Meta.Path = c.Rollout.Path
		case record.Rollouts:
			c.Rollout, c.RolloutRevision, c.created = from.Rollout, from.RolloutRevision, from.created
		default:
			c.DraftRevision = from.DraftRevision
		}
	}
	return c
}

// merge yields the rows of each key together, in key order.
func merge(rows [3][]row) iter.Seq[[]row] {
	return func(yield func([]row) bool) {
		var group []row
		for {
			key := ""
			for _, section := range rows {
				if len(section) > 0 && (key == "" || section[0].entry.Key < key) {
					key = section[0].entry.Key
				}
			}
			group = group[:0]
			for i, section := range rows {
				if len(section) > 0 && section[0].entry.Key == key {
					group = append(group, section[0])
					rows[i] = section[1:]
				}
			}
			if len(group) == 0 || !yield(group) {
				return
			}
		}
	}
}
