package center_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// TestLaunchesAndRolloutsAgree does whatever can be done to three configs in any
// order, and sees after each act that launches and rollouts say the same, and
// that every release that somebody may be served can be read.
func TestLaunchesAndRolloutsAgree(t *testing.T) {
	n := start(t, func(l *center.Limits) { l.KeepReleases = 3 })
	n.house()
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		m := &launchModel{node: n, r: r, names: []string{"a.json", "b.json", "c.json"}}
		for i := range m.names { // a round starts with configs of its own
			m.names[i] = fmt.Sprintf("acme/shop/dev/r%d-%s", round, m.names[i])
		}
		r.Repeat(map[string]func(*rapid.T){
			"publish": m.publish, "start": m.start, "act": m.act, "rollback": m.rollback, "delete": m.delete,
			"": func(*rapid.T) { m.check() },
		})
		for l := range n.view.Snapshot().Launches("acme") {
			n.must(second(n.AbortLaunch(n.admin(), act(l.Launch))))
		}
	})
}

type launchModel struct {
	*node
	r     *rapid.T
	names []string
	acts  int
}

// allow passes what is refused for a reason, and fails on everything else.
func (m *launchModel) allow(err error) {
	switch config.KindOf(err) {
	case config.Conflict, config.NotFound, config.Invalid:
	default:
		if err != nil {
			m.r.Fatalf("not an answer for a caller: %v", err)
		}
	}
}

func (m *launchModel) some(r *rapid.T) []string {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(m.names), 1, 3, rapid.ID).Draw(r, "configs")
	items := make([]string, len(names))
	for i, name := range names {
		m.acts++
		items[i] = fmt.Sprintf("%s=%d", name, m.acts)
	}
	return items
}

func (m *launchModel) running(r *rapid.T) center.OnRunning {
	return rapid.SampledFrom([]center.OnRunning{center.RefuseOnRunning, center.SupersedeRunning, center.BeforeRunning, center.AfterRunning}).Draw(r, "on running")
}

func (m *launchModel) publish(r *rapid.T) {
	_, err := m.Publish(m.admin(), launching(center.ReleaseOptions{OnRunning: m.running(r)}, m.some(r)...))
	m.allow(err)
}

func (m *launchModel) start(r *rapid.T) {
	o := rapid.SampledFrom([]center.ReleaseOptions{
		canary(2500), canary(config.FullShare), progressive(1000, 5000), progressive(3000, config.FullShare),
		by(config.Strategy{Kind: config.StrategyBlueGreen}),
		by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("pod-1", "pod-2")}),
		{BeginsAt: m.at(1)},
	}).Draw(r, "options")
	o.OnRunning = m.running(r)
	_, err := m.Publish(m.admin(), launching(o, m.some(r)...))
	m.allow(err)
}

func (m *launchModel) act(r *rapid.T) {
	var launches []config.Launch
	for l := range m.view.Snapshot().Launches("acme") {
		launches = append(launches, l.Launch)
	}
	if len(launches) == 0 {
		r.Skip("no launch is under way")
	}
	a := act(rapid.Custom(func(r *rapid.T) config.Launch { return launches[rapid.IntRange(0, len(launches)-1).Draw(r, "launch")] }).Draw(r, "launch"))
	share := config.Share(rapid.IntRange(0, 10_000).Draw(r, "share"))
	acts := map[string]func() error{
		"pause":   func() error { return second(m.PauseLaunch(m.admin(), a)) },
		"resume":  func() error { return second(m.ResumeLaunch(m.admin(), a)) },
		"advance": func() error { return second(m.AdvanceLaunch(m.admin(), a)) },
		"promote": func() error { return second(m.PromoteLaunch(m.admin(), a)) },
		"abort":   func() error { return second(m.AbortLaunch(m.admin(), a)) },
		"switch":  func() error { return second(m.SwitchLaunch(m.admin(), center.SwitchLaunch{LaunchAct: a})) },
		"adjust": func() error {
			return second(m.AdjustLaunch(m.admin(), center.AdjustLaunch{LaunchAct: a, Share: &share}))
		},
	}
	m.allow(acts[rapid.SampledFrom([]string{"pause", "resume", "advance", "promote", "abort", "switch", "adjust"}).Draw(r, "act")]())
}

func (m *launchModel) rollback(r *rapid.T) {
	name := rapid.SampledFrom(m.names).Draw(r, "config")
	set, err := m.Rollback(m.admin(), center.Rollback{Path: path(m.t, name), Version: rapid.Int64Range(0, 8).Draw(r, "version")})
	if m.allow(err); err != nil {
		return
	}
	cfg, _ := m.view.Snapshot().Config(path(m.t, name))
	if len(cfg.Rollout.Candidates) > 0 || cfg.Rollout.Stable.Digest != set.Items[0].Digest {
		r.Fatalf("a rollback of %s left some clients with something else: %+v", name, cfg.Rollout)
	}
}

func (m *launchModel) delete(r *rapid.T) {
	name := path(m.t, rapid.SampledFrom(m.names).Draw(r, "config"))
	if rapid.Bool().Draw(r, "undelete") {
		m.allow(second(m.UndeleteConfig(m.admin(), name, "")))
		return
	}
	m.allow(m.DeleteConfig(m.admin(), center.DeleteConfig{Path: name, Purge: rapid.Bool().Draw(r, "purge")}))
}

func (m *launchModel) check() {
	snap := m.view.Snapshot()
	for l := range snap.Launches("acme") {
		for _, item := range l.Items {
			cfg, ok := snap.Config(item.Path)
			if !ok {
				m.r.Fatalf("launch %s is about %s, which is gone", l.ID, item.Path)
			}
			i := cfg.Rollout.Launched(l.ID)
			if i < 0 {
				m.r.Fatalf("launch %s is %s, but not among the candidates of %s", l.ID, l.State, item.Path)
			}
			c := cfg.Rollout.Candidates[i]
			if c.Release.Version != item.Version || !reflect.DeepEqual(c.Strategy, l.Strategy) || c.Waiting != (l.State == config.LaunchScheduled) {
				m.r.Fatalf("launch %s says %+v, %s, %s, its candidate %+v", l.ID, item, l.State, l.Strategy, c)
			}
		}
	}
	for _, name := range m.names {
		cfg, ok := snap.Config(path(m.t, name))
		if !ok {
			continue
		}
		if err := cfg.Rollout.Validate(); err != nil {
			m.r.Fatalf("the rollout of %s: %v", name, err)
		}
		for _, c := range cfg.Rollout.Candidates {
			l, ok := snap.Launch("acme", c.Launch)
			if !ok || !slices.ContainsFunc(l.Items, func(i config.LaunchItem) bool { return i.Path == cfg.Rollout.Path }) {
				m.r.Fatalf("nothing drives candidate %d of %s any more", c.Release.Version, name)
			}
		}
		for release := range cfg.Rollout.Served() {
			if _, content, err := m.Release(m.admin(), release.Path, release.Version); err != nil || digest(content) != release.Digest {
				m.r.Fatalf("release %d of %s may be served and cannot be read: %v", release.Version, name, err)
			}
		}
	}
}
