package rest

import (
	"net/url"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// NewRollout says how releases get to their clients.
type NewRollout struct {
	Strategy     config.Strategy `json:"strategy" doc:"whom they reach first"`
	Gate         *config.Gate    `json:"gate,omitempty" doc:"what instances must report for it to go on; a progressive one without a gate is called off by the first refusal"`
	ExpiresAfter config.Seconds  `json:"expires_after_seconds,omitempty" doc:"call it off if nobody has ended it by then; 0 never does" minimum:"0" example:"7200"`
}

// ReleaseFields are what bodies that release something have in common.
type ReleaseFields struct {
	Rollout        *NewRollout      `json:"rollout,omitempty" doc:"a part of the clients gets the releases first, by a launch; left out, everybody at once"`
	BeginsAt       time.Time        `json:"begins_at,omitzero" doc:"when the rollout begins or, without one, when everybody gets the releases; at most 366 days ahead" example:"2027-01-31T10:00:00Z"`
	OnRunning      center.OnRunning `json:"on_running,omitempty" enum:"supersede,before,after" doc:"what becomes of launches that are under way for the configs: end them, or let them be and come before or after them; left out, the release is refused"`
	OverrideFreeze bool             `json:"override_freeze,omitempty" doc:"release although an env is frozen; it takes the right to manage it"`
}

func (f ReleaseFields) options() center.ReleaseOptions {
	o := center.ReleaseOptions{BeginsAt: f.BeginsAt, OnRunning: f.OnRunning, OverrideFreeze: f.OverrideFreeze}
	if f.Rollout != nil {
		o.Launch = &center.LaunchOptions{Strategy: f.Rollout.Strategy, Gate: f.Rollout.Gate, ExpiresAfter: f.Rollout.ExpiresAfter}
	}
	return o
}

// rolloutNames are the names in the JSON of a rollout.
var rolloutNames = strictjson.NamesOf(reflect.TypeFor[NewRollout]())

// releaseQuery are ReleaseFields as query parameters, for requests whose body is
// something else.
func releaseQuery() []string {
	return []string{"rollout", "begins_at", "on_running", "override_freeze"}
}

func readReleaseQuery(q url.Values) (f ReleaseFields, err error) {
	if text := q.Get("rollout"); text != "" {
		if err := strictjson.Decode("query.rollout", []byte(text), rolloutNames, &f.Rollout); err != nil {
			return f, err
		}
	}
	if text := q.Get("begins_at"); text != "" {
		if f.BeginsAt, err = time.Parse(time.RFC3339, text); err != nil {
			return f, malformed("query.begins_at", strictjson.MisfitText(err))
		}
	}
	f.OnRunning = center.OnRunning(q.Get("on_running"))
	f.OverrideFreeze, err = boolOf(q.Get("override_freeze"), "override_freeze")
	return f, err
}

func describeReleaseQuery(registry huma.Registry) []*huma.Param {
	fields := schemaOf[ReleaseFields](registry)
	described := registry.SchemaFromRef(fields.Ref).Properties
	rollout := queryParam("rollout", described["rollout"].Description+"; as JSON, like rollout in the body of a publish", text())
	rollout.Example = `{"strategy":{"kind":"canary","rule":{"share":1000}}}`
	params := []*huma.Param{rollout}
	for _, name := range releaseQuery()[1:] {
		params = append(params, queryParam(name, described[name].Description, described[name]))
	}
	return params
}
