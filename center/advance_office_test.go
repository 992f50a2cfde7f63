package center_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

const prodApp = prodEnv + "/app.json"

// told returns the history of a launch in short: who did what, with the share.
func (n *node) told(l config.Launch) []string {
	n.t.Helper()
	l, err := n.Launch(n.admin(), center.LaunchRef{Tenant: l.Tenant, ID: l.ID})
	n.must(err)
	var told []string
	for _, e := range l.Events {
		text := e.What + " by " + e.By
		if e.Share > 0 {
			text += " " + e.Share.String()
		}
		told = append(told, text)
	}
	return told
}

func (n *node) wantTold(l config.Launch, want ...string) {
	n.t.Helper()
	if diff := cmp.Diff(want, n.told(l)); diff != "" {
		n.t.Fatalf("history of the launch (want, got):\n%s", diff)
	}
}

// state returns a launch as it is now.
func (n *node) state(l config.Launch) config.Launch {
	n.t.Helper()
	l, err := n.Launch(n.admin(), center.LaunchRef{Tenant: l.Tenant, ID: l.ID})
	n.must(err)
	return l
}

// say has instances report a version.
func (n *node) say(version int64, state config.AckState, ids ...string) {
	n.t.Helper()
	for _, id := range ids {
		n.must(n.Report(n.admin(), center.ReportRequest{
			Client:  config.Client{ID: id},
			Reports: []center.InstanceReport{{Path: path(n.t, prodApp), Version: version, State: state, Why: "no port"}},
		}))
	}
}

func under(g config.Gate, o center.ReleaseOptions) center.ReleaseOptions {
	o.Launch.Gate = &g
	return o
}

func TestAProgressiveLaunchGoesItsWay(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		l := n.launched(progressive(1000, 5000, config.FullShare), prodApp+"=2", prodEnv+"/b.json=1")
		after(59 * time.Second)
		n.wantTold(l, "started by admin 10%")
		after(2 * time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 50%")
		after(60 * time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 50%", "advanced by system 100%")
		n.wantServed(prodApp, `1`, 1) // who has no name is in no share
		after(60 * time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 50%", "advanced by system 100%", "promoted by system 100%")
		n.wantServed(prodApp, `2`, 2)
		n.wantServed(prodEnv+"/b.json", `1`, 1)

		page, err := n.Audit(n.admin(), center.AuditRequest{Tenant: "acme", Actor: "system"})
		n.must(err)
		var acts []string
		for _, rec := range page.Items {
			acts = append(acts, rec.Action+" "+rec.Detail["why"])
		}
		slices.Reverse(acts)
		want := []string{"rollout.advance step 1 of 3 is over", "rollout.advance step 2 of 3 is over", "rollout.promote the last step is over"}
		if diff := cmp.Diff(want, acts); diff != "" {
			t.Errorf("audit of the system's acts (want, got):\n%s", diff)
		}
	})
}

func TestALaunchThatEndsBelowAllStays(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		l := n.launched(progressive(1000, 5000), prodApp+"=1")
		after(time.Hour)
		n.wantTold(l, "started by admin 10%", "advanced by system 50%")
	})
}

func TestAPausedLaunchTakesUpItsStep(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		l := n.launched(progressive(1000, config.FullShare), prodApp+"=1")
		after(40 * time.Second)
		_, err := n.PauseLaunch(n.admin(), act(l))
		n.must(err)
		after(time.Hour)
		_, err = n.ResumeLaunch(n.admin(), act(l))
		n.must(err)
		after(19 * time.Second)
		n.wantTold(l, "started by admin 10%", "paused by admin 10%", "resumed by admin 10%")
		after(2 * time.Second)
		n.wantTold(l, "started by admin 10%", "paused by admin 10%", "resumed by admin 10%", "advanced by system 100%")
	})
}

func TestAScheduledLaunchBegins(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		l := n.launched(center.ReleaseOptions{BeginsAt: time.Now().Add(10 * time.Minute)}, prodApp+"=2")
		after(10*time.Minute - time.Second)
		n.wantServed(prodApp, `1`, 1)
		after(2 * time.Second)
		n.wantServed(prodApp, `2`, 2)
		n.wantTold(l, "scheduled by admin", "begun by system", "promoted by system")
	})
}

