package rest

import (
	"context"
	"net/http"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	tagDrafts = "Drafts"
	pathDraft = pathConfig + "/draft"
)

func draftRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: pathDraft, Op: "draft.get", ID: "get-draft", tag: tagDrafts,
			summary: "Get a config's draft", errors: readStatuses}, (*api).getDraft),
		control(Route{Method: "PUT", Pattern: pathDraft, Op: "draft.save", ID: "save-draft", tag: tagDrafts,
			summary: "Save a config's draft",
			description: "It is kept even if it is malformed; problems say what would stop its publication. " +
				"`If-Match` wants the draft to be the one that you saw, `If-None-Match: *` wants that there is none.",
			body: contentBody, errors: changeStatuses}, (*api).saveDraft),
		control(Route{Method: "DELETE", Pattern: pathDraft, Op: "draft.delete", ID: "delete-draft", tag: tagDrafts,
			summary: "Drop a config's draft", errors: changeStatuses}, (*api).deleteDraft),
		control(Route{Method: "POST", Pattern: pathConfig + "/validate", Op: "config.validate", ID: "validate-content", tag: tagDrafts,
			summary: "Check content without keeping it", description: "As a publish to this path would.",
			body: contentBody, errors: []int{http.StatusNotFound}}, (*api).validate),
	}
}

// fullDraft is a draft with its content.
type fullDraft struct {
	config.Draft
	Content
}

// draftContent is a body that brings content to a config.
type draftContent struct {
	Content
	Format string `json:"format,omitempty" doc:"left out, the config's, or by the name's ending" example:"yaml"`
}

type savedDraft struct {
	Draft    fullDraft        `json:"draft"`
	Problems []config.Problem `json:"problems" doc:"what would stop a publish, and what is only doubtful"`
}

func (a *api) getDraft(ctx context.Context, in *ConfigPath) (*tagged[fullDraft], error) {
	d, err := a.center.Draft(ctx, in.path())
	return tag(fullDraft{Draft: d, Content: contentOf(d.Content)}, d.Revision, err)
}

func (a *api) saveDraft(ctx context.Context, in *struct {
	ConfigPath
	Condition
	IfNoneMatch string `header:"If-None-Match" doc:"* wants that there is no draft yet" enum:"*"`
	Body        draftContent
}) (*tagged[savedDraft], error) {
	content, err := in.Body.required()
	if err != nil {
		return nil, err
	}
	save := center.SaveDraft{Path: in.path(), Content: content, Format: in.Body.Format}
	expected, err := in.token()
	switch {
	case err != nil:
		return nil, err
	case expected != "" && in.IfNoneMatch != "":
		return nil, malformed("If-None-Match", "send it or If-Match, not both")
	case expected != "" || in.IfNoneMatch != "":
		save.Expected = &expected // empty: there must be none
	}
	d, problems, err := a.center.SaveDraft(ctx, save)
	if problems == nil {
		problems = []config.Problem{}
	}
	return tag(savedDraft{Draft: fullDraft{Draft: d, Content: contentOf(content)}, Problems: problems}, d.Revision, err)
}

func (a *api) deleteDraft(ctx context.Context, in *struct {
	ConfigPath
	Condition
}) (*empty, error) {
	expected, err := in.token()
	if err != nil {
		return nil, err
	}
	return done(a.center.DeleteDraft(ctx, in.path(), expected))
}

type findings struct {
	Problems []config.Problem `json:"problems" doc:"what would stop a publish, and what is only doubtful; empty if nothing is wrong"`
}

func (a *api) validate(ctx context.Context, in *struct {
	ConfigPath
	Body draftContent
}) (*answered[findings], error) {
	content, err := in.Body.required()
	if err != nil {
		return nil, err
	}
	problems, err := a.center.Validate(ctx, in.path(), in.Body.Format, content)
	if problems == nil {
		problems = []config.Problem{}
	}
	return answer(findings{Problems: problems}, err)
}
