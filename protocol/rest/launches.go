package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	tagLaunches  = "Launches"
	pathRollout  = pathConfig + "/rollout"
	pathLaunches = pathTenant + "/launches"
	pathLaunch   = pathLaunches + "/{id}"
)

// launchStatuses are those of what changes a launch: 422 says that what it was
// to become makes no sense.
var launchStatuses = []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity}

// launchAct is something that can be done to a launch.
type launchAct struct {
	name, summary, description string
	do                         func(*center.Center, context.Context, center.LaunchAct) (config.Launch, error)
}

func launchActs() []launchAct {
	return []launchAct{
		{"pause", "Pause a launch", "It claims whom it claimed and does not advance.", (*center.Center).PauseLaunch},
		{"resume", "Resume a paused launch", "Its step lasts as long as was left of it when it was paused.", (*center.Center).ResumeLaunch},
		{"advance", "Take a launch to its next step now", "A scheduled one begins; a progressive one goes to its next step, and is promoted after the last.", (*center.Center).AdvanceLaunch},
		{"promote", "Promote a launch", "Its releases become the stable ones: everybody gets them. That ends it.", (*center.Center).PromoteLaunch},
		{"abort", "Abort a launch", "Everybody gets the stable releases, however frozen an env is. That ends it.", (*center.Center).AbortLaunch},
	}
}

const (
	launchOfConfig = " It is the launch that is under way for the config; if there are several, `launch` names one."
	allItsConfigs  = " All configs of the launch move together, at one revision. The answer is the launch as it is then."
)

func launchRoutes() []Route {
	routes := []Route{
		control(Route{Method: "GET", Pattern: pathLaunches, Op: "rollout.list", ID: "list-launches", tag: tagLaunches,
			summary: "List a tenant's launches",
			description: "Those that have not ended, the oldest first; with `all` the ended ones as well, the newest first. " +
				"Launches with a config that you may not read are left out, so a page may come back short and still name a next one.",
			errors: readStatuses}, (*api).listLaunches),
		control(Route{Method: "GET", Pattern: pathLaunch, Op: "rollout.get", ID: "get-launch", tag: tagLaunches,
			summary: "Get a launch", description: "Its state, strategy, gate and history. `warnings` are what looks like a mistake in it.",
			errors: readStatuses}, (*api).getLaunch),
	}
	adjust := Route{Method: "PATCH", Op: "rollout.adjust", tag: tagLaunches, body: smallBody, errors: launchStatuses, summary: "Adjust a launch",
		description: "What is left out stays. Canary, targets and progressive launches may become each other; whoever was claimed by a " +
			"share is claimed by a greater one." + allItsConfigs}
	change := Route{Method: "POST", Op: "rollout.switch", tag: tagLaunches, body: smallBody, errors: launchStatuses, summary: "Switch the slots of a blue-green launch",
		description: "`to` becomes the active slot, or else the one that is not active." + allItsConfigs}
	changed := map[string]any{"to": config.SlotGreen, "comment": "looks good"}
	adjusted := map[string]any{"share": 5000, "comment": "half of them"}
	routes = append(routes,
		exampled(control(adjust.at(pathLaunch, "adjust-launch"), (*api).adjustLaunch), adjusted),
		exampled(control(change.at(pathLaunch+"/switch", "switch-launch"), (*api).switchLaunch), changed))
	adjust.description += launchOfConfig
	change.description += launchOfConfig
	routes = append(routes,
		exampled(control(adjust.at(pathRollout, "adjust-rollout"), (*api).adjustRollout), adjusted),
		exampled(control(change.at(pathRollout+"/switch", "switch-rollout"), (*api).switchRollout), changed))
	for _, act := range launchActs() {
		routes = append(routes, act.routes()...)
	}
	return routes
}

