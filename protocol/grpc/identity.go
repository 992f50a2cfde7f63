package grpc

import (
	"context"
	"math"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Login implements setpointv1.IdentityServiceServer. It is the one call that
// needs no identity.
func (s *service) Login(ctx context.Context, in *setpointv1.LoginRequest) (*setpointv1.LoginResponse, error) {
	var q asked
	ttl := q.span("ttl", in.GetTtl())
	if in.GetUsername() == "" {
		q.refuse("username", "say who you are")
	}
	if q.err != nil {
		return nil, q.err
	}
	id, err := s.auth.Authenticate(ctx, auth.Credentials{
		Username: in.GetUsername(), Password: config.NewSecret(in.GetPassword()), Address: auth.RequestFrom(ctx).Address,
	})
	if err != nil {
		s.noteFailure(ctx, in.GetUsername(), err)
		return nil, err
	}
	t, secret, err := s.center.Login(auth.WithIdentity(ctx, id), ttl)
	return &setpointv1.LoginResponse{Secret: secret.Reveal(), Token: tokenOf(t)}, err
}

// Logout implements setpointv1.IdentityServiceServer.
func (s *service) Logout(ctx context.Context, _ *setpointv1.LogoutRequest) (*setpointv1.LogoutResponse, error) {
	return &setpointv1.LogoutResponse{}, s.center.Logout(ctx)
}

// WhoAmI implements setpointv1.IdentityServiceServer.
func (s *service) WhoAmI(ctx context.Context, _ *setpointv1.WhoAmIRequest) (*setpointv1.WhoAmIResponse, error) {
	w, err := s.center.WhoAmI(ctx)
	return &setpointv1.WhoAmIResponse{
		User: w.User, Method: w.Method, TokenId: w.TokenID, Session: w.Session, ExpiresAt: timeOf(w.ExpiresAt),
		Grants: all(w.Grants, grantOf), Narrow: all(w.Narrow, grantOf),
		Provider: w.Provider, Groups: w.Groups, GroupGrants: all(w.GroupGrants, reasonOf),
	}, err
}

// EndSessions implements setpointv1.IdentityServiceServer.
func (s *service) EndSessions(ctx context.Context, in *setpointv1.EndSessionsRequest) (*setpointv1.EndSessionsResponse, error) {
	end := s.center.LogoutEverywhere
	if in.GetUser() != "" {
		end = func(ctx context.Context) (int, error) { return s.center.EndSessions(ctx, in.GetUser()) }
	}
	ended, err := end(ctx)
	return &setpointv1.EndSessionsResponse{Ended: int32(min(ended, math.MaxInt32))}, err
}

// SetPassword implements setpointv1.IdentityServiceServer.
func (s *service) SetPassword(ctx context.Context, in *setpointv1.SetPasswordRequest) (*setpointv1.SetPasswordResponse, error) {
	id := auth.FromContext(ctx)
	proved, err := s.auth.Authenticate(ctx, auth.Credentials{
		Username: id.Subject, Password: config.NewSecret(in.GetOldPassword()), Address: auth.RequestFrom(ctx).Address,
	})
	if err == nil && proved.Subject != id.Subject {
		err = config.Errorf(config.Unauthenticated, "user.set_password", id.Subject, "the old password is not yours")
	}
	if err != nil {
		s.noteFailure(ctx, id.Subject, err)
		return nil, err
	}
	return &setpointv1.SetPasswordResponse{}, s.center.SetPassword(ctx, config.NewSecret(in.GetNewPassword()))
}

func grantOf(g auth.Grant) *setpointv1.Grant {
	return &setpointv1.Grant{Role: string(g.Role), Scope: g.Scope.String(), Pattern: g.Pattern, Deny: g.Deny}
}

func tokenOf(t auth.Token) *setpointv1.Token {
	return &setpointv1.Token{
		Id: t.ID, User: t.User, Description: t.Description, Session: t.Session, Grants: all(t.Grants, grantOf),
		CreatedAt: timeOf(t.CreatedAt), CreatedBy: t.CreatedBy, ExpiresAt: timeOf(t.ExpiresAt),
		Provider: t.Provider, Groups: t.Groups, IdleAfter: spanOf(t.IdleAfter), UsedAt: timeOf(t.UsedAt),
	}
}

func userOf(u auth.User) *setpointv1.User {
	return &setpointv1.User{
		Name: u.Name, Service: u.Service, Description: u.Description, Disabled: u.Disabled,
		CreatedAt: timeOf(u.CreatedAt), CreatedBy: u.CreatedBy, Revision: string(u.Revision), Groups: u.Groups,
	}
}

func roleOf(r auth.RoleInfo) *setpointv1.Role {
	return &setpointv1.Role{
		Name: string(r.Name), Verbs: r.Verbs, Description: r.Description, Builtin: r.Builtin,
		CreatedAt: timeOf(r.CreatedAt), CreatedBy: r.CreatedBy, Revision: string(r.Revision),
	}
}

func bindingOf(b auth.Binding) *setpointv1.Binding {
	return &setpointv1.Binding{
		Id: b.ID, User: b.User, Group: b.Group, Role: string(b.Role), Scope: b.Scope.String(), Pattern: b.Pattern, Deny: b.Deny,
		CreatedAt: timeOf(b.CreatedAt), CreatedBy: b.CreatedBy, Revision: string(b.Revision),
	}
}
