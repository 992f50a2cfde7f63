package center

import (
	"context"
	"iter"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// scopeState is what the verbs of all three scopes need to know of one.
type scopeState struct {
	revision  int64
	closing   bool
	protected bool
}

func scopeAt(snap *view.Snapshot, path config.Path) (scopeState, bool) {
	switch path.Level() {
	case config.LevelRoot:
		return scopeState{}, true
	case config.LevelTenant:
		if t, ok := snap.Tenant(path.Tenant); ok {
			return scopeState{revision: t.ModRevision, closing: t.Closing}, true
		}
	case config.LevelApp:
		if a, ok := snap.App(path); ok {
			return scopeState{revision: a.ModRevision, closing: a.Closing}, true
		}
	case config.LevelEnv:
		if e, ok := snap.Env(path); ok {
			return scopeState{revision: e.ModRevision, closing: e.Closing, protected: e.Protected}, true
		}
	}
	return scopeState{}, false
}

func scopeKey(path config.Path) string {
	section := map[config.Level]record.Section{
		config.LevelTenant: record.Tenants, config.LevelApp: record.Apps, config.LevelEnv: record.Envs,
	}[path.Level()]
	return section.Key(path.String())
}

// createScope writes a new tenant, app or env below a parent that is there.
func (c *Center) createScope(ctx context.Context, op string, path config.Path, description string, build func(*view.Snapshot) (any, error)) (int64, error) {
	if err := path.Validate(); err != nil {
		return 0, located(op, path.String(), err)
	}
	if err := c.checkComment(op, path.String(), description); err != nil {
		return 0, err
	}
	return c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		parent, ok := scopeAt(snap, path.Parent())
		if !ok {
			return store.Txn{}, errNoScope(op, path.Parent())
		}
		if parent.closing {
			return store.Txn{}, located(op, "", errClosing(path.Parent()))
		}
		if _, importing := snap.Importing(path.Tenant); importing && path.Level() == config.LevelTenant {
			return store.Txn{}, errImported(op, path.Tenant)
		}
		if _, taken := scopeAt(snap, path); taken {
			return store.Txn{}, config.Errorf(config.Exists, op, path.String(), "there is %s of this name already", path.Level().WithArticle())
		}
		noun, err := build(snap)
		if err != nil {
			return store.Txn{}, err
		}
		txn := store.Txn{
			Conds: []store.Cond{{Key: scopeKey(path)}},
			Writes: []store.Write{
				{Key: scopeKey(path), Value: record.Encode(noun)},
				c.audited(ctx, audit.Record{Action: op, Path: path}),
			},
		}
		if path.Level() != config.LevelTenant {
			txn.Conds = append(txn.Conds, store.Cond{Key: scopeKey(path.Parent()), Revision: parent.revision})
		}
		return txn, nil
	})
}

func (c *Center) updateScope(ctx context.Context, op string, path config.Path, description string, expected config.Token, change func(*view.Snapshot) any) (int64, error) {
	if err := path.Validate(); err != nil {
		return 0, located(op, path.String(), err)
	}
	if err := c.checkComment(op, path.String(), description); err != nil {
		return 0, err
	}
	return c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		state, ok := scopeAt(snap, path)
		if !ok {
			return store.Txn{}, errNoScope(op, path)
		}
		if err := c.expect(op, path.String(), expected, state.revision); err != nil {
			return store.Txn{}, err
		}
		return store.Txn{
			Conds: []store.Cond{{Key: scopeKey(path), Revision: state.revision}},
			Writes: []store.Write{
				{Key: scopeKey(path), Value: record.Encode(change(snap))},
				c.audited(ctx, audit.Record{Action: op, Path: path}),
			},
		}, nil
	})
}

// deleteScope removes an empty scope in two commits. The first marks it as
// closing, which makes every creation below it that is under way fail on its
// condition; only then is "empty" a fact. A crash in between leaves the mark,
// which a repeated delete, or an update, resolves.
func (c *Center) deleteScope(ctx context.Context, op string, path, needed config.Path, expected config.Token) error {
	if _, err := c.authorize(ctx, op, auth.Manage, needed); err != nil {
		return err
	}
	if err := path.Validate(); err != nil {
		return located(op, path.String(), err)
	}
	if path.Level() == config.LevelTenant {
		if done, err := c.dropImport(ctx, op, path.Tenant, expected); done || err != nil {
			return err
		}
	}
	if err := c.markClosing(ctx, op, path, expected, true); err != nil {
		return err
	}
	err := c.dropLaunches(ctx, op, path)
	if err == nil {
		err = c.dropScope(ctx, op, path)
	}
	if err != nil && config.KindOf(err) == config.Conflict {
		if reopen := c.markClosing(ctx, op, path, "", false); reopen != nil {
			c.log.ErrorContext(ctx, "a scope stays closed; delete or update it again", "path", path.String(), "error", reopen)
		}
	}
	return err
}

// dropScope is the second commit of deleteScope.
func (c *Center) dropScope(ctx context.Context, op string, path config.Path) error {
	_, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		state, err := emptyScope(snap, op, path)
		if err != nil {
			return store.Txn{}, err
		}
		txn := store.Txn{
			Conds: []store.Cond{{Key: scopeKey(path), Revision: state.revision}},
			Writes: []store.Write{
				{Key: scopeKey(path), Delete: true},
				c.audited(ctx, audit.Record{Action: op, Path: path}),
			},
		}
		// Rights go with the scope: one of the same name made later starts without.
		for _, b := range sorted(c.directory.state.Load().bindings, "") {
			if path.Contains(b.Scope) {
				txn.Writes = append(txn.Writes, store.Write{Key: record.Bindings.Key(b.ID), Delete: true})
			}
		}
		return txn, nil
	})
	return err
}

