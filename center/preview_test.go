package center_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// previewed asks as the admin.
func (n *node) previewed(r center.PreviewRequest) config.Preview {
	n.t.Helper()
	p, err := n.Preview(n.admin(), r)
	n.must(err)
	return p
}

func paths(t testing.TB, texts ...string) []config.Path {
	t.Helper()
	all := make([]config.Path, len(texts))
	for i, text := range texts {
		all[i] = path(t, text)
	}
	return all
}

// neighbours are nodes that answer what they are asked for.
type neighbours struct{ *fakeNodes }

func (f neighbours) Instances(_ context.Context, q config.InstanceQuery) ([]config.Instance, []string, error) {
	found := slices.DeleteFunc(slices.Clone(f.instances), func(i config.Instance) bool {
		reaches := func(text string) bool {
			pattern, err := config.ParsePattern(text)
			return err == nil && pattern.Reaches(q.Path)
		}
		return !slices.ContainsFunc(i.Watches, reaches) && !slices.ContainsFunc(i.Holds, func(h config.Holding) bool { return q.Path.Contains(h.Path) })
	})
	return found, f.silent, f.err
}

// among runs a node that has neighbours.
func among(t *testing.T, nodes *fakeNodes, change ...func(*center.Options)) *node {
	t.Helper()
	return cluster(t, nodes, append(change, func(o *center.Options) { o.Nodes = neighbours{nodes} })...)
}

// fleet are instances that another node holds connections of.
func fleet(count int, labels func(i int) map[string]string, watches ...string) []config.Instance {
	all := make([]config.Instance, count)
	for i := range all {
		all[i] = config.Instance{
			ID: fmt.Sprintf("pod-%d", i), User: "bob", Node: "n2", Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256),
			Labels: labels(i), Watches: watches, Connected: true, Since: time.Unix(int64(i), 0),
		}
	}
	return all
}

func region(i int) map[string]string {
	return map[string]string{"region": []string{"eu", "us"}[i%2]}
}

func TestPreviewCountsAndTells(t *testing.T) {
	nodes := &fakeNodes{silent: []string{"n4"}, instances: fleet(3, region, "acme/shop/dev")}
	nodes.instances = append(nodes.instances,
		config.Instance{User: "bob", Node: "n3", Watches: []string{app}, Connected: true, Since: time.Unix(7, 0)},
		config.Instance{ID: "elsewhere", User: "bob", Node: "n3", Watches: []string{"acme/shop/prod"}, Connected: true},
		config.Instance{ID: "left", User: "bob", Node: "n3", Watches: []string{app}, Seen: time.Unix(8, 0)})
	n := among(t, nodes)
	n.house()
	n.publish(app, `"a1"`)
	r := center.PreviewRequest{Paths: paths(t, app, limits), ReleaseOptions: by(config.Strategy{
		Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(t, "region = eu"), Share: ptr(config.FullShare)},
	})}
	got := n.previewed(r)
	choices := func(app, limits config.PreviewChoice) []config.PreviewChoice {
		app.Path, limits.Path = path(t, "acme/shop/dev/app.json"), path(t, "acme/shop/dev/limits.json")
		return []config.PreviewChoice{app, limits}
	}
	taken := choices(config.PreviewChoice{Now: 1, Then: 2, Candidate: true, Reason: config.ReasonRule}, config.PreviewChoice{Then: 1, Candidate: true, Reason: config.ReasonRule})
	left := choices(config.PreviewChoice{Now: 1, Then: 1, Reason: config.ReasonStable}, config.PreviewChoice{Reason: config.ReasonUnpublished})
	want := config.Preview{
		Strategy: r.Launch.Strategy, Silent: []string{"n4"}, Unnamed: 1,
		Problems: []config.Problem{
			{Path: limits, Severity: config.SeverityWarning, Message: "there is no stable release, so instances that the launch does not claim get nothing"},
			{Severity: config.SeverityWarning, Message: "no share can claim an instance without an id, and 1 of those here have none; have them send one"},
		},
		Configs: []config.PreviewCount{
			{Path: path(t, app), Version: 2, Instances: 4, Candidate: 2, Stable: 2, Unchanged: 2},
			{Path: path(t, limits), Version: 1, Instances: 3, Candidate: 2, Nothing: 1, Unchanged: 1},
		},
		Page: config.Page[config.PreviewInstance]{Items: []config.PreviewInstance{
			{User: "bob", Node: "n3", Choices: left[:1]},
			{ID: "pod-0", User: "bob", Node: "n2", Address: "10.0.0.0", Labels: region(0), Choices: taken},
			{ID: "pod-1", User: "bob", Node: "n2", Address: "10.0.0.1", Labels: region(1), Choices: left},
			{ID: "pod-2", User: "bob", Node: "n2", Address: "10.0.0.2", Labels: region(2), Choices: taken},
		}},
	}
	want.Strategy.Salt = app
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(config.Preview{}, "Revision"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Revision == "" {
		t.Error("want the revision that it was computed from")
	}
	// By pages, each instance once.
	r.Limit = 1
	var ids []string
	for {
		page := n.previewed(r)
		if len(page.Items) != 1 {
			t.Fatalf("want one instance, got %+v", page.Items)
		}
		ids = append(ids, page.Items[0].ID)
		if r.After = page.Next; r.After == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"", "pod-0", "pod-1", "pod-2"}, ids); diff != "" {
		t.Errorf("by pages (-want +got):\n%s", diff)
	}
	if served, version := n.served(app); version != 1 {
		t.Errorf("a preview must change nothing, got %s", served)
	}
}

