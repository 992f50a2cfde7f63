package graphql

import (
	"context"
	"strconv"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// Release implements exec.QueryResolver.
func (q query) Release(ctx context.Context, path config.Path, version int64) (*model.ReleaseContent, error) {
	r, content, err := q.center.Release(ctx, path, version)
	return some(model.ReleaseContent{Release: r, Bytes: content}, err)
}

// Releases implements exec.QueryResolver.
func (q query) Releases(ctx context.Context, path config.Path, limit *int, after *string) (*config.Page[config.Release], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.Release], error) {
		return q.center.Releases(ctx, path, p)
	})
}

// ChangeSets implements exec.QueryResolver.
func (q query) ChangeSets(ctx context.Context, tenant string, limit *int, after *string) (*config.Page[config.ChangeSet], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.ChangeSet], error) {
		return q.center.ChangeSets(ctx, tenant, p)
	})
}

// Diff implements exec.QueryResolver.
func (q query) Diff(ctx context.Context, from, to center.Ref) (*center.Diff, error) {
	return some(q.center.Diff(ctx, from, to))
}

// Action implements exec.ChangeSetResolver.
func (changeSet) Action(_ context.Context, s *config.ChangeSet) (config.SourceKind, error) {
	return config.SourceKind(s.Action), nil
}

// Publish implements exec.MutationResolver.
func (m mutation) Publish(ctx context.Context, in center.Publish) (*config.ChangeSet, error) {
	for i := range in.Items {
		item, where := &in.Items[i], "input.items["+strconv.Itoa(i)+"]"
		switch hasContent := item.Content != nil; {
		case hasContent && item.FromDraft:
			return nil, problem.Malformed(where, "send content or fromDraft, not both")
		case !hasContent && !item.FromDraft:
			return nil, problem.Malformed(where, "send content, contentBase64 or fromDraft")
		}
		if err := checkVersion(where+".expectedVersion", item.ExpectedVersion); err != nil {
			return nil, err
		}
	}
	return some(m.center.Publish(ctx, in))
}

// Content implements exec.PublishItemResolver.
func (publishItem) Content(_ context.Context, item *center.PublishItem, text *string) error {
	if text != nil {
		item.Content = []byte(*text)
	}
	return nil
}

// ContentBase64 implements exec.PublishItemResolver. It is called after Content.
func (publishItem) ContentBase64(_ context.Context, item *center.PublishItem, content []byte) error {
	switch {
	case content == nil:
	case item.Content != nil:
		return config.Errorf(config.Invalid, "", "", "send content or contentBase64, not both")
	default:
		item.Content = content
	}
	return nil
}

// Rollback implements exec.MutationResolver.
func (m mutation) Rollback(ctx context.Context, in center.Rollback) (*config.ChangeSet, error) {
	if err := checkVersion("input.expectedVersion", in.ExpectedVersion); err != nil {
		return nil, err
	}
	return some(m.center.Rollback(ctx, in))
}

// Promote implements exec.MutationResolver.
func (m mutation) Promote(ctx context.Context, in center.Promote) (*config.ChangeSet, error) {
	return some(m.center.Promote(ctx, in))
}
