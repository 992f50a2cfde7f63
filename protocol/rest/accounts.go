package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const pathUser = "/v1/users/{name}"

func accountRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: "/v1/users", Op: "user.list", ID: "list-users", tag: tagIdentity,
			summary: "List users", description: "Those whom you may see, by name."}, (*api).listUsers),
		control(Route{Method: "POST", Pattern: "/v1/users", Op: "user.create", ID: "create-user", tag: tagIdentity,
			summary: "Create a user", description: "It may do nothing until a binding gives it a role.",
			body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createUser),
		control(Route{Method: "GET", Pattern: pathUser, Op: "user.get", ID: "get-user", tag: tagIdentity,
			summary: "Get a user", errors: readStatuses}, (*api).getUser),
		control(Route{Method: "PATCH", Pattern: pathUser, Op: "user.update", ID: "update-user", tag: tagIdentity,
			summary: "Change a user", description: "A new password, or disabling, ends the user's sessions.",
			body: smallBody, errors: changeStatuses}, (*api).updateUser),
		control(Route{Method: "DELETE", Pattern: pathUser, Op: "user.delete", ID: "delete-user", tag: tagIdentity,
			summary: "Delete a user", description: "With its tokens and bindings.", errors: changeStatuses}, (*api).deleteUser),

		control(Route{Method: "GET", Pattern: "/v1/roles", Op: "role.list", ID: "list-roles", tag: tagIdentity,
			summary: "List the roles that there are"}, (*api).listRoles),
		control(Route{Method: "GET", Pattern: "/v1/bindings", Op: "binding.list", ID: "list-bindings", tag: tagIdentity,
			summary: "List who has which role where"}, (*api).listBindings),
		control(Route{Method: "POST", Pattern: "/v1/bindings", Op: "binding.create", ID: "create-binding", tag: tagIdentity,
			summary: "Give a user a role", body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createBinding),
		control(Route{Method: "DELETE", Pattern: "/v1/bindings/{id}", Op: "binding.delete", ID: "delete-binding", tag: tagIdentity,
			summary: "Take a role away", errors: changeStatuses}, (*api).deleteBinding),
	}
}

// UserPath names a user.
type UserPath struct {
	Name string `path:"name" doc:"user" example:"alice" maxLength:"256"`
}

func (a *api) listUsers(ctx context.Context, in *PageQuery) (*answered[config.Page[auth.User]], error) {
	return answer(a.center.Users(ctx, in.request()))
}

func (a *api) createUser(ctx context.Context, in *struct {
	Body struct {
		Name        string        `json:"name" example:"alice"`
		Service     bool          `json:"service,omitempty" doc:"a program: it has no password and uses API tokens"`
		Description string        `json:"description,omitempty"`
		Password    config.Secret `json:"password,omitempty" doc:"of a person"`
	}
}) (*tagged[auth.User], error) {
	u, err := a.center.CreateUser(ctx, center.NewUser{
		Name: in.Body.Name, Service: in.Body.Service, Description: in.Body.Description, Password: in.Body.Password,
	})
	return tag(u, u.Revision, err)
}

func (a *api) getUser(ctx context.Context, in *UserPath) (*tagged[auth.User], error) {
	u, err := a.center.User(ctx, in.Name)
	return tag(u, u.Revision, err)
}

func (a *api) updateUser(ctx context.Context, in *struct {
	UserPath
	Condition
	Body struct {
		Description *string        `json:"description,omitempty"`
		Disabled    *bool          `json:"disabled,omitempty" doc:"may not log in, and its tokens are of no use"`
		Password    *config.Secret `json:"password,omitempty"`
	}
}) (*tagged[auth.User], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	u, err := a.center.UpdateUser(ctx, center.UserPatch{
		Name: in.Name, Description: in.Body.Description, Disabled: in.Body.Disabled,
		Password: in.Body.Password, Expected: expected,
	})
	return tag(u, u.Revision, err)
}

func (a *api) deleteUser(ctx context.Context, in *struct {
	UserPath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteUser(ctx, in.Name, expected))
}

func (a *api) listRoles(ctx context.Context, _ *struct{}) (*answered[config.Page[auth.RoleInfo]], error) {
	roles, err := a.center.Roles(ctx)
	return answer(config.Page[auth.RoleInfo]{Items: roles}, err)
}

func (a *api) listBindings(ctx context.Context, in *struct {
	PageQuery
	User  string      `query:"user" doc:"whose; left out, everybody's" maxLength:"256"`
	Scope config.Path `query:"scope" doc:"at this path and below"`
}) (*answered[config.Page[auth.Binding]], error) {
	return answer(a.center.Bindings(ctx, center.BindingsRequest{PageRequest: in.request(), User: in.User, Scope: in.Scope}))
}

func (a *api) createBinding(ctx context.Context, in *struct {
	Body struct {
		User  string      `json:"user" example:"alice"`
		Role  auth.Role   `json:"role" enum:"client,viewer,editor,publisher,admin,auditor" example:"publisher"`
		Scope config.Path `json:"scope" doc:"tenant, tenant/app, tenant/app/env or a config's path; empty for the whole installation" example:"acme/checkout"`
	}
}) (*tagged[auth.Binding], error) {
	b, err := a.center.CreateBinding(ctx, auth.Binding{User: in.Body.User, Role: in.Body.Role, Scope: in.Body.Scope})
	return tag(b, b.Revision, err)
}

func (a *api) deleteBinding(ctx context.Context, in *struct {
	ID string `path:"id" doc:"the binding's id" maxLength:"64"`
}) (*empty, error) {
	return done(a.center.DeleteBinding(ctx, in.ID))
}
