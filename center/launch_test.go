package center_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const limits = "acme/shop/dev/limits.json"

// launched publishes items, "path=content", with a launch.
func (n *node) launched(o center.ReleaseOptions, items ...string) config.Launch {
	n.t.Helper()
	set, err := n.Publish(n.admin(), launching(o, items...))
	n.must(err)
	if set.Launch == nil || set.Launch.Revision == "" {
		n.t.Fatalf("want a launch with a revision, got %+v", set.Launch)
	}
	return *set.Launch
}

func launching(o center.ReleaseOptions, items ...string) center.Publish {
	p := center.Publish{Tenant: "acme", ReleaseOptions: o}
	for _, item := range items {
		at, content, _ := strings.Cut(item, "=")
		p.Items = append(p.Items, one(at, content).Items...)
	}
	return p
}

func canary(share config.Share) center.ReleaseOptions {
	return by(config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Share: &share}})
}

func progressive(shares ...config.Share) center.ReleaseOptions {
	s := config.Strategy{Kind: config.StrategyProgressive}
	for _, share := range shares {
		s.Steps = append(s.Steps, config.Step{Share: share, Hold: 60})
	}
	return by(s)
}

func by(s config.Strategy) center.ReleaseOptions {
	return center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: s}}
}

func act(l config.Launch) center.LaunchAct {
	return center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: l.Tenant, ID: l.ID}}
}

// clients are the ids of a hundred instances.
func clients() []string {
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("pod-%d", i)
	}
	return ids
}

// versions tells which version each of the clients is served, "slot=version" for
// those that ask for a slot; 0 for nothing.
func (n *node) versions(p string, slot string) map[int64]int {
	n.t.Helper()
	counts := map[int64]int{}
	for _, id := range clients() {
		counts[n.versionFor(p, config.Client{ID: id, Slot: slot})]++
	}
	return counts
}

func (n *node) versionFor(p string, client config.Client) int64 {
	n.t.Helper()
	got, err := n.Get(n.admin(), center.Read{Path: path(n.t, p), Client: client})
	if err != nil && config.KindOf(err) == config.NotFound {
		return 0
	}
	n.must(err)
	return got.Release.Version
}

func (n *node) wantVersions(p, slot string, want map[int64]int) {
	n.t.Helper()
	if diff := cmp.Diff(want, n.versions(p, slot)); diff != "" {
		n.t.Errorf("%s: who is served which version: -want +got\n%s", p, diff)
	}
}

func TestCanaryFromItsStartToEverybody(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(canary(1000), app+`="a2"`)
	claimed := n.versions(app, "")[2]
	if claimed < 2 || claimed > 25 {
		t.Errorf("10 %% of 100 instances: got %d", claimed)
	}
	n.wantServed(app, `"a1"`, 1) // who has no name is in no share
	l, err := n.AdjustLaunch(n.admin(), center.AdjustLaunch{LaunchAct: act(l), Share: ptr(config.FullShare)})
	n.must(err)
	n.wantVersions(app, "", map[int64]int{2: 100})
	n.wantServed(app, `"a1"`, 1)
	l, err = n.PromoteLaunch(n.admin(), act(l))
	n.must(err)
	n.wantServed(app, `"a2"`, 2)
	if l.State != config.LaunchPromoted || l.EndedBy != center.AdminUser {
		t.Errorf("want it promoted by the admin, got %+v", l)
	}
	var history []string
	for _, e := range l.Events {
		history = append(history, e.What+" "+e.Share.String())
	}
	if diff := cmp.Diff([]string{"started 10%", "adjusted 100%", "promoted 100%"}, history); diff != "" {
		t.Error(diff)
	}
}

func TestAbortBringsTheStableReleaseBack(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(canary(config.FullShare), app+`="a2"`)
	n.wantVersions(app, "", map[int64]int{2: 100})
	_, err := n.AbortLaunch(n.admin(), act(l))
	n.must(err)
	n.wantVersions(app, "", map[int64]int{1: 100})
	if v := n.publish(app, `"a3"`); v != 3 {
		t.Errorf("versions only go up: want 3, got %d", v)
	}
	_, err = n.PromoteLaunch(n.admin(), act(l))
	if e := wantKind(t, config.Conflict, err); !strings.Contains(e.Error(), "has ended: aborted") {
		t.Errorf("an act on a launch that has ended says: %v", e)
	}
}

