package center

import (
	"context"
	"slices"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// Tenants lists the tenants in which the caller may see something, by name.
func (c *Center) Tenants(ctx context.Context, r PageRequest) (config.Page[config.Tenant], error) {
	id, err := c.authorizeReach(ctx, "tenant.list", auth.Fetch, config.Path{})
	if err != nil {
		return config.Page[config.Tenant]{}, err
	}
	snap := c.view.Snapshot()
	return pageOf(r, snap.Tenants(r.After), func(t *view.Tenant) (config.Tenant, string, bool) {
		return c.showTenant(t), t.Name, c.authz.Reaches(id, auth.Fetch, config.Path{Tenant: t.Name})
	}), nil
}

// Tenant returns one tenant.
func (c *Center) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	const op = "tenant.get"
	path := config.Path{Tenant: name}
	if _, err := c.authorizeReach(ctx, op, auth.Fetch, path); err != nil {
		return config.Tenant{}, err
	}
	snap := c.view.Snapshot()
	t, ok := snap.Tenant(name)
	if !ok {
		if _, importing := snap.Importing(name); importing {
			return config.Tenant{}, errImporting(op, name)
		}
		return config.Tenant{}, errNoScope(op, path)
	}
	return c.showTenant(t), nil
}

// CreateTenant makes a tenant.
func (c *Center) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	const op = "tenant.create"
	path := config.Path{Tenant: t.Name}
	id, err := c.authorize(ctx, op, auth.Manage, config.Path{})
	if err != nil {
		return t, err
	}
	t.CreatedBy, t.CreatedAt = c.stamp(id)
	t.Revision, t.Closing = "", false
	revision, err := c.createScope(ctx, op, path, t.Description, func(*view.Snapshot) (any, error) { return t, nil })
	t.Revision = c.token(revision)
	return t, err
}

// UpdateTenant changes a tenant's description. Revision, if set, must be current.
func (c *Center) UpdateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	const op = "tenant.update"
	path := config.Path{Tenant: t.Name}
	if _, err := c.authorize(ctx, op, auth.Manage, path); err != nil {
		return t, err
	}
	var next config.Tenant
	revision, err := c.updateScope(ctx, op, path, t.Description, t.Revision, func(snap *view.Snapshot) any {
		old, _ := snap.Tenant(t.Name)
		next = old.Tenant
		next.Description, next.Closing = t.Description, false
		return old.Stored(next)
	})
	next.Revision = c.token(revision)
	return next, err
}

// DeleteTenant removes a tenant that has no apps, or what there is of one whose
// import was not finished; an import that is under way ends by it.
func (c *Center) DeleteTenant(ctx context.Context, name string, expected config.Token) error {
	return c.deleteScope(ctx, "tenant.delete", config.Path{Tenant: name}, config.Path{}, expected)
}

// Apps lists the apps of a tenant in which the caller may see something, by name.
func (c *Center) Apps(ctx context.Context, tenant string, r PageRequest) (config.Page[config.App], error) {
	const op = "app.list"
	path := config.Path{Tenant: tenant}
	id, err := c.authorizeReach(ctx, op, auth.Fetch, path)
	if err != nil {
		return config.Page[config.App]{}, err
	}
	snap := c.view.Snapshot()
	if _, ok := snap.Tenant(tenant); !ok {
		return config.Page[config.App]{}, errNoScope(op, path)
	}
	return pageOf(r, snap.Apps(tenant, r.After), func(a *view.App) (config.App, string, bool) {
		return c.showApp(a), a.Name, c.authz.Reaches(id, auth.Fetch, a.Path())
	}), nil
}

// App returns one app.
func (c *Center) App(ctx context.Context, path config.Path) (config.App, error) {
	const op = "app.get"
	if _, err := c.authorizeReach(ctx, op, auth.Fetch, path); err != nil {
		return config.App{}, err
	}
	a, ok := c.view.Snapshot().App(path)
	if !ok {
		return config.App{}, errNoScope(op, path)
	}
	return c.showApp(a), nil
}

// CreateApp makes an app.
func (c *Center) CreateApp(ctx context.Context, a config.App) (config.App, error) {
	const op = "app.create"
	id, err := c.authorize(ctx, op, auth.Manage, config.Path{Tenant: a.Tenant})
	if err != nil {
		return a, err
	}
	a.CreatedBy, a.CreatedAt = c.stamp(id)
	a.Revision, a.Closing = "", false
	revision, err := c.createScope(ctx, op, a.Path(), a.Description, func(*view.Snapshot) (any, error) { return a, nil })
	a.Revision = c.token(revision)
	return a, err
}

// UpdateApp changes an app's description. Revision, if set, must be current.
func (c *Center) UpdateApp(ctx context.Context, a config.App) (config.App, error) {
	const op = "app.update"
	if _, err := c.authorize(ctx, op, auth.Manage, a.Path()); err != nil {
		return a, err
	}
	var next config.App
	revision, err := c.updateScope(ctx, op, a.Path(), a.Description, a.Revision, func(snap *view.Snapshot) any {
		old, _ := snap.App(a.Path())
		next = old.App
		next.Description, next.Closing = a.Description, false
		return next
	})
	next.Revision = c.token(revision)
	return next, err
}

