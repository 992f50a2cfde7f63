package rest

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

const tagReleases = "Releases"

var publishStatuses = []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}

const releaseDescription = "With `rollout` a launch begins: a part of the clients gets the releases, and `launch` in the answer says how " +
	"it goes on; its `warnings` are what looks like a mistake. With `begins_at` that happens later."

func publishRoutes() []Route {
	return []Route{
		direct(Route{Method: "POST", Pattern: pathConfig + "/releases", Op: "config.publish", ID: "publish-config", tag: tagReleases,
			summary: "Publish a config",
			description: "Releases the content sent or, without one, the draft, which is dropped by it. " +
				"A config that is not there yet is created. When the answer comes, the release is durable, and this node serves it. " +
				releaseDescription,
			body: contentBody, status: http.StatusCreated, errors: publishStatuses}, (*api).publish, describePublish),
		direct(Route{Method: "POST", Pattern: pathTenant + "/changesets", Op: "config.publish", ID: "publish-change-set", tag: tagReleases,
			summary:     "Publish many configs at once",
			description: "All of them become visible at one revision, or none does. " + releaseDescription,
			body:        changeSetBody, status: http.StatusCreated, errors: publishStatuses}, (*api).publishChangeSet, describePublishChangeSet),
		control(Route{Method: "GET", Pattern: pathTenant + "/changesets", Op: "changeset.list", ID: "list-change-sets", tag: tagReleases,
			summary: "List what was released in a tenant", description: "The newest first.", errors: readStatuses}, (*api).listChangeSets),
		control(Route{Method: "POST", Pattern: pathConfig + "/rollback", Op: "config.rollback", ID: "rollback-config", tag: tagReleases,
			summary: "Serve everybody an earlier content again, at once",
			description: "Every launch of the config is aborted, with all the configs that it holds, and a new release is made of the old " +
				"content: versions only go up. If the stable release holds that content, to abort is all there is to do. " +
				"Without `version` it goes away from what was changed last: launches under way are aborted; if there are none, the release " +
				"that was stable before comes back, unless the stable one is itself a rollback. No freeze holds it up.",
			body: smallBody, status: http.StatusCreated, errors: publishStatuses}, (*api).rollback),
		control(Route{Method: "POST", Pattern: pathApp + "/promote", Op: "config.promote", ID: "promote", tag: tagReleases,
			summary:     "Release in one env what another serves",
			description: "As one change set. What is the same already is left alone. " + releaseDescription,
			body:        smallBody, status: http.StatusCreated, errors: publishStatuses}, (*api).promote),
	}
}

// publishBody is what a publish of one config asks for.
type publishBody struct {
	Content
	DraftRevision   config.Token      `json:"draft_revision,omitempty" doc:"without content: the revision that the draft must have"`
	Format          string            `json:"format,omitempty" doc:"left out, the config's, or by the name's ending" example:"yaml"`
	File            string            `json:"file,omitempty" doc:"of a new config: where it lies in an exported directory"`
	Description     string            `json:"description,omitempty" doc:"of a new config"`
	Labels          map[string]string `json:"labels,omitempty" doc:"of a new config"`
	Comment         string            `json:"comment,omitempty" doc:"why; a protected env wants one" example:"raise the timeout"`
	ExpectedVersion *int64            `json:"expected_version,omitempty" doc:"the version that must be the latest; 0 for none" minimum:"0"`
	SkipUnchanged   bool              `json:"skip_unchanged,omitempty" doc:"make no release if this content is served already"`
	ReleaseFields
}

// changeSetItem is what a change set asks for of one config.
type changeSetItem struct {
	Path config.Path `json:"path" doc:"tenant/app/env/name" example:"acme/checkout/prod/application.yaml"`
	Content
	FromDraft       bool              `json:"from_draft,omitempty" doc:"publish the draft in the place of content"`
	DraftRevision   config.Token      `json:"draft_revision,omitempty" doc:"with from_draft: the revision that the draft must have"`
	Format          string            `json:"format,omitempty" doc:"left out, the config's, or by the name's ending"`
	File            string            `json:"file,omitempty" doc:"of a new config: where it lies in an exported directory"`
	Description     string            `json:"description,omitempty" doc:"of a new config"`
	Labels          map[string]string `json:"labels,omitempty" doc:"of a new config"`
	ExpectedVersion *int64            `json:"expected_version,omitempty" doc:"the version that must be the latest; 0 for none" minimum:"0"`
	SkipUnchanged   bool              `json:"skip_unchanged,omitempty" doc:"make no release if this content is served already"`
}

