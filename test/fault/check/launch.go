package check

import (
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// Launched wants a launch's candidate to be served to the one whom it claims and to
// nobody else, until it is promoted, and then to all; each launch to be in the
// state that it was acknowledged to be in; and each act to have one audit record.
func Launched(launches []history.Launch, told []config.Launch, audit []client.AuditRecord) []string {
	var wrong problems
	states := map[string]config.LaunchState{}
	for i := range told {
		states[told[i].ID] = told[i].State
	}
	records := actsOf(audit)
	for i := range launches {
		l := &launches[i]
		served(&wrong, l)
		ended(&wrong, l, states[l.ID])
		recorded(&wrong, l, states[l.ID], records)
	}
	return wrong.list()
}

func served(wrong *problems, l *history.Launch) {
	for _, look := range l.Looks {
		want := l.Stable
		if look.Chosen && !look.After || look.After && l.Wanted == config.LaunchPromoted {
			want = l.Version
		}
		if look.Version != want {
			wrong.add("%s: launch %s brings version %d in the place of %d; read at %s (by the one that is chosen: %t, after it was %s: %t) it was at %d, want %d",
				l.Path, l.ID, l.Version, l.Stable, look.Node, look.Chosen, l.Wanted, look.After, look.Version, want)
		}
	}
}

func ended(wrong *problems, l *history.Launch, state config.LaunchState) {
	switch {
	case state == config.LaunchRunning && l.Ended == history.OK:
		wrong.add("%s: launch %s was acknowledged to be %s and is %s", l.Path, l.ID, l.Wanted, state)
	case state == config.LaunchRunning:
	case state != l.Wanted:
		wrong.add("%s: launch %s, which was to be %s, is %q", l.Path, l.ID, l.Wanted, state)
	case l.Ended == "" || l.Ended == history.Refused:
		wrong.add("%s: launch %s is %s, which nobody asked for, or which was refused", l.Path, l.ID, state)
	}
}

// done is an act on a launch, as the audit names both.
type done struct{ action, launch string }

// actsOf counts the records of each act.
func actsOf(audit []client.AuditRecord) map[done]int {
	records := map[done]int{}
	for _, r := range audit {
		switch {
		case r.Outcome != "done":
		case r.Action == "config.publish":
			records[done{r.Action, r.ID}]++ // its id is the launch's
		default:
			records[done{r.Action, r.Detail["launch"]}]++
		}
	}
	return records
}

func recorded(wrong *problems, l *history.Launch, state config.LaunchState, records map[done]int) {
	for action, when := range map[string]config.LaunchState{
		"config.publish": state, "rollout.promote": config.LaunchPromoted, "rollout.abort": config.LaunchAborted,
	} {
		want := 0
		if when == state {
			want = 1
		}
		if got := records[done{action, l.ID}]; got != want {
			wrong.add("%s: want %d audit records of %s of launch %s, there are %d", l.Path, want, action, l.ID, got)
		}
	}
}