func TestConfigsOfOneLaunchMoveTogether(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	n.publish(limits, `"l1"`)
	n.publish(limits, `"l2"`)
	l := n.launched(canary(5000), app+`="a2"`, limits+`="l3"`)
	for _, id := range clients() {
		c := config.Client{ID: id}
		if a, b := n.versionFor(app, c), n.versionFor(limits, c); b != a+1 {
			t.Fatalf("instance %s has version %d of one config and %d of the other", id, a, b)
		}
	}
	_, err := n.PromoteLaunch(n.admin(), act(l))
	n.must(err)
	n.wantServed(app, `"a2"`, 2)
	n.wantServed(limits, `"l3"`, 3)
}

func TestBlueGreenSwitchesAndSwitchesBack(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(by(config.Strategy{Kind: config.StrategyBlueGreen}), app+`="a2"`)
	n.wantVersions(app, "", map[int64]int{1: 100})
	n.wantVersions(app, "green", map[int64]int{2: 100})
	n.wantVersions(app, "blue", map[int64]int{1: 100})
	for range 3 {
		_, err := n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(l)})
		n.must(err)
		n.wantVersions(app, "", map[int64]int{2: 100})
		n.wantVersions(app, "blue", map[int64]int{1: 100})
		_, err = n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(l), To: "blue"})
		n.must(err)
		n.wantVersions(app, "", map[int64]int{1: 100})
	}
	_, err := n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(l), To: "red"})
	if e := wantKind(t, config.Invalid, err); !strings.Contains(e.Error(), `there are "blue" and "green"`) {
		t.Errorf("an unknown slot is refused with: %v", e)
	}
	_, err = n.PromoteLaunch(n.admin(), act(l))
	n.must(err)
	n.wantServed(app, `"a2"`, 2)
	// What is stable now is in the green slot, so the next candidate goes to blue.
	l = n.launched(by(config.Strategy{Kind: config.StrategyBlueGreen}), app+`="a3"`)
	if want := (config.Slots{Stable: "green", Candidate: "blue", Active: "green"}); *l.Strategy.Slots != want {
		t.Errorf("the next slots: want %+v, got %+v", want, *l.Strategy.Slots)
	}
}

func TestConfigsOfALaunchThatBecomesACanaryMoveTogether(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `{}`)
	n.publish(limits, `{}`)
	l := n.launched(by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("pod-1")}), app+`={"v":2}`, limits+`={"v":2}`)
	share := config.Share(3000)
	_, err := n.AdjustLaunch(n.admin(), center.AdjustLaunch{
		LaunchAct: act(l), Strategy: &config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Share: &share}},
	})
	n.must(err)
	for _, id := range clients() {
		client := config.Client{ID: id}
		if a, b := n.versionFor(app, client), n.versionFor(limits, client); a != b {
			t.Errorf("%s: want one side of both configs, got releases %d and %d", id, a, b)
		}
	}
}

func TestProgressiveAdvancesPausesAndEnds(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(progressive(1000, 5000, config.FullShare), app+`="a2"`)
	if l.Gate == nil {
		t.Error("a progressive launch has a gate, so that the first refusal calls it off")
	}
	last := n.versions(app, "")[2]
	_, err := n.PauseLaunch(n.admin(), act(l))
	n.must(err)
	_, err = n.AdvanceLaunch(n.admin(), act(l))
	wantKind(t, config.Conflict, err)
	_, err = n.ResumeLaunch(n.admin(), act(l))
	n.must(err)
	for step := 1; step < 3; step++ {
		l, err = n.AdvanceLaunch(n.admin(), act(l))
		n.must(err)
		if now := n.versions(app, "")[2]; now <= last {
			t.Errorf("step %d: want more than %d instances, got %d", step, last, now)
		} else {
			last = now
		}
	}
	l, err = n.AdvanceLaunch(n.admin(), act(l))
	n.must(err)
	if l.State != config.LaunchPromoted {
		t.Errorf("after the last step: want it promoted, got %s", l.State)
	}
	n.wantServed(app, `"a2"`, 2)
}

