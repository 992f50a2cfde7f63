package rollouts

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// quiet is an env whose instances report nothing.
const quiet = "acme/shop/quiet"

// TestProgressiveFallsBackByItself has a release that instances refuse go away by
// itself, one that they apply go all the way by itself, and one that nobody says
// anything of stay where it is.
func TestProgressiveFallsBackByItself(t *testing.T) {
	h := newHouse(t, shop, quiet)
	h.publish(shop+`/limits.json={"n": 1}`, shop+`/mark.json={}`, quiet+`/limits.json={"n": 1}`)
	talk := newTalkers(h, shop, named("pod", 30))
	silent := newFleet(h, named("mute", 10), nil, quiet)
	gate := &config.Gate{Applied: config.FullShare}

	// Its first step is over long before the launches below are.
	waits := h.launch(client.NewRollout{Strategy: steps(5000, 10000), Gate: gate}, quiet+`/limits.json={"n": 2}`)

	bad := h.launch(client.NewRollout{Strategy: steps(2000, 5000, 10000), Gate: gate}, shop+`/limits.json={"n": 5000}`)
	bad = h.awaitState(bad.ID, config.LaunchFellBack)
	if diff := cmp.Diff([]string{"started 20% by admin", "fallen-back 20% by system"}, history(bad)); diff != "" {
		t.Errorf("the launch that was refused: -want +got\n%s", diff)
	}
	const reason = "this program takes 1000 at most"
	for where, why := range map[string]string{"history": bad.Events[len(bad.Events)-1].Why, "audit": h.why(bad)} {
		if !strings.Contains(why, "refused") || !strings.Contains(why, reason) || !strings.Contains(why, "pod-") {
			t.Errorf("the %s does not say who refused and why: %q", where, why)
		}
	}
	talk.want(1)

	good := h.launch(client.NewRollout{Strategy: steps(2000, 5000, 10000), Gate: gate}, shop+`/limits.json={"n": 3}`)
	good = h.awaitState(good.ID, config.LaunchPromoted)
	want := []string{"started 20% by admin", "advanced 50% by system", "advanced 100% by system", "promoted 100% by system"}
	if diff := cmp.Diff(want, history(good)); diff != "" {
		t.Errorf("the launch that was applied: -want +got\n%s", diff)
	}
	talk.want(3)

	waits = h.look(waits.ID)
	if diff := cmp.Diff([]string{"started 50% by admin"}, history(waits)); diff != "" || waits.State != config.LaunchRunning {
		t.Errorf("the launch that nobody says anything of is %s: -want +got\n%s", waits.State, diff)
	}
	// That it is silence which holds it up shows when they begin to speak.
	silent.stop()
	newTalkers(h, quiet, named("mute", 10))
	h.until("the launch to go on", func() bool {
		return slices.Contains(history(h.look(waits.ID)), "advanced 100% by system")
	})
}

// steps raise the share as fast as the gate lets them.
func steps(shares ...config.Share) config.Strategy {
	s := config.Strategy{Kind: config.StrategyProgressive}
	for _, share := range shares {
		s.Steps = append(s.Steps, config.Step{Share: share, Hold: 0.1})
	}
	return s
}

// why is what the audit says of the end of a launch.
func (h *house) why(l config.Launch) string {
	h.Helper()
	for _, r := range h.records("") {
		if r.Actor.Subject == "system" && r.Detail["launch"] == l.ID && r.Detail["state"] == string(l.State) {
			return r.Detail["why"]
		}
	}
	h.Errorf("the audit has nothing of the end of launch %s", l.ID)
	return ""
}

// talkers are instances that bind a config with the SDK, which reports by itself.
type talkers struct {
	*house
	env   config.Path
	sets  []*client.Set
	bound []*client.Bound[limits]
}

// newTalkers opens a Set for each instance, until the test ends.
func newTalkers(h *house, env string, who []config.Client) *talkers {
	h.Helper()
	k := &talkers{house: h, env: h.path(env), sets: make([]*client.Set, len(who)), bound: make([]*client.Bound[limits], len(who))}
	errs := make([]error, len(who))
	var opening sync.WaitGroup
	for i, id := range who {
		c := h.as(id)
		opening.Go(func() { errs[i] = k.open(i, c) })
	}
	opening.Wait()
	h.Cleanup(func() {
		var closing sync.WaitGroup
		for _, set := range k.sets {
			if set != nil {
				closing.Go(set.Close)
			}
		}
		closing.Wait()
	})
	for _, err := range errs {
		h.must(err)
	}
	return k
}

func (k *talkers) open(i int, c *client.Client) (err error) {
	if k.sets[i], err = c.Open(k.Context(), client.SetOptions{Patterns: []string{k.env.String()}, StartWithin: patience}); err != nil {
		return err
	}
	k.bound[i], err = client.Bind(k.sets[i], k.env.Join("limits.json"), client.BindOptions[limits]{Validate: (*limits).validate})
	return err
}

// want waits until all instances have all that was committed so far, and wants
// them to run with the version and a value of the same number.
func (k *talkers) want(n int64) {
	k.Helper()
	mark := k.env.Join("mark.json")
	reached := k.publish(mark.String() + `={}`).Items[0].Version
	for i, set := range k.sets {
		state, err := set.Wait(k.Context(), func(s *client.State) bool {
			m, ok := s.Get(mark)
			return ok && m.Version >= reached
		})
		k.must(err)
		held, _ := state.Get(k.env.Join("limits.json"))
		if got := k.bound[i].In(state); got == nil || got.N != n || held.Version != n {
			k.Errorf("instance %d: want version %d and its value, got version %d and %+v", i, n, held.Version, got)
		}
	}
}
