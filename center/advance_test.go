package center

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// The times of the tables: a launch's step began at noon and lasts ten minutes.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

// progressing is a launch in one of three steps, the last of which is everybody.
func progressing(step int, gate *config.Gate) config.Launch {
	return config.Launch{
		State: config.LaunchRunning, StepAt: noon, Gate: gate,
		Strategy: config.Strategy{Kind: config.StrategyProgressive, Step: step, Steps: []config.Step{
			{Share: 1000, Hold: 600}, {Share: 5000, Hold: 600}, {Share: config.FullShare, Hold: 600},
		}},
	}
}

func TestDecide(t *testing.T) {
	with := func(l config.Launch, change func(*config.Launch)) config.Launch {
		change(&l)
		return l
	}
	half := &config.Gate{Applied: 5000, AtLeast: 2, Refused: 1, RefusedShare: 500, Patience: 300}
	const held = 10 * time.Minute
	thaw := after(48 * time.Hour)
	expiring := with(progressing(0, nil), func(l *config.Launch) { l.ExpiresAt = after(5 * time.Minute) })
	canary := config.Launch{
		State: config.LaunchRunning, StepAt: noon, Gate: &config.Gate{},
		Strategy: config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Share: new(config.Share(100))}},
	}
	scheduled := config.Launch{State: config.LaunchScheduled, BeginsAt: after(held), Strategy: config.Strategy{Kind: config.StrategyAll}}
	partial := with(progressing(1, nil), func(l *config.Launch) { l.Strategy.Steps = l.Strategy.Steps[:2] })
	type is = outlook
	tests := []struct {
		name   string
		launch config.Launch
		at     time.Duration // after noon
		is     is
		want   decision // why is what the reason begins with
	}{
		{"scheduled, before its time", scheduled, held - 1, is{}, decision{verdict: verdictWait, until: after(held), why: "its time"}},
		{"scheduled, its time", scheduled, held, is{}, decision{verdict: verdictBegin, why: "scheduled for 2026-11-23T12:10:00Z"}},
		{"scheduled, long past its time", scheduled, 100 * time.Hour, is{}, decision{verdict: verdictBegin, why: "scheduled for"}},
		{"scheduled, frozen", scheduled, held, is{frozen: thaw, frozenBy: "env x"}, decision{verdict: verdictWait, until: thaw, why: "env x"}},
		{"scheduled, frozen before its time", scheduled, 0, is{frozen: thaw}, decision{verdict: verdictWait, until: after(held), why: "its time"}},
		{"scheduled, expired", with(scheduled, func(l *config.Launch) { l.ExpiresAt = noon }), 0, is{}, decision{verdict: verdictExpire, why: "nobody ended it by 2026-11-23T12:00:00Z"}},
		{"scheduled, others' refusals are not its", with(scheduled, func(l *config.Launch) { l.Gate = &config.Gate{} }), held, is{reported: &reported{claimed: 1, refused: 1}}, decision{verdict: verdictBegin, why: "scheduled"}},

		{"step under way", progressing(0, nil), held - 1, is{}, decision{verdict: verdictWait, until: after(held), why: "its step"}},
		{"step over", progressing(0, nil), held, is{}, decision{verdict: verdictAdvance, why: "step 1 of 3 is over"}},
		{"step over, frozen", progressing(0, nil), held, is{frozen: thaw, frozenBy: "env x"}, decision{verdict: verdictWait, until: thaw, why: "env x"}},
		{"middle step over", progressing(1, nil), held, is{}, decision{verdict: verdictAdvance, why: "step 2 of 3 is over"}},
		{"last step over", progressing(2, nil), held, is{}, decision{verdict: verdictPromote, why: "the last step is over"}},
		{"last step over, frozen", progressing(2, nil), held, is{frozen: thaw}, decision{verdict: verdictWait, until: thaw}},
		{"last step, under way", progressing(2, nil), 0, is{}, decision{verdict: verdictWait, until: after(held), why: "its step"}},
		{"last step claims a part", partial, held, is{}, decision{verdict: verdictWait, why: "its last step"}},
		{"no hold", with(progressing(0, nil), func(l *config.Launch) { l.Strategy.Steps[0].Hold = 0 }), 0, is{}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"a step that is not there", progressing(3, nil), held, is{}, decision{verdict: verdictWait, why: "it has no steps"}},

		{"paused", with(progressing(0, nil), func(l *config.Launch) { l.State = config.LaunchPaused }), held, is{}, decision{verdict: verdictWait, why: "it is paused"}},
		{"paused, refused", with(progressing(0, half), func(l *config.Launch) { l.State = config.LaunchPaused }), 0, is{reported: &reported{claimed: 10, refused: 2}}, decision{verdict: verdictFallBack, why: "2 of 10 instances refused it"}},
		{"paused, expired", with(expiring, func(l *config.Launch) { l.State = config.LaunchPaused }), held, is{}, decision{verdict: verdictExpire, why: "nobody"}},
		{"paused, will expire", with(expiring, func(l *config.Launch) { l.State = config.LaunchPaused }), 0, is{}, decision{verdict: verdictWait, until: after(5 * time.Minute), why: "it is paused"}},

		{"expires before the step ends", expiring, 0, is{}, decision{verdict: verdictWait, until: after(5 * time.Minute), why: "its step"}},
		{"expired", expiring, 5 * time.Minute, is{}, decision{verdict: verdictExpire, why: "nobody ended it by 2026-11-23T12:05:00Z"}},
		{"expired, frozen", expiring, held, is{frozen: thaw}, decision{verdict: verdictExpire, why: "nobody"}},
		{"expired and the step over", expiring, held, is{}, decision{verdict: verdictExpire, why: "nobody"}},
		{"frozen beyond its end", with(progressing(0, nil), func(l *config.Launch) { l.ExpiresAt = after(time.Hour) }), held, is{frozen: thaw}, decision{verdict: verdictWait, until: after(time.Hour)}},

		{"gate, reports not known", progressing(0, half), held, is{}, decision{verdict: verdictWait, why: "it is not known"}},
		{"gate, nobody connected", progressing(0, half), held, is{reported: &reported{}}, decision{verdict: verdictWait, until: after(held + 5*time.Minute), wanting: true, why: "0 instances have applied it, and at least 2 must"}},
		{"gate, too few in number", progressing(0, half), held, is{reported: &reported{claimed: 1, applied: 1}}, decision{verdict: verdictWait, until: after(held + 5*time.Minute), wanting: true, why: "1 instances"}},
		{"gate, too small a part", progressing(0, half), held, is{reported: &reported{claimed: 5, applied: 2}}, decision{verdict: verdictWait, until: after(held + 5*time.Minute), wanting: true, why: "2 of 5 instances have applied it, and 50% must"}},
		{"gate, just met", progressing(0, half), held, is{reported: &reported{claimed: 4, applied: 2}}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"gate met, step not over", progressing(0, half), held - 1, is{reported: &reported{claimed: 4, applied: 4}}, decision{verdict: verdictWait, until: after(held), why: "its step"}},
		{"gate met, but maybe not known to all", with(progressing(0, half), func(l *config.Launch) { l.Strategy.Steps[0].Hold = 0 }), 2 * time.Second, is{reported: &reported{claimed: 4, applied: 4}}, decision{verdict: verdictWait, until: after(3 * time.Second), why: "its step has just begun"}},
		{"gate without wishes, no hold", with(progressing(0, &config.Gate{}), func(l *config.Launch) { l.Strategy.Steps[0].Hold = 0 }), 0, is{reported: &reported{}}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"gate met, frozen", progressing(0, half), held, is{reported: &reported{claimed: 4, applied: 4}, frozen: thaw}, decision{verdict: verdictWait, until: thaw}},
		{"gate met, last step", progressing(2, half), held, is{reported: &reported{claimed: 4, applied: 4}}, decision{verdict: verdictPromote, why: "the last"}},
		{"gate asks for a number alone", progressing(0, &config.Gate{AtLeast: 3}), held, is{reported: &reported{claimed: 100, applied: 3}}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"gate asks for a part alone", progressing(0, &config.Gate{Applied: 1}), held, is{reported: &reported{}}, decision{verdict: verdictWait, wanting: true, why: "0 instances have applied it, and at least 1 must"}},
		{"gate asks for no refusals alone", progressing(0, &config.Gate{}), held, is{reported: &reported{claimed: 7}}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"the shares of huge numbers", progressing(0, &config.Gate{Applied: config.FullShare}), held, is{reported: &reported{claimed: 2_000_000_001, applied: 2_000_000_000}}, decision{verdict: verdictWait, wanting: true, why: "2000000000 of"}},

		{"a node silent", progressing(0, half), held, is{reported: &reported{claimed: 4, applied: 4}, silence: after(held - time.Second)}, decision{verdict: verdictWait, until: after(held + 59*time.Second), why: "a node"}},
		{"a node silent for too long to wait", progressing(0, half), held, is{reported: &reported{claimed: 4, applied: 4}, silence: after(held - time.Minute)}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"a node silent, gate not met", progressing(0, half), 2 * held, is{reported: &reported{}, silence: after(2 * held), wanting: after(held)}, decision{verdict: verdictWait, until: after(2*held + time.Minute), why: "a node"}},
		{"a node silent, refused", progressing(0, half), 0, is{reported: &reported{claimed: 4, refused: 2}, silence: noon}, decision{verdict: verdictFallBack, why: "2 of 4"}},
		{"a node silent, no gate", progressing(0, nil), held, is{silence: after(held)}, decision{verdict: verdictAdvance, why: "step 1"}},

		{"patience not over", progressing(0, half), held + 5*time.Minute - 1, is{reported: &reported{claimed: 4, applied: 1}, wanting: after(held)}, decision{verdict: verdictWait, until: after(held + 5*time.Minute), wanting: true, why: "1 instances"}},
		{"patience over", progressing(0, half), held + 5*time.Minute, is{reported: &reported{claimed: 4, applied: 1}, wanting: after(held)}, decision{verdict: verdictFallBack, why: "1 instances have applied it, and at least 2 must, and waiting for more than 5m0s"}},
		{"patience over, met at last", progressing(0, half), held + 5*time.Minute, is{reported: &reported{claimed: 4, applied: 2}, wanting: after(held)}, decision{verdict: verdictAdvance, why: "step 1"}},
		{"patience is counted from when it was waited", progressing(0, half), 100 * time.Hour, is{reported: &reported{}}, decision{verdict: verdictWait, until: after(100*time.Hour + 5*time.Minute), wanting: true, why: "0 instances"}},
		{"no patience is lost in a freeze", progressing(0, half), 100 * time.Hour, is{reported: &reported{}, wanting: after(held), frozen: after(101 * time.Hour)}, decision{verdict: verdictWait, until: after(101 * time.Hour)}},
		{"endless patience", progressing(0, &config.Gate{Applied: 1}), 100 * time.Hour, is{reported: &reported{}, wanting: noon}, decision{verdict: verdictWait, wanting: true, why: "0 instances"}},

		{"refused, as many as are allowed", progressing(0, half), 0, is{reported: &reported{claimed: 4, refused: 1}}, decision{verdict: verdictWait, until: after(held), why: "its step"}},
		{"refused, no greater part than is allowed", progressing(0, half), 0, is{reported: &reported{claimed: 40, refused: 2}}, decision{verdict: verdictWait, until: after(held), why: "its step"}},
		{"refused, more than both", progressing(0, half), 0, is{reported: &reported{claimed: 39, refused: 2, complaint: `"pod-1" of a.yaml: "no port"`}}, decision{verdict: verdictFallBack, why: `2 of 39 instances refused it, such as "pod-1" of a.yaml: "no port"`}},
		{"refused, frozen", progressing(0, half), held, is{reported: &reported{claimed: 4, applied: 4, refused: 4}, frozen: thaw}, decision{verdict: verdictFallBack, why: "4 of 4"}},
		{"refused, expired", with(expiring, func(l *config.Launch) { l.Gate = &config.Gate{} }), held, is{reported: &reported{claimed: 4, refused: 1}}, decision{verdict: verdictFallBack, why: "1 of 4"}},
		{"refused by one, none allowed", progressing(0, &config.Gate{}), 0, is{reported: &reported{claimed: 50_000, refused: 1}}, decision{verdict: verdictFallBack, why: "1 of 50000"}},
		{"refused, no gate", progressing(0, nil), 0, is{reported: &reported{claimed: 4, refused: 4}}, decision{verdict: verdictWait, until: after(held), why: "its step"}},

		{"canary goes nowhere", canary, 1000 * time.Hour, is{reported: &reported{claimed: 4, applied: 4}}, decision{verdict: verdictWait, why: "it has no steps"}},
		{"canary, refused", canary, 0, is{reported: &reported{claimed: 4, refused: 1}}, decision{verdict: verdictFallBack, why: "1 of 4"}},
	}
	for _, state := range config.LaunchStates() {
		if l := with(expiring, func(l *config.Launch) { l.State, l.Gate = state, &config.Gate{} }); state.Ended() {
			tests = append(tests, struct {
				name   string
				launch config.Launch
				at     time.Duration
				is     is
				want   decision
			}{"ended: " + string(state), l, 1000 * time.Hour, is{reported: &reported{claimed: 1, refused: 1}}, decision{verdict: verdictWait}})
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.is
			o.launch, o.now = &tt.launch, after(tt.at)
			got := decide(&o)
			if strings.HasPrefix(got.why, tt.want.why) {
				got.why = tt.want.why
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(decision{})); diff != "" {
				t.Errorf("decision (want, got):\n%s", diff)
			}
		})
	}
}

