package rest

import (
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/config"
)

// describeLaunchNouns says in the description what the domain's nouns, which
// know nothing of it, mean and are measured in.
func describeLaunchNouns(registry huma.Registry) {
	for _, t := range []reflect.Type{reflect.TypeFor[config.Launch](), reflect.TypeFor[config.Candidate]()} {
		registry.Schema(t, true, "")
	}
	const share = "in hundredths of a percent: 1 is 0.01 %, 1250 is 12.5 %, 10000 is all"
	all := registry.Map()
	for noun, fields := range map[string]map[string]string{
		"Strategy": {
			"kind":    "who gets the release: all, canary (whom rule claims), targets (the instances named), blue-green (the slot that is active) or progressive (a share that grows by steps)",
			"rule":    "of canary: whom it claims; of progressive: among whom",
			"salt":    "decides, with an instance's id, who is in a share; left out, the least path of the configs",
			"targets": "of targets: ids of instances",
			"slots":   "of blue-green; left out, the stable release's, blue at first, and the other one",
			"steps":   "of progressive",
			"step":    "of progressive: the index of the current step",
		},
		"Rule": {
			"all": "rules that must all claim the client", "any": "rules of which one must",
			"share":     "a part of the instances, " + share,
			"labels":    "a label expression: region in (eu, us), tier != batch, !legacy, version >= 1.4",
			"addresses": "networks that the client's address must be in one of: 10.1.0.0/16", "instances": "ids of instances",
		},
		"Step":  {"share": share, "hold_seconds": "how long the step lasts before the next one may begin; left out, 0"},
		"Slots": {"stable": "holds the stable release", "candidate": "holds the new one", "active": "is what clients get that ask for none"},
		"Gate": {
			"applied_share": "of the instances claimed, how many must have applied all releases before a step ends, " + share,
			"at_least":      "how many instances that must be, whatever part it is; left out, 1 if applied_share is not 0",
			"refused":       "more refusals than this call the launch off", "refused_share": "and only if they are more than this part of the instances, " + share,
			"patience_seconds": "how long beyond its hold a step may wait before the launch is called off; 0 waits until it expires",
		},
		"Launch": {
			"id": "that of the change set that made the releases", "state": "scheduled, running, paused; and ended: promoted, aborted, superseded, fallen-back, expired",
			"strategy": "as it is now", "events": "its history, the oldest first", "warnings": "what looks like a mistake in it",
			"step_at": "since when it claims whom it claims now", "held_seconds": "how long the step had lasted when it was paused",
			"revision": "for If-Match",
		},
		"LaunchEvent": {"what": "started, begun, adjusted, advanced, paused, resumed, switched, or the final state", "by": "a user, or system", "share": share},
		"Candidate":   {"launch": "the launch that brings it out", "waiting": "it claims nobody yet: the time of its launch has not come"},
	} {
		for field, meaning := range fields {
			all[noun].Properties[field].Description = meaning
		}
	}
	step := all["Step"]
	step.Required = slices.DeleteFunc(step.Required, func(field string) bool { return field == "hold_seconds" })
	step.PrecomputeMessages()
}