func TestFreezesHoldLaunchesUp(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		scheduled := n.launched(center.ReleaseOptions{BeginsAt: time.Now().Add(10 * time.Minute)}, prodEnv+"/b.json=1")
		l := n.launched(progressive(1000, config.FullShare), prodApp+"=2")
		elsewhere := n.launched(progressive(1000, config.FullShare), "acme/shop/dev/app.json=1")
		n.freezeFor(time.Hour)
		after(59 * time.Minute)
		n.wantTold(l, "started by admin 10%")
		n.wantTold(scheduled, "scheduled by admin")
		n.wantTold(elsewhere, "started by admin 10%", "advanced by system 100%", "promoted by system 100%")
		after(61 * time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 100%")
		n.wantTold(scheduled, "scheduled by admin", "begun by system", "promoted by system")

		// A thaw that comes early is noticed at once.
		n.freezeFor(time.Hour)
		after(10 * time.Minute)
		_, err := n.UnfreezeEnv(n.admin(), path(t, prodEnv), "year-end", "")
		n.must(err)
		after(time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 100%", "promoted by system 100%")
	})
}

func TestALaunchExpiresHoweverFrozen(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		o := canary(config.FullShare)
		o.Launch.ExpiresAfter = 600
		l := n.launched(o, prodApp+"=2")
		n.freezeFor(time.Hour)
		_, err := n.PauseLaunch(n.admin(), act(l))
		n.must(err)
		after(599 * time.Second)
		n.wantTold(l, "started by admin 100%", "paused by admin 100%")
		after(2 * time.Second)
		n.wantTold(l, "started by admin 100%", "paused by admin 100%", "expired by system 100%")
		n.wantVersions(prodApp, "", map[int64]int{1: 100})
	})
}

func TestAGateWaitsForReports(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		gate := config.Gate{Applied: 5000, AtLeast: 2, Patience: 300}
		l := n.launched(under(gate, progressive(config.FullShare)), prodApp+"=2")
		after(2 * time.Minute)
		n.wantTold(l, "started by admin 100%") // silence is no success
		n.say(2, config.AckApplied, "pod-1")
		after(10 * time.Second)
		n.wantTold(l, "started by admin 100%")
		n.say(2, config.AckApplied, "pod-2")
		after(time.Second)
		n.wantTold(l, "started by admin 100%", "promoted by system 100%")
	})
}

func TestPatienceEnds(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		l := n.launched(under(config.Gate{Applied: 5000, Patience: 300}, progressive(config.FullShare)), prodApp+"=2")
		after(60*time.Second + 299*time.Second)
		n.wantTold(l, "started by admin 100%")
		after(3 * time.Second)
		n.wantTold(l, "started by admin 100%", "fallen-back by system 100%")
		if got := n.state(l); !strings.Contains(got.Events[1].Why, "0 instances have applied it, and at least 1 must") {
			t.Errorf("want the reason said, got %q", got.Events[1].Why)
		}
		n.wantVersions(prodApp, "", map[int64]int{1: 100})
	})
}

func TestRefusalsCallALaunchOff(t *testing.T) {
	tests := []struct {
		name    string
		options func() center.ReleaseOptions
		before  func(*node, config.Launch)
		slot    string
		want    []string
	}{
		{"during its step", func() center.ReleaseOptions { return progressive(config.FullShare) }, nil, "", []string{"started by admin 100%", "fallen-back by system 100%"}},
		{"paused and frozen", func() center.ReleaseOptions { return progressive(config.FullShare) }, func(n *node, l config.Launch) {
			_, err := n.PauseLaunch(n.admin(), act(l))
			n.must(err)
			n.freezeFor(time.Hour)
		}, "", []string{"started by admin 100%", "paused by admin 100%", "fallen-back by system 100%"}},
		{"a canary", func() center.ReleaseOptions { return under(config.Gate{}, canary(config.FullShare)) }, nil, "", []string{"started by admin 100%", "fallen-back by system 100%"}},
		{"targets", func() center.ReleaseOptions {
			return under(config.Gate{}, by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("pod-1")}))
		}, nil, "", []string{"started by admin", "fallen-back by system"}},
		{"blue-green, switched", func() center.ReleaseOptions {
			return under(config.Gate{}, by(config.Strategy{Kind: config.StrategyBlueGreen}))
		}, func(n *node, l config.Launch) {
			_, err := n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(l)})
			n.must(err)
		}, "", []string{"started by admin", "switched by admin", "fallen-back by system"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sealing(t, func(t *testing.T, n *node) {
				n.publish(prodApp, `1`)
				l := n.launched(tt.options(), prodApp+"=2")
				if tt.before != nil {
					tt.before(n, l)
				}
				after(5 * time.Second)
				n.say(2, config.AckRefused, "pod-1")
				after(2 * time.Second)
				n.wantTold(l, tt.want...)
				n.wantVersions(prodApp, "", map[int64]int{1: 100})
				got := n.state(l)
				if why := got.Events[len(got.Events)-1].Why; !strings.Contains(why, `1 of 1 instances refused it, such as "pod-1" of app.json: "no port"`) {
					t.Errorf("want the reason said, got %q", why)
				}
			})
		})
	}
}

