package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// Instances implements exec.QueryResolver.
func (q query) Instances(ctx context.Context, path config.Path, version *int64, state *model.InstanceState, limit *int, after *string) (*center.InstanceList, error) {
	p, err := pageOf(limit, after)
	if err != nil {
		return nil, err
	}
	return some(q.center.Instances(ctx, center.InstanceRequest{
		Path: path, PageRequest: p, Version: given(version), State: string(given(state)),
	}))
}
