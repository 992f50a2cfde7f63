package protocoltest

import (
	"fmt"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func rolloutScenarios() []scenario {
	return []scenario{
		{"each client reads what it is resolved to", []Part{PartReads}, rolloutReads},
		{"each client watches what it is resolved to", []Part{PartWatches}, rolloutWatches},
		{"slots by name and by switch", []Part{PartReads}, rolloutSlots},
	}
}

// audience are clients that strategies tell apart.
func audience() []config.Client {
	var all []config.Client
	for i := range 8 {
		c := config.Client{ID: fmt.Sprintf("node-%d", i)}
		if i%2 == 0 {
			c.Labels = map[string]string{"region": "eu", "version": "1.4.2"}
		}
		all = append(all, c)
	}
	return append(all, config.Client{Labels: map[string]string{"region": "eu"}}, config.Client{ID: "odd one, with=signs & spaces"}, config.Client{})
}

// strategies are of every kind that claims some of the audience.
func strategies(s *stage) map[string]config.Strategy {
	labels, err := config.ParseSelector("region = eu")
	s.ok(err)
	here, err := config.ParseNetwork("127.0.0.0/8")
	s.ok(err)
	return map[string]config.Strategy{
		"share":   {Kind: config.StrategyCanary, Salt: "s", Rule: &config.Rule{Share: ptr(config.Share(5000))}},
		"labels":  {Kind: config.StrategyCanary, Rule: &config.Rule{Labels: labels}},
		"address": {Kind: config.StrategyCanary, Rule: &config.Rule{Addresses: []config.Network{here}}},
		"targets": {Kind: config.StrategyTargets, Targets: config.NewInstanceSet("node-1", "node-2")},
		"steps": {Kind: config.StrategyProgressive, Salt: "t", Steps: []config.Step{
			{Share: 3000, Hold: 3600}, {Share: 9000, Hold: 3600},
		}},
	}
}

// launch brings out a content of a config of prod, in process.
func (s *stage) launch(name, content string, strategy config.Strategy) config.Launch {
	s.Helper()
	p := s.items(name, content)
	p.Launch = &center.LaunchOptions{Strategy: strategy}
	set, err := s.arrange.Publish(s.ctx, p)
	s.ok(err)
	if set.Launch == nil {
		s.Fatal("the center made no launch")
	}
	return *set.Launch
}

// resolve is the version that a client is to get.
func (s *stage) resolve(name string, c config.Client) int64 {
	s.Helper()
	state, err := s.arrange.Config(s.ctx, s.prod.Join(name))
	s.ok(err)
	c.Address = "127.0.0.1"
	release := state.Rollout.Resolve(c)
	if release == nil {
		return 0
	}
	return release.Version
}

func rolloutReads(s *stage) {
	all := strategies(s)
	for kind, strategy := range all {
		s.publish(kind+".json", `"stable"`)
		s.launch(kind+".json", `"candidate"`, strategy)
	}
	served := map[string]map[int64]int{}
	for _, client := range audience() {
		app, _ := s.application(client)
		snapshot, err := app.Snapshot(s.ctx, Read{Path: s.prod})
		s.ok(err)
		env := map[string]int64{}
		for _, c := range snapshot.Configs {
			env[c.Path.Name] = c.Version
		}
		for kind := range all {
			name := kind + ".json"
			want := s.resolve(name, client)
			got, err := app.Get(s.ctx, Read{Path: s.prod.Join(name)})
			s.ok(err)
			s.want(fmt.Sprintf("%s: the version of %+v, alone and in the env", kind, client), []int64{want, want}, []int64{got.Version, env[name]})
			if served[kind] == nil {
				served[kind] = map[int64]int{}
			}
			served[kind][got.Version]++
		}
	}
	for kind, versions := range served {
		if len(versions) != 2 && kind != "address" { // all come from there
			s.Errorf("%s: want both versions to be served, got %v", kind, versions)
		}
	}
}

func rolloutWatches(s *stage) {
	s.publish("app.json", `"stable"`, "last.json", "1")
	clients := audience()
	var streams []*follower
	for _, client := range clients {
		app, _ := s.application(client)
		w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
		w.falls = true
		w.current()
		streams = append(streams, w)
	}
	launch := s.launch("app.json", `"candidate"`, config.Strategy{
		Kind: config.StrategyProgressive, Steps: []config.Step{{Share: 4000, Hold: 3600}, {Share: 9000, Hold: 3600}},
	})
	act := center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: launch.Tenant, ID: launch.ID}}
	for _, step := range []func() error{
		func() error { return nil },
		func() error { _, err := s.arrange.AdvanceLaunch(s.ctx, act); return err },
		func() error { _, err := s.arrange.AbortLaunch(s.ctx, act); return err },
	} {
		before := map[*follower]int64{}
		for _, w := range streams {
			before[w] = w.state[s.prod.Join("app.json")].Version
		}
		s.ok(step())
		mark := s.publish("last.json", `"mark"`).Items[0].Version
		for i, w := range streams {
			told := w.until("last.json", mark)
			want := s.resolve("app.json", clients[i])
			s.want(fmt.Sprintf("the version of %+v", clients[i]), want, w.state[s.prod.Join("app.json")].Version)
			if changed := told[s.prod.Join("app.json")] > 0; changed != (want != before[w]) {
				s.Errorf("%+v went from version %d to %d; told of it: %t", clients[i], before[w], want, changed)
			}
		}
	}
}

func rolloutSlots(s *stage) {
	s.publish("app.json", `"blue"`)
	launch := s.launch("app.json", `"green"`, config.Strategy{Kind: config.StrategyBlueGreen})
	read := func(slot string) string {
		app, _ := s.application(config.Client{Slot: slot})
		got, err := app.Get(s.ctx, Read{Path: s.prod.Join("app.json")})
		s.ok(err)
		return string(got.Content)
	}
	slots := []string{"", "blue", "green", "purple"}
	all := func() (got []string) {
		for _, slot := range slots {
			got = append(got, read(slot))
		}
		return got
	}
	s.want("before the switch", []string{`"blue"`, `"blue"`, `"green"`, `"blue"`}, all())
	_, err := s.arrange.SwitchLaunch(s.ctx, center.SwitchLaunch{LaunchAct: center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: launch.Tenant, ID: launch.ID}}})
	s.ok(err)
	s.want("after the switch", []string{`"green"`, `"blue"`, `"green"`, `"green"`}, all())
}
