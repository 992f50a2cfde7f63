package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/setpointhq/setpoint/config"
)

// Tenants lists the tenants that the caller may see.
func (c *Client) Tenants(ctx context.Context) iter.Seq2[config.Tenant, error] {
	return list[config.Tenant](ctx, c, "/v1/tenants", paged(values()))
}

// Tenant returns one tenant.
func (c *Client) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	return get[config.Tenant](ctx, c, at(config.Path{Tenant: name}))
}

// CreateTenant makes a tenant of a name and a description.
func (c *Client) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	return post[config.Tenant](ctx, c, "/v1/tenants", newScope{Name: t.Name, Description: t.Description})
}

// ScopePatch changes a tenant, an app or an env. What is nil stays as it is;
// Kind, Protected, Order and Freezes are an env's alone.
type ScopePatch struct {
	Description *string         `json:"description,omitempty"`
	Kind        *config.EnvKind `json:"kind,omitempty"`
	Protected   *bool           `json:"protected,omitempty"`
	Order       *int            `json:"order,omitempty"`
	// Freezes are all that it is to have; FreezeEnv and UnfreezeEnv change one.
	Freezes *[]config.Freeze `json:"freezes,omitempty"`
	// Expected makes the change conditional on the revision that was seen.
	Expected config.Token `json:"-"`
}

// UpdateTenant changes a tenant.
func (c *Client) UpdateTenant(ctx context.Context, name string, p ScopePatch) (config.Tenant, error) {
	return patch[config.Tenant](ctx, c, at(config.Path{Tenant: name}), p.Expected, p)
}

// Apps lists the apps of a tenant.
func (c *Client) Apps(ctx context.Context, tenant string) iter.Seq2[config.App, error] {
	return list[config.App](ctx, c, at(config.Path{Tenant: tenant}, "apps"), paged(values()))
}

// App returns one app.
func (c *Client) App(ctx context.Context, app config.Path) (config.App, error) {
	if err := app.Require(config.LevelApp); err != nil {
		return config.App{}, err
	}
	return get[config.App](ctx, c, at(app))
}

// CreateApp makes an app of a tenant, a name and a description.
func (c *Client) CreateApp(ctx context.Context, a config.App) (config.App, error) {
	if err := a.Path().Require(config.LevelApp); err != nil {
		return config.App{}, err
	}
	return post[config.App](ctx, c, at(a.Path().Parent(), "apps"), newScope{Name: a.Name, Description: a.Description})
}

// UpdateApp changes an app.
func (c *Client) UpdateApp(ctx context.Context, app config.Path, p ScopePatch) (config.App, error) {
	if err := app.Require(config.LevelApp); err != nil {
		return config.App{}, err
	}
	return patch[config.App](ctx, c, at(app), p.Expected, p)
}

// Envs lists the envs of an app in promotion order.
func (c *Client) Envs(ctx context.Context, app config.Path) iter.Seq2[config.Env, error] {
	return list[config.Env](ctx, c, at(app.At(config.LevelApp), "envs"), nil)
}

// Env returns one env.
func (c *Client) Env(ctx context.Context, env config.Path) (config.Env, error) {
	if err := env.Require(config.LevelEnv); err != nil {
		return config.Env{}, err
	}
	return get[config.Env](ctx, c, at(env))
}

// CreateEnv makes an env. Without an Order it is the last to be promoted to.
func (c *Client) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	if err := e.Path().Require(config.LevelEnv); err != nil {
		return config.Env{}, err
	}
	in := newScope{Name: e.Name, Description: e.Description, Kind: e.Kind, Protected: e.Protected, Order: e.Order, Freezes: e.Freezes}
	return post[config.Env](ctx, c, at(e.Path().Parent(), "envs"), in)
}

// UpdateEnv changes an env.
func (c *Client) UpdateEnv(ctx context.Context, env config.Path, p ScopePatch) (config.Env, error) {
	if err := env.Require(config.LevelEnv); err != nil {
		return config.Env{}, err
	}
	return patch[config.Env](ctx, c, at(env), p.Expected, p)
}

// DeleteScope deletes the tenant, app or env at the path. It must be empty.
// expected makes it conditional on the revision that was seen; "" does not.
func (c *Client) DeleteScope(ctx context.Context, scope config.Path, expected config.Token) error {
	if err := scope.Validate(); err != nil {
		return err
	}
	if l := scope.Level(); l == config.LevelRoot || l == config.LevelConfig {
		return config.Errorf(config.Invalid, "", scope.String(), "want the path of a tenant, an app or an env")
	}
	return remove(ctx, c, at(scope), expected)
}

type newScope struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Kind        config.EnvKind  `json:"kind,omitempty"`
	Protected   bool            `json:"protected,omitempty"`
	Order       int             `json:"order,omitempty"`
	Freezes     []config.Freeze `json:"freezes,omitempty"`
}

// The four shapes that most calls have.

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	_, err := c.call(ctx, request{method: http.MethodGet, path: path}, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, in any) (T, error) {
	var out T
	_, err := c.call(ctx, request{method: http.MethodPost, path: path, in: in}, &out)
	return out, err
}

func patch[T any](ctx context.Context, c *Client, path string, expected config.Token, in any) (T, error) {
	var out T
	_, err := c.call(ctx, request{method: http.MethodPatch, path: path, header: ifMatch(expected), in: in}, &out)
	return out, err
}

func remove(ctx context.Context, c *Client, path string, expected config.Token) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: path, header: ifMatch(expected)}, nil)
	return err
}
