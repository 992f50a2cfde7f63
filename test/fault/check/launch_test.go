package check

import (
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

func TestLaunched(t *testing.T) {
	type story struct {
		launches []history.Launch
		told     []config.Launch
		audit    []client.AuditRecord
	}
	looks := func(before, after int64) []history.Look {
		return []history.Look{
			{Node: "n1", Chosen: true, Version: 2}, {Node: "n2", Version: before},
			{Node: "n2", Chosen: true, After: true, Version: after}, {Node: "n3", After: true, Version: after},
		}
	}
	record := func(action, launch string) client.AuditRecord {
		if action == "config.publish" {
			return client.AuditRecord{ID: launch, Action: action, Outcome: "done"}
		}
		return client.AuditRecord{ID: "act-" + launch, Action: action, Outcome: "done", Detail: map[string]string{"launch": launch}}
	}
	// One launch is promoted, one aborted, and the end of one had no answer.
	tell := func() *story {
		return &story{
			launches: []history.Launch{
				{Path: a, ID: "one", Stable: 1, Version: 2, Wanted: config.LaunchPromoted, Ended: history.OK, Looks: looks(1, 2)},
				{Path: b, ID: "two", Stable: 1, Version: 2, Wanted: config.LaunchAborted, Ended: history.OK, Looks: looks(1, 1)},
				{Path: a, ID: "three", Stable: 1, Version: 2, Wanted: config.LaunchAborted, Ended: history.Unknown, Looks: looks(1, 1)[:2]},
			},
			told: []config.Launch{
				{ID: "one", State: config.LaunchPromoted}, {ID: "two", State: config.LaunchAborted}, {ID: "three", State: config.LaunchRunning},
			},
			audit: []client.AuditRecord{
				record("config.publish", "one"), record("config.publish", "two"), record("config.publish", "three"),
				record("rollout.promote", "one"), record("rollout.abort", "two"),
			},
		}
	}
	for _, c := range []struct {
		name string
		edit func(*story)
		want string
	}{
		{"a good history", func(*story) {}, ""},
		{"an end without an answer that came", func(s *story) {
			s.told[2].State, s.audit = config.LaunchAborted, append(s.audit, record("rollout.abort", "three"))
		}, ""},
		{"a refused act in the audit", func(s *story) {
			s.audit = append(s.audit, client.AuditRecord{Action: "rollout.promote", Outcome: "failed", Detail: map[string]string{"launch": "one"}})
		}, ""},
		{"a stranger gets the candidate", func(s *story) { s.launches[0].Looks[1].Version = 2 }, "read at n2 (by the one that is chosen: false, after it was promoted: false) it was at 2, want 1"},
		{"the chosen one does not", func(s *story) { s.launches[0].Looks[0].Version = 1 }, "it was at 1, want 2"},
		{"not everybody gets what was promoted", func(s *story) { s.launches[0].Looks[3].Version = 1 }, "it was at 1, want 2"},
		{"somebody keeps what was aborted", func(s *story) { s.launches[1].Looks[2].Version = 2 }, "it was at 2, want 1"},
		{"a launch is gone", func(s *story) { s.told = s.told[1:] }, `launch one, which was to be promoted, is ""`},
		{"it ended in another way", func(s *story) { s.told[0].State = config.LaunchAborted }, `which was to be promoted, is "aborted"`},
		{"an end is lost", func(s *story) { s.told[1].State = config.LaunchRunning }, "was acknowledged to be aborted and is running"},
		{"an end that was refused", func(s *story) {
			s.launches[2].Ended, s.told[2].State, s.audit = history.Refused, config.LaunchAborted, append(s.audit, record("rollout.abort", "three"))
		}, "launch three is aborted, which nobody asked for"},
		{"an act without a record", func(s *story) { s.audit = s.audit[:4] }, "want 1 audit records of rollout.abort of launch two, there are 0"},
		{"an act with two", func(s *story) { s.audit = append(s.audit, s.audit[3]) }, "want 1 audit records of rollout.promote of launch one, there are 2"},
		{"a record of what was not", func(s *story) { s.audit = append(s.audit, record("rollout.abort", "one")) }, "want 0 audit records of rollout.abort of launch one, there are 1"},
	} {
		s := tell()
		c.edit(s)
		got := strings.Join(Launched(s.launches, s.told, s.audit), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q, got:\n%s", c.name, c.want, got)
		}
	}
}
