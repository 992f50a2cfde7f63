package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// Configs implements exec.QueryResolver.
func (q query) Configs(ctx context.Context, env config.Path, prefix *string, deleted *bool, limit *int, after *string) (*config.Page[config.State], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.State], error) {
		return q.center.Configs(ctx, center.ConfigsRequest{PageRequest: p, Env: env, Prefix: given(prefix), Deleted: given(deleted)})
	})
}

// Config implements exec.QueryResolver.
func (q query) Config(ctx context.Context, path config.Path) (*config.State, error) {
	return some(q.center.Config(ctx, path))
}

// Draft implements exec.QueryResolver.
func (q query) Draft(ctx context.Context, path config.Path) (*config.Draft, error) {
	return some(q.center.Draft(ctx, path))
}

// Content implements exec.DraftResolver.
func (draft) Content(ctx context.Context, d *config.Draft) (*string, error) {
	return model.TextOf(ctx, d.Content)
}

// ContentBase64 implements exec.DraftResolver.
func (draft) ContentBase64(ctx context.Context, d *config.Draft) ([]byte, error) {
	return model.BytesOf(ctx, d.Content)
}

// ValidateContent implements exec.QueryResolver.
func (q query) ValidateContent(ctx context.Context, in model.ValidateContentInput) ([]config.Problem, error) {
	content, err := contentOf(in.Content, in.ContentBase64)
	if err != nil {
		return nil, err
	}
	return whole(q.center.Validate(ctx, in.Path, in.Format, content))
}

// CreateConfig implements exec.MutationResolver.
func (m mutation) CreateConfig(ctx context.Context, in config.Config) (*config.State, error) {
	return some(m.center.CreateConfig(ctx, in))
}

// UpdateConfig implements exec.MutationResolver.
func (m mutation) UpdateConfig(ctx context.Context, in center.ConfigPatch) (*config.State, error) {
	return some(m.center.UpdateConfig(ctx, in))
}

// Labels implements exec.UpdateConfigInputResolver.
func (configPatch) Labels(_ context.Context, patch *center.ConfigPatch, labels map[string]string) error {
	if labels != nil {
		patch.Labels = &labels
	}
	return nil
}

// DeleteConfig implements exec.MutationResolver.
func (m mutation) DeleteConfig(ctx context.Context, in center.DeleteConfig) (*bool, error) {
	if err := checkVersion("input.expectedVersion", in.ExpectedVersion); err != nil {
		return nil, err
	}
	return done(m.center.DeleteConfig(ctx, in))
}

// UndeleteConfig implements exec.MutationResolver.
func (m mutation) UndeleteConfig(ctx context.Context, path config.Path, comment *string) (*config.State, error) {
	return some(m.center.UndeleteConfig(ctx, path, given(comment)))
}

// SaveDraft implements exec.MutationResolver.
func (m mutation) SaveDraft(ctx context.Context, in model.SaveDraftInput) (*model.SavedDraft, error) {
	content, err := contentOf(in.Content, in.ContentBase64)
	if err != nil {
		return nil, err
	}
	d, problems, err := m.center.SaveDraft(ctx, center.SaveDraft{
		Path: in.Path, Content: content, Format: in.Format, Expected: in.ExpectedRevision,
	})
	return some(model.SavedDraft{Draft: d, Problems: problems}, err)
}

// DeleteDraft implements exec.MutationResolver.
func (m mutation) DeleteDraft(ctx context.Context, path config.Path, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteDraft(ctx, path, given(expectedRevision)))
}
