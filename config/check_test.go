package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckFindsWhatIsWrong(t *testing.T) {
	canary := func(r Rule) []Strategy { return []Strategy{{Kind: StrategyCanary, Rule: &r}} }
	deep := Rule{Share: share(1)}
	for range MaxRuleDepth {
		deep = Rule{All: []Rule{deep}}
	}
	wide := Rule{Any: make([]Rule, MaxRules)}
	for i := range wide.Any {
		wide.Any[i].Share = share(1)
	}
	long := Selector{{Key: "a", Operator: OpIn}}
	for i := range MaxValues {
		long[0].Values = append(long[0].Values, strings.Repeat("v", 254-i/10)+strconv.Itoa(i))
	}
	progressive := func(step int, steps ...Step) []Strategy {
		return []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: step}}
	}
	const at = "candidates[0].strategy."
	for _, c := range []struct {
		name       string
		strategies []Strategy
		want       []string // "warning: " marks one
	}{
		{"nothing", nil, nil},
		{"sound", []Strategy{
			{Kind: StrategyTargets, Targets: NewInstanceSet("b", "a")},
			{Kind: StrategyCanary, Rule: &Rule{Share: share(FullShare), Labels: mustSelector(t, "region not in (eu), region")}},
			{Kind: StrategyProgressive, Salt: "s", Steps: []Step{{Share: 1, Hold: MaxHold}, {Share: FullShare}}, Step: 1},
			{Kind: StrategyAll}}, nil},
		{"no kind", []Strategy{{}}, []string{at + `kind: "" is no strategy: use all, canary, targets, blue-green or progressive`}},
		{"fields of other kinds", []Strategy{{Kind: StrategyAll, Rule: &Rule{Share: share(1)}, Salt: "s", Targets: InstanceSet{"a"}, Slots: &Slots{}, Steps: []Step{{}}, Step: 1}}, []string{
			at + "rule: strategy all does not have it, only canary and progressive", at + "salt: strategy all does not have it, only canary and progressive",
			at + "targets: strategy all does not have it, only targets", at + "slots: strategy all does not have it, only blue-green",
			at + "steps: strategy all does not have it, only progressive", at + "step: strategy all does not have it, only progressive"}},
		{"a long salt", []Strategy{{Kind: StrategyCanary, Rule: &Rule{Share: share(1)}, Salt: strings.Repeat("s", 513)}}, []string{at + "salt: want at most 512 bytes without control characters"}},
		{"no rule", []Strategy{{Kind: StrategyCanary}}, []string{at + "rule: a canary without a rule claims nobody; say who is to get the release"}},
		{"an empty rule", canary(Rule{}), []string{at + "rule: the rule says nothing, so it would claim nobody; to claim everybody use strategy all"}},
		{"an empty rule inside", canary(Rule{Any: []Rule{{Share: share(1)}, {All: []Rule{}}}}), []string{at + "rule.any[1]: the rule says nothing, so it would claim nobody; to claim everybody use strategy all"}},
		{"too great a share", canary(Rule{All: []Rule{{Share: share(10001)}}}), []string{at + "rule.all[0].share: 10001: want 0 to 10000 hundredths of a percent; 100 is 1%"}},
		{"a negative share", canary(Rule{Share: share(-1)}), []string{at + "rule.share: -1: want 0 to 10000 hundredths of a percent; 100 is 1%"}},
		{"no share", canary(Rule{Share: share(0)}), []string{"warning: " + at + "rule.share: 0% claims nobody until it is raised"}},
		{"an unknown operator", canary(Rule{Labels: Selector{{Key: "a", Operator: "~", Values: []string{"b"}}}}), []string{
			at + `rule.labels: "~" is no operator: use =, !=, in, 'not in', <, <=, > or >=, 'key' for a label that is there or '!key' for one that is not`}},
		{"no value", canary(Rule{Labels: Selector{{Key: "a", Operator: OpEqual}}}), []string{at + `rule.labels: "=" of label "a" has 0 values; want 1`}},
		{"no values", canary(Rule{Labels: Selector{{Key: "a", Operator: OpIn}}}), []string{at + `rule.labels: "in" of label "a" has 0 values; want 1 to 100`}},
		{"a contradiction", canary(Rule{Labels: mustSelector(t, "a in (x, y), !b"), All: []Rule{{Labels: mustSelector(t, "b, a = x")}}}), []string{
			at + "rule.labels: nobody satisfies both !b and b"}},
		{"a contradiction of values", canary(Rule{Any: []Rule{{Labels: mustSelector(t, "a in (x, y), a not in (y, x)")}}}), []string{
			at + "rule.any[0].labels: nobody satisfies both a in (x, y) and a not in (y, x)"}},
		{"a contradiction of versions", canary(Rule{Labels: mustSelector(t, "v > 2, v = 1.9")}), []string{at + "rule.labels: nobody satisfies both v > 2 and v = 1.9"}},
		{"what holds in each of any", canary(Rule{Any: []Rule{{Labels: mustSelector(t, "a = x")}, {Labels: mustSelector(t, "a = y")}}}), nil},
		{"everybody by accident", canary(Rule{Labels: mustSelector(t, "tier != batch")}), []string{
			"warning: " + at + "rule.labels: tier != batch also claims every client that has no such label; add the key alone to want it there"}},
		{"not everybody", canary(Rule{Labels: mustSelector(t, "tier != batch"), All: []Rule{{Share: share(1)}}}), nil},
		{"nobody on purpose", canary(Rule{Labels: mustSelector(t, "!tier")}), nil},
		{"a label that is there and is not", canary(Rule{Labels: mustSelector(t, "tier = web, !tier")}), []string{at + "rule.labels: nobody satisfies both tier = web and !tier"}},
		{"a version that is there and is not", canary(Rule{Labels: mustSelector(t, "!v, v > 1")}), []string{at + "rule.labels: nobody satisfies both !v and v > 1"}},
		{"many requirements", canary(Rule{Labels: make(Selector, 33)}), []string{at + "rule.labels: there are 33 requirements; at most 32 are taken"}},
		{"long requirements", canary(Rule{Labels: long}), []string{at + "rule.labels: they take 25345 bytes to write; at most 16384 are taken"}},
		{"every address", canary(Rule{Addresses: []Network{mustNetwork(t, "::/0")}}), []string{"warning: " + at + "rule.addresses[0]: ::/0 is every address of its version of IP"}},
		{"a network twice", canary(Rule{Addresses: []Network{mustNetwork(t, "10.0.0.1"), mustNetwork(t, "10.0.0.1/32")}}), []string{at + "rule.addresses[1]: network 10.0.0.1 is there twice"}},
		{"no network", canary(Rule{Addresses: []Network{{}}}), []string{at + "rule.addresses[0]: the network is missing"}},
		{"many networks", canary(Rule{Addresses: make([]Network, 257)}), []string{at + "rule.addresses: there are 257; at most 256 are taken"}},
		{"a bad id", canary(Rule{Instances: InstanceSet{""}}), []string{at + `rule.instances[0]: instance "": want 1 to 256 bytes without control characters`}},
		{"too deep", canary(deep), []string{at + strings.TrimSuffix("rule."+strings.Repeat("all[0].", MaxRuleDepth), ".") + ": there are more than 64 rules or more than 8 levels of them"}},
		{"too many", canary(wide), []string{at + "rule.any[63]: there are more than 64 rules or more than 8 levels of them"}},
		{"no target", []Strategy{{Kind: StrategyTargets}}, []string{at + "targets: it names no instance, so it claims nobody"}},
		{"a target twice", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("b", "a", "b")}}, []string{at + `targets[2]: instance "b" is named twice`}},
		{"targets not sorted", []Strategy{{Kind: StrategyTargets, Targets: InstanceSet{"b", "a"}}}, []string{at + "targets[1]: the ids are not sorted, so some would not be found; NewInstanceSet sorts them"}},
		{"many targets", []Strategy{{Kind: StrategyTargets, Targets: make(InstanceSet, 1001)}}, []string{at + "targets: it names 1001 instances; at most 1000 are taken"}},
		{"overlapping targets", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("b", "a")}, {Kind: StrategyTargets, Targets: NewInstanceSet("c", "b")}}, []string{
			`candidates[1].strategy.targets[0]: instance "b" is a target of candidates[0] already, which would win`}},
		{"no slots", []Strategy{{Kind: StrategyBlueGreen}}, []string{at + "slots: say which slot holds the stable release, which the candidate, and which is active"}},
		{"one slot twice", []Strategy{{Kind: StrategyBlueGreen, Slots: &Slots{"blue", "blue", "blue"}}}, []string{at + `slots.candidate: both releases cannot be in slot "blue"`}},
		{"a slot that is not there", []Strategy{{Kind: StrategyBlueGreen, Slots: &Slots{"blue", "green", "red"}}}, []string{at + `slots.active: there is no slot "red"; there are "blue" and "green"`}},
		{"a slot's name", []Strategy{{Kind: StrategyBlueGreen, Slots: &Slots{"Blue", "green", "green"}}}, []string{
			at + `slots.stable: slot "Blue": use 1 to 63 lower-case letters, digits or '-', not beginning or ending with '-'`}},
		{"slots beside a canary", []Strategy{{Kind: StrategyTargets, Targets: InstanceSet{"a"}}, {Kind: StrategyBlueGreen, Slots: &Slots{"blue", "green", "blue"}}}, []string{
			"candidates[1].strategy.kind: blue-green decides about every client, so it cannot stand beside another candidate"}},
		{"no steps", progressive(0), []string{at + "steps: a progressive strategy wants at least one step"}},
		{"many steps", progressive(0, make([]Step, 101)...), []string{at + "steps: there are 101; at most 100 are taken"}},
		{"no such step", progressive(1, Step{Share: 1}), []string{at + "step: there is no step 1; they are 0 to 0"}},
		{"steps that do not rise", progressive(0, Step{Share: 100}, Step{Share: 100}, Step{Share: 50}), []string{
			at + "steps[1].share: 100 (1%) is not more than the step before, 100 (1%)", at + "steps[2].share: 50 (0.5%) is not more than the step before, 100 (1%)"}},
		{"a step's share", progressive(0, Step{Share: 0}, Step{Share: 10001}), []string{
			at + "steps[0].share: 0: want 1 to 10000 hundredths of a percent", at + "steps[1].share: 10001: want 1 to 10000 hundredths of a percent"}},
		{"hold times", progressive(0, Step{Share: 1, Hold: -1}, Step{Share: 2, Hold: MaxHold + 1}, Step{Share: 3, Hold: Seconds(math.NaN())}), []string{
			at + "steps[0].hold_seconds: -1: want 0 to 2592000 seconds, 30 days", at + "steps[1].hold_seconds: 2592001: want 0 to 2592000 seconds, 30 days",
			at + "steps[2].hold_seconds: NaN: want 0 to 2592000 seconds, 30 days"}},
		{"behind all", []Strategy{{Kind: StrategyAll}, {Kind: StrategyTargets, Targets: InstanceSet{"a"}}}, []string{
			"candidates[1].strategy.kind: candidates[0] claims every client, so this one is never asked"}},
		{"behind a greater share", append(canary(Rule{Share: share(2000)}), canary(Rule{Share: share(1000)})...), []string{
			"warning: candidates[1].strategy: claims nobody: candidates[0] claims the same 20% of instances first, and 10% is no more; give this one a salt of its own or a greater share"}},
		{"too many candidates", make([]Strategy, 17), []string{"candidates: there are 17; at most 16 are taken"}},
	} {
		r := Rollout{Path: Path{"acme", "checkout", "prod", "app.yaml"}, Stable: &Release{Version: 1}}
		for _, s := range c.strategies {
			r.Candidates = append(r.Candidates, Candidate{Strategy: s})
		}
		var got, failures []string
		for _, p := range r.Check() {
			if p.Severity == SeverityWarning {
				got = append(got, "warning: "+p.Message)
				continue
			}
			got, failures = append(got, p.Message), append(failures, p.Message)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		err := r.Validate()
		var e *Error
		switch {
		case len(failures) == 0 && err != nil:
			t.Errorf("%s: want no error, got %v", c.name, err)
		case len(failures) > 0 && (!errors.As(err, &e) || e.Kind != Invalid || e.Path != r.Path.String() || len(e.Problems) != len(failures) || !strings.HasPrefix(e.Detail(), failures[0])):
			t.Errorf("%s: want an Invalid error with %d problems, got %v", c.name, len(failures), err)
		}
	}
}

func TestBlueGreenNeedsAStableRelease(t *testing.T) {
	s := Strategy{Kind: StrategyBlueGreen, Slots: &Slots{Stable: SlotBlue, Candidate: SlotGreen, Active: SlotBlue}}
	if err := s.Validate(); err != nil {
		t.Errorf("want the strategy alone to be sound, got %v", err)
	}
	r := Rollout{Candidates: []Candidate{{Strategy: s}}}
	want := "invalid: candidates[0].strategy.slots.stable: there is no stable release for the slot to hold; publish one first"
	if err := r.Validate(); err == nil || err.Error() != want {
		t.Errorf("want %q, got %v", want, err)
	}
}