// DeleteApp removes an app that has no envs.
func (c *Center) DeleteApp(ctx context.Context, path config.Path, expected config.Token) error {
	return c.deleteScope(ctx, "app.delete", path, path.Parent(), expected)
}

// Envs lists the envs of an app in which the caller may see something, in the
// order of promotion.
func (c *Center) Envs(ctx context.Context, app config.Path) ([]config.Env, error) {
	const op = "env.list"
	id, err := c.authorizeReach(ctx, op, auth.Fetch, app)
	if err != nil {
		return nil, err
	}
	snap := c.view.Snapshot()
	if _, ok := snap.App(app); !ok {
		return nil, errNoScope(op, app)
	}
	envs := []config.Env{}
	for e := range snap.Envs(app, "") {
		if c.authz.Reaches(id, auth.Fetch, e.Path()) {
			envs = append(envs, c.showEnv(e))
		}
	}
	slices.SortStableFunc(envs, func(a, b config.Env) int { return a.Order - b.Order })
	return envs, nil
}

// Env returns one env.
func (c *Center) Env(ctx context.Context, path config.Path) (config.Env, error) {
	const op = "env.get"
	if _, err := c.authorizeReach(ctx, op, auth.Fetch, path); err != nil {
		return config.Env{}, err
	}
	e, ok := c.view.Snapshot().Env(path)
	if !ok {
		return config.Env{}, errNoScope(op, path)
	}
	return c.showEnv(e), nil
}

// MaxEnvsPerApp bounds the envs of one app, which are listed whole.
const MaxEnvsPerApp = 1000

// CreateEnv makes an env. An Order of 0 puts it behind the app's last one; a
// Kind left out goes by the name.
func (c *Center) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	const op = "env.create"
	id, err := c.authorize(ctx, op, auth.Manage, e.Path().Parent())
	if err != nil {
		return e, err
	}
	if e.Kind == "" {
		e.Kind = config.EnvKind(e.Name)
	}
	if e.Freezes, err = checkFreezes(e.Path(), e.Freezes); err != nil {
		return e, located(op, "", err)
	}
	e.CreatedBy, e.CreatedAt = c.stamp(id)
	e.Revision, e.Closing = "", false
	asked := e.Order
	revision, err := c.createScope(ctx, op, e.Path(), e.Description, func(snap *view.Snapshot) (any, error) {
		count := 0
		e.Order = asked
		for other := range snap.Envs(e.Path().Parent(), "") {
			count++
			if asked == 0 {
				e.Order = max(e.Order, other.Order+10)
			}
		}
		if e.Order == 0 {
			e.Order = 10
		}
		if count >= MaxEnvsPerApp {
			return nil, config.Errorf(config.Exhausted, op, e.Path().String(), "the app has %d envs, which is the most", count)
		}
		return e, checkEnvKind(e.Kind)
	})
	e.Revision = c.token(revision)
	return e, err
}

// EnvPatch changes what is not nil.
type EnvPatch struct {
	Path        config.Path
	Kind        *config.EnvKind
	Description *string
	Protected   *bool
	Order       *int
	// Freezes are all that it is to have; FreezeEnv and UnfreezeEnv change one.
	Freezes  *[]config.Freeze
	Expected config.Token
}

// UpdateEnv changes an env's properties.
func (c *Center) UpdateEnv(ctx context.Context, p EnvPatch) (config.Env, error) {
	const op = "env.update"
	if _, err := c.authorize(ctx, op, auth.Manage, p.Path); err != nil {
		return config.Env{}, err
	}
	if p.Kind != nil {
		if err := checkEnvKind(*p.Kind); err != nil {
			return config.Env{}, located(op, p.Path.String(), err)
		}
	}
	var freezes []config.Freeze
	if p.Freezes != nil {
		var err error
		if freezes, err = checkFreezes(p.Path, *p.Freezes); err != nil {
			return config.Env{}, located(op, "", err)
		}
	}
	var next config.Env
	revision, err := c.updateScope(ctx, op, p.Path, deref(p.Description), p.Expected, func(snap *view.Snapshot) any {
		old, _ := snap.Env(p.Path)
		next = old.Env
		if p.Freezes != nil {
			next.Freezes = freezes
		}
		set(&next.Kind, p.Kind)
		set(&next.Description, p.Description)
		set(&next.Protected, p.Protected)
		set(&next.Order, p.Order)
		next.Closing = false
		return next
	})
	next.Revision = c.token(revision)
	return next, err
}

// DeleteEnv removes an env in which no config is live. The history of deleted
// configs is kept and comes back if the env is made again.
func (c *Center) DeleteEnv(ctx context.Context, path config.Path, expected config.Token) error {
	return c.deleteScope(ctx, "env.delete", path, path.Parent(), expected)
}
