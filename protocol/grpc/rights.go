package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// CheckAccess implements setpointv1.IdentityServiceServer.
func (s *service) CheckAccess(ctx context.Context, in *setpointv1.CheckAccessRequest) (*setpointv1.CheckAccessResponse, error) {
	var q asked
	verb, path := q.verb("verb", in.GetVerb()), q.path("path", in.GetPath())
	if q.err != nil {
		return nil, q.err
	}
	var e auth.Explanation
	var err error
	if in.GetSubject() == "" {
		e, err = s.center.CanI(ctx, verb, path)
	} else {
		e, err = s.center.CanSubject(ctx, in.GetSubject(), verb, path)
	}
	return &setpointv1.CheckAccessResponse{Allowed: e.Allowed, Because: all(e.Because, reasonOf), Why: e.Why}, err
}

// WhoCan implements setpointv1.IdentityServiceServer.
func (s *service) WhoCan(ctx context.Context, in *setpointv1.WhoCanRequest) (*setpointv1.WhoCanResponse, error) {
	var q asked
	verb, path, page := q.verb("verb", in.GetVerb()), q.path("path", in.GetPath()), q.page(in.GetPageSize(), in.GetPageToken())
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.WhoCan(ctx, verb, path, page)
	return &setpointv1.WhoCanResponse{Holders: all(found.Items, holderOf), NextPageToken: found.Next}, err
}

// verb reads the name of one verb.
func (q *asked) verb(where, name string) auth.Verb {
	verb, err := auth.ParseVerbs([]string{name})
	if err != nil {
		q.refuse(where, config.AsError(err).Detail())
	}
	return verb
}

// ListRoles implements setpointv1.IdentityServiceServer.
func (s *service) ListRoles(ctx context.Context, _ *setpointv1.ListRolesRequest) (*setpointv1.ListRolesResponse, error) {
	roles, err := s.center.Roles(ctx)
	return &setpointv1.ListRolesResponse{Roles: all(roles, roleOf)}, err
}

// CreateRole implements setpointv1.IdentityServiceServer.
func (s *service) CreateRole(ctx context.Context, in *setpointv1.CreateRoleRequest) (*setpointv1.CreateRoleResponse, error) {
	r, err := s.center.CreateRole(ctx, auth.RoleInfo{Name: auth.Role(in.GetName()), Verbs: in.GetVerbs(), Description: in.GetDescription()})
	return &setpointv1.CreateRoleResponse{Role: roleOf(r)}, err
}

// UpdateRole implements setpointv1.IdentityServiceServer.
func (s *service) UpdateRole(ctx context.Context, in *setpointv1.UpdateRoleRequest) (*setpointv1.UpdateRoleResponse, error) {
	r, err := s.center.UpdateRole(ctx, center.RolePatch{
		Name: auth.Role(in.GetName()), Description: in.Description, Verbs: in.GetVerbs(), Expected: config.Token(in.GetExpectedRevision()),
	})
	return &setpointv1.UpdateRoleResponse{Role: roleOf(r)}, err
}

// DeleteRole implements setpointv1.IdentityServiceServer.
func (s *service) DeleteRole(ctx context.Context, in *setpointv1.DeleteRoleRequest) (*setpointv1.DeleteRoleResponse, error) {
	return &setpointv1.DeleteRoleResponse{}, s.center.DeleteRole(ctx, auth.Role(in.GetName()), config.Token(in.GetExpectedRevision()))
}

func reasonOf(r auth.Reason) *setpointv1.AccessReason {
	return &setpointv1.AccessReason{
		Role: string(r.Role), Scope: r.Scope.String(), Pattern: r.Pattern, Deny: r.Deny, Group: r.Group, Narrowing: r.Narrowing,
	}
}

func holderOf(h center.Holder) *setpointv1.AccessHolder {
	return &setpointv1.AccessHolder{User: h.User, Group: h.Group, Service: h.Service, Because: all(h.Because, reasonOf)}
}
