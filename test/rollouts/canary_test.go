package rollouts

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestCanaryReachesTheRightInstances takes 200 simulated instances and two real
// programs through canaries: a tenth of them, half, all, and back, then again and
// for good. What each of them has after a step is what was announced before it,
// and nothing is restarted.
func TestCanaryReachesTheRightInstances(t *testing.T) {
	p := newParade(t)
	tenth, half, all := config.Share(1000), config.Share(5000), config.FullShare
	first := p.content()
	p.step("10 %", p.ofNew(canary(tenth)), func() { p.launch = p.house.launch(client.NewRollout{Strategy: canary(tenth)}, first) })
	p.wantReal(2, 1)
	for _, s := range []struct {
		name  string
		share config.Share
	}{{"50 %", half}, {"100 %", all}} {
		p.step(s.name, p.ofAdjusted(s.share), func() { p.adjust(s.share) })
		p.wantReal(2, 2)
	}
	p.wantEverybody(2)
	p.step("abort", p.ofChange(config.ChangeAbort), func() { p.act(p.admin.AbortLaunch) })
	p.wantEverybody(1)

	second := p.content()
	p.step("10 % again", p.ofNew(canary(tenth)), func() { p.launch = p.house.launch(client.NewRollout{Strategy: canary(tenth)}, second) })
	p.wantReal(3, 1)
	p.step("promote", p.ofChange(config.ChangePromote), func() { p.act(p.admin.PromoteLaunch) })
	p.wantEverybody(3)
	p.until("the server to know what the two run with", func() bool {
		there, err := p.admin.FindInstances(t.Context(), p.config, client.InstanceFilter{Version: 3, State: string(config.AckApplied)})
		p.must(err)
		var ids []string
		for _, i := range there.Instances {
			ids = append(ids, i.ID)
		}
		return slices.Equal(ids, []string{p.appID, p.nginxID})
	})
}

// parade is everybody who is shown a release.
type parade struct {
	*house
	fleet  *fleet
	app    *web
	nginx  *kept
	config config.Path // that is launched
	mark   config.Path // that everybody has, so that one can tell who is how far

	appID, nginxID   string
	appPID, nginxPID int
	latest           int64            // version of config
	held             map[string]int64 // what each has
	launch           config.Launch    // that is under way
}

func newParade(t testing.TB) *parade {
	h := newHouse(t, shop)
	p := &parade{house: h, config: h.path(shop + "/limits.json"), mark: h.path(shop + "/mark.json"), latest: 1}
	h.publish(p.config.String()+`={"n": 1}`, p.mark.String()+`={}`)
	p.appID = h.idIn("app", p.config.String(), 0, 1000)
	p.nginxID = h.idIn("nginx", p.config.String(), 1000, 5000)
	p.app = newApp(h, "app", "APP_ID="+p.appID)
	p.app.start()
	p.nginx = startNginx(h, p.nginxID)
	p.appPID, p.nginxPID = p.app.process.PID(), p.nginx.process.PID()
	p.fleet = newFleet(h, named("pod", 200), nil, shop)
	p.settle("at first")
	p.wantEverybody(1)
	return p
}

// content is the next release, "path=content": its number is its version.
func (p *parade) content() string {
	p.latest++
	return p.config.String() + `={"n": ` + strconv.FormatInt(p.latest, 10) + `}`
}

// step does what was previewed, and compares what everybody has with it.
func (p *parade) step(name string, announced config.Preview, do func()) {
	p.Helper()
	now, then := map[string]int64{}, map[string]int64{}
	for _, i := range announced.Items {
		for _, c := range i.Choices {
			if c.Path == p.config {
				now[i.ID], then[i.ID] = c.Now, c.Then
			}
		}
	}
	if diff := cmp.Diff(now, p.held); diff != "" {
		p.Errorf("%s: the preview is wrong about what is served already: -preview +is\n%s", name, diff)
	}
	do()
	p.settle(name)
	if diff := cmp.Diff(then, p.held); diff != "" {
		p.Errorf("%s: -announced +got\n%s", name, diff)
	}
}

// settle waits until everybody has all that was committed so far, notes who has
// which version, and wants both programs to be those of before.
func (p *parade) settle(name string) {
	p.Helper()
	mark := p.publish(p.mark.String() + `={"after": "` + name + `"}`).Items[0].Version
	p.fleet.reach(p.mark, mark)
	p.held = p.fleet.versions(p.config)
	for _, real := range []struct {
		*web
		id  string
		pid int
	}{{p.app, p.appID, p.appPID}, {p.nginx.web, p.nginxID, p.nginxPID}} {
		got := real.until(name, func(a answered) bool { return a.Mark >= mark })
		p.held[real.id] = got.Version
		if got.N != got.Version {
			p.Errorf("%s: %s has version %d and the value of another: %+v", name, real.name, got.Version, got)
		}
		if got.PID != 0 && got.PID != real.pid || !real.process.Running() {
			p.Errorf("%s: %s was restarted: %+v", name, real.name, got)
		}
	}
	if !p.nginx.agent.Running() {
		p.Errorf("%s: the agent has ended", name)
	}
}

func (p *parade) wantReal(app, nginx int64) {
	p.Helper()
	if got := [2]int64{p.held[p.appID], p.held[p.nginxID]}; got != [2]int64{app, nginx} {
		p.Errorf("the application and nginx: want versions %d and %d, got %v", app, nginx, got)
	}
}

func (p *parade) wantEverybody(version int64) {
	p.Helper()
	p.wantAll(p.held, version)
	if len(p.held) != len(p.fleet.all)+2 {
		p.Errorf("want %d instances, got %d", len(p.fleet.all)+2, len(p.held))
	}
}

// ofNew previews a launch that is about to start.
func (p *parade) ofNew(s config.Strategy) config.Preview {
	p.Helper()
	return p.preview(client.PreviewLaunch{Items: []config.Path{p.config}, Strategy: &s})
}

// ofAdjusted previews another share for the launch that is under way.
func (p *parade) ofAdjusted(share config.Share) config.Preview {
	p.Helper()
	return p.preview(client.PreviewLaunch{Tenant: "acme", Launch: p.launch.ID, Share: &share})
}

// ofChange previews an act on the launch that is under way.
func (p *parade) ofChange(c config.LaunchChange) config.Preview {
	p.Helper()
	return p.preview(client.PreviewLaunch{Tenant: "acme", Launch: p.launch.ID, Change: c})
}

func (p *parade) preview(r client.PreviewLaunch) config.Preview {
	p.Helper()
	got, err := p.admin.Preview(p.Context(), r)
	p.must(err)
	if len(got.Problems) > 0 || len(got.Silent) > 0 {
		p.Errorf("the preview has problems: %+v, silent: %v", got.Problems, got.Silent)
	}
	return got
}

func (p *parade) adjust(share config.Share) {
	p.Helper()
	_, err := p.admin.AdjustLaunch(p.Context(), client.AdjustLaunch{LaunchAct: p.itself(), Share: &share})
	p.must(err)
}

func (p *parade) act(do func(context.Context, client.LaunchAct) (config.Launch, error)) {
	p.Helper()
	_, err := do(p.Context(), p.itself())
	p.must(err)
}

func (p *parade) itself() client.LaunchAct {
	return client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: "acme", ID: p.launch.ID}}
}
