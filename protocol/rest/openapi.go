package rest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// The statuses that every route may answer beside its own, and what they mean.
var commonStatuses = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable}

var errorStatuses = map[int]string{
	http.StatusBadRequest:            "The request is malformed; problems name the fields.",
	http.StatusUnauthorized:          "No identity was proved.",
	http.StatusForbidden:             "The identity has no right to this. The answer is the same whether what was asked for exists or not.",
	http.StatusNotFound:              "What the path names is not there.",
	http.StatusConflict:              "It exists already, a condition did not hold, or a limit is reached.",
	http.StatusGone:                  "The position asked for is older than what is kept.",
	http.StatusPreconditionFailed:    "The condition in the If-Match or If-None-Match header did not hold.",
	http.StatusRequestEntityTooLarge: "The content or the body is over a size limit.",
	http.StatusUnsupportedMediaType:  "The body is of a type that is not taken here.",
	http.StatusUnprocessableEntity:   "The content is malformed; problems have lines and columns.",
	http.StatusTooManyRequests:       "Too many attempts; Retry-After says when to try again.",
	http.StatusInternalServerError:   "A defect of the server; its log has the cause under the request id.",
	http.StatusServiceUnavailable:    "The store cannot be reached, or the node is full; Retry-After says when to try again.",
	http.StatusNotImplemented:        "This node cannot do that: it belongs to no cluster, cannot be joined, or has a store that cannot be backed up.",
	http.StatusGatewayTimeout:        "The answer did not come in time.",
}

// Spec returns the OpenAPI description of what the protocol serves, indented.
// It does not depend on settings or build.
func Spec() ([]byte, error) {
	a := &api{}
	a.mount()
	return json.MarshalIndent(a.spec, "", "  ")
}

func describedConfig() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.Schema(reflect.TypeFor[problemDetails](), true, "")
	describeLaunchNouns(registry)
	format := huma.Format{
		Marshal:   huma.DefaultJSONFormat.Marshal,
		Unmarshal: strictjson.Unmarshal,
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "Setpoint",
				Version: "v1",
				Description: "A distributed configuration centre. Applications read and watch under `/v1/configs` and `/v1/watch`; " +
					"people and pipelines use the rest.\n\n" +
					"Every error is an RFC 9457 problem with a stable `code`. Every answer has an `X-Request-Id`. " +
					"Lists are paged by `limit` and `after`. A resource's `ETag` is its revision: send it back as `If-Match` " +
					"to change only what you saw. A node that is cut off from the others goes on answering reads, and says in " +
					"`Setpoint-Stale-Seconds` how old what it knows may be.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas:   registry,
				Responses: errorResponses(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"basic":  {Type: "http", Scheme: "basic", Description: "A user's name and password."},
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "sp_…", Description: "An API token, or the session token of a login."},
				},
			},
			Security: []map[string][]string{{"bearer": {}}, {"basic": {}}},
			Tags: []*huma.Tag{
				{Name: "Data plane", Description: "What applications use: read, watch."},
				{Name: "Scopes", Description: "Tenants, apps and envs."},
				{Name: "Configs", Description: "Managed files and flags: metadata, deletion."},
				{Name: "Drafts", Description: "The working copy of a config."},
				{Name: "Releases", Description: "Publish, roll back, promote, history, differences."},
				{Name: "Launches", Description: "Releases that reach a part of the clients first, and how they go on."},
				{Name: "Archives", Description: "Import and export of a directory."},
				{Name: "Identity", Description: "Log in, users, tokens, roles and bindings."},
				{Name: "Audit", Description: "Who did what."},
				{Name: "Cluster", Description: "The nodes of the installation, and who is connected to them."},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// schemaName names what has no name after the operation that it is for.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[config.Finding]() { // the audit has findings too
		return "ExplanationFinding"
	}
	var b strings.Builder
	for part := range strings.SplitSeq(huma.DefaultSchemaNamer(t, hint), "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// operation starts the description of a route.
func (r Route) operation() huma.Operation {
	op := huma.Operation{
		Method: r.Method, Path: r.Pattern, OperationID: r.ID,
		Summary: r.summary, Description: r.description, Tags: []string{r.tag},
		DefaultStatus: r.status, MaxBodyBytes: -1, // bounded before
		Responses: map[string]*huma.Response{},
	}
	if r.Public {
		op.Security = []map[string][]string{{}}
	}
	statuses := append([]int{}, commonStatuses...)
	if r.body != noBody {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, status := range append(statuses, r.errors...) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/Problem" + strconv.Itoa(status)}
	}
	return op
}

// errorResponses are what operations refer to for their errors.
func errorResponses() map[string]*huma.Response {
	all := map[string]*huma.Response{}
	for status, meaning := range errorStatuses {
		all["Problem"+strconv.Itoa(status)] = &huma.Response{
			Description: meaning,
			Content:     map[string]*huma.MediaType{problem.ContentType: {Schema: &huma.Schema{Ref: "#/components/schemas/ProblemDetails"}}},
		}
	}
	return all
}

// The pieces of descriptions written by hand.

func pathParam(name, description, example string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
}

func queryParam(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func headerParam(name, description string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: description, Schema: text()}
}

func text() *huma.Schema    { return &huma.Schema{Type: huma.TypeString} }
func boolean() *huma.Schema { return &huma.Schema{Type: huma.TypeBoolean} }

// headers describes response headers given as name, meaning, name, meaning …
func headers(pairs ...string) map[string]*huma.Param {
	m := map[string]*huma.Param{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = &huma.Param{Description: pairs[i+1], Schema: text()}
	}
	return m
}

// schemaOf registers a type and refers to it.
func schemaOf[T any](registry huma.Registry) *huma.Schema {
	return registry.Schema(reflect.TypeFor[T](), true, "")
}

// jsonBody describes a JSON request or response body of type T.
func jsonBody[T any](registry huma.Registry, example any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schemaOf[T](registry), Example: example}}
}

// configParams are the path parameters of one config, as the control plane
// spells them.
func configParams() []*huma.Param {
	return []*huma.Param{
		pathParam("tenant", "tenant", "acme"), pathParam("app", "app", "checkout"),
		pathParam("env", "env", "prod"), pathParam("name", "config", "application.yaml"),
	}
}
