package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// Access implements exec.QueryResolver.
func (q query) Access(ctx context.Context, name string, path *config.Path, subject *string) (*auth.Explanation, error) {
	verb, err := verbOf(name)
	if err != nil {
		return nil, err
	}
	if who := given(subject); who != "" {
		return some(q.center.CanSubject(ctx, who, verb, given(path)))
	}
	return some(q.center.CanI(ctx, verb, given(path)))
}

// WhoCan implements exec.QueryResolver.
func (q query) WhoCan(ctx context.Context, name string, path *config.Path, limit *int, after *string) (*config.Page[center.Holder], error) {
	verb, err := verbOf(name)
	if err != nil {
		return nil, err
	}
	return listed(limit, after, func(p center.PageRequest) (config.Page[center.Holder], error) {
		return q.center.WhoCan(ctx, verb, given(path), p)
	})
}

// verbOf reads the name of one verb.
func verbOf(name string) (auth.Verb, error) {
	verb, err := auth.ParseVerbs([]string{name})
	if err != nil {
		return 0, problem.Malformed("verb", config.AsError(err).Detail())
	}
	return verb, nil
}

// Roles implements exec.QueryResolver.
func (q query) Roles(ctx context.Context) ([]auth.RoleInfo, error) {
	return whole(q.center.Roles(ctx))
}

// CreateRole implements exec.MutationResolver.
func (m mutation) CreateRole(ctx context.Context, in auth.RoleInfo) (*auth.RoleInfo, error) {
	return some(m.center.CreateRole(ctx, in))
}

// UpdateRole implements exec.MutationResolver.
func (m mutation) UpdateRole(ctx context.Context, in center.RolePatch) (*auth.RoleInfo, error) {
	return some(m.center.UpdateRole(ctx, in))
}

// DeleteRole implements exec.MutationResolver.
func (m mutation) DeleteRole(ctx context.Context, name string, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteRole(ctx, auth.Role(name), given(expectedRevision)))
}