// An instance that speaks to several nodes is one, as it was seen last.
func TestPreviewCountsEachInstanceOnce(t *testing.T) {
	at := time.Unix(1000, 0)
	nodes := &fakeNodes{instances: []config.Instance{
		{ID: "pod-1", User: "bob", Node: "n2", Labels: region(0), Watches: []string{app}, Seen: at, Since: at},
		{ID: "pod-1", User: "bob", Node: "n3", Labels: region(1), Watches: []string{limits}, Seen: at, Since: at.Add(-1), Connected: true},
		{ID: "pod-1", User: "bob", Node: "n4", Labels: region(0), Watches: []string{app}, Seen: at, Since: at.Add(-2), Connected: true},
		{ID: "pod-1", User: "eve", Node: "n4", Labels: region(0), Watches: []string{app}, Seen: at.Add(-time.Minute)},
	}}
	n := among(t, nodes, func(o *center.Options) { o.Now = func() time.Time { return at } })
	n.house()
	got := n.previewed(center.PreviewRequest{Paths: paths(t, app, limits), ReleaseOptions: by(config.Strategy{
		Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(t, "region = us")},
	})})
	var told []string
	for _, i := range got.Items {
		told = append(told, fmt.Sprintf("%s of %s on %s: %d configs, candidate %v", i.ID, i.User, i.Node, len(i.Choices), i.Choices[0].Candidate))
	}
	want := []string{"pod-1 of bob on n3: 2 configs, candidate true", "pod-1 of eve on n4: 1 configs, candidate false"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPreviewTellsWhatWouldBeRefused(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `1`)
	green := config.Strategy{Kind: config.StrategyBlueGreen}
	many := make([]config.Path, config.MaxLaunchItems+1)
	for i := range many {
		many[i] = path(t, fmt.Sprintf("acme/shop/dev/c%d.json", i))
	}
	for name, tt := range map[string]struct {
		request center.PreviewRequest
		kind    config.ErrorKind // of the whole; Internal for none
		want    string           // a problem, or the error
	}{
		"share out of range":  {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: canary(10001)}, 0, "error: strategy.rule.share: 10001: want 0 to 10000"},
		"two mistakes":        {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: by(config.Strategy{Kind: config.StrategyCanary, Targets: config.NewInstanceSet("a")})}, 0, "error: strategy.rule: a canary without a rule claims nobody"},
		"all at once":         {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: by(config.Strategy{Kind: config.StrategyAll})}, 0, "error: strategy.kind: all is what a release without a launch does"},
		"no stable release":   {center.PreviewRequest{Paths: paths(t, limits), ReleaseOptions: by(green)}, 0, "slots.stable: there is no stable release"},
		"bad gate":            {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: green, Gate: &config.Gate{AtLeast: 1}}}}, 0, "error: gate.applied_share"},
		"in the past":         {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: center.ReleaseOptions{BeginsAt: time.Unix(1, 0)}}, 0, "error: begins_at"},
		"0 percent":           {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: canary(0)}, 0, "warning: candidates[0].strategy.rule.share: 0% claims nobody"},
		"nobody is there":     {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: canary(100)}, 0, "warning: matches nobody: no instance watches or reads it now"},
		"no strategy":         {center.PreviewRequest{Paths: paths(t, app)}, config.Invalid, "say by what strategy"},
		"no configs":          {center.PreviewRequest{ReleaseOptions: canary(100)}, config.Invalid, "there are 0 configs; want 1 to 100"},
		"too many":            {center.PreviewRequest{Paths: many, ReleaseOptions: canary(100)}, config.Invalid, "there are 101 configs"},
		"twice":               {center.PreviewRequest{Paths: paths(t, app, app), ReleaseOptions: canary(100)}, config.Invalid, "names this config twice"},
		"no config":           {center.PreviewRequest{Paths: paths(t, "acme/shop/dev"), ReleaseOptions: canary(100)}, config.Invalid, "acme/shop/dev"},
		"no env":              {center.PreviewRequest{Paths: paths(t, "acme/shop/ghost/a.json"), ReleaseOptions: canary(100)}, config.NotFound, "acme/shop/ghost"},
		"no launch":           {center.PreviewRequest{Change: &center.PreviewChange{LaunchRef: center.LaunchRef{Tenant: "acme", ID: "ghost"}}}, config.NotFound, `no launch "ghost" is under way`},
		"no launch of a path": {center.PreviewRequest{Change: &center.PreviewChange{LaunchRef: center.LaunchRef{Path: path(t, app)}}}, config.NotFound, "no launch of the config is under way"},
		"bad place":           {center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: canary(100), PageRequest: center.PageRequest{After: "!"}}, config.Invalid, "the place to go on from"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := n.Preview(n.admin(), tt.request)
			if tt.kind != config.Internal {
				if e := wantKind(t, tt.kind, err); !strings.Contains(e.Error(), tt.want) {
					t.Errorf("want %q, got %v", tt.want, e)
				}
				return
			}
			n.must(err)
			var problems []string
			for _, p := range got.Problems {
				problems = append(problems, string(p.Severity)+": "+p.Message)
			}
			if !strings.Contains(strings.Join(problems, "\n"), tt.want) {
				t.Errorf("want %q, got %q", tt.want, problems)
			}
			if bad := strings.Contains(tt.want, "error") || tt.want[0] == 's'; bad != (len(got.Configs) == 0) {
				t.Errorf("want counts if it can be done and none otherwise, got %+v", got.Configs)
			}
		})
	}
}

