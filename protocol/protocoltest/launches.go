package protocoltest

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func launchScenarios() []scenario {
	needs := []Part{PartReleases, PartLaunches}
	return []scenario{
		{"started, advanced step by step, and promoted", needs, launchSteps},
		{"paused, resumed and aborted", needs, launchPaused},
		{"switched and switched back", needs, launchSwitched},
		{"scheduled, with a gate and an end", needs, launchScheduled},
		{"refused as the center refuses", needs, launchRefused},
		{"listed page by page", needs, launchesInPages},
		{"previewed", []Part{PartForesight}, launchPreviewed},
		{"explained, now and in the past", []Part{PartForesight}, launchExplained},
	}
}

// start publishes with a launch, over the protocol.
func (s *stage) start(a *actor, o center.ReleaseOptions, pairs ...string) config.Launch {
	s.Helper()
	p := s.items(pairs...)
	p.ReleaseOptions, p.Comment = o, "bring it out"
	set, err := a.Publish(s.ctx, p)
	s.ok(err)
	if set.Launch == nil {
		s.Fatal("want a launch in the change set")
	}
	s.sameLaunch("the launch in the change set", *set.Launch)
	return *set.Launch
}

// sameLaunch fails unless the launch is as the center has it.
func (s *stage) sameLaunch(what string, got config.Launch) {
	s.Helper()
	want, err := s.arrange.Launch(s.ctx, center.LaunchRef{Tenant: got.Tenant, ID: got.ID})
	s.ok(err)
	s.want(what, want, got)
}

func byID(l config.Launch) center.LaunchAct {
	return center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: l.Tenant, ID: l.ID}}
}

func (s *stage) byPath(name string) center.LaunchAct {
	return center.LaunchAct{LaunchRef: center.LaunchRef{Path: s.prod.Join(name)}}
}

func launchSteps(s *stage) {
	a := s.admin()
	s.publish("a.json", "1", "b.json", "1")
	launch := s.start(a, center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: strategies(s)["steps"]}}, "a.json", "2", "b.json", "2")
	act := byID(launch)
	act.Comment, act.Expected = "步骤二", launch.Revision
	second, err := a.AdvanceLaunch(s.ctx, act)
	s.ok(err)
	s.sameLaunch("the launch at its second step", second)
	s.want("the step", 1, second.Strategy.Step)
	_, err = a.AdvanceLaunch(s.ctx, act)
	s.refused("an act on what was changed", config.Conflict, err)
	last, err := a.AdvanceLaunch(s.ctx, s.byPath("b.json"))
	s.ok(err)
	s.want("the state after the last step", config.LaunchPromoted, last.State)
	s.want("what everybody gets", []string{"2", "2"}, []string{s.released("a.json"), s.released("b.json")})
	got, err := a.Launch(s.ctx, byID(launch).LaunchRef)
	s.ok(err)
	s.sameLaunch("a launch that has ended", got)
}

func launchPaused(s *stage) {
	a := s.admin()
	s.publish("a.json", "1")
	launch := s.start(a, center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: strategies(s)["steps"]}}, "a.json", "2")
	paused, err := a.PauseLaunch(s.ctx, byID(launch))
	s.ok(err)
	s.sameLaunch("the paused launch", paused)
	_, err = a.AdvanceLaunch(s.ctx, byID(launch))
	s.refused("to advance what is paused", config.Conflict, err)
	resumed, err := a.ResumeLaunch(s.ctx, byID(launch))
	s.ok(err)
	s.want("the state", config.LaunchRunning, resumed.State)
	act := byID(launch)
	act.Comment = "no good"
	aborted, err := a.AbortLaunch(s.ctx, act)
	s.ok(err)
	s.sameLaunch("the aborted launch", aborted)
	s.want("what everybody gets", "1", s.released("a.json"))
	_, err = a.PromoteLaunch(s.ctx, byID(launch))
	s.refused("to promote what has ended", config.Conflict, err)
}

