package rest

import (
	"context"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func previewRoutes() []Route {
	return []Route{
		control(Route{Method: "POST", Pattern: pathTenant + "/launches/preview", Op: "rollout.preview", ID: "preview-launch", tag: tagReleases,
			summary: "Tell who would get what by a launch, or by changing one",
			description: "Nothing is changed. Without `launch` it is about a new launch of the items; with it, about that one: " +
				"with another strategy or share, or after a change. What would be refused is among the problems.",
			body: contentBody, errors: publishStatuses}, (*api).previewLaunch),
		control(Route{Method: "POST", Pattern: pathConfig + "/rollout/preview", Op: "rollout.preview", ID: "preview-rollout", tag: tagReleases,
			summary: "Tell who would get what by a launch of a config, or by changing the one under way",
			description: "Nothing is changed. A `share` or a `change` is that of the config's launch, which must be named if there are several; " +
				"so must be the one that is to have another `strategy`. Otherwise it is about a new launch.",
			body: contentBody, errors: publishStatuses}, (*api).previewRollout),
	}
}

// PreviewAsk is what previews of one config and of many have in common. It is
// exported because huma reads embedded structs only if they are.
type PreviewAsk struct {
	Strategy     *config.Strategy    `json:"strategy,omitempty" doc:"who gets the release"`
	Gate         *config.Gate        `json:"gate,omitempty" doc:"of a new launch: what instances must report"`
	ExpiresAfter config.Seconds      `json:"expires_after_seconds,omitempty" doc:"of a new launch: when it is called off" minimum:"0"`
	BeginsAt     time.Time           `json:"begins_at,omitzero" doc:"of a new launch: when it begins; it is previewed as if it had begun"`
	OnRunning    center.OnRunning    `json:"on_running,omitempty" doc:"of a new launch: what becomes of those under way" enum:"supersede,before,after"`
	Launch       string              `json:"launch,omitempty" doc:"the id of a launch that is under way" maxLength:"256"`
	Share        *config.Share       `json:"share,omitempty" doc:"of a canary under way: another share, in hundredths of a percent"`
	Change       config.LaunchChange `json:"change,omitempty" doc:"of a launch under way" enum:"advance,switch,promote,abort"`
}

func (p *PreviewAsk) request(q PageQuery, paths []config.Path) center.PreviewRequest {
	r := center.PreviewRequest{PageRequest: q.request(), Paths: paths}
	r.BeginsAt, r.OnRunning = p.BeginsAt, p.OnRunning
	if p.Strategy != nil || p.Gate != nil || p.ExpiresAfter != 0 {
		r.Launch = &center.LaunchOptions{Gate: p.Gate, ExpiresAfter: p.ExpiresAfter}
	}
	if p.Strategy != nil {
		r.Launch.Strategy = *p.Strategy
	}
	return r
}

// changes reports whether it is about a launch that is under way, and refuses
// what has no meaning for one.
func (p *PreviewAsk) changes() (bool, error) {
	if p.Launch == "" && p.Share == nil && p.Change == "" {
		return false, nil
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"gate", p.Gate != nil}, {"expires_after_seconds", p.ExpiresAfter != 0},
		{"begins_at", !p.BeginsAt.IsZero()}, {"on_running", p.OnRunning != ""},
	} {
		if field.set {
			return false, malformed("body."+field.name, "it is of a new launch, and this is about one that is under way")
		}
	}
	return true, nil
}

func (p *PreviewAsk) change(q PageQuery, ref center.LaunchRef) center.PreviewRequest {
	ref.ID = p.Launch
	return center.PreviewRequest{PageRequest: q.request(), Change: &center.PreviewChange{
		LaunchRef: ref, Strategy: p.Strategy, Share: p.Share, Change: p.Change,
	}}
}

func (a *api) previewLaunch(ctx context.Context, in *struct {
	TenantPath
	PageQuery
	Body struct {
		PreviewAsk
		Items []config.Path `json:"items,omitempty" doc:"the configs of a new launch: tenant/app/env/name" maxItems:"100"`
	}
}) (*answered[config.Preview], error) {
	changes, err := in.Body.changes()
	switch {
	case err != nil:
		return nil, err
	case changes && in.Body.Launch == "":
		return nil, malformed("body.launch", "say which launch it is that is to be changed")
	case changes && len(in.Body.Items) > 0:
		return nil, malformed("body.items", "a launch that is under way has its configs; leave them out")
	case changes:
		return answer(a.center.Preview(ctx, in.Body.change(in.PageQuery, center.LaunchRef{Tenant: in.Tenant})))
	case len(in.Body.Items) == 0:
		return nil, malformed("body.items", "name the configs of a new launch, or the launch that is under way")
	}
	for i, path := range in.Body.Items {
		if path.Tenant != in.Tenant {
			return nil, malformed("body.items["+strconv.Itoa(i)+"]", "want a config of the tenant that the request is sent to")
		}
	}
	return answer(a.center.Preview(ctx, in.Body.request(in.PageQuery, in.Body.Items)))
}

func (a *api) previewRollout(ctx context.Context, in *struct {
	ConfigPath
	PageQuery
	Body PreviewAsk
}) (*answered[config.Preview], error) {
	changes, err := in.Body.changes()
	switch {
	case err != nil:
		return nil, err
	case changes:
		return answer(a.center.Preview(ctx, in.Body.change(in.PageQuery, center.LaunchRef{Path: in.path()})))
	}
	return answer(a.center.Preview(ctx, in.Body.request(in.PageQuery, []config.Path{in.path()})))
}