func TestPreviewBesideALaunchUnderWay(t *testing.T) {
	nodes := &fakeNodes{instances: fleet(10, region, app)}
	n := among(t, nodes)
	n.house()
	n.publish(app, `1`)
	first := n.launched(by(config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(t, "region = eu")}}), app+`=2`)
	r := center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("pod-0", "pod-1")})}
	wantKind(t, config.Conflict, second(n.Preview(n.admin(), r)))
	for on, want := range map[center.OnRunning]config.PreviewCount{
		center.BeforeRunning:    {Candidate: 2, Other: 4, Stable: 4, Unchanged: 8},
		center.AfterRunning:     {Candidate: 1, Other: 5, Stable: 4, Unchanged: 9},
		center.SupersedeRunning: {Candidate: 2, Stable: 8, Unchanged: 4},
	} {
		r.OnRunning = on
		want.Path, want.Version, want.Instances = path(t, app), 3, 10
		got := n.previewed(r)
		if diff := cmp.Diff([]config.PreviewCount{want}, got.Configs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", on, diff)
		}
		if ended := slices.Equal(got.Ended, []string{first.ID}); ended != (on == center.SupersedeRunning) {
			t.Errorf("%s: got %q ended", on, got.Ended)
		}
	}
	if l, err := n.Launch(n.admin(), center.LaunchRef{Tenant: "acme", ID: first.ID}); err != nil || l.State != config.LaunchRunning {
		t.Errorf("a preview must change nothing, got %+v, %v", l, err)
	}
}

