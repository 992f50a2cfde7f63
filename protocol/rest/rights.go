package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const pathRole = "/v1/roles/{role}"

func rightsRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: "/v1/roles", Op: "role.list", ID: "list-roles", tag: tagIdentity,
			summary: "List the roles that there are"}, (*api).listRoles),
		control(Route{Method: "POST", Pattern: "/v1/roles", Op: "role.create", ID: "create-role", tag: tagIdentity,
			summary: "Make a role", description: "It takes the right to grant rights on the whole installation, and each of the role's verbs.",
			body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createRole),
		control(Route{Method: "PATCH", Pattern: pathRole, Op: "role.update", ID: "update-role", tag: tagIdentity,
			summary: "Change a role that was made", description: "It holds at once wherever the role is bound.",
			body: smallBody, errors: changeStatuses}, (*api).updateRole),
		control(Route{Method: "DELETE", Pattern: pathRole, Op: "role.delete", ID: "delete-role", tag: tagIdentity,
			summary: "Delete a role that was made", description: "One that is bound nowhere.", errors: changeStatuses}, (*api).deleteRole),

		control(Route{Method: "GET", Pattern: "/v1/bindings", Op: "binding.list", ID: "list-bindings", tag: tagIdentity,
			summary: "List who has which role where"}, (*api).listBindings),
		control(Route{Method: "POST", Pattern: "/v1/bindings", Op: "binding.create", ID: "create-binding", tag: tagIdentity,
			summary: "Give a user or a group a role, or deny it", body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createBinding),
		control(Route{Method: "DELETE", Pattern: "/v1/bindings/{id}", Op: "binding.delete", ID: "delete-binding", tag: tagIdentity,
			summary: "Take a role, or its denial, away", errors: changeStatuses}, (*api).deleteBinding),

		control(Route{Method: "GET", Pattern: "/v1/auth/can-i", Op: "auth.can_i", ID: "can-i", tag: tagIdentity,
			summary:     "Tell whether you may do something, and why",
			description: "With 'as' it tells of somebody else, if you manage rights there.", errors: readStatuses}, (*api).canI),
		control(Route{Method: "GET", Pattern: "/v1/auth/who-can", Op: "auth.who_can", ID: "who-can", tag: tagIdentity,
			summary:     "List the users and groups that may do something, and why",
			description: "For who manages rights there. Groups come first. Of those who are known elsewhere it has the users and groups that bindings name."}, (*api).whoCan),
	}
}

// RolePath names a role.
type RolePath struct {
	Role auth.Role `path:"role" doc:"role" example:"releaser" maxLength:"63"`
}

func (a *api) listRoles(ctx context.Context, _ *struct{}) (*answered[config.Page[auth.RoleInfo]], error) {
	roles, err := a.center.Roles(ctx)
	return answer(config.Page[auth.RoleInfo]{Items: roles}, err)
}

func (a *api) createRole(ctx context.Context, in *struct {
	Body struct {
		Name        auth.Role `json:"name" example:"releaser"`
		Verbs       []string  `json:"verbs" doc:"what it allows" example:"[\"fetch\",\"read\",\"rollout\"]" maxItems:"100"`
		Description string    `json:"description,omitempty"`
	}
}) (*tagged[auth.RoleInfo], error) {
	r, err := a.center.CreateRole(ctx, auth.RoleInfo{Name: in.Body.Name, Verbs: in.Body.Verbs, Description: in.Body.Description})
	return tag(r, r.Revision, err)
}

func (a *api) updateRole(ctx context.Context, in *struct {
	RolePath
	Condition
	Body struct {
		Verbs       []string `json:"verbs,omitempty" doc:"all that it allows from now on" maxItems:"100"`
		Description *string  `json:"description,omitempty"`
	}
}) (*tagged[auth.RoleInfo], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	r, err := a.center.UpdateRole(ctx, center.RolePatch{
		Name: in.Role, Verbs: in.Body.Verbs, Description: in.Body.Description, Expected: expected,
	})
	return tag(r, r.Revision, err)
}

