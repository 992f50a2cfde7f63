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
			summary: "Create a user", description: "It may do nothing until a binding gives it, or a group that it is in, a role.",
			body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createUser),
		control(Route{Method: "GET", Pattern: pathUser, Op: "user.get", ID: "get-user", tag: tagIdentity,
			summary: "Get a user", errors: readStatuses}, (*api).getUser),
		control(Route{Method: "PATCH", Pattern: pathUser, Op: "user.update", ID: "update-user", tag: tagIdentity,
			summary: "Change a user", description: "A new password, or disabling, ends the user's sessions.",
			body: smallBody, errors: changeStatuses}, (*api).updateUser),
		control(Route{Method: "DELETE", Pattern: pathUser, Op: "user.delete", ID: "delete-user", tag: tagIdentity,
			summary: "Delete a user", description: "With its tokens and bindings.", errors: changeStatuses}, (*api).deleteUser),
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
		Groups      []string      `json:"groups,omitempty" doc:"that it is in; takes the right to grant rights on the whole installation" maxItems:"1000"`
	}
}) (*tagged[auth.User], error) {
	u, err := a.center.CreateUser(ctx, center.NewUser{
		Name: in.Body.Name, Service: in.Body.Service, Description: in.Body.Description, Password: in.Body.Password,
		Groups: in.Body.Groups,
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
		Groups      *[]string      `json:"groups,omitempty" doc:"all that it is in from now on; takes the right to grant rights on the whole installation" maxItems:"1000"`
	}
}) (*tagged[auth.User], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	u, err := a.center.UpdateUser(ctx, center.UserPatch{
		Name: in.Name, Description: in.Body.Description, Disabled: in.Body.Disabled,
		Password: in.Body.Password, Groups: in.Body.Groups, Expected: expected,
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
