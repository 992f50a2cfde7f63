package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	tagConfigs  = "Configs"
	pathConfigs = pathEnv + "/configs"
	pathConfig  = pathConfigs + "/{name}"
)

func configRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: pathConfigs, Op: "config.list", ID: "list-configs", tag: tagConfigs,
			summary: "List an env's configs", description: "With what is released of each, by name.", errors: readStatuses}, (*api).listConfigs),
		control(Route{Method: "POST", Pattern: pathConfigs, Op: "config.create", ID: "create-config", tag: tagConfigs,
			summary: "Create a config", description: "Nothing is released by it. Publishing creates configs as well.",
			body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createConfig),
		control(Route{Method: "GET", Pattern: pathConfig, Op: "config.get", ID: "get-config", tag: tagConfigs,
			summary: "Get a config's metadata", description: "And what is released of it.", errors: readStatuses}, (*api).getState),
		control(Route{Method: "PATCH", Pattern: pathConfig, Op: "config.update", ID: "update-config", tag: tagConfigs,
			summary: "Change a config's metadata", description: "Nothing that is served changes; a new format is that of the next release.",
			body: smallBody, errors: changeStatuses}, (*api).updateConfig),
		control(Route{Method: "DELETE", Pattern: pathConfig, Op: "config.delete", ID: "delete-config", tag: tagConfigs,
			summary: "Delete a config", description: "It is served no longer; its launches are aborted. Its history is kept, unless purged.", errors: changeStatuses}, (*api).deleteConfig),
		control(Route{Method: "POST", Pattern: pathConfig + "/undelete", Op: "config.undelete", ID: "undelete-config", tag: tagConfigs,
			summary: "Bring a deleted config back", description: "It serves again what it served before.",
			body: smallBody, errors: createStatuses}, (*api).undeleteConfig),
		control(Route{Method: "GET", Pattern: pathRollout, Op: "config.get", ID: "get-rollout", tag: tagLaunches,
			summary: "Get which release which client is served", description: "The first candidate that claims a client wins; whom none claims gets the stable release.", errors: readStatuses}, (*api).getRollout),
	}
}

func (a *api) listConfigs(ctx context.Context, in *struct {
	EnvPath
	PageQuery
	Prefix  string `query:"prefix" doc:"only names that begin with this" maxLength:"128"`
	Deleted bool   `query:"deleted" doc:"deleted ones as well"`
}) (*answered[config.Page[config.State]], error) {
	return answer(a.center.Configs(ctx, center.ConfigsRequest{
		PageRequest: in.request(), Env: in.path(), Prefix: in.Prefix, Deleted: in.Deleted,
	}))
}

func (a *api) createConfig(ctx context.Context, in *struct {
	EnvPath
	Body struct {
		Name        string            `json:"name" doc:"letters, digits, '.', '_' and '-'" example:"application.yaml"`
		Kind        config.Kind       `json:"kind,omitempty" enum:"file,flag" doc:"left out, file"`
		Format      string            `json:"format,omitempty" doc:"left out, by the name's ending" example:"yaml"`
		File        string            `json:"file,omitempty" doc:"where it lies in an exported directory; left out, its name" example:"rules/node.yml"`
		Description string            `json:"description,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
	}
}) (*tagged[config.State], error) {
	s, err := a.center.CreateConfig(ctx, config.Config{
		Path: in.path().Join(in.Body.Name), Kind: in.Body.Kind, Format: in.Body.Format,
		File: in.Body.File, Description: in.Body.Description, Labels: in.Body.Labels,
	})
	return tag(s, s.Revision, err)
}

func (a *api) getState(ctx context.Context, in *ConfigPath) (*tagged[config.State], error) {
	s, err := a.center.Config(ctx, in.path())
	return tag(s, s.Revision, err)
}

func (a *api) updateConfig(ctx context.Context, in *struct {
	ConfigPath
	Condition
	Body struct {
		Format      *string            `json:"format,omitempty"`
		File        *string            `json:"file,omitempty"`
		Description *string            `json:"description,omitempty"`
		Labels      *map[string]string `json:"labels,omitempty" doc:"in the place of all that there are"`
	}
}) (*tagged[config.State], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	s, err := a.center.UpdateConfig(ctx, center.ConfigPatch{
		Path: in.path(), Format: in.Body.Format, File: in.Body.File,
		Description: in.Body.Description, Labels: in.Body.Labels, Expected: expected,
	})
	return tag(s, s.Revision, err)
}

func (a *api) deleteConfig(ctx context.Context, in *struct {
	ConfigPath
	ExpectedVersion
	Purge   bool   `query:"purge" doc:"also remove its history, for good"`
	Comment string `query:"comment" doc:"why" maxLength:"2000"`

	OverrideFreeze bool `query:"override_freeze" doc:"delete although the env is frozen; it takes the right to manage it"`
}) (*empty, error) {
	return done(a.center.DeleteConfig(ctx, center.DeleteConfig{
		Path: in.path(), ExpectedVersion: in.version(), Purge: in.Purge, Comment: in.Comment, OverrideFreeze: in.OverrideFreeze,
	}))
}

func (a *api) undeleteConfig(ctx context.Context, in *struct {
	ConfigPath
	Body *struct {
		Comment string `json:"comment,omitempty" doc:"why"`
	}
}) (*tagged[config.State], error) {
	comment := ""
	if in.Body != nil {
		comment = in.Body.Comment
	}
	s, err := a.center.UndeleteConfig(ctx, in.path(), comment)
	return tag(s, s.Revision, err)
}

func (a *api) getRollout(ctx context.Context, in *ConfigPath) (*answered[config.Rollout], error) {
	s, err := a.center.Config(ctx, in.path())
	return answer(s.Rollout, err)
}