func TestASilentNodeBlocksForAMinute(t *testing.T) {
	nodes := &silentNodes{}
	sealing(t, func(t *testing.T, n *node) {
		l := n.launched(progressive(1000, 5000), prodApp+"=1")
		after(50 * time.Second)
		nodes.silent.Store(&[]string{"n2"})
		after(59 * time.Second)
		n.wantTold(l, "started by admin 10%")
		after(3 * time.Second)
		n.wantTold(l, "started by admin 10%", "advanced by system 50%")
	}, func(o *center.Options) { o.Nodes = nodes })
}

// silentNodes are others, some of which do not answer.
type silentNodes struct {
	center.Nodes
	silent atomic.Pointer[[]string]
}

func (s *silentNodes) Receipts(context.Context, config.Path, int64) ([]config.Receipt, []string, error) {
	if names := s.silent.Load(); names != nil {
		return nil, *names, nil
	}
	return nil, nil, nil
}

func TestLaunchesThatEndedLongAgoAreForgotten(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		var ended []config.Launch
		for i := range 250 {
			l := n.launched(canary(1000), fmt.Sprintf("%s/c%d.json=1", prodEnv, i))
			if i%5 == 0 {
				continue
			}
			_, err := n.AbortLaunch(n.admin(), act(l))
			n.must(err)
			ended = append(ended, l)
		}
		after(59 * time.Minute)
		if got := len(n.entries(record.Launches.Prefix())); got != 250 {
			t.Fatalf("within the hour: want all kept, got %d", got)
		}
		after(62 * time.Minute)
		if got := len(n.entries(record.Launches.Prefix())); got != 50 {
			t.Errorf("want the 50 that run left, got %d", got)
		}
		_, err := n.Launch(n.admin(), center.LaunchRef{Tenant: "acme", ID: ended[0].ID})
		wantKind(t, config.NotFound, err)
	}, func(o *center.Options) { o.Limits.RolloutHistory = time.Hour })
}

func TestRolloutHistorySetting(t *testing.T) {
	for age, valid := range map[time.Duration]bool{0: true, time.Hour: true, -time.Hour: false, time.Minute: false} {
		var limits center.Limits
		limits.Defaults()
		limits.RolloutHistory = age
		if err := limits.Validate(); (err == nil) != valid {
			t.Errorf("%s: want valid %v, got %v", age, valid, err)
		}
	}
}

// Many launches are driven as one is.
func TestManyLaunches(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		const many = 300
		var all []config.Launch
		for i := range many {
			all = append(all, n.launched(progressive(1000, config.FullShare), fmt.Sprintf("%s/c%d.json=1", prodEnv, i)))
		}
		after(5 * time.Minute)
		for _, l := range all {
			n.wantTold(l, "started by admin 10%", "advanced by system 100%", "promoted by system 100%")
		}
	})
}

// rough is a store through which acts of the launches' office go wrong in every
// way that they can, in turn, as often as it is told to.
type rough struct {
	store.Store
	inner *memory.Store
	left  int
	mu    sync.Mutex
	acts  int
	seen  map[int]int // how often each went wrong
	hook  func()      // instead, if set: called once between decision and commit
}

const officeOfLaunches = "l/launches"

func (r *rough) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	i := slices.IndexFunc(txn.Conds, func(c store.Cond) bool { return c.Key == officeOfLaunches })
	if i < 0 || len(txn.Writes) == 1 { // resigning
		return r.Store.Commit(ctx, txn)
	}
	r.mu.Lock()
	if hook := r.hook; hook != nil {
		r.hook = nil
		r.mu.Unlock()
		hook()
		return r.Store.Commit(ctx, txn)
	}
	defer r.mu.Unlock()
	if r.left == 0 {
		return r.Store.Commit(ctx, txn)
	}
	r.left--
	r.acts++
	way := r.acts % 5
	r.seen[way]++
	lost := config.Errorf(config.Unavailable, "commit", "", "the answer was lost")
	switch way {
	case 0: // the office changes hands before the commit
		r.unseat(ctx, txn.Conds[i])
	case 1: // and after it
		defer r.unseat(ctx, txn.Conds[i])
	case 2: // the answer is lost
		if _, err := r.Store.Commit(ctx, txn); err != nil {
			return 0, err
		}
		return 0, lost
	case 3: // or the question
		return 0, lost
	case 4: // the answer is lost, and the office with it
		if _, err := r.Store.Commit(ctx, txn); err != nil {
			return 0, err
		}
		r.unseat(ctx, txn.Conds[i])
		return 0, lost
	}
	return r.Store.Commit(ctx, txn)
}

// unseat ends the term without telling who holds the office.
func (r *rough) unseat(ctx context.Context, fence store.Cond) {
	_, _ = r.inner.Commit(ctx, store.Txn{Conds: []store.Cond{fence}, Writes: []store.Write{{Key: fence.Key, Delete: true}}})
}