func launchSwitched(s *stage) {
	a := s.admin()
	s.publish("a.json", "1")
	launch := s.start(a, center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}}, "a.json", "2")
	switched, err := a.SwitchLaunch(s.ctx, center.SwitchLaunch{LaunchAct: byID(launch)})
	s.ok(err)
	s.sameLaunch("the switched launch", switched)
	s.want("what everybody gets", "2", s.released("a.json"))
	_, err = a.SwitchLaunch(s.ctx, center.SwitchLaunch{LaunchAct: s.byPath("a.json"), To: switched.Strategy.Slots.Stable})
	s.ok(err)
	s.want("what everybody gets again", "1", s.released("a.json"))
	_, err = a.SwitchLaunch(s.ctx, center.SwitchLaunch{LaunchAct: byID(launch), To: "purple"})
	s.refused("a slot that is not there", config.Invalid, err)
	promoted, err := a.PromoteLaunch(s.ctx, byID(launch))
	s.ok(err)
	s.want("the state", config.LaunchPromoted, promoted.State)
}

func launchScheduled(s *stage) {
	a := s.admin()
	s.publish("a.json", "1")
	begins := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	launch := s.start(a, center.ReleaseOptions{BeginsAt: begins, Launch: &center.LaunchOptions{
		Strategy:     strategies(s)["steps"],
		Gate:         &config.Gate{Applied: 5000, AtLeast: 3, Refused: 1, RefusedShare: 100, Patience: 60},
		ExpiresAfter: 7200,
	}}, "a.json", "2")
	s.want("the state and when it begins", []any{config.LaunchScheduled, begins}, []any{launch.State, launch.BeginsAt})
	begun, err := a.AdvanceLaunch(s.ctx, byID(launch))
	s.ok(err)
	s.sameLaunch("the launch that has begun", begun)

	p := s.items("a.json", "3")
	_, want := s.arrange.Publish(s.ctx, p)
	_, err = a.Publish(s.ctx, p)
	s.refused("a release while a launch is under way", config.Conflict, err)
	s.sameError("a release while a launch is under way", want, err)
	p.OnRunning = center.SupersedeRunning
	set, err := a.Publish(s.ctx, p)
	s.ok(err)
	s.want("the launches that were ended", []string{launch.ID}, set.Ended)
}

func launchRefused(s *stage) {
	a := s.admin()
	s.publish("a.json", "1")
	for what, strategy := range map[string]config.Strategy{
		"of no kind":          {},
		"of an odd kind":      {Kind: "größe"},
		"without a rule":      {Kind: config.StrategyCanary},
		"with another's part": {Kind: config.StrategyTargets, Targets: config.NewInstanceSet("x"), Salt: "s"},
		"of falling steps":    {Kind: config.StrategyProgressive, Steps: []config.Step{{Share: 2}, {Share: 1}}},
		"of a share too many": {Kind: config.StrategyCanary, Rule: &config.Rule{Share: ptr(config.Share(10001))}},
	} {
		p := s.items("a.json", "2")
		p.Launch = &center.LaunchOptions{Strategy: strategy}
		_, want := s.arrange.Publish(s.ctx, p)
		_, err := a.Publish(s.ctx, p)
		s.refused("a strategy "+what, config.KindOf(want), err)
	}
	for what, act := range map[string]center.LaunchAct{
		"no such launch":       {LaunchRef: center.LaunchRef{Tenant: s.app.Tenant, ID: "nope"}},
		"a config without one": s.byPath("a.json"),
	} {
		_, want := s.arrange.AbortLaunch(s.ctx, act)
		_, err := a.AbortLaunch(s.ctx, act)
		s.refused(what, config.NotFound, err)
		s.sameError(what, want, err)
	}
}

func launchesInPages(s *stage) {
	a := s.admin()
	for _, name := range []string{"a.json", "b.json", "c.json"} {
		s.publish(name, "1")
		s.launch(name, "2", strategies(s)["share"])
	}
	_, err := s.arrange.AbortLaunch(s.ctx, s.byPath("b.json"))
	s.ok(err)
	for _, all := range []bool{false, true} {
		var got []config.Launch
		r := center.LaunchesRequest{Tenant: s.app.Tenant, All: all, PageRequest: center.PageRequest{Limit: 2}}
		for {
			page, err := a.ListLaunches(s.ctx, r)
			s.ok(err)
			got = append(got, page.Items...)
			if page.Next == "" || len(page.Items) == 0 {
				break
			}
			r.After = page.Next
		}
		want, err := s.arrange.ListLaunches(s.ctx, center.LaunchesRequest{Tenant: s.app.Tenant, All: all})
		s.ok(err)
		s.want("the launches", want.Items, got)
	}
	one, err := a.ListLaunches(s.ctx, center.LaunchesRequest{Tenant: s.app.Tenant, Path: s.prod.Join("c.json")})
	s.ok(err)
	s.want("the launches of one config", 1, len(one.Items))
}

