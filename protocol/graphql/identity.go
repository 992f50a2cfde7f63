package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// WhoAmI implements exec.QueryResolver.
func (q query) WhoAmI(ctx context.Context) (*center.WhoAmI, error) {
	return some(q.center.WhoAmI(ctx))
}

// Login implements exec.MutationResolver.
func (m mutation) Login(ctx context.Context, in model.LoginInput) (*model.CreatedToken, error) {
	if in.Username == "" {
		return nil, problem.Malformed("input.username", "say who you are")
	}
	if in.TTL < 0 {
		return nil, problem.Malformed("input.ttl", "want a time span that is not negative")
	}
	id, err := m.auth.Authenticate(ctx, auth.Credentials{
		Username: in.Username, Password: in.Password, Address: auth.RequestFrom(ctx).Address,
	})
	if err != nil {
		m.noteFailure(ctx, in.Username, err)
		return nil, err
	}
	t, secret, err := m.center.Login(auth.WithIdentity(ctx, id), in.TTL)
	return some(model.CreatedToken{Secret: secret, Token: t}, err)
}

// Logout implements exec.MutationResolver.
func (m mutation) Logout(ctx context.Context) (*bool, error) {
	return done(m.center.Logout(ctx))
}

// EndSessions implements exec.MutationResolver.
func (m mutation) EndSessions(ctx context.Context, user *string) (*int, error) {
	if name := given(user); name != "" {
		return some(m.center.EndSessions(ctx, name))
	}
	return some(m.center.LogoutEverywhere(ctx))
}

// SetPassword implements exec.MutationResolver.
func (m mutation) SetPassword(ctx context.Context, old, wanted config.Secret) (*bool, error) {
	id := auth.FromContext(ctx)
	proved, err := m.auth.Authenticate(ctx, auth.Credentials{
		Username: id.Subject, Password: old, Address: auth.RequestFrom(ctx).Address,
	})
	if err == nil && proved.Subject != id.Subject {
		err = config.Errorf(config.Unauthenticated, "user.set_password", id.Subject, "the old password is not yours")
	}
	if err != nil {
		m.noteFailure(ctx, id.Subject, err)
		return nil, err
	}
	return done(m.center.SetPassword(ctx, wanted))
}

// Tokens implements exec.QueryResolver.
func (q query) Tokens(ctx context.Context, user *string, limit *int, after *string) (*config.Page[auth.Token], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[auth.Token], error) {
		return q.center.Tokens(ctx, given(user), p)
	})
}

// CreateToken implements exec.MutationResolver.
func (m mutation) CreateToken(ctx context.Context, in center.NewToken) (*model.CreatedToken, error) {
	if in.TTL < 0 {
		return nil, problem.Malformed("input.ttl", "want a time span that is not negative")
	}
	t, secret, err := m.center.CreateToken(ctx, in)
	return some(model.CreatedToken{Secret: secret, Token: t}, err)
}

// RevokeToken implements exec.MutationResolver.
func (m mutation) RevokeToken(ctx context.Context, id string) (*bool, error) {
	return done(m.center.RevokeToken(ctx, id))
}

// Users implements exec.QueryResolver.
func (q query) Users(ctx context.Context, limit *int, after *string) (*config.Page[auth.User], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[auth.User], error) { return q.center.Users(ctx, p) })
}

// User implements exec.QueryResolver.
func (q query) User(ctx context.Context, name string) (*auth.User, error) {
	return some(q.center.User(ctx, name))
}

// CreateUser implements exec.MutationResolver.
func (m mutation) CreateUser(ctx context.Context, in center.NewUser) (*auth.User, error) {
	return some(m.center.CreateUser(ctx, in))
}

// UpdateUser implements exec.MutationResolver.
func (m mutation) UpdateUser(ctx context.Context, in center.UserPatch) (*auth.User, error) {
	return some(m.center.UpdateUser(ctx, in))
}

// DeleteUser implements exec.MutationResolver.
func (m mutation) DeleteUser(ctx context.Context, name string, expectedRevision *config.Token) (*bool, error) {
	return done(m.center.DeleteUser(ctx, name, given(expectedRevision)))
}

// Bindings implements exec.QueryResolver.
func (q query) Bindings(ctx context.Context, user, group, role, pattern *string, deny *bool, scope *config.Path, limit *int, after *string) (*config.Page[auth.Binding], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[auth.Binding], error) {
		return q.center.Bindings(ctx, center.BindingsRequest{
			PageRequest: p, User: given(user), Group: given(group), Role: auth.Role(given(role)), Pattern: pattern, Deny: deny, Scope: given(scope),
		})
	})
}

// CreateBinding implements exec.MutationResolver.
func (m mutation) CreateBinding(ctx context.Context, in auth.Binding) (*auth.Binding, error) {
	return some(m.center.CreateBinding(ctx, in))
}

// DeleteBinding implements exec.MutationResolver.
func (m mutation) DeleteBinding(ctx context.Context, id string) (*bool, error) {
	return done(m.center.DeleteBinding(ctx, id))
}
