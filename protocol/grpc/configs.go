package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// ListConfigs implements setpointv1.ConfigServiceServer.
func (s *service) ListConfigs(ctx context.Context, in *setpointv1.ListConfigsRequest) (*setpointv1.ListConfigsResponse, error) {
	var q asked
	request := center.ConfigsRequest{
		PageRequest: q.page(in.GetPageSize(), in.GetPageToken()), Env: q.path("env", in.GetEnv()),
		Prefix: in.GetPrefix(), Deleted: in.GetDeleted(),
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Configs(ctx, request)
	return &setpointv1.ListConfigsResponse{Configs: all(found.Items, stateOf), NextPageToken: found.Next}, err
}

// GetConfig implements setpointv1.ConfigServiceServer.
func (s *service) GetConfig(ctx context.Context, in *setpointv1.GetConfigRequest) (*setpointv1.GetConfigResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	c, err := s.center.Config(ctx, path)
	return &setpointv1.GetConfigResponse{Config: stateOf(c)}, err
}

// CreateConfig implements setpointv1.ConfigServiceServer.
func (s *service) CreateConfig(ctx context.Context, in *setpointv1.CreateConfigRequest) (*setpointv1.CreateConfigResponse, error) {
	var q asked
	noun := config.Config{
		Path: q.path("path", in.GetPath()), Kind: word(&q, "kind", configKindWords, in.GetKind()), Format: in.GetFormat(),
		File: in.GetFile(), Description: in.GetDescription(), Labels: in.GetLabels(),
	}
	if q.err != nil {
		return nil, q.err
	}
	c, err := s.center.CreateConfig(ctx, noun)
	return &setpointv1.CreateConfigResponse{Config: stateOf(c)}, err
}

// UpdateConfig implements setpointv1.ConfigServiceServer.
func (s *service) UpdateConfig(ctx context.Context, in *setpointv1.UpdateConfigRequest) (*setpointv1.UpdateConfigResponse, error) {
	var q asked
	patch := center.ConfigPatch{
		Path: q.path("path", in.GetPath()), Format: in.Format, File: in.File, Description: in.Description,
		Expected: config.Token(in.GetExpectedRevision()),
	}
	if in.GetLabels() != nil {
		labels := in.GetLabels().GetEntries()
		patch.Labels = &labels
	}
	if q.err != nil {
		return nil, q.err
	}
	c, err := s.center.UpdateConfig(ctx, patch)
	return &setpointv1.UpdateConfigResponse{Config: stateOf(c)}, err
}

// DeleteConfig implements setpointv1.ConfigServiceServer.
func (s *service) DeleteConfig(ctx context.Context, in *setpointv1.DeleteConfigRequest) (*setpointv1.DeleteConfigResponse, error) {
	var q asked
	request := center.DeleteConfig{
		Path: q.path("path", in.GetPath()), Comment: in.GetComment(), ExpectedVersion: q.version("expected_version", in.ExpectedVersion),
		Purge: in.GetPurge(), OverrideFreeze: in.GetOverrideFreeze(),
	}
	if q.err != nil {
		return nil, q.err
	}
	return &setpointv1.DeleteConfigResponse{}, s.center.DeleteConfig(ctx, request)
}

// UndeleteConfig implements setpointv1.ConfigServiceServer.
func (s *service) UndeleteConfig(ctx context.Context, in *setpointv1.UndeleteConfigRequest) (*setpointv1.UndeleteConfigResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	c, err := s.center.UndeleteConfig(ctx, path, in.GetComment())
	return &setpointv1.UndeleteConfigResponse{Config: stateOf(c)}, err
}

// GetDraft implements setpointv1.ConfigServiceServer.
func (s *service) GetDraft(ctx context.Context, in *setpointv1.GetDraftRequest) (*setpointv1.GetDraftResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	d, err := s.center.Draft(ctx, path)
	return &setpointv1.GetDraftResponse{Draft: draftOf(d)}, err
}

// SaveDraft implements setpointv1.ConfigServiceServer.
func (s *service) SaveDraft(ctx context.Context, in *setpointv1.SaveDraftRequest) (*setpointv1.SaveDraftResponse, error) {
	var q asked
	save := center.SaveDraft{
		Path: q.path("path", in.GetPath()), Content: in.GetContent(), Format: in.GetFormat(),
		Expected: (*config.Token)(in.ExpectedRevision),
	}
	if q.err != nil {
		return nil, q.err
	}
	d, problems, err := s.center.SaveDraft(ctx, save)
	d.Content = nil
	return &setpointv1.SaveDraftResponse{Draft: draftOf(d), Problems: all(problems, problemOf)}, err
}

// DeleteDraft implements setpointv1.ConfigServiceServer.
func (s *service) DeleteDraft(ctx context.Context, in *setpointv1.DeleteDraftRequest) (*setpointv1.DeleteDraftResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	return &setpointv1.DeleteDraftResponse{}, s.center.DeleteDraft(ctx, path, config.Token(in.GetExpectedRevision()))
}

// ValidateContent implements setpointv1.ConfigServiceServer.
func (s *service) ValidateContent(ctx context.Context, in *setpointv1.ValidateContentRequest) (*setpointv1.ValidateContentResponse, error) {
	var q asked
	path := q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	problems, err := s.center.Validate(ctx, path, in.GetFormat(), in.GetContent())
	return &setpointv1.ValidateContentResponse{Problems: all(problems, problemOf)}, err
}