func launchPreviewed(s *stage) {
	a := s.admin()
	s.publish("a.json", "1", "b.json", "1")
	for _, client := range audience()[:5] {
		caller := s.node.admin
		caller.Instance = client
		for _, name := range []string{"a.json", "b.json"} {
			_, err := newActor(newReference(s.node, caller)).Get(s.ctx, Read{Path: s.prod.Join(name)})
			s.ok(err)
		}
	}
	paths := []config.Path{s.prod.Join("a.json"), s.prod.Join("b.json")}
	strategy := strategies(s)["share"]
	launch := &center.LaunchOptions{Strategy: strategy, Gate: &config.Gate{Applied: 100}}
	wrong := &center.LaunchOptions{Strategy: config.Strategy{Kind: config.StrategyCanary}}
	started := s.launch("b.json", "2", strategy)
	for what, r := range map[string]center.PreviewRequest{
		"a new launch":    {Paths: paths, ReleaseOptions: center.ReleaseOptions{Launch: launch, OnRunning: center.SupersedeRunning}},
		"a page of it":    {Paths: paths[:1], ReleaseOptions: center.ReleaseOptions{Launch: launch}, PageRequest: center.PageRequest{Limit: 2}},
		"what is refused": {Paths: paths[:1], ReleaseOptions: center.ReleaseOptions{Launch: wrong}},
		"another share": {Change: &center.PreviewChange{
			LaunchRef: center.LaunchRef{Tenant: s.app.Tenant, ID: started.ID}, Share: ptr(config.Share(9000)),
		}},
		"a promotion": {Change: &center.PreviewChange{LaunchRef: center.LaunchRef{Path: paths[1]}, Change: config.ChangePromote}},
	} {
		want, err := s.arrange.Preview(s.ctx, r)
		s.ok(err)
		got, err := a.Preview(s.ctx, r)
		s.ok(err)
		s.want("the preview of "+what, want, got)
	}
	_, err := s.arrange.AbortLaunch(s.ctx, byID(started))
	s.ok(err)
	ended := center.PreviewRequest{Change: &center.PreviewChange{LaunchRef: byID(started).LaunchRef, Change: config.ChangePromote}}
	_, want := s.arrange.Preview(s.ctx, ended)
	_, err = a.Preview(s.ctx, ended)
	s.refused("the preview of what has ended", config.NotFound, err)
	s.sameError("the preview of what has ended", want, err)
}

func launchExplained(s *stage) {
	a := s.admin()
	first := s.publish("a.json", "1")
	for kind, strategy := range strategies(s) {
		s.publish(kind+".json", "1")
		s.launch(kind+".json", "2", strategy)
		for _, client := range audience() {
			client.Address = "127.0.0.1"
			if client.Labels == nil {
				client.Labels = map[string]string{}
			}
			r := center.ExplainRequest{Path: s.prod.Join(kind + ".json"), Client: client}
			want, err := s.arrange.Explain(s.ctx, r)
			s.ok(err)
			got, err := a.Explain(s.ctx, r)
			s.ok(err)
			s.want("why a client gets what it gets", want, got)
		}
	}
	s.publish("a.json", "2")
	past := center.ExplainRequest{Path: s.prod.Join("a.json"), At: first.Revision}
	got, err := a.Explain(s.ctx, past)
	s.ok(err)
	s.want("the version then", int64(1), got.Release.Version)
	s.compact()
	_, err = a.Explain(s.ctx, past)
	s.refused("what is long past", config.Compacted, err)
}

// compact drops all history of the store.
func (s *stage) compact() {
	s.Helper()
	newest := s.publish("compact.json", "1").Revision
	s.publish("compact.json", "2")
	s.ok(s.node.store.Compact(context.WithoutCancel(s.ctx), revisionOf(newest)))
}
