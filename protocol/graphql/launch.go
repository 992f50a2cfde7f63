package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// Launches implements exec.QueryResolver.
func (q query) Launches(ctx context.Context, tenant string, path *config.Path, all *bool, limit *int, after *string) (*config.Page[config.Launch], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.Launch], error) {
		return q.center.Launches(ctx, center.LaunchesRequest{PageRequest: p, Tenant: tenant, Path: given(path), All: given(all)})
	})
}

// Launch implements exec.QueryResolver.
func (q query) Launch(ctx context.Context, launch center.LaunchRef) (*config.Launch, error) {
	return some(q.center.Launch(ctx, launch))
}

// PauseLaunch implements exec.MutationResolver.
func (m mutation) PauseLaunch(ctx context.Context, in center.LaunchAct) (*config.Launch, error) {
	return some(m.center.PauseLaunch(ctx, in))
}

// ResumeLaunch implements exec.MutationResolver.
func (m mutation) ResumeLaunch(ctx context.Context, in center.LaunchAct) (*config.Launch, error) {
	return some(m.center.ResumeLaunch(ctx, in))
}

// AdvanceLaunch implements exec.MutationResolver.
func (m mutation) AdvanceLaunch(ctx context.Context, in center.LaunchAct) (*config.Launch, error) {
	return some(m.center.AdvanceLaunch(ctx, in))
}

// PromoteLaunch implements exec.MutationResolver.
func (m mutation) PromoteLaunch(ctx context.Context, in center.LaunchAct) (*config.Launch, error) {
	return some(m.center.PromoteLaunch(ctx, in))
}

// AbortLaunch implements exec.MutationResolver.
func (m mutation) AbortLaunch(ctx context.Context, in center.LaunchAct) (*config.Launch, error) {
	return some(m.center.AbortLaunch(ctx, in))
}

// SwitchLaunch implements exec.MutationResolver.
func (m mutation) SwitchLaunch(ctx context.Context, in center.LaunchAct, to *string) (*config.Launch, error) {
	return some(m.center.SwitchLaunch(ctx, center.SwitchLaunch{LaunchAct: in, To: given(to)}))
}

// AdjustLaunch implements exec.MutationResolver.
func (m mutation) AdjustLaunch(ctx context.Context, in center.LaunchAct, change center.AdjustLaunch) (*config.Launch, error) {
	change.LaunchAct = in
	return some(m.center.AdjustLaunch(ctx, change))
}
