package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

const pathRelease = pathConfig + "/releases/{version}"

func historyRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: pathConfig + "/releases", Op: "release.list", ID: "list-releases", tag: tagReleases,
			summary: "List a config's releases", description: "The newest first.", errors: readStatuses}, (*api).listReleases),
		control(Route{Method: "GET", Pattern: pathRelease, Op: "release.get", ID: "get-release", tag: tagReleases,
			summary: "Get a release with its content", errors: readStatuses}, (*api).getRelease),
		direct(Route{Method: "GET", Pattern: pathRelease + "/content", Op: "release.get", ID: "get-release-content", tag: tagReleases,
			summary: "Get a release's content, byte for byte", errors: readStatuses}, (*api).getReleaseContent, describeReleaseContent),
		direct(Route{Method: "GET", Pattern: pathConfig + "/diff", Op: "config.diff", ID: "diff-config", tag: tagReleases,
			summary: "Compare two contents",
			description: "By line and, where both parse, by path. Each side is a version, `draft`, `released` (what is served now), " +
				"`env:NAME` (what another env of the app serves under this name) or `path:tenant/app/env/name`.",
			errors: readStatuses}, (*api).diff, describeDiff),
	}
}

// fullRelease is a release with its content.
type fullRelease fragment.Release

func (a *api) listReleases(ctx context.Context, in *struct {
	ConfigPath
	PageQuery
}) (*answered[config.Page[config.Release]], error) {
	return answer(a.center.Releases(ctx, in.path(), in.request()))
}

func (a *api) getRelease(ctx context.Context, in *struct {
	ConfigPath
	Version int64 `path:"version" doc:"the release's version" minimum:"1" example:"3"`
}) (*answered[fullRelease], error) {
	r, content, err := a.center.Release(ctx, in.path(), in.Version)
	return answer(fullRelease{Release: r, Content: fragment.ContentOf(content)}, err)
}

func (a *api) getReleaseContent(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil || version < 1 {
		return malformed("path.version", "want a version number")
	}
	found, content, err := a.center.Release(r.Context(), configPath(r), version)
	if err != nil {
		return err
	}
	a.writeContent(w, r, &found, content, "")
	return nil
}

func (a *api) diff(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "from", "to")
	if err != nil {
		return err
	}
	path := configPath(r)
	from, err := refOf(path, "from", q.Get("from"), "released")
	if err != nil {
		return err
	}
	to, err := refOf(path, "to", q.Get("to"), "draft")
	if err != nil {
		return err
	}
	d, err := a.center.Diff(r.Context(), from, to)
	if err != nil {
		return err
	}
	if !prefersText(r.Header.Get("Accept")) {
		writeJSON(w, http.StatusOK, d)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(d.Unified)))
	_, _ = w.Write([]byte(d.Unified)) // a client that is gone needs no answer
	return nil
}

// refOf reads one side of a comparison.
func refOf(path config.Path, name, s, otherwise string) (center.Ref, error) {
	if s == "" {
		s = otherwise
	}
	sort, rest, _ := strings.Cut(s, ":")
	switch {
	case s == "draft":
		return center.Ref{Path: path, Draft: true}, nil
	case s == "released":
		return center.Ref{Path: path}, nil
	case sort == "env" && rest != "":
		path.Env = rest
		return center.Ref{Path: path}, nil
	case sort == "path":
		other, err := config.ParsePath(rest)
		if err == nil {
			err = other.Require(config.LevelConfig)
		}
		if err != nil {
			return center.Ref{}, malformed("query."+name, config.AsError(err).Detail())
		}
		return center.Ref{Path: other}, nil
	}
	if version, err := strconv.ParseInt(s, 10, 64); err == nil && version > 0 {
		return center.Ref{Path: path, Version: version}, nil
	}
	return center.Ref{}, malformed("query."+name, "want a version, draft, released, env:NAME or path:tenant/app/env/name")
}

// prefersText reports whether an Accept header names text before JSON.
func prefersText(accept string) bool {
	text := strings.Index(accept, "text/plain")
	if text < 0 {
		text = strings.Index(accept, "text/x-diff")
	}
	asJSON := strings.Index(accept, "application/json")
	return text >= 0 && (asJSON < 0 || text < asJSON)
}

func describeReleaseContent(_ huma.Registry, op *huma.Operation) {
	op.Parameters = append(configParams(), pathParam("version", "the release's version", "3"))
	op.Responses["200"] = &huma.Response{
		Description: "The bytes, as they were published, with the Content-Type of their format.",
		Headers:     contentHeaders(),
		Content:     map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	op.Responses["304"] = &huma.Response{Description: "The client has this content already."}
}

func describeDiff(registry huma.Registry, op *huma.Operation) {
	op.Parameters = append(configParams(),
		queryParam("from", "left out, released", text()), queryParam("to", "left out, draft", text()))
	content := jsonBody[center.Diff](registry, nil)
	content["text/plain"] = &huma.MediaType{Schema: text()}
	op.Responses["200"] = &huma.Response{Description: "The difference: JSON or, if Accept prefers it, the unified text.", Content: content}
}
