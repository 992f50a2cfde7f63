package rest

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const pathFreeze = pathEnv + "/freezes/{freeze}"

func freezeRoutes() []Route {
	return []Route{
		control(Route{Method: "PUT", Pattern: pathFreeze, Op: "env.freeze", ID: "freeze-env", tag: tagScopes,
			summary: "Freeze an env",
			description: "For a time, once or every week, nothing is published, promoted, advanced or switched forward in the env; " +
				"rollback, abort and pause are always allowed. A freeze of the same name is replaced, and those that are over are forgotten.",
			body: smallBody, errors: changeStatuses}, (*api).freezeEnv),
		control(Route{Method: "DELETE", Pattern: pathFreeze, Op: "env.unfreeze", ID: "unfreeze-env", tag: tagScopes,
			summary: "Take a freeze from an env", errors: changeStatuses}, (*api).unfreezeEnv),
	}
}

// FreezePath names a freeze of an env.
type FreezePath struct {
	EnvPath
	Freeze string `path:"freeze" doc:"the name of the freeze" example:"year-end" maxLength:"63"`
}

func (a *api) freezeEnv(ctx context.Context, in *struct {
	FreezePath
	Condition
	Body struct {
		Reason string         `json:"reason,omitempty" doc:"why, for those who are refused" example:"year-end closing"`
		From   time.Time      `json:"from,omitzero" doc:"of a freeze that is once: when it begins; left out, now"`
		To     time.Time      `json:"to,omitzero" doc:"and when it ends"`
		Weekly *config.Weekly `json:"weekly,omitempty" doc:"of one that is every week: \"fri 17:00\" to \"mon 08:00\", in an IANA time zone"`
	}
}) (*tagged[config.Env], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	e, err := a.center.FreezeEnv(ctx, in.path(), config.Freeze{
		Name: in.Freeze, Reason: in.Body.Reason, From: in.Body.From, To: in.Body.To, Weekly: in.Body.Weekly,
	}, expected)
	return tag(e, e.Revision, err)
}

func (a *api) unfreezeEnv(ctx context.Context, in *struct {
	FreezePath
	Condition
}) (*tagged[config.Env], error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	e, err := a.center.UnfreezeEnv(ctx, in.path(), in.Freeze, expected)
	return tag(e, e.Revision, err)
}
