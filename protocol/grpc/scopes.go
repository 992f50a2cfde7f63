package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// ListTenants implements setpointv1.ScopeServiceServer.
func (s *service) ListTenants(ctx context.Context, in *setpointv1.ListTenantsRequest) (*setpointv1.ListTenantsResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Tenants(ctx, page)
	return &setpointv1.ListTenantsResponse{Tenants: all(found.Items, tenantOf), NextPageToken: found.Next}, err
}

// GetTenant implements setpointv1.ScopeServiceServer.
func (s *service) GetTenant(ctx context.Context, in *setpointv1.GetTenantRequest) (*setpointv1.GetTenantResponse, error) {
	t, err := s.center.Tenant(ctx, in.GetTenant())
	return &setpointv1.GetTenantResponse{Tenant: tenantOf(t)}, err
}

// CreateTenant implements setpointv1.ScopeServiceServer.
func (s *service) CreateTenant(ctx context.Context, in *setpointv1.CreateTenantRequest) (*setpointv1.CreateTenantResponse, error) {
	t, err := s.center.CreateTenant(ctx, config.Tenant{Name: in.GetName(), Description: in.GetDescription()})
	return &setpointv1.CreateTenantResponse{Tenant: tenantOf(t)}, err
}

// UpdateTenant implements setpointv1.ScopeServiceServer.
func (s *service) UpdateTenant(ctx context.Context, in *setpointv1.UpdateTenantRequest) (*setpointv1.UpdateTenantResponse, error) {
	change := config.Tenant{Name: in.GetTenant(), Description: in.GetDescription(), Revision: config.Token(in.GetExpectedRevision())}
	if in.Description == nil { // what is absent stays, on the condition that it is as it was seen
		now, err := s.center.Tenant(ctx, in.GetTenant())
		if err != nil {
			return nil, err
		}
		change.Description = now.Description
		if change.Revision == "" {
			change.Revision = now.Revision
		}
	}
	t, err := s.center.UpdateTenant(ctx, change)
	return &setpointv1.UpdateTenantResponse{Tenant: tenantOf(t)}, err
}

// DeleteTenant implements setpointv1.ScopeServiceServer.
func (s *service) DeleteTenant(ctx context.Context, in *setpointv1.DeleteTenantRequest) (*setpointv1.DeleteTenantResponse, error) {
	return &setpointv1.DeleteTenantResponse{}, s.center.DeleteTenant(ctx, in.GetTenant(), config.Token(in.GetExpectedRevision()))
}

// ListApps implements setpointv1.ScopeServiceServer.
func (s *service) ListApps(ctx context.Context, in *setpointv1.ListAppsRequest) (*setpointv1.ListAppsResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Apps(ctx, in.GetTenant(), page)
	return &setpointv1.ListAppsResponse{Apps: all(found.Items, appOf), NextPageToken: found.Next}, err
}

// GetApp implements setpointv1.ScopeServiceServer.
func (s *service) GetApp(ctx context.Context, in *setpointv1.GetAppRequest) (*setpointv1.GetAppResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	a, err := s.center.App(ctx, path)
	return &setpointv1.GetAppResponse{App: appOf(a)}, err
}

// CreateApp implements setpointv1.ScopeServiceServer.
func (s *service) CreateApp(ctx context.Context, in *setpointv1.CreateAppRequest) (*setpointv1.CreateAppResponse, error) {
	a, err := s.center.CreateApp(ctx, config.App{Tenant: in.GetTenant(), Name: in.GetName(), Description: in.GetDescription()})
	return &setpointv1.CreateAppResponse{App: appOf(a)}, err
}

// UpdateApp implements setpointv1.ScopeServiceServer.
func (s *service) UpdateApp(ctx context.Context, in *setpointv1.UpdateAppRequest) (*setpointv1.UpdateAppResponse, error) {
	var q asked
	path := q.at("path", in.GetPath(), config.LevelApp)
	if q.err != nil {
		return nil, q.err
	}
	change := config.App{
		Tenant: path.Tenant, Name: path.App, Description: in.GetDescription(), Revision: config.Token(in.GetExpectedRevision()),
	}
	if in.Description == nil { // what is absent stays, on the condition that it is as it was seen
		now, err := s.center.App(ctx, path)
		if err != nil {
			return nil, err
		}
		change.Description = now.Description
		if change.Revision == "" {
			change.Revision = now.Revision
		}
	}
	a, err := s.center.UpdateApp(ctx, change)
	return &setpointv1.UpdateAppResponse{App: appOf(a)}, err
}