func TestReleaseOverALaunchSaysWhatIsMeant(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	n.publish(limits, `"l1"`)
	first := n.launched(canary(config.FullShare), app+`="a2"`, limits+`="l2"`)
	_, err := n.Publish(n.admin(), one(app, `"a3"`))
	if e := wantKind(t, config.Conflict, err); !strings.Contains(e.Error(), first.ID) || !strings.Contains(e.Error(), "supersede") {
		t.Errorf("the refusal says: %v", e)
	}
	_, err = n.Publish(n.admin(), launching(canary(100), app+`="a3"`))
	wantKind(t, config.Conflict, err)
	o := canary(config.FullShare)
	o.OnRunning = center.BeforeRunning
	n.launched(o, app+`="a3"`)
	n.wantVersions(app, "", map[int64]int{3: 100})
	n.must(second(n.Publish(n.admin(), launching(center.ReleaseOptions{OnRunning: center.AfterRunning}, app+`="a4"`))))
	n.wantVersions(app, "", map[int64]int{3: 100})
	n.wantServed(app, `"a4"`, 4)
	set, err := n.Publish(n.admin(), launching(center.ReleaseOptions{OnRunning: center.SupersedeRunning}, app+`="a5"`))
	n.must(err)
	if len(set.Ended) != 2 {
		t.Errorf("want both launches ended, got %v", set.Ended)
	}
	n.wantVersions(app, "", map[int64]int{5: 100})
	n.wantVersions(limits, "", map[int64]int{1: 100}) // it moved together with app
	ended, err := n.Launch(n.admin(), center.LaunchRef{Tenant: "acme", ID: first.ID})
	n.must(err)
	if ended.State != config.LaunchSuperseded {
		t.Errorf("want the first launch superseded, got %s", ended.State)
	}
}

func TestRollbackDuringALaunch(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	n.publish(app, `"a2"`)
	n.launched(canary(config.FullShare), app+`="a3"`)
	set, err := n.Rollback(n.admin(), center.Rollback{Path: path(t, app)})
	n.must(err)
	if len(set.Ended) != 1 || !set.Items[0].Unchanged {
		t.Errorf("want the launch ended and no release made, got %+v", set)
	}
	n.wantVersions(app, "", map[int64]int{2: 100})
	// A second one goes back from what is stable to what was before.
	n.must(second(n.Rollback(n.admin(), center.Rollback{Path: path(t, app)})))
	n.wantServed(app, `"a1"`, 4)
	// A third one would only undo the second: it must be told where to.
	_, err = n.Rollback(n.admin(), center.Rollback{Path: path(t, app)})
	wantKind(t, config.Conflict, err)
	n.launched(canary(config.FullShare), app+`="a5"`)
	n.must(second(n.Rollback(n.admin(), center.Rollback{Path: path(t, app), Version: 2})))
	n.wantVersions(app, "", map[int64]int{6: 100})
	n.wantServed(app, `"a2"`, 6)
}

func TestDeletingAConfigAbortsItsLaunches(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	n.publish(limits, `"l1"`)
	for _, purge := range []bool{false, true} {
		l := n.launched(canary(config.FullShare), app+`="a"`, limits+`="l"`)
		n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app), Purge: purge}))
		if got, err := n.Launch(n.admin(), center.LaunchRef{Tenant: "acme", ID: l.ID}); err != nil || got.State != config.LaunchAborted {
			t.Errorf("purge %v: want it aborted, got %s, %v", purge, got.State, err)
		}
		n.wantVersions(limits, "", map[int64]int{1: 100})
		n.wantVersions(app, "", map[int64]int{0: 100})
		_, err := n.Publish(n.admin(), launching(canary(1), app+`="again"`))
		if !purge {
			wantKind(t, config.Conflict, err)
			n.must(second(n.UndeleteConfig(n.admin(), path(t, app), "")))
		}
	}
}