func (a *api) deleteRole(ctx context.Context, in *struct {
	RolePath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteRole(ctx, in.Role, expected))
}

func (a *api) listBindings(ctx context.Context, in *struct {
	PageQuery
	User    string      `query:"user" doc:"whose; left out, everybody's" maxLength:"256"`
	Group   string      `query:"group" doc:"of which group; left out, every group's" maxLength:"256"`
	Role    auth.Role   `query:"role" doc:"of which role; left out, of every role" maxLength:"63"`
	Scope   config.Path `query:"scope" doc:"at this path and below"`
	Pattern string      `query:"pattern" doc:"with this pattern; left out, with any or none" maxLength:"512"`
	Deny    string      `query:"deny" doc:"those that deny, or those that give; left out, both" enum:"true,false"`
}) (*answered[config.Page[auth.Binding]], error) {
	r := center.BindingsRequest{PageRequest: in.request(), User: in.User, Group: in.Group, Role: in.Role, Scope: in.Scope}
	if in.Pattern != "" {
		r.Pattern = &in.Pattern
	}
	if in.Deny != "" {
		deny := in.Deny == "true"
		r.Deny = &deny
	}
	return answer(a.center.Bindings(ctx, r))
}

func (a *api) createBinding(ctx context.Context, in *struct {
	Body struct {
		User    string      `json:"user,omitempty" doc:"a user, or one known elsewhere as provider:name; or else group" example:"alice"`
		Group   string      `json:"group,omitempty" doc:"a group, or a provider's as provider:name; or else user"`
		Role    auth.Role   `json:"role" doc:"one that there is" example:"publisher" maxLength:"63"`
		Scope   config.Path `json:"scope" doc:"tenant, tenant/app or tenant/app/env; empty for the whole installation" example:"acme/checkout"`
		Pattern string      `json:"pattern,omitempty" doc:"confines it to some of what lies below the scope: each part a name or '*', and a config's name may end in '*'" maxLength:"512"`
		Deny    bool        `json:"deny,omitempty" doc:"takes what the role allows away there, whatever else gives it"`
	}
}) (*tagged[auth.Binding], error) {
	b, err := a.center.CreateBinding(ctx, auth.Binding{
		User: in.Body.User, Group: in.Body.Group, Role: in.Body.Role, Scope: in.Body.Scope, Pattern: in.Body.Pattern, Deny: in.Body.Deny,
	})
	return tag(b, b.Revision, err)
}

func (a *api) deleteBinding(ctx context.Context, in *struct {
	ID string `path:"id" doc:"the binding's id" maxLength:"64"`
}) (*empty, error) {
	return done(a.center.DeleteBinding(ctx, in.ID))
}

// Question is about something that may be done somewhere.
type Question struct {
	Verb string      `query:"verb" required:"true" doc:"what is to be done" enum:"fetch,read,edit,publish,manage,grant,audit,report,operate,rollout,approve"`
	Path config.Path `query:"path" doc:"where; left out, on the whole installation" example:"acme/checkout/prod"`
}

func (a *api) canI(ctx context.Context, in *struct {
	Question
	As string `query:"as" doc:"who else: a user, or one known elsewhere as provider:name" maxLength:"256"`
}) (*answered[auth.Explanation], error) {
	verb, err := auth.ParseVerbs([]string{in.Verb})
	if err != nil {
		return nil, err
	}
	if in.As != "" {
		return answer(a.center.CanSubject(ctx, in.As, verb, in.Path))
	}
	return answer(a.center.CanI(ctx, verb, in.Path))
}

func (a *api) whoCan(ctx context.Context, in *struct {
	Question
	PageQuery
}) (*answered[config.Page[center.Holder]], error) {
	verb, err := auth.ParseVerbs([]string{in.Verb})
	if err != nil {
		return nil, err
	}
	return answer(a.center.WhoCan(ctx, verb, in.Path, in.request()))
}