// TestPreviewIsWhatHappens previews a start, and then changes, of launches drawn
// at random beside others, and does the same: every instance is served exactly
// what the preview said.
func TestPreviewIsWhatHappens(t *testing.T) {
	nodes := &fakeNodes{instances: fleet(40, func(i int) map[string]string {
		return map[string]string{"region": []string{"eu", "us"}[i%2], "tier": []string{"web", "batch", "db"}[i%3]}
	}, "acme/shop/dev")}
	for i := range nodes.instances {
		nodes.instances[i].Slot = []string{"", "blue", "green", "red"}[i%4]
	}
	nodes.instances = append(nodes.instances, config.Instance{Node: "n2", Labels: region(0), Watches: []string{"acme"}, Connected: true})
	rapid.Check(t, func(rt *rapid.T) {
		n := among(t, nodes)
		n.house()
		all := []string{app, limits, "acme/shop/dev/x.json"}
		for _, at := range all {
			if rapid.IntRange(0, 4).Draw(rt, "published") > 0 {
				n.publish(at, `0`)
			}
		}
		var under []config.Launch
		for range 4 {
			chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, rapid.ID).Draw(rt, "configs")
			o := by(strategies().Draw(rt, "strategy"))
			o.OnRunning = rapid.SampledFrom([]center.OnRunning{"", center.BeforeRunning, center.AfterRunning, center.SupersedeRunning}).Draw(rt, "on running")
			p := center.Publish{Tenant: "acme", ReleaseOptions: o}
			r := center.PreviewRequest{Paths: paths(t, chosen...), ReleaseOptions: o}
			for _, at := range chosen {
				p.Items = append(p.Items, one(at, `1`).Items...)
			}
			preview, refused := n.Preview(n.admin(), r)
			set, err := n.Publish(n.admin(), p)
			if n.comesTrue(rt, preview, refused, err); err == nil {
				under = append(under, *set.Launch)
			}
			n.changesComeTrue(rt, under)
		}
	})
}

// changesComeTrue previews and makes some changes of the launches.
func (n *node) changesComeTrue(rt *rapid.T, launches []config.Launch) {
	for range rapid.IntRange(0, 3).Draw(rt, "changes") {
		if len(launches) == 0 {
			return
		}
		l := rapid.SampledFrom(launches).Draw(rt, "launch")
		r := center.PreviewChange{LaunchRef: center.LaunchRef{Tenant: "acme", ID: l.ID}}
		var err error
		r.Change = rapid.SampledFrom([]config.LaunchChange{"", "share", config.ChangeAdvance, config.ChangeSwitch, config.ChangePromote, config.ChangeAbort}).Draw(rt, "change")
		did := r.Change
		switch did {
		case "":
			s := strategies().Draw(rt, "strategy")
			r.Strategy = &s
		case "share":
			r.Change, r.Share = "", ptr(config.Share(rapid.IntRange(0, 10001).Draw(rt, "share")))
		}
		preview, refused := n.Preview(n.admin(), center.PreviewRequest{Change: &r})
		switch did {
		case "", "share":
			_, err = n.AdjustLaunch(n.admin(), center.AdjustLaunch{LaunchAct: act(l), Strategy: r.Strategy, Share: r.Share})
		case config.ChangeAdvance:
			_, err = n.AdvanceLaunch(n.admin(), act(l))
		case config.ChangeSwitch:
			_, err = n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(l)})
		case config.ChangePromote:
			_, err = n.PromoteLaunch(n.admin(), act(l))
		case config.ChangeAbort:
			_, err = n.AbortLaunch(n.admin(), act(l))
		}
		n.comesTrue(rt, preview, refused, err)
	}
}