// routes are the two ways to an act: by the launch, and by one of its configs.
func (t launchAct) routes() []Route {
	r := Route{Method: "POST", Op: "rollout." + t.name, tag: tagLaunches, body: smallBody, errors: launchStatuses,
		summary: t.summary, description: t.description + allItsConfigs}
	body := map[string]any{"comment": "as planned"}
	byLaunch := control(r.at(pathLaunch+"/"+t.name, t.name+"-launch"),
		func(a *api, ctx context.Context, in *launchInput) (*tagged[config.Launch], error) {
			return a.act(ctx, in.target(), t.do)
		})
	r.description += launchOfConfig
	byConfig := control(r.at(pathRollout+"/"+t.name, t.name+"-rollout"),
		func(a *api, ctx context.Context, in *rolloutInput) (*tagged[config.Launch], error) {
			return a.act(ctx, in.target(), t.do)
		})
	return []Route{exampled(byLaunch, body), exampled(byConfig, body)}
}

// at returns the route at another place.
func (r Route) at(pattern, id string) Route {
	r.Pattern, r.ID = pattern, id
	return r
}

// exampled gives a route's description a body to try.
func exampled(r Route, body any) Route {
	register := r.register
	r.register = func(a *api, into huma.API, op huma.Operation) {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: body}}}
		register(a, into, op)
	}
	return r
}

// LaunchPath names a launch.
type LaunchPath struct {
	TenantPath
	ID string `path:"id" doc:"the launch's id, which is that of its change set" maxLength:"64"`
}

func (p LaunchPath) launch() center.LaunchRef { return center.LaunchRef{Tenant: p.Tenant, ID: p.ID} }

// launch names a launch of the config; "" is the one that is under way.
func (p ConfigPath) launch(id string) center.LaunchRef {
	return center.LaunchRef{Tenant: p.Tenant, ID: id, Path: p.path()}
}

// ActFields are what every act on a launch takes.
type ActFields struct {
	Comment        string `json:"comment,omitempty" doc:"why; a protected env wants one for what gives clients something new"`
	OverrideFreeze bool   `json:"override_freeze,omitempty" doc:"act although an env is frozen; it takes the right to manage it"`
}

// WhichLaunch names the launch where a config stands for it.
type WhichLaunch struct {
	Launch string `json:"launch,omitempty" doc:"the id of the launch, if several of the config are under way" maxLength:"64"`
}

// actTarget is an act on a launch, as it was asked for.
type actTarget struct {
	ref       center.LaunchRef
	condition Condition
	fields    ActFields
}

func (t actTarget) act() (center.LaunchAct, error) {
	expected, err := t.condition.token()
	return center.LaunchAct{
		LaunchRef: t.ref, Comment: t.fields.Comment, OverrideFreeze: t.fields.OverrideFreeze, Expected: expected,
	}, err
}

type launchInput struct {
	LaunchPath
	Condition
	Body *ActFields
}

func (in *launchInput) target() actTarget {
	t := actTarget{ref: in.launch(), condition: in.Condition}
	if in.Body != nil {
		t.fields = *in.Body
	}
	return t
}

type rolloutInput struct {
	ConfigPath
	Condition
	Body *struct {
		ActFields
		WhichLaunch
	}
}

func (in *rolloutInput) target() actTarget {
	t := actTarget{ref: in.launch(""), condition: in.Condition}
	if in.Body != nil {
		t.ref.ID, t.fields = in.Body.Launch, in.Body.ActFields
	}
	return t
}

func (a *api) act(ctx context.Context, t actTarget, do func(*center.Center, context.Context, center.LaunchAct) (config.Launch, error)) (*tagged[config.Launch], error) {
	act, err := t.act()
	if err != nil {
		return nil, err
	}
	l, err := do(a.center, ctx, act)
	return tag(l, l.Revision, err)
}

func (a *api) listLaunches(ctx context.Context, in *struct {
	TenantPath
	PageQuery
	Path config.Path `query:"path" doc:"only launches with a config there or below" example:"acme/checkout/prod"`
	All  bool        `query:"all" doc:"those that have ended as well"`
}) (*answered[config.Page[config.Launch]], error) {
	if in.Path.Tenant != "" && in.Path.Tenant != in.Tenant {
		return nil, malformed("query.path", "it must be of the tenant "+in.Tenant)
	}
	return answer(a.center.Launches(ctx, center.LaunchesRequest{
		PageRequest: in.request(), Tenant: in.Tenant, Path: in.Path, All: in.All,
	}))
}

