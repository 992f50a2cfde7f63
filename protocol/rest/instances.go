package rest

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

const tagInstances = "Instances"

func instanceRoutes() []Route {
	return []Route{
		direct(Route{Method: "POST", Pattern: "/v1/instances/report", Op: "instance.report", ID: "report-instance", tag: tagInstances,
			summary: "Report what an instance applied or refused",
			description: "Of one or many releases that it was sent; it must say which instance it is. If one of them is denied or wrong, none is noted. " +
				"Applying a release puts an end to having refused one before it. Rollouts with a gate go by it; it is remembered for some time only, so " +
				"an instance reports again now and then, and when it has connected anew.",
			body: reportBody, status: http.StatusNoContent}, (*api).reportInstance, describeReport),
		control(Route{Method: "GET", Pattern: pathEnv + "/instances", Op: "instance.list", ID: "list-env-instances", tag: tagInstances,
			summary:     "List the instances of an env, on every node",
			description: "Who is watching it and, of those that say a name, who has read or reported something of it and is remembered.",
			errors:      readStatuses}, (*api).listEnvInstances),
		control(Route{Method: "GET", Pattern: pathConfig + "/instances", Op: "instance.list", ID: "list-config-instances", tag: tagInstances,
			summary:     "List the instances of a config, on every node",
			description: "With what each was sent, applied or refused, and how many there are to each version.",
			errors:      readStatuses}, (*api).listConfigInstances),
	}
}

// instanceReports is what an instance reports.
type instanceReports struct {
	Reports []instanceReport `json:"reports" minItems:"1" maxItems:"256"`
}

type instanceReport struct {
	Path    config.Path     `json:"path" doc:"tenant/app/env/name" example:"acme/checkout/prod/application.yaml"`
	Version int64           `json:"version" doc:"the release's version" minimum:"1" example:"3"`
	State   config.AckState `json:"state" enum:"applied,refused"`
	Why     string          `json:"why,omitempty" doc:"why it was refused; at most 1,000 bytes are kept"`
}

var reportNames = strictjson.NamesOf(reflect.TypeFor[instanceReports]())

func (a *api) reportInstance(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "instance", "labels", "slot")
	if err != nil {
		return err
	}
	client, err := a.clientOf(r, q)
	if err != nil {
		return err
	}
	var body instanceReports
	if err := decodeBody(w, r, reportNames, &body); err != nil {
		return err
	}
	request := center.ReportRequest{Client: client, Protocol: Name, Reports: make([]center.InstanceReport, len(body.Reports))}
	for i, item := range body.Reports {
		request.Reports[i] = center.InstanceReport(item)
	}
	if err := a.center.Report(r.Context(), request); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func describeReport(registry huma.Registry, op *huma.Operation) {
	op.Parameters = clientParams()
	op.RequestBody = &huma.RequestBody{Required: true, Content: jsonBody[instanceReports](registry, map[string]any{
		"reports": []map[string]any{
			{"path": "acme/checkout/prod/application.yaml", "version": 3, "state": "applied"},
			{"path": "acme/checkout/prod/limits.json", "version": 7, "state": "refused", "why": "max: want a number above 0"},
		},
	})}
	op.Responses["204"] = &huma.Response{Description: "It is noted."}
}

func (a *api) listEnvInstances(ctx context.Context, in *struct {
	EnvPath
	PageQuery
}) (*answered[center.InstanceList], error) {
	return answer(a.center.Instances(ctx, center.InstanceRequest{Path: in.path(), PageRequest: in.request()}))
}

func (a *api) listConfigInstances(ctx context.Context, in *struct {
	ConfigPath
	PageQuery
	Version int64  `query:"version" doc:"only those that were sent this version, or said something of it" minimum:"0" example:"3"`
	State   string `query:"state" doc:"only those that have applied or refused it, or said nothing; without version, of what they were sent" enum:"applied,refused,silent"`
}) (*answered[center.InstanceList], error) {
	return answer(a.center.Instances(ctx, center.InstanceRequest{
		Path: in.path(), PageRequest: in.request(), Version: in.Version, State: in.State,
	}))
}