// TestEachStepIsTakenOnce has two nodes at it, whose acts go wrong in every way.
func TestEachStepIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		r := &rough{Store: s, inner: s, left: 40, seen: map[int]int{}}
		var nodes []*node
		for i := range 2 {
			nodes = append(nodes, joinWith(t, r, func(o *center.Options) { o.Elector, o.Node = s, "n"+strconv.Itoa(i) }))
		}
		n := nodes[0]
		n.house()
		var shares []config.Share
		for i := range 20 {
			shares = append(shares, config.Share(500*(i+1)))
		}
		var all []config.Launch
		want := map[string][]string{}
		for i := range 4 {
			l := n.launched(progressive(shares...), fmt.Sprintf("%s/c%d.json=1", prodEnv, i))
			all = append(all, l)
			want[l.ID] = append(want[l.ID], "started by admin 5%")
			for _, share := range shares[1:] {
				want[l.ID] = append(want[l.ID], "advanced by system "+share.String())
			}
			want[l.ID] = append(want[l.ID], "promoted by system 100%")
		}
		after(2 * time.Hour)
		for _, l := range all {
			n.wantTold(l, want[l.ID]...)
			events := n.state(l).Events
			for i := 1; i < len(events); i++ {
				if held := events[i].At.Sub(events[i-1].At); held < time.Minute {
					t.Errorf("step %d lasted %s, and was to last a minute", i, held)
				}
			}
		}
		if len(r.seen) != 5 {
			t.Errorf("want acts to have gone wrong in all ways, got %v", r.seen)
		}
		acts := 0
		for _, e := range n.entries("a/acme/") {
			rec, err := record.Decode[audit.Record](e.Value)
			n.must(err)
			if rec.Actor.Subject == "system" {
				acts++
			}
		}
		if acts != 4*20 {
			t.Errorf("want %d acts on record, got %d", 4*20, acts)
		}
	})
}

// roughly has the office's acts go through a rough store.
func roughly(r *rough) func(*center.Options) {
	return func(o *center.Options) {
		inner, _ := o.Store.(*memory.Store)
		r.Store, r.inner, r.seen = inner, inner, map[int]int{}
		o.Store = r
	}
}

func (r *rough) between(hook func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
}

// What was decided is not done if an env was frozen before it was.
func TestAFreezeBetweenDecisionAndCommit(t *testing.T) {
	r := &rough{}
	sealing(t, func(t *testing.T, n *node) {
		n.publish(prodApp, `1`)
		l := n.launched(progressive(1000, config.FullShare), prodApp+"=2")
		frozen := false
		r.between(func() { n.freezeFor(time.Hour); frozen = true })
		after(10 * time.Minute)
		if !frozen {
			t.Fatal("the office did not act")
		}
		n.wantTold(l, "started by admin 10%")
		after(time.Hour)
		n.wantTold(l, "started by admin 10%", "advanced by system 100%", "promoted by system 100%")
	}, roughly(r))
}

// What was decided is not done if somebody has done something else before.
func TestAnActBetweenDecisionAndCommit(t *testing.T) {
	tests := []struct {
		name string
		act  func(*node, config.Launch) error
		want []string // a minute after
	}{
		{"abort", func(n *node, l config.Launch) error {
			_, err := n.AbortLaunch(n.admin(), act(l))
			return err
		}, []string{"started by admin 10%", "aborted by admin 10%"}},
		{"advance", func(n *node, l config.Launch) error {
			_, err := n.AdvanceLaunch(n.admin(), act(l))
			return err
		}, []string{"started by admin 10%", "advanced by admin 50%"}},
		{"pause", func(n *node, l config.Launch) error {
			_, err := n.PauseLaunch(n.admin(), act(l))
			return err
		}, []string{"started by admin 10%", "paused by admin 10%"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &rough{}
			sealing(t, func(t *testing.T, n *node) {
				l := n.launched(progressive(1000, 5000, config.FullShare), prodApp+"=1")
				r.between(func() {
					other := join(t, r.inner) // that takes turns with nobody here
					n.must(tt.act(other, l))
				})
				after(110 * time.Second)
				n.wantTold(l, tt.want...)
			}, roughly(r))
		})
	}
}

func TestAFailedActIsTriedAgain(t *testing.T) {
	r := &rough{acts: 2, left: 1} // the next question is lost
	sealing(t, func(t *testing.T, n *node) {
		l := n.launched(center.ReleaseOptions{BeginsAt: time.Now().Add(time.Minute)}, prodApp+"=1")
		after(70 * time.Second)
		n.wantTold(l, "scheduled by admin", "begun by system", "promoted by system")
		if r.left != 0 {
			t.Error("want an act to have failed")
		}
	}, roughly(r))
}