type newChangeSet struct {
	Comment string          `json:"comment,omitempty" doc:"why; a protected env wants one"`
	Items   []changeSetItem `json:"items" minItems:"1"`
	ReleaseFields
}

// The names in the bodies above, read off their types once.
var (
	publishNames   = strictjson.NamesOf(reflect.TypeFor[publishBody]())
	changeSetNames = strictjson.NamesOf(reflect.TypeFor[newChangeSet]())
)

// checkVersion refuses an expected version that there cannot be; nil expects
// none. where is what holds it.
func checkVersion(where string, expected *int64) error {
	if expected != nil && *expected < 0 {
		return malformed(where+".expected_version", "want 0 or more")
	}
	return nil
}

// configPath reads the path parameters of one config, as they are.
func configPath(r *http.Request) config.Path {
	return config.Path{
		Tenant: r.PathValue("tenant"), App: r.PathValue("app"),
		Env: r.PathValue("env"), Name: r.PathValue("name"),
	}
}

func (a *api) publish(w http.ResponseWriter, r *http.Request) error {
	var body publishBody
	if err := decodeBody(w, r, publishNames, &body); err != nil {
		return err
	}
	if err := checkVersion("body", body.ExpectedVersion); err != nil {
		return err
	}
	content, given, err := body.bytes()
	if err != nil {
		return err
	}
	path := configPath(r)
	set, err := a.center.Publish(r.Context(), center.Publish{
		Tenant: path.Tenant, Comment: body.Comment, ReleaseOptions: body.options(),
		Items: []center.PublishItem{{
			Path: path, Content: content, FromDraft: !given, DraftRevision: body.DraftRevision,
			Format: body.Format, File: body.File, Description: body.Description, Labels: body.Labels,
			ExpectedVersion: body.ExpectedVersion, SkipUnchanged: body.SkipUnchanged,
		}},
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, set)
	return nil
}

func (a *api) publishChangeSet(w http.ResponseWriter, r *http.Request) error {
	var body newChangeSet
	if err := decodeBody(w, r, changeSetNames, &body); err != nil {
		return err
	}
	p := center.Publish{
		Tenant: r.PathValue("tenant"), Comment: body.Comment, ReleaseOptions: body.options(),
		Items: make([]center.PublishItem, len(body.Items)),
	}
	for i := range body.Items {
		item := &body.Items[i]
		where := "body.items[" + strconv.Itoa(i) + "]"
		content, given, err := item.bytes()
		switch {
		case err != nil:
			return malformed(where, "send content or content_base64, not both")
		case given && item.FromDraft:
			return malformed(where, "send content or from_draft, not both")
		case !given && !item.FromDraft:
			return malformed(where, "send content, content_base64 or from_draft")
		}
		if err := checkVersion(where, item.ExpectedVersion); err != nil {
			return err
		}
		p.Items[i] = center.PublishItem{
			Path: item.Path, Content: content, FromDraft: item.FromDraft, DraftRevision: item.DraftRevision,
			Format: item.Format, File: item.File, Description: item.Description, Labels: item.Labels,
			ExpectedVersion: item.ExpectedVersion, SkipUnchanged: item.SkipUnchanged,
		}
	}
	set, err := a.center.Publish(r.Context(), p)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, set)
	return nil
}

func (a *api) listChangeSets(ctx context.Context, in *struct {
	TenantPath
	PageQuery
}) (*answered[config.Page[config.ChangeSet]], error) {
	return answer(a.center.ChangeSets(ctx, in.Tenant, in.request()))
}

