package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// Tenants implements exec.QueryResolver.
func (q query) Tenants(ctx context.Context, limit *int, after *string) (*config.Page[config.Tenant], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.Tenant], error) { return q.center.Tenants(ctx, p) })
}

// Tenant implements exec.QueryResolver.
func (q query) Tenant(ctx context.Context, name string) (*config.Tenant, error) {
	return some(q.center.Tenant(ctx, name))
}

// Apps implements exec.QueryResolver.
func (q query) Apps(ctx context.Context, tenant string, limit *int, after *string) (*config.Page[config.App], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.App], error) { return q.center.Apps(ctx, tenant, p) })
}

// App implements exec.QueryResolver.
func (q query) App(ctx context.Context, path config.Path) (*config.App, error) {
	return some(q.center.App(ctx, path))
}

// Envs implements exec.QueryResolver.
func (q query) Envs(ctx context.Context, app config.Path) ([]config.Env, error) {
	return whole(q.center.Envs(ctx, app))
}

// Env implements exec.QueryResolver.
func (q query) Env(ctx context.Context, path config.Path) (*config.Env, error) {
	return some(q.center.Env(ctx, path))
}

// CreateTenant implements exec.MutationResolver.
func (m mutation) CreateTenant(ctx context.Context, in config.Tenant) (*config.Tenant, error) {
	return some(m.center.CreateTenant(ctx, in))
}

// UpdateTenant implements exec.MutationResolver.
func (m mutation) UpdateTenant(ctx context.Context, in model.UpdateTenantInput) (*config.Tenant, error) {
	change := config.Tenant{Name: in.Name, Description: given(in.Description), Revision: in.ExpectedRevision}
	if in.Description == nil { // what is left out stays, on the condition that it is as it was seen
		now, err := m.center.Tenant(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		change.Description = now.Description
		if change.Revision == "" {
			change.Revision = now.Revision
		}
	}
	return some(m.center.UpdateTenant(ctx, change))
}

// DeleteTenant implements exec.MutationResolver.
func (m mutation) DeleteTenant(ctx context.Context, name string, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteTenant(ctx, name, given(expectedRevision)))
}

// CreateApp implements exec.MutationResolver.
func (m mutation) CreateApp(ctx context.Context, in config.App) (*config.App, error) {
	return some(m.center.CreateApp(ctx, in))
}

// UpdateApp implements exec.MutationResolver.
func (m mutation) UpdateApp(ctx context.Context, in model.UpdateAppInput) (*config.App, error) {
	if err := in.Path.Require(config.LevelApp); err != nil {
		return nil, err
	}
	change := config.App{Tenant: in.Path.Tenant, Name: in.Path.App, Description: given(in.Description), Revision: in.ExpectedRevision}
	if in.Description == nil { // what is left out stays, on the condition that it is as it was seen
		now, err := m.center.App(ctx, in.Path)
		if err != nil {
			return nil, err
		}
		change.Description = now.Description
		if change.Revision == "" {
			change.Revision = now.Revision
		}
	}
	return some(m.center.UpdateApp(ctx, change))
}

// DeleteApp implements exec.MutationResolver.
func (m mutation) DeleteApp(ctx context.Context, path config.Path, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteApp(ctx, path, given(expectedRevision)))
}

// CreateEnv implements exec.MutationResolver.
func (m mutation) CreateEnv(ctx context.Context, in model.CreateEnvInput) (*config.Env, error) {
	if err := in.App.Require(config.LevelApp); err != nil {
		return nil, err
	}
	return some(m.center.CreateEnv(ctx, config.Env{
		Tenant: in.App.Tenant, App: in.App.App, Name: in.Name, Kind: in.Kind, Description: in.Description,
		Protected: in.Protected, Order: in.Order, Freezes: in.Freezes,
	}))
}

// UpdateEnv implements exec.MutationResolver.
func (m mutation) UpdateEnv(ctx context.Context, in center.EnvPatch) (*config.Env, error) {
	return some(m.center.UpdateEnv(ctx, in))
}

// Freezes implements exec.UpdateEnvInputResolver.
func (envPatch) Freezes(_ context.Context, patch *center.EnvPatch, freezes []config.Freeze) error {
	if freezes != nil {
		patch.Freezes = &freezes
	}
	return nil
}

// DeleteEnv implements exec.MutationResolver.
func (m mutation) DeleteEnv(ctx context.Context, path config.Path, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteEnv(ctx, path, given(expectedRevision)))
}

// FreezeEnv implements exec.MutationResolver.
func (m mutation) FreezeEnv(ctx context.Context, path config.Path, freeze config.Freeze, expectedRevision *config.Token) (*config.Env, error) {
	return some(m.center.FreezeEnv(ctx, path, freeze, given(expectedRevision)))
}

// UnfreezeEnv implements exec.MutationResolver.
func (m mutation) UnfreezeEnv(ctx context.Context, path config.Path, name string, expectedRevision *config.Token) (*config.Env, error) {
	return some(m.center.UnfreezeEnv(ctx, path, name, given(expectedRevision)))
}