func TestWhatALaunchIsRefused(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	share := func(s config.Share) *config.Share { return &s }
	for name, tc := range map[string]struct {
		options center.ReleaseOptions
		want    string
	}{
		"a share above the whole":         {canary(10_001), "rule.share"},
		"a canary without a rule":         {by(config.Strategy{Kind: config.StrategyCanary}), "claims nobody"},
		"no kind":                         {by(config.Strategy{}), "is no strategy"},
		"all at once":                     {by(config.Strategy{Kind: config.StrategyAll}), "schedule it"},
		"targets without instances":       {by(config.Strategy{Kind: config.StrategyTargets}), "names no instance"},
		"steps that go down":              {progressive(500, 400), "not more than the step before"},
		"no steps":                        {progressive(), "at least one step"},
		"a slot that is not there":        {by(config.Strategy{Kind: config.StrategyBlueGreen, Slots: &config.Slots{Stable: "blue", Candidate: "green", Active: "red"}}), `no slot "red"`},
		"both releases in one slot":       {by(config.Strategy{Kind: config.StrategyBlueGreen, Slots: &config.Slots{Stable: "blue", Candidate: "blue", Active: "blue"}}), "cannot be in slot"},
		"a field of another kind":         {by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("x"), Rule: &config.Rule{Share: share(1)}}), "only canary and progressive"},
		"a word that is none":             {center.ReleaseOptions{OnRunning: "perhaps"}, "on_running"},
		"everybody before a launch":       {center.ReleaseOptions{OnRunning: center.BeforeRunning}, "cannot come before"},
		"a time that has passed":          {center.ReleaseOptions{BeginsAt: n.at(-1)}, "after now"},
		"a time years ahead":              {center.ReleaseOptions{BeginsAt: n.at(24 * 400)}, "366 days"},
		"an expiry years ahead":           {center.ReleaseOptions{Launch: &center.LaunchOptions{Strategy: canary(1).Launch.Strategy, ExpiresAfter: 1e9}}, "expires_after"},
		"a gate that waits for no steps":  {gated(canary(1), config.Gate{Applied: 100}), "only a progressive launch"},
		"a gate beyond the whole":         {gated(progressive(1), config.Gate{Applied: 10_001}), "gate.applied_share"},
		"a gate of less than nothing":     {gated(progressive(1), config.Gate{Refused: -1}), "gate.refused"},
		"a gate with patience for nobody": {gated(progressive(1), config.Gate{Patience: 1}), "patience"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Publish(n.admin(), launching(tc.options, app+`="a2"`))
			if e := wantKind(t, config.Invalid, err); !strings.Contains(e.Error(), tc.want) {
				t.Errorf("want a text with %q, got %v", tc.want, e)
			}
		})
	}
	if state, err := n.Config(n.admin(), path(t, app)); err != nil || state.Rollout.Latest != 1 {
		t.Errorf("something was released: %+v, %v", state.Rollout, err)
	}
}

func gated(o center.ReleaseOptions, g config.Gate) center.ReleaseOptions {
	o.Launch.Gate = &g
	return o
}

func TestWarningsOfALaunch(t *testing.T) {
	n := start(t)
	n.house()
	l := n.launched(canary(1000), app+`="a1"`)
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0].Message, "no stable release") {
		t.Errorf("of a launch without a stable release: got %v", l.Warnings)
	}
	o := canary(500)
	o.OnRunning = center.AfterRunning
	l = n.launched(o, app+`="a2"`)
	if !strings.Contains(fmt.Sprint(l.Warnings), "claims nobody") {
		t.Errorf("of a share that an earlier candidate has taken: got %v", l.Warnings)
	}
	if shown, err := n.Launch(n.admin(), center.LaunchRef{Tenant: "acme", ID: l.ID}); err != nil || len(shown.Warnings) != len(l.Warnings) {
		t.Errorf("want the same warnings when it is looked at, got %v, %v", shown.Warnings, err)
	}
}

func TestALaunchIsBothItsConfigsReadersAffair(t *testing.T) {
	n := start(t)
	n.house()
	other := "acme/shop/test/app.json"
	l := n.launched(canary(1000), app+`="a1"`, other+`="o1"`)
	half := n.user("half", auth.Grant{Role: auth.RoleAdmin, Scope: path(t, "acme/shop/dev")})
	reads := n.user("reads", auth.Grant{Role: auth.RoleViewer, Scope: path(t, "acme")})
	_, err := n.Launch(half, center.LaunchRef{Tenant: "acme", ID: l.ID})
	wantKind(t, config.NotFound, err)
	_, err = n.AbortLaunch(half, act(l))
	wantKind(t, config.NotFound, err)
	_, err = n.Launch(reads, center.LaunchRef{Tenant: "acme", ID: l.ID})
	n.must(err)
	_, err = n.AbortLaunch(reads, act(l))
	wantKind(t, config.Denied, err)
	page, err := n.Launches(half, center.LaunchesRequest{Tenant: "acme"})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("want none listed, got %v, %v", page.Items, err)
	}
	page, err = n.Launches(reads, center.LaunchesRequest{Tenant: "acme", All: true})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("want one listed, got %v, %v", page.Items, err)
	}
	if state, err := n.Launch(n.admin(), center.LaunchRef{Path: path(t, other)}); err != nil || state.ID != l.ID {
		t.Errorf("by one of its configs: want %s, got %s, %v", l.ID, state.ID, err)
	}
}

