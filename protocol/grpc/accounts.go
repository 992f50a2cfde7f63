package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// ListTokens implements setpointv1.IdentityServiceServer.
func (s *service) ListTokens(ctx context.Context, in *setpointv1.ListTokensRequest) (*setpointv1.ListTokensResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Tokens(ctx, in.GetUser(), page)
	return &setpointv1.ListTokensResponse{Tokens: all(found.Items, tokenOf), NextPageToken: found.Next}, err
}

// CreateToken implements setpointv1.IdentityServiceServer.
func (s *service) CreateToken(ctx context.Context, in *setpointv1.CreateTokenRequest) (*setpointv1.CreateTokenResponse, error) {
	var q asked
	n := center.NewToken{User: in.GetUser(), Description: in.GetDescription(), TTL: q.span("ttl", in.GetTtl())}
	for i, g := range in.GetGrants() {
		n.Grants = append(n.Grants, auth.Grant{
			Role: auth.Role(g.GetRole()), Scope: q.path(index("grants", i)+".scope", g.GetScope()), Pattern: g.GetPattern(), Deny: g.GetDeny(),
		})
	}
	if q.err != nil {
		return nil, q.err
	}
	t, secret, err := s.center.CreateToken(ctx, n)
	return &setpointv1.CreateTokenResponse{Secret: secret.Reveal(), Token: tokenOf(t)}, err
}

// RevokeToken implements setpointv1.IdentityServiceServer.
func (s *service) RevokeToken(ctx context.Context, in *setpointv1.RevokeTokenRequest) (*setpointv1.RevokeTokenResponse, error) {
	return &setpointv1.RevokeTokenResponse{}, s.center.RevokeToken(ctx, in.GetId())
}

// ListUsers implements setpointv1.IdentityServiceServer.
func (s *service) ListUsers(ctx context.Context, in *setpointv1.ListUsersRequest) (*setpointv1.ListUsersResponse, error) {
	var q asked
	page := q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Users(ctx, page)
	return &setpointv1.ListUsersResponse{Users: all(found.Items, userOf), NextPageToken: found.Next}, err
}

// GetUser implements setpointv1.IdentityServiceServer.
func (s *service) GetUser(ctx context.Context, in *setpointv1.GetUserRequest) (*setpointv1.GetUserResponse, error) {
	u, err := s.center.User(ctx, in.GetName())
	return &setpointv1.GetUserResponse{User: userOf(u)}, err
}

// CreateUser implements setpointv1.IdentityServiceServer.
func (s *service) CreateUser(ctx context.Context, in *setpointv1.CreateUserRequest) (*setpointv1.CreateUserResponse, error) {
	u, err := s.center.CreateUser(ctx, center.NewUser{
		Name: in.GetName(), Service: in.GetService(), Description: in.GetDescription(), Password: config.NewSecret(in.GetPassword()),
		Groups: in.GetGroups(),
	})
	return &setpointv1.CreateUserResponse{User: userOf(u)}, err
}

// UpdateUser implements setpointv1.IdentityServiceServer.
func (s *service) UpdateUser(ctx context.Context, in *setpointv1.UpdateUserRequest) (*setpointv1.UpdateUserResponse, error) {
	patch := center.UserPatch{
		Name: in.GetName(), Description: in.Description, Disabled: in.Disabled, Expected: config.Token(in.GetExpectedRevision()),
	}
	if in.Password != nil {
		password := config.NewSecret(in.GetPassword())
		patch.Password = &password
	}
	if in.Groups != nil {
		groups := in.GetGroups().GetNames()
		patch.Groups = &groups
	}
	u, err := s.center.UpdateUser(ctx, patch)
	return &setpointv1.UpdateUserResponse{User: userOf(u)}, err
}

// DeleteUser implements setpointv1.IdentityServiceServer.
func (s *service) DeleteUser(ctx context.Context, in *setpointv1.DeleteUserRequest) (*setpointv1.DeleteUserResponse, error) {
	return &setpointv1.DeleteUserResponse{}, s.center.DeleteUser(ctx, in.GetName(), config.Token(in.GetExpectedRevision()))
}

// ListBindings implements setpointv1.IdentityServiceServer.
func (s *service) ListBindings(ctx context.Context, in *setpointv1.ListBindingsRequest) (*setpointv1.ListBindingsResponse, error) {
	var q asked
	request := center.BindingsRequest{
		PageRequest: q.page(in.GetPageSize(), in.GetPageToken()),
		User:        in.GetUser(), Group: in.GetGroup(), Role: auth.Role(in.GetRole()), Pattern: in.Pattern, Deny: in.Deny, Scope: q.path("scope", in.GetScope()),
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Bindings(ctx, request)
	return &setpointv1.ListBindingsResponse{Bindings: all(found.Items, bindingOf), NextPageToken: found.Next}, err
}

// CreateBinding implements setpointv1.IdentityServiceServer.
func (s *service) CreateBinding(ctx context.Context, in *setpointv1.CreateBindingRequest) (*setpointv1.CreateBindingResponse, error) {
	var q asked
	binding := auth.Binding{
		User: in.GetUser(), Group: in.GetGroup(), Role: auth.Role(in.GetRole()), Scope: q.path("scope", in.GetScope()),
		Pattern: in.GetPattern(), Deny: in.GetDeny(),
	}
	if q.err != nil {
		return nil, q.err
	}
	b, err := s.center.CreateBinding(ctx, binding)
	return &setpointv1.CreateBindingResponse{Binding: bindingOf(b)}, err
}

// DeleteBinding implements setpointv1.IdentityServiceServer.
func (s *service) DeleteBinding(ctx context.Context, in *setpointv1.DeleteBindingRequest) (*setpointv1.DeleteBindingResponse, error) {
	return &setpointv1.DeleteBindingResponse{}, s.center.DeleteBinding(ctx, in.GetId())
}
