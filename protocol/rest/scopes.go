package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	tagScopes  = "Scopes"
	pathTenant = "/v1/tenants/{tenant}"
	pathApp    = pathTenant + "/apps/{app}"
	pathEnv    = pathApp + "/envs/{env}"
)

// The errors that go with certain sorts of routes.
var (
	readStatuses   = []int{http.StatusNotFound}
	createStatuses = []int{http.StatusNotFound, http.StatusConflict}
	changeStatuses = []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}
)

func scopeRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: "/v1/tenants", Op: "tenant.list", ID: "list-tenants", tag: tagScopes,
			summary: "List tenants", description: "Those in which you may see something, by name."}, (*api).listTenants),
		control(Route{Method: "POST", Pattern: "/v1/tenants", Op: "tenant.create", ID: "create-tenant", tag: tagScopes,
			summary: "Create a tenant", body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createTenant),
		control(Route{Method: "GET", Pattern: pathTenant, Op: "tenant.get", ID: "get-tenant", tag: tagScopes,
			summary: "Get a tenant", errors: readStatuses}, (*api).getTenant),
		control(Route{Method: "PATCH", Pattern: pathTenant, Op: "tenant.update", ID: "update-tenant", tag: tagScopes,
			summary: "Change a tenant", body: smallBody, errors: changeStatuses}, (*api).updateTenant),
		control(Route{Method: "DELETE", Pattern: pathTenant, Op: "tenant.delete", ID: "delete-tenant", tag: tagScopes,
			summary: "Delete a tenant", description: "It must have no apps.", errors: changeStatuses}, (*api).deleteTenant),

		control(Route{Method: "GET", Pattern: pathTenant + "/apps", Op: "app.list", ID: "list-apps", tag: tagScopes,
			summary: "List a tenant's apps", errors: readStatuses}, (*api).listApps),
		control(Route{Method: "POST", Pattern: pathTenant + "/apps", Op: "app.create", ID: "create-app", tag: tagScopes,
			summary: "Create an app", body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createApp),
		control(Route{Method: "GET", Pattern: pathApp, Op: "app.get", ID: "get-app", tag: tagScopes,
			summary: "Get an app", errors: readStatuses}, (*api).getApp),
		control(Route{Method: "PATCH", Pattern: pathApp, Op: "app.update", ID: "update-app", tag: tagScopes,
			summary: "Change an app", body: smallBody, errors: changeStatuses}, (*api).updateApp),
		control(Route{Method: "DELETE", Pattern: pathApp, Op: "app.delete", ID: "delete-app", tag: tagScopes,
			summary: "Delete an app", description: "It must have no envs.", errors: changeStatuses}, (*api).deleteApp),

		control(Route{Method: "GET", Pattern: pathApp + "/envs", Op: "env.list", ID: "list-envs", tag: tagScopes,
			summary: "List an app's envs", description: "In the order of promotion; always all of them.", errors: readStatuses}, (*api).listEnvs),
		control(Route{Method: "POST", Pattern: pathApp + "/envs", Op: "env.create", ID: "create-env", tag: tagScopes,
			summary: "Create an env", body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createEnv),
		control(Route{Method: "GET", Pattern: pathEnv, Op: "env.get", ID: "get-env", tag: tagScopes,
			summary: "Get an env", errors: readStatuses}, (*api).getEnv),
		control(Route{Method: "PATCH", Pattern: pathEnv, Op: "env.update", ID: "update-env", tag: tagScopes,
			summary: "Change an env", body: smallBody, errors: changeStatuses}, (*api).updateEnv),
		control(Route{Method: "DELETE", Pattern: pathEnv, Op: "env.delete", ID: "delete-env", tag: tagScopes,
			summary: "Delete an env", description: "It must have no live configs and not be protected.", errors: changeStatuses}, (*api).deleteEnv),
	}
}

// newScope is the body that makes a tenant or an app.
type newScope struct {
	Name        string `json:"name" doc:"lower-case letters, digits and '-'" example:"acme"`
	Description string `json:"description,omitempty" example:"Acme Inc."`
}

// scopePatch is the body that changes a tenant or an app.
type scopePatch struct {
	Description string `json:"description" doc:"the new description"`
}

func (a *api) listTenants(ctx context.Context, in *PageQuery) (*answered[config.Page[config.Tenant]], error) {
	return answer(a.center.Tenants(ctx, in.request()))
}

func (a *api) createTenant(ctx context.Context, in *struct{ Body newScope }) (*tagged[config.Tenant], error) {
	t, err := a.center.CreateTenant(ctx, config.Tenant{Name: in.Body.Name, Description: in.Body.Description})
	return tag(t, t.Revision, err)
}

func (a *api) getTenant(ctx context.Context, in *TenantPath) (*tagged[config.Tenant], error) {
	t, err := a.center.Tenant(ctx, in.Tenant)
	return tag(t, t.Revision, err)
}

func (a *api) updateTenant(ctx context.Context, in *struct {
	TenantPath
	Condition
	Body scopePatch
}) (*tagged[config.Tenant], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	t, err := a.center.UpdateTenant(ctx, config.Tenant{Name: in.Tenant, Description: in.Body.Description, Revision: expected})
	return tag(t, t.Revision, err)
}

func (a *api) deleteTenant(ctx context.Context, in *struct {
	TenantPath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteTenant(ctx, in.Tenant, expected))
}

func (a *api) listApps(ctx context.Context, in *struct {
	TenantPath
	PageQuery
}) (*answered[config.Page[config.App]], error) {
	return answer(a.center.Apps(ctx, in.Tenant, in.request()))
}

func (a *api) createApp(ctx context.Context, in *struct {
	TenantPath
	Body newScope
}) (*tagged[config.App], error) {
	app, err := a.center.CreateApp(ctx, config.App{Tenant: in.Tenant, Name: in.Body.Name, Description: in.Body.Description})
	return tag(app, app.Revision, err)
}

func (a *api) getApp(ctx context.Context, in *AppPath) (*tagged[config.App], error) {
	app, err := a.center.App(ctx, in.path())
	return tag(app, app.Revision, err)
}

func (a *api) updateApp(ctx context.Context, in *struct {
	AppPath
	Condition
	Body scopePatch
}) (*tagged[config.App], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	app, err := a.center.UpdateApp(ctx, config.App{Tenant: in.Tenant, Name: in.App, Description: in.Body.Description, Revision: expected})
	return tag(app, app.Revision, err)
}

func (a *api) deleteApp(ctx context.Context, in *struct {
	AppPath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteApp(ctx, in.path(), expected))
}

func (a *api) listEnvs(ctx context.Context, in *AppPath) (*answered[config.Page[config.Env]], error) {
	envs, err := a.center.Envs(ctx, in.path())
	return answer(config.Page[config.Env]{Items: envs}, err)
}

func (a *api) createEnv(ctx context.Context, in *struct {
	AppPath
	Body struct {
		Name        string          `json:"name" doc:"lower-case letters, digits and '-'" example:"prod"`
		Kind        config.EnvKind  `json:"kind,omitempty" doc:"dev, test, prod or a word like them; left out, the name" example:"prod"`
		Description string          `json:"description,omitempty"`
		Protected   bool            `json:"protected,omitempty" doc:"refuse deletion, and want a comment on every publish"`
		Order       int             `json:"order,omitempty" doc:"the place in the order of promotion, lower comes first; left out, behind the last"`
		Freezes     []config.Freeze `json:"freezes,omitempty" doc:"when nothing is released in it"`
	}
}) (*tagged[config.Env], error) {
	e, err := a.center.CreateEnv(ctx, config.Env{
		Tenant: in.Tenant, App: in.App, Name: in.Body.Name, Kind: in.Body.Kind,
		Description: in.Body.Description, Protected: in.Body.Protected, Order: in.Body.Order, Freezes: in.Body.Freezes,
	})
	return tag(e, e.Revision, err)
}

func (a *api) getEnv(ctx context.Context, in *EnvPath) (*tagged[config.Env], error) {
	e, err := a.center.Env(ctx, in.path())
	return tag(e, e.Revision, err)
}

func (a *api) updateEnv(ctx context.Context, in *struct {
	EnvPath
	Condition
	Body struct {
		Kind        *config.EnvKind  `json:"kind,omitempty"`
		Description *string          `json:"description,omitempty"`
		Protected   *bool            `json:"protected,omitempty"`
		Order       *int             `json:"order,omitempty"`
		Freezes     *[]config.Freeze `json:"freezes,omitempty" doc:"all that it is to have; to add or drop one, use its own route"`
	}
}) (*tagged[config.Env], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	e, err := a.center.UpdateEnv(ctx, center.EnvPatch{
		Path: in.path(), Kind: in.Body.Kind, Description: in.Body.Description,
		Protected: in.Body.Protected, Order: in.Body.Order, Freezes: in.Body.Freezes, Expected: expected,
	})
	return tag(e, e.Revision, err)
}

func (a *api) deleteEnv(ctx context.Context, in *struct {
	EnvPath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteEnv(ctx, in.path(), expected))
}
