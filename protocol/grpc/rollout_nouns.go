package grpc

import (
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func rolloutOf(r *config.Rollout) *setpointv1.Rollout {
	return &setpointv1.Rollout{
		Path: r.Path.String(), Latest: r.Latest, Oldest: r.Oldest, Stable: releaseIf(r.Stable), Previous: r.Previous,
		Slot: r.Slot, Candidates: all(r.Candidates, candidateOf),
		Deleted: r.Deleted, DeletedAt: timeOf(r.DeletedAt), DeletedBy: r.DeletedBy,
	}
}

func candidateOf(c config.Candidate) *setpointv1.Candidate {
	return &setpointv1.Candidate{
		Release: releaseOf(c.Release), Strategy: strategyOf(&c.Strategy), Launch: c.Launch, Waiting: c.Waiting,
	}
}

func launchOf(l config.Launch) *setpointv1.Launch {
	return &setpointv1.Launch{
		Id: l.ID, Tenant: l.Tenant, Items: all(l.Items, launchItemOf), State: launchStateWords.of(l.State),
		Strategy: strategyOf(&l.Strategy), Gate: gateOf(l.Gate), Comment: l.Comment,
		StartedAt: timeOf(l.StartedAt), StartedBy: l.StartedBy, BeginsAt: timeOf(l.BeginsAt), BegunAt: timeOf(l.BegunAt),
		StepAt: timeOf(l.StepAt), Held: spanOf(l.Held), ExpiresAfter: spanOf(l.ExpiresAfter), ExpiresAt: timeOf(l.ExpiresAt),
		EndedAt: timeOf(l.EndedAt), EndedBy: l.EndedBy, Events: all(l.Events, launchEventOf),
		Warnings: all(l.Warnings, problemOf), Revision: string(l.Revision),
	}
}

func launchItemOf(i config.LaunchItem) *setpointv1.LaunchItem {
	return &setpointv1.LaunchItem{Path: i.Path.String(), Version: i.Version}
}

func launchEventOf(e config.LaunchEvent) *setpointv1.LaunchEvent {
	return &setpointv1.LaunchEvent{At: timeOf(e.At), By: e.By, What: e.What, Share: int32(e.Share), Slot: e.Slot, Why: e.Why}
}

func strategyOf(s *config.Strategy) *setpointv1.Strategy {
	m := &setpointv1.Strategy{
		Kind: strategyKindWords.of(s.Kind), Salt: s.Salt, Targets: s.Targets, Steps: all(s.Steps, stepOf), Step: int32(s.Step),
	}
	if s.Rule != nil {
		m.Rule = ruleOf(*s.Rule)
	}
	if s.Slots != nil {
		m.Slots = &setpointv1.Slots{Stable: s.Slots.Stable, Candidate: s.Slots.Candidate, Active: s.Slots.Active}
	}
	return m
}

func stepOf(s config.Step) *setpointv1.Step {
	return &setpointv1.Step{Share: int32(s.Share), Hold: spanOf(s.Hold)}
}

func ruleOf(r config.Rule) *setpointv1.Rule {
	m := &setpointv1.Rule{
		All: all(r.All, ruleOf), Any: all(r.Any, ruleOf), Labels: r.Labels.String(),
		Addresses: all(r.Addresses, config.Network.String), Instances: r.Instances,
	}
	if r.Share != nil {
		m.Share = proto.Int32(int32(*r.Share))
	}
	return m
}

func gateOf(g *config.Gate) *setpointv1.Gate {
	if g == nil {
		return nil
	}
	return &setpointv1.Gate{
		AppliedShare: int32(g.Applied), AtLeast: int32(g.AtLeast), Refused: int32(g.Refused),
		RefusedShare: int32(g.RefusedShare), Patience: spanOf(g.Patience),
	}
}

func (q *asked) strategy(where string, m *setpointv1.Strategy) config.Strategy {
	s := config.Strategy{
		Kind: word(q, where+".kind", strategyKindWords, m.GetKind()), Salt: m.GetSalt(), Step: int(m.GetStep()),
	}
	if len(m.GetTargets()) > 0 {
		s.Targets = config.NewInstanceSet(m.GetTargets()...)
	}
	if r := m.GetRule(); r != nil {
		rule := q.rule(where+".rule", r, 1)
		s.Rule = &rule
	}
	if slots := m.GetSlots(); slots != nil {
		s.Slots = &config.Slots{Stable: slots.GetStable(), Candidate: slots.GetCandidate(), Active: slots.GetActive()}
	}
	for i, step := range m.GetSteps() {
		s.Steps = append(s.Steps, config.Step{
			Share: config.Share(step.GetShare()), Hold: q.seconds(index(where+".steps", i)+".hold", step.GetHold()),
		})
	}
	return s
}

// strategyIf reads a strategy that need not be there.
func (q *asked) strategyIf(where string, m *setpointv1.Strategy) *config.Strategy {
	if m == nil {
		return nil
	}
	s := q.strategy(where, m)
	return &s
}

// rule reads a rule. It stops where rules are deeper than any may be: the center
// says what is wrong with the others.
func (q *asked) rule(where string, m *setpointv1.Rule, depth int) config.Rule {
	if depth > config.MaxRuleDepth+1 {
		q.refuse(where, "rules are too deep in one another")
		return config.Rule{}
	}
	r := config.Rule{Share: shareIf(m.Share)}
	for i, part := range m.GetAll() {
		r.All = append(r.All, q.rule(index(where+".all", i), part, depth+1))
	}
	for i, part := range m.GetAny() {
		r.Any = append(r.Any, q.rule(index(where+".any", i), part, depth+1))
	}
	if text := m.GetLabels(); text != "" {
		selector, err := config.ParseSelector(text)
		if err != nil {
			q.refuse(where+".labels", config.AsError(err).Detail())
		}
		r.Labels = selector
	}
	for i, text := range m.GetAddresses() {
		network, err := config.ParseNetwork(text)
		if err != nil {
			q.refuse(index(where+".addresses", i), config.AsError(err).Detail())
		}
		r.Addresses = append(r.Addresses, network)
	}
	if len(m.GetInstances()) > 0 {
		r.Instances = config.NewInstanceSet(m.GetInstances()...)
	}
	return r
}

func shareIf(share *int32) *config.Share {
	if share == nil {
		return nil
	}
	s := config.Share(*share)
	return &s
}

func (q *asked) gate(where string, m *setpointv1.Gate) *config.Gate {
	if m == nil {
		return nil
	}
	return &config.Gate{
		Applied: config.Share(m.GetAppliedShare()), AtLeast: int(m.GetAtLeast()), Refused: int(m.GetRefused()),
		RefusedShare: config.Share(m.GetRefusedShare()), Patience: q.seconds(where+".patience", m.GetPatience()),
	}
}

func (q *asked) options(where string, m *setpointv1.ReleaseOptions) center.ReleaseOptions {
	o := center.ReleaseOptions{
		BeginsAt:       q.time(where+".begins_at", m.GetBeginsAt()),
		OnRunning:      word(q, where+".on_running", onRunningWords, m.GetOnRunning()),
		OverrideFreeze: m.GetOverrideFreeze(),
	}
	if l := m.GetLaunch(); l != nil {
		at := where + ".launch"
		o.Launch = &center.LaunchOptions{
			Strategy: q.strategy(at+".strategy", l.GetStrategy()), Gate: q.gate(at+".gate", l.GetGate()),
			ExpiresAfter: q.seconds(at+".expires_after", l.GetExpiresAfter()),
		}
	}
	return o
}

func (q *asked) launch(where string, m *setpointv1.LaunchRef) center.LaunchRef {
	ref := center.LaunchRef{Tenant: m.GetTenant(), ID: m.GetId()}
	if m.GetPath() != "" {
		ref.Path = q.path(where+".path", m.GetPath())
	}
	if ref.Tenant == "" {
		ref.Tenant = ref.Path.Tenant
	}
	return ref
}

func (q *asked) act(m *setpointv1.LaunchAct) center.LaunchAct {
	return center.LaunchAct{
		LaunchRef: q.launch("act.launch", m.GetLaunch()), Comment: m.GetComment(),
		Expected: config.Token(m.GetExpectedRevision()), OverrideFreeze: m.GetOverrideFreeze(),
	}
}
