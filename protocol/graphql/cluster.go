package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// ClusterStatus implements exec.QueryResolver.
func (q query) ClusterStatus(ctx context.Context) (*config.ClusterStatus, error) {
	return some(q.center.ClusterStatus(ctx))
}

// Members implements exec.QueryResolver.
func (q query) Members(ctx context.Context) ([]config.Node, error) {
	return whole(q.center.Members(ctx))
}

// Role implements exec.NodeResolver.
func (node) Role(_ context.Context, n *config.Node) (*config.Role, error) {
	if n.Role == "" {
		return nil, nil //nolint:nilnil // it is not known
	}
	return &n.Role, nil
}

// JoinTokens implements exec.QueryResolver.
func (q query) JoinTokens(ctx context.Context, limit *int, after *string) (*config.Page[config.JoinToken], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[config.JoinToken], error) { return q.center.JoinTokens(ctx, p) })
}

// PromoteMember implements exec.MutationResolver.
func (m mutation) PromoteMember(ctx context.Context, name string) (*bool, error) {
	return done(m.center.PromoteMember(ctx, name))
}

// RemoveMember implements exec.MutationResolver.
func (m mutation) RemoveMember(ctx context.Context, name string) (*bool, error) {
	return done(m.center.RemoveMember(ctx, name))
}

// MoveLeader implements exec.MutationResolver.
func (m mutation) MoveLeader(ctx context.Context, name *string) (*bool, error) {
	return done(m.center.MoveLeader(ctx, given(name)))
}

// CreateJoinToken implements exec.MutationResolver.
func (m mutation) CreateJoinToken(ctx context.Context, in *center.NewJoinToken) (*center.MintedJoinToken, error) {
	n := given(in)
	if n.TTL < 0 {
		return nil, problem.Malformed("input.ttl", "want a time span that is not negative")
	}
	return some(m.center.CreateJoinToken(ctx, n))
}

// RevokeJoinToken implements exec.MutationResolver.
func (m mutation) RevokeJoinToken(ctx context.Context, id string) (*bool, error) {
	return done(m.center.RevokeJoinToken(ctx, id))
}