// DeleteApp implements setpointv1.ScopeServiceServer.
func (s *service) DeleteApp(ctx context.Context, in *setpointv1.DeleteAppRequest) (*setpointv1.DeleteAppResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	return &setpointv1.DeleteAppResponse{}, s.center.DeleteApp(ctx, path, config.Token(in.GetExpectedRevision()))
}

// ListEnvs implements setpointv1.ScopeServiceServer.
func (s *service) ListEnvs(ctx context.Context, in *setpointv1.ListEnvsRequest) (*setpointv1.ListEnvsResponse, error) {
	var q asked
	app := q.path("app", in.GetApp())
	if q.err != nil {
		return nil, q.err
	}
	envs, err := s.center.Envs(ctx, app)
	return &setpointv1.ListEnvsResponse{Envs: all(envs, envOf)}, err
}

// GetEnv implements setpointv1.ScopeServiceServer.
func (s *service) GetEnv(ctx context.Context, in *setpointv1.GetEnvRequest) (*setpointv1.GetEnvResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	e, err := s.center.Env(ctx, path)
	return &setpointv1.GetEnvResponse{Env: envOf(e)}, err
}

// CreateEnv implements setpointv1.ScopeServiceServer.
func (s *service) CreateEnv(ctx context.Context, in *setpointv1.CreateEnvRequest) (*setpointv1.CreateEnvResponse, error) {
	var q asked
	app := q.at("app", in.GetApp(), config.LevelApp)
	freezes := q.freezes("freezes", in.GetFreezes())
	if q.err != nil {
		return nil, q.err
	}
	e, err := s.center.CreateEnv(ctx, config.Env{
		Tenant: app.Tenant, App: app.App, Name: in.GetName(), Kind: config.EnvKind(in.GetKind()), Description: in.GetDescription(),
		Protected: in.GetProtected(), Order: int(in.GetOrder()), Freezes: freezes,
	})
	return &setpointv1.CreateEnvResponse{Env: envOf(e)}, err
}

// UpdateEnv implements setpointv1.ScopeServiceServer.
func (s *service) UpdateEnv(ctx context.Context, in *setpointv1.UpdateEnvRequest) (*setpointv1.UpdateEnvResponse, error) {
	var q asked
	patch := center.EnvPatch{
		Path: q.path("path", in.GetPath()), Kind: (*config.EnvKind)(in.Kind), Description: in.Description,
		Protected: in.Protected, Expected: config.Token(in.GetExpectedRevision()),
	}
	if in.Order != nil {
		order := int(in.GetOrder())
		patch.Order = &order
	}
	if in.GetFreezes() != nil {
		freezes := q.freezes("freezes.items", in.GetFreezes().GetItems())
		patch.Freezes = &freezes
	}
	if q.err != nil {
		return nil, q.err
	}
	e, err := s.center.UpdateEnv(ctx, patch)
	return &setpointv1.UpdateEnvResponse{Env: envOf(e)}, err
}

// DeleteEnv implements setpointv1.ScopeServiceServer.
func (s *service) DeleteEnv(ctx context.Context, in *setpointv1.DeleteEnvRequest) (*setpointv1.DeleteEnvResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	return &setpointv1.DeleteEnvResponse{}, s.center.DeleteEnv(ctx, path, config.Token(in.GetExpectedRevision()))
}

// FreezeEnv implements setpointv1.ScopeServiceServer.
func (s *service) FreezeEnv(ctx context.Context, in *setpointv1.FreezeEnvRequest) (*setpointv1.FreezeEnvResponse, error) {
	var q asked
	path, freeze := q.path("path", in.GetPath()), q.freeze("freeze", in.GetFreeze())
	if q.err != nil {
		return nil, q.err
	}
	e, err := s.center.FreezeEnv(ctx, path, freeze, config.Token(in.GetExpectedRevision()))
	return &setpointv1.FreezeEnvResponse{Env: envOf(e)}, err
}

// UnfreezeEnv implements setpointv1.ScopeServiceServer.
func (s *service) UnfreezeEnv(ctx context.Context, in *setpointv1.UnfreezeEnvRequest) (*setpointv1.UnfreezeEnvResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	e, err := s.center.UnfreezeEnv(ctx, path, in.GetName(), config.Token(in.GetExpectedRevision()))
	return &setpointv1.UnfreezeEnvResponse{Env: envOf(e)}, err
}