func (a *api) rollback(ctx context.Context, in *struct {
	ConfigPath
	Body struct {
		Version         int64  `json:"version,omitempty" doc:"the release whose content to serve again; left out, away from what was changed last" minimum:"0" example:"3"`
		Comment         string `json:"comment,omitempty" doc:"why"`
		ExpectedVersion *int64 `json:"expected_version,omitempty" doc:"the version that must be the latest" minimum:"0"`
	}
}) (*answered[config.ChangeSet], error) {
	return answer(a.center.Rollback(ctx, center.Rollback{
		Path: in.path(), Version: in.Body.Version, Comment: in.Body.Comment, ExpectedVersion: in.Body.ExpectedVersion,
	}))
}

func (a *api) promote(ctx context.Context, in *struct {
	AppPath
	Body struct {
		FromEnv  string   `json:"from_env" doc:"the env to take from" example:"test" minLength:"1"`
		ToEnv    string   `json:"to_env" doc:"the env to release in" example:"prod" minLength:"1"`
		Names    []string `json:"names,omitempty" doc:"the configs; left out, all"`
		Comment  string   `json:"comment,omitempty" doc:"why"`
		Backward bool     `json:"backward,omitempty" doc:"allow an env that comes earlier in the order of promotion"`
		DryRun   bool     `json:"dry_run,omitempty" doc:"only tell what would be released"`
		ReleaseFields
	}
}) (*answered[config.ChangeSet], error) {
	return answer(a.center.Promote(ctx, center.Promote{
		From: in.path().Join(in.Body.FromEnv), To: in.path().Join(in.Body.ToEnv), Names: in.Body.Names,
		Comment: in.Body.Comment, Backward: in.Body.Backward, DryRun: in.Body.DryRun, ReleaseOptions: in.Body.options(),
	}))
}

func describePublish(registry huma.Registry, op *huma.Operation) {
	op.Parameters = configParams()
	op.RequestBody = &huma.RequestBody{Required: true, Content: jsonBody[publishBody](registry, nil)}
	op.RequestBody.Content["application/json"].Examples = map[string]*huma.Example{
		"everybody": {Summary: "for everybody, at once", Value: map[string]any{
			"content": "server:\n  port: 8080\n", "comment": "raise the timeout", "expected_version": 3,
		}},
		"canary": {Summary: "for a tenth of the instances in eu", Value: map[string]any{
			"content": "server:\n  port: 8080\n", "rollout": map[string]any{
				"strategy": map[string]any{"kind": "canary", "rule": map[string]any{"share": 1000, "labels": "region = eu"}}, "expires_after_seconds": 7200,
			},
		}},
		"progressive": {Summary: "step by step, as long as instances can apply it", Value: map[string]any{
			"rollout": map[string]any{
				"strategy": map[string]any{"kind": "progressive", "steps": []map[string]any{
					{"share": 100, "hold_seconds": 600}, {"share": 1000, "hold_seconds": 1800}, {"share": 10000, "hold_seconds": 3600},
				}},
				"gate": map[string]any{"applied_share": 9500, "refused": 2, "patience_seconds": 900},
			},
		}},
		"blue-green": {Summary: "into the slot that is not active", Value: map[string]any{
			"rollout": map[string]any{"strategy": map[string]any{"kind": "blue-green"}},
		}},
		"scheduled": {Summary: "for everybody, later", Value: map[string]any{"begins_at": "2027-01-31T10:00:00Z"}},
	}
	describeChangeSet(registry, op)
}

func describePublishChangeSet(registry huma.Registry, op *huma.Operation) {
	op.Parameters = configParams()[:1]
	op.RequestBody = &huma.RequestBody{Required: true, Content: jsonBody[newChangeSet](registry, map[string]any{
		"comment": "new limits",
		"items": []map[string]any{
			{"path": "acme/checkout/prod/application.yaml", "content": "server:\n  port: 8080\n"},
			{"path": "acme/checkout/prod/limits.json", "from_draft": true},
		},
	})}
	describeChangeSet(registry, op)
}

func describeChangeSet(registry huma.Registry, op *huma.Operation) {
	op.Responses["201"] = &huma.Response{Description: "The change set.", Content: jsonBody[config.ChangeSet](registry, nil)}
}

// writeJSON answers with a JSON body.
func writeJSON(w http.ResponseWriter, status int, body any) {
	b := strictjson.Encode(body)
	h := w.Header()
	h["Content-Type"] = jsonHeaders
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}

var jsonHeaders = []string{"application/json"}