// comesTrue compares a preview with what was done then. Whoever asks for that is an
// instance from then on.
func (n *node) comesTrue(rt *rapid.T, p config.Preview, refused, err error) {
	rt.Helper()
	if refused != nil || err != nil && config.KindOf(err) != config.Invalid {
		same := refused != nil && err != nil && (config.KindOf(refused) == config.KindOf(err) || config.KindOf(refused) == config.NotFound)
		if !same {
			rt.Fatalf("previewed %v, and then %v", refused, err)
		}
		return
	}
	bad := slices.ContainsFunc(p.Problems, func(p config.Problem) bool { return p.Severity == config.SeverityError })
	if bad != (err != nil) {
		rt.Fatalf("previewed %+v, and then %v", p.Problems, err)
	}
	if bad {
		return
	}
	counts := map[config.Path]*config.PreviewCount{}
	for i := range p.Configs {
		counts[p.Configs[i].Path] = &config.PreviewCount{Path: p.Configs[i].Path, Version: p.Configs[i].Version}
	}
	for _, i := range p.Items {
		client := config.Client{ID: i.ID, Address: i.Address, Labels: i.Labels, Slot: i.Slot}
		for _, choice := range i.Choices {
			got := n.versionFor(choice.Path.String(), client)
			if got != choice.Then {
				rt.Fatalf("%s: %s: previewed version %d, and was served %d", choice.Path, i.ID, choice.Then, got)
			}
			if choice.Candidate {
				counts[choice.Path].Candidate++
			}
			counts[choice.Path].Instances++
		}
	}
	for _, want := range slices.Collect(maps.Values(counts)) {
		at := slices.IndexFunc(p.Configs, func(c config.PreviewCount) bool { return c.Path == want.Path })
		got := p.Configs[at]
		if got.Candidate != want.Candidate || got.Instances != want.Instances || got.Instances < 41 || got.Instances != got.Candidate+got.Stable+got.Other+got.Nothing {
			rt.Fatalf("want the counts of the instances, %+v, got %+v", want, got)
		}
	}
}

// strategies draws some that can be started and, now and then, one that cannot.
func strategies() *rapid.Generator[config.Strategy] {
	share := rapid.Custom(func(t *rapid.T) *config.Share {
		return ptr(config.Share(rapid.SampledFrom([]int{1, 1000, 3000, 5000, 10000, 10001}).Draw(t, "share")))
	})
	rule := rapid.Custom(func(t *rapid.T) *config.Rule {
		r := &config.Rule{}
		switch rapid.IntRange(0, 3).Draw(t, "rule") {
		case 0:
			r.Share = share.Draw(t, "share")
		case 1:
			r.Labels = config.Selector{{Key: "region", Operator: config.OpEqual, Values: []string{"eu"}}}
		case 2:
			r.Any = []config.Rule{{Share: share.Draw(t, "share")}, {Instances: config.NewInstanceSet("pod-1", "pod-5")}}
		case 3:
			network, _ := config.ParseNetwork("10.0.0.0/28")
			r.Addresses, r.Share = []config.Network{network}, share.Draw(t, "share")
		}
		return r
	})
	return rapid.Custom(func(t *rapid.T) config.Strategy {
		s := config.Strategy{Kind: rapid.SampledFrom(config.StrategyKinds()).Draw(t, "kind")}
		switch s.Kind {
		case config.StrategyCanary:
			s.Rule, s.Salt = rule.Draw(t, "rule"), rapid.SampledFrom([]string{"", "s1"}).Draw(t, "salt")
		case config.StrategyTargets:
			s.Targets = config.NewInstanceSet(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"pod-1", "pod-2", "pod-3", "ghost"}), 1, 3, rapid.ID).Draw(t, "targets")...)
		case config.StrategyBlueGreen:
			if rapid.Bool().Draw(t, "slots") {
				s.Slots = &config.Slots{Stable: "green", Candidate: "blue", Active: rapid.SampledFrom([]string{"green", "blue", "red"}).Draw(t, "active")}
			}
		case config.StrategyProgressive:
			s.Steps = []config.Step{{Share: 1000}, {Share: *share.Draw(t, "share")}}
			s.Step = rapid.IntRange(0, 1).Draw(t, "step")
			if rapid.Bool().Draw(t, "limited") {
				s.Rule = rule.Draw(t, "rule")
			}
		case config.StrategyAll:
		}
		return s
	})
}