func TestTally(t *testing.T) {
	const none, applied, refused = config.AckNone, config.AckApplied, config.AckRefused
	of := func(states ...config.AckState) (all []config.Receipt) {
		for i, s := range states {
			r := config.Receipt{Instance: uint64(i), State: s}
			if s == refused {
				r.ID, r.Why = "pod", "no\nport"
			}
			all = append(all, r)
		}
		return all
	}
	skip := func(r []config.Receipt, n int) []config.Receipt { return r[n:] }
	const complaint = `"pod" of a.yaml: "no\nport"`
	tests := []struct {
		name    string
		configs [][]config.Receipt
		want    reported
	}{
		{"nobody", nil, reported{}},
		{"one config", [][]config.Receipt{of(applied, none, refused, applied)}, reported{claimed: 4, applied: 2, refused: 1, complaint: complaint}},
		{"all of two", [][]config.Receipt{of(applied, applied), of(applied, applied)}, reported{claimed: 2, applied: 2}},
		{"one of two", [][]config.Receipt{of(applied, none), of(none, applied)}, reported{claimed: 2}},
		{"refused one of two, in any order", [][]config.Receipt{of(applied, refused), of(refused, applied)}, reported{claimed: 2, refused: 2, complaint: complaint}},
		{"served one of two", [][]config.Receipt{of(applied), of(none, applied)[1:]}, reported{claimed: 2, applied: 2}},
		{"silent about the third", [][]config.Receipt{of(applied), of(applied), of(none)}, reported{claimed: 1}},
		{"applied after silence does not make up for it", [][]config.Receipt{of(none), of(applied), of(applied)}, reported{claimed: 1}},
		{"others in each", [][]config.Receipt{skip(of(none, applied), 1), of(applied)}, reported{claimed: 2, applied: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sum tallier
			for _, receipts := range tt.configs {
				sum.add(config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}, receipts)
			}
			if diff := cmp.Diff(&tt.want, sum.sum(), cmp.AllowUnexported(reported{})); diff != "" {
				t.Errorf("reported (want, got):\n%s", diff)
			}
		})
	}
}