func (a *api) getLaunch(ctx context.Context, in *LaunchPath) (*tagged[config.Launch], error) {
	l, err := a.center.Launch(ctx, in.launch())
	return tag(l, l.Revision, err)
}

// SwitchFields say which slot is to be active.
type SwitchFields struct {
	ActFields
	To string `json:"to,omitempty" doc:"the slot; left out, the one that is not active" example:"green"`
}

func (a *api) switchTo(ctx context.Context, t actTarget, to string) (*tagged[config.Launch], error) {
	return a.act(ctx, t, func(c *center.Center, ctx context.Context, act center.LaunchAct) (config.Launch, error) {
		return c.SwitchLaunch(ctx, center.SwitchLaunch{LaunchAct: act, To: to})
	})
}

func (a *api) switchLaunch(ctx context.Context, in *struct {
	LaunchPath
	Condition
	Body *SwitchFields
}) (*tagged[config.Launch], error) {
	var body SwitchFields
	if in.Body != nil {
		body = *in.Body
	}
	return a.switchTo(ctx, actTarget{in.launch(), in.Condition, body.ActFields}, body.To)
}

func (a *api) switchRollout(ctx context.Context, in *struct {
	ConfigPath
	Condition
	Body *struct {
		SwitchFields
		WhichLaunch
	}
}) (*tagged[config.Launch], error) {
	var body SwitchFields
	var id string
	if in.Body != nil {
		body, id = in.Body.SwitchFields, in.Body.Launch
	}
	return a.switchTo(ctx, actTarget{in.launch(id), in.Condition, body.ActFields}, body.To)
}

// AdjustFields are what is to be different of a launch.
type AdjustFields struct {
	ActFields
	Strategy     *config.Strategy `json:"strategy,omitempty" doc:"in the place of the whole strategy; the salt stays unless another is given"`
	Share        *config.Share    `json:"share,omitempty" doc:"what a canary claims, in hundredths of a percent: 1250 is 12.5 %. The rest of its rule stays" example:"5000"`
	Gate         *config.Gate     `json:"gate,omitempty" doc:"in the place of the whole gate"`
	ExpiresAfter *config.Seconds  `json:"expires_after_seconds,omitempty" doc:"from when it began; 0 never" minimum:"0"`
	BeginsAt     *time.Time       `json:"begins_at,omitempty" doc:"of a launch that has not begun: when it does"`
}

func (a *api) adjust(ctx context.Context, t actTarget, f AdjustFields) (*tagged[config.Launch], error) {
	if f.Strategy == nil && f.Share == nil && f.Gate == nil && f.ExpiresAfter == nil && f.BeginsAt == nil {
		return nil, malformed("body", "say what to adjust: strategy, share, gate, expires_after_seconds or begins_at")
	}
	return a.act(ctx, t, func(c *center.Center, ctx context.Context, act center.LaunchAct) (config.Launch, error) {
		return c.AdjustLaunch(ctx, center.AdjustLaunch{
			LaunchAct: act, Strategy: f.Strategy, Share: f.Share, Gate: f.Gate, ExpiresAfter: f.ExpiresAfter, BeginsAt: f.BeginsAt,
		})
	})
}

func (a *api) adjustLaunch(ctx context.Context, in *struct {
	LaunchPath
	Condition
	Body AdjustFields
}) (*tagged[config.Launch], error) {
	return a.adjust(ctx, actTarget{in.launch(), in.Condition, in.Body.ActFields}, in.Body)
}

func (a *api) adjustRollout(ctx context.Context, in *struct {
	ConfigPath
	Condition
	Body struct {
		AdjustFields
		WhichLaunch
	}
}) (*tagged[config.Launch], error) {
	return a.adjust(ctx, actTarget{in.launch(in.Body.Launch), in.Condition, in.Body.ActFields}, in.Body.AdjustFields)
}
