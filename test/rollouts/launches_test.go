package rollouts

import (
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// launch publishes configs, "path=content", to those whom a strategy claims.
func (h *house) launch(o client.NewRollout, items ...string) config.Launch {
	h.Helper()
	set := h.release(client.Publish{ReleaseOptions: client.ReleaseOptions{Rollout: &o}}, items...)
	if set.Launch == nil {
		h.Fatalf("want a launch of %v, got %+v", items, set)
	}
	return *set.Launch
}

// canary claims a share of the instances.
func canary(share config.Share) config.Strategy {
	return config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Share: &share}}
}

// look returns a launch as it is now.
func (h *house) look(id string) config.Launch {
	h.Helper()
	l, err := h.admin.Launch(h.Context(), "acme", id)
	h.must(err)
	return l
}

// awaitState waits until a launch is in a state.
func (h *house) awaitState(id string, want config.LaunchState) (l config.Launch) {
	h.Helper()
	h.until("launch "+id+" to be "+string(want), func() bool {
		l = h.look(id)
		if l.State != want && l.State.Ended() {
			h.Fatalf("launch %s: want it %s, it is %s: %+v", id, want, l.State, l.Events)
		}
		return l.State == want
	})
	return l
}

// history is what happened to a launch, "what share slot by".
func history(l config.Launch) []string {
	var all []string
	for _, e := range l.Events {
		text := e.What
		if e.Share != 0 {
			text += " " + e.Share.String()
		}
		if e.Slot != "" {
			text += " " + e.Slot
		}
		all = append(all, text+" by "+e.By)
	}
	return all
}