func TestActsAreConditionalAndAudited(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(canary(1000), app+`="a2"`)
	stale := act(l)
	stale.Expected = l.Revision
	l, err := n.PauseLaunch(n.admin(), stale)
	n.must(err)
	_, err = n.ResumeLaunch(n.admin(), stale)
	wantKind(t, config.Conflict, err)
	again, err := n.PauseLaunch(n.admin(), act(l))
	n.must(err)
	if len(again.Events) != len(l.Events) {
		t.Error("pausing what is paused wrote something")
	}
	records, err := n.Audit(n.admin(), center.AuditRequest{Tenant: "acme", Path: path(t, app)})
	n.must(err)
	var actions []string
	for _, r := range records.Items {
		actions = append(actions, r.Action)
		if r.Action != "config.publish" && r.Detail["launch"] != l.ID {
			t.Errorf("%s: want the launch named, got %v", r.Action, r.Detail)
		}
	}
	if diff := cmp.Diff([]string{"rollout.pause", "config.publish", "config.publish"}, actions); diff != "" {
		t.Error(diff)
	}
}

// TestReleasesOfALaunchAreKept publishes past what is kept while a candidate is
// old, and sees the candidate's release dropped once nobody is served it.
func TestReleasesOfALaunchAreKept(t *testing.T) {
	n := start(t, func(l *center.Limits) { l.KeepReleases = 2 })
	n.house()
	n.publish(app, `"a1"`)
	l := n.launched(canary(config.FullShare), app+`="a2"`)
	for range 5 {
		n.must(second(n.Publish(n.admin(), launching(center.ReleaseOptions{OnRunning: center.AfterRunning}, app+`="more"`))))
	}
	if _, content, err := n.Release(n.admin(), path(t, app), 2); err != nil || string(content) != `"a2"` {
		t.Errorf("the candidate's release: got %q, %v", content, err)
	}
	_, err := n.AbortLaunch(n.admin(), act(l))
	n.must(err)
	_, _, err = n.Release(n.admin(), path(t, app), 2)
	wantKind(t, config.NotFound, err)
}

func TestTheSameContentAgainCanStillSupersede(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	n.launched(canary(config.FullShare), app+`="a2"`)
	p := launching(center.ReleaseOptions{}, app+`="a1"`)
	p.Items[0].SkipUnchanged = true
	n.must(second(n.Publish(n.admin(), p)))
	n.wantVersions(app, "", map[int64]int{2: 100})
	p.OnRunning = center.SupersedeRunning
	set, err := n.Publish(n.admin(), p)
	n.must(err)
	if !set.Items[0].Unchanged || len(set.Ended) != 1 {
		t.Errorf("want no release and the launch ended, got %+v", set)
	}
	n.wantVersions(app, "", map[int64]int{1: 100})
}

// TestOnlyWhatChangesIsLaunched imports more files than a launch takes, of which
// few differ.
func TestOnlyWhatChangesIsLaunched(t *testing.T) {
	n := start(t)
	n.house()
	var files []center.ImportFile
	for i := range config.MaxLaunchItems + 1 {
		files = append(files, center.ImportFile{File: fmt.Sprintf("c%d.json", i), Content: []byte("1")})
	}
	all := center.Import{Env: path(t, "acme/shop/dev"), Files: files}
	n.must(second(n.Import(n.admin(), all)))
	all.ReleaseOptions = canary(1000)
	files[3].Content = []byte("2")
	result, err := n.Import(n.admin(), all)
	n.must(err)
	if l := result.ChangeSet.Launch; l == nil || len(l.Items) != 1 {
		t.Errorf("want a launch of one config, got %+v", l)
	}
	for i := range files {
		files[i].Content = []byte("3")
	}
	all.OnRunning = center.SupersedeRunning
	_, err = n.Import(n.admin(), all)
	if e := wantKind(t, config.Invalid, err); !strings.Contains(e.Error(), "at most 100 go together") {
		t.Errorf("too many configs are refused with: %v", e)
	}
}

func TestADryRunOfAPromotionRefusesWhatItWould(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	p := center.Promote{From: path(t, "acme/shop/dev"), To: path(t, "acme/shop/test"), DryRun: true, ReleaseOptions: canary(10_001)}
	_, err := n.Promote(n.admin(), p)
	wantKind(t, config.Invalid, err)
	p.ReleaseOptions = canary(1000)
	n.must(second(n.Promote(n.admin(), p)))
	n.wantVersions("acme/shop/test/app.json", "", map[int64]int{0: 100})
}
