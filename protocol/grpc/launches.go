package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// ListLaunches implements setpointv1.LaunchServiceServer.
func (s *service) ListLaunches(ctx context.Context, in *setpointv1.ListLaunchesRequest) (*setpointv1.ListLaunchesResponse, error) {
	var q asked
	request := center.LaunchesRequest{
		PageRequest: q.page(in.GetPageSize(), in.GetPageToken()), Tenant: in.GetTenant(), Path: q.path("path", in.GetPath()), All: in.GetAll(),
	}
	if request.Path.Tenant != "" && request.Path.Tenant != request.Tenant {
		q.refuse("path", "it must be of the tenant that is asked about")
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Launches(ctx, request)
	return &setpointv1.ListLaunchesResponse{Launches: all(found.Items, launchOf), NextPageToken: found.Next}, err
}

// GetLaunch implements setpointv1.LaunchServiceServer.
func (s *service) GetLaunch(ctx context.Context, in *setpointv1.GetLaunchRequest) (*setpointv1.GetLaunchResponse, error) {
	var q asked
	ref := q.launch("launch", in.GetLaunch())
	if q.err != nil {
		return nil, q.err
	}
	l, err := s.center.Launch(ctx, ref)
	return &setpointv1.GetLaunchResponse{Launch: launchOf(l)}, err
}

// act does something to a launch.
func (s *service) act(ctx context.Context, in *setpointv1.LaunchAct, do func(context.Context, center.LaunchAct) (config.Launch, error)) (*setpointv1.Launch, error) {
	var q asked
	act := q.act(in)
	if q.err != nil {
		return nil, q.err
	}
	l, err := do(ctx, act)
	return launchOf(l), err
}

// PauseLaunch implements setpointv1.LaunchServiceServer.
func (s *service) PauseLaunch(ctx context.Context, in *setpointv1.PauseLaunchRequest) (*setpointv1.PauseLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), s.center.PauseLaunch)
	return &setpointv1.PauseLaunchResponse{Launch: l}, err
}

// ResumeLaunch implements setpointv1.LaunchServiceServer.
func (s *service) ResumeLaunch(ctx context.Context, in *setpointv1.ResumeLaunchRequest) (*setpointv1.ResumeLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), s.center.ResumeLaunch)
	return &setpointv1.ResumeLaunchResponse{Launch: l}, err
}

// AdvanceLaunch implements setpointv1.LaunchServiceServer.
func (s *service) AdvanceLaunch(ctx context.Context, in *setpointv1.AdvanceLaunchRequest) (*setpointv1.AdvanceLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), s.center.AdvanceLaunch)
	return &setpointv1.AdvanceLaunchResponse{Launch: l}, err
}

// PromoteLaunch implements setpointv1.LaunchServiceServer.
func (s *service) PromoteLaunch(ctx context.Context, in *setpointv1.PromoteLaunchRequest) (*setpointv1.PromoteLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), s.center.PromoteLaunch)
	return &setpointv1.PromoteLaunchResponse{Launch: l}, err
}

// AbortLaunch implements setpointv1.LaunchServiceServer.
func (s *service) AbortLaunch(ctx context.Context, in *setpointv1.AbortLaunchRequest) (*setpointv1.AbortLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), s.center.AbortLaunch)
	return &setpointv1.AbortLaunchResponse{Launch: l}, err
}

// SwitchLaunch implements setpointv1.LaunchServiceServer.
func (s *service) SwitchLaunch(ctx context.Context, in *setpointv1.SwitchLaunchRequest) (*setpointv1.SwitchLaunchResponse, error) {
	l, err := s.act(ctx, in.GetAct(), func(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
		return s.center.SwitchLaunch(ctx, center.SwitchLaunch{LaunchAct: act, To: in.GetTo()})
	})
	return &setpointv1.SwitchLaunchResponse{Launch: l}, err
}

// AdjustLaunch implements setpointv1.LaunchServiceServer.
func (s *service) AdjustLaunch(ctx context.Context, in *setpointv1.AdjustLaunchRequest) (*setpointv1.AdjustLaunchResponse, error) {
	var q asked
	adjust := center.AdjustLaunch{
		Strategy: q.strategyIf("strategy", in.GetStrategy()), Share: shareIf(in.Share), Gate: q.gate("gate", in.GetGate()),
	}
	if in.GetExpiresAfter() != nil {
		after := q.seconds("expires_after", in.GetExpiresAfter())
		adjust.ExpiresAfter = &after
	}
	if in.GetBeginsAt() != nil {
		begins := q.time("begins_at", in.GetBeginsAt())
		adjust.BeginsAt = &begins
	}
	if adjust.Strategy == nil && adjust.Share == nil && adjust.Gate == nil && adjust.ExpiresAfter == nil && adjust.BeginsAt == nil {
		q.refuse("", "say what to adjust: strategy, share, gate, expires_after or begins_at")
	}
	if q.err != nil {
		return nil, q.err
	}
	l, err := s.act(ctx, in.GetAct(), func(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
		adjust.LaunchAct = act
		return s.center.AdjustLaunch(ctx, adjust)
	})
	return &setpointv1.AdjustLaunchResponse{Launch: l}, err
}