// Who may read some of the configs is told nothing of the others.
func TestPreviewAsksForEveryConfig(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `1`)
	n.publish("acme/shop/prod/app.json", `1`)
	vera := n.user("vera", auth.Grant{Role: auth.RoleViewer, Scope: path(t, "acme/shop/dev")})
	both := []string{app, "acme/shop/prod/app.json"}
	wantKind(t, config.Denied, second(n.Preview(vera, center.PreviewRequest{Paths: paths(t, both...), ReleaseOptions: canary(100)})))
	n.must(second(n.Preview(vera, center.PreviewRequest{Paths: paths(t, app), ReleaseOptions: canary(100)})))
	l := n.launched(canary(100), both[0]+"=2", both[1]+"=2")
	ref := center.LaunchRef{Tenant: "acme", ID: l.ID}
	wantKind(t, config.NotFound, second(n.Preview(vera, center.PreviewRequest{Change: &center.PreviewChange{LaunchRef: ref}})))
	n.must(second(n.Preview(n.admin(), center.PreviewRequest{Change: &center.PreviewChange{LaunchRef: ref}})))
}

func TestPreviewWarnsOfAFreeze(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `1`)
	now := time.Now()
	n.must(second(n.FreezeEnv(n.admin(), path(t, "acme/shop/dev"), config.Freeze{Name: "christmas", From: now.Add(-time.Hour), To: now.Add(time.Hour)}, "")))
	got := n.previewed(center.PreviewRequest{Paths: paths(t, app, limits), ReleaseOptions: canary(100)})
	frozen := slices.DeleteFunc(got.Problems, func(p config.Problem) bool { return p.Path != "acme/shop/dev" })
	if len(frozen) != 1 || frozen[0].Severity != config.SeverityWarning || !strings.Contains(frozen[0].Message, `is frozen until`) {
		t.Errorf("want one warning of the freeze, got %+v", got.Problems)
	}
}

// Of many configs of an env the nodes are asked once, and tell of each instance
// what it watches and what it has read.
func TestPreviewOfManyConfigs(t *testing.T) {
	var items []string
	for i := range 9 {
		items = append(items, fmt.Sprintf("acme/shop/dev/c%d.json", i))
	}
	nodes := &fakeNodes{instances: []config.Instance{
		{ID: "all", Node: "n2", Watches: []string{"acme"}, Connected: true},
		{ID: "one", Node: "n2", Watches: []string{items[3]}, Connected: true},
		{ID: "reader", Node: "n2", Holds: []config.Holding{{Path: path(t, items[7]), Sent: 1}, {Path: path(t, items[5]), Applied: 1}}, Seen: time.Now()},
		{ID: "other", Node: "n2", Watches: []string{app}, Connected: true},
	}}
	n := among(t, nodes)
	n.house()
	got := n.previewed(center.PreviewRequest{Paths: paths(t, append(items, "acme/shop/prod/x.json")...), ReleaseOptions: by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("one", "reader")})})
	told := map[string]int{}
	for _, i := range got.Items {
		told[i.ID] = len(i.Choices)
	}
	if diff := cmp.Diff(map[string]int{"all": 10, "one": 1, "reader": 2}, told); diff != "" {
		t.Errorf("configs of each instance (-want +got):\n%s", diff)
	}
	for at, want := range map[int]int{0: 0, 3: 1, 5: 1, 7: 1, 9: 0} {
		if c := got.Configs[at]; c.Candidate != want || c.Instances != want+1 {
			t.Errorf("%s: want %d of %d instances, got %+v", c.Path, want, want+1, c)
		}
	}
}