// emptyScope finds a scope in which nothing is left.
func emptyScope(snap *view.Snapshot, op string, path config.Path) (scopeState, error) {
	state, ok := scopeAt(snap, path)
	if !ok {
		return state, errNoScope(op, path)
	}
	if what := childrenOf(snap, path); what != "" {
		return state, config.Errorf(config.Conflict, op, path.String(), "the %s is not empty: it still has %s", path.Level(), what)
	}
	return state, nil
}

// dropLaunches removes, bit by bit, what a tenant that is being deleted has left
// of launches: as it is empty they have all ended. One of the same name made
// later starts without them; what they did stays in the audit.
func (c *Center) dropLaunches(ctx context.Context, op string, path config.Path) error {
	if path.Level() != config.LevelTenant {
		return nil
	}
	q := store.Query{Key: record.Launches.Under(path), Prefix: true, KeysOnly: true, Limit: importWrites}
	for left := true; left; {
		_, err := c.commit(ctx, op, func(snap *view.Snapshot) (txn store.Txn, err error) {
			state, err := emptyScope(snap, op, path)
			if err != nil {
				return txn, err
			}
			if !state.closing {
				return txn, config.Errorf(config.Conflict, op, path.String(), "it was changed while it was being deleted")
			}
			page, err := c.store.Range(ctx, q)
			if err != nil {
				return txn, err
			}
			left = page.More
			txn.Conds = []store.Cond{{Key: scopeKey(path), Revision: state.revision}}
			for _, e := range page.Entries {
				txn.Writes = append(txn.Writes, store.Write{Key: e.Key, Delete: true})
			}
			return txn, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Center) markClosing(ctx context.Context, op string, path config.Path, expected config.Token, closing bool) error {
	_, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		state, ok := scopeAt(snap, path)
		if !ok {
			return store.Txn{}, errNoScope(op, path)
		}
		if err := c.expect(op, path.String(), expected, state.revision); err != nil {
			return store.Txn{}, err
		}
		if closing && state.protected {
			return store.Txn{}, config.Errorf(config.Conflict, op, path.String(), "the env is protected; unprotect it first")
		}
		return store.Txn{
			Conds:  []store.Cond{{Key: scopeKey(path), Revision: state.revision}},
			Writes: []store.Write{{Key: scopeKey(path), Value: record.Encode(closingNoun(snap, path, closing))}},
		}, nil
	})
	return err
}

func closingNoun(snap *view.Snapshot, path config.Path, closing bool) any {
	switch path.Level() {
	case config.LevelTenant:
		t, _ := snap.Tenant(path.Tenant)
		noun := t.Tenant
		noun.Closing = closing
		return t.Stored(noun)
	case config.LevelApp:
		a, _ := snap.App(path)
		noun := a.App
		noun.Closing = closing
		return noun
	default:
		e, _ := snap.Env(path)
		noun := e.Env
		noun.Closing = closing
		return noun
	}
}

// childrenOf names one thing that lives below the path, "" if nothing does.
func childrenOf(snap *view.Snapshot, path config.Path) string {
	switch path.Level() {
	case config.LevelTenant:
		for a := range snap.Apps(path.Tenant, "") {
			return "app " + a.Name
		}
	case config.LevelApp:
		for e := range snap.Envs(path, "") {
			return "env " + e.Name
		}
	default:
		for cfg := range snap.Configs(path, "") {
			if cfg.MetaRevision != 0 && !cfg.Rollout.Deleted {
				return "config " + cfg.Meta.Path.Name
			}
		}
	}
	return ""
}

func (c *Center) showTenant(t *view.Tenant) config.Tenant {
	noun := t.Tenant
	noun.Revision = c.token(t.ModRevision)
	return noun
}

func (c *Center) showApp(a *view.App) config.App {
	noun := a.App
	noun.Revision = c.token(a.ModRevision)
	return noun
}

func (c *Center) showEnv(e *view.Env) config.Env {
	noun := e.Env
	noun.Revision = c.token(e.ModRevision)
	return noun
}

func checkEnvKind(kind config.EnvKind) error {
	if err := (config.Path{Tenant: "t", App: "a", Env: string(kind)}).Require(config.LevelEnv); err != nil {
		return config.Errorf(config.Invalid, "", "", "env kind %q: use dev, test, prod or a word like them", kind)
	}
	return nil
}

func errNoScope(op string, path config.Path) error {
	if err := path.Validate(); err != nil {
		return located(op, path.String(), err)
	}
	return config.Errorf(config.NotFound, op, path.String(), "there is no such %s", path.Level())
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// pageOf fills a page from an ordered sequence; show gives the item, the name
// that continues the listing after it, and whether the caller may see it.
func pageOf[V, T any](r PageRequest, all iter.Seq[V], show func(V) (T, string, bool)) config.Page[T] {
	page := config.Page[T]{Items: []T{}}
	var last string
	for v := range all {
		item, name, visible := show(v)
		if !visible {
			continue
		}
		if len(page.Items) == r.size() {
			page.Next = last
			return page
		}
		page.Items, last = append(page.Items, item), name
	}
	return page
}
