package rollouts

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestBlueGreenIsWhole has 500 instances watch two configs that must agree, in
// one blue-green launch that is switched and switched back 20 times while others
// publish and read. Nobody ever has one of the old and one of the new.
func TestBlueGreenIsWhole(t *testing.T) {
	const rounds, instances, byName = 20, 500, 40
	p := newPair(t)
	who := named("pod", instances)
	for i := range byName { // they ask for a slot
		who[i].Slot = []string{config.SlotBlue, config.SlotGreen}[i%2]
	}
	p.fleet = newFleet(p.house, who, p.judge, shop)
	p.l = p.launch(client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}, p.content(2)...)
	p.settle()
	p.want("the launch has begun", map[string]int64{"": 1, config.SlotBlue: 1, config.SlotGreen: 2})

	end := p.read()
	for i := range rounds {
		for _, slot := range []string{config.SlotGreen, config.SlotBlue} {
			p.change(p.admin.SwitchLaunch(t.Context(), client.SwitchLaunch{LaunchAct: p.act()}))
			if p.l.Strategy.Slots.Active != slot {
				t.Errorf("want %s active, got %+v", slot, p.l.Strategy.Slots)
			}
			other := p.publish(p.other.String() + `={"round": ` + strconv.Itoa(i) + `}`).Items[0].Version
			// Most rounds wait for one instance, so that the slow ones fall behind.
			s := p.fleet.all[i*instances/rounds]
			p.until(s.ID+" to have what is active", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.whole[p.other].Version >= other
			})
		}
		if i%5 == 4 {
			p.settle()
			p.want("switched back", map[string]int64{"": 1, config.SlotBlue: 1, config.SlotGreen: 2})
		}
	}
	p.change(p.admin.SwitchLaunch(t.Context(), client.SwitchLaunch{LaunchAct: p.act(), To: config.SlotGreen}))
	p.settle()
	p.want("switched for the last time", map[string]int64{"": 2, config.SlotBlue: 1, config.SlotGreen: 2})
	end()
	if want, got := 2*rounds+2, len(p.l.Events); got != want { // the start, each switch
		t.Errorf("want %d events in the launch's history, got %d", want, got)
	}

	p.change(p.admin.PromoteLaunch(t.Context(), p.act()))
	p.settle()
	p.want("promoted", map[string]int64{"": 2, config.SlotBlue: 2, config.SlotGreen: 2})
	// What is stable stays in its slot, and the next candidate gets the other one.
	p.l = p.launch(client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}, p.content(3)...)
	p.settle()
	p.want("the next launch has begun", map[string]int64{"": 2, config.SlotBlue: 3, config.SlotGreen: 2})
	p.change(p.admin.AbortLaunch(t.Context(), p.act()))
	p.settle()
	p.want("aborted", map[string]int64{"": 2, config.SlotBlue: 2, config.SlotGreen: 2})
	t.Logf("%d whole states were looked at", p.fleet.states())
}

// pair is two configs that hold the same number.
type pair struct {
	*house
	a, b, other config.Path
	fleet       *fleet
	l           config.Launch
}

func newPair(t testing.TB) *pair {
	h := newHouse(t, shop)
	p := &pair{house: h, a: h.path(shop + "/a.json"), b: h.path(shop + "/b.json"), other: h.path(shop + "/other.json")}
	h.publish(p.b.String() + `={"n": 0}`) // so that their versions differ
	h.publish(append(p.content(1), p.other.String()+`={}`)...)
	return p
}

func (p *pair) content(n int) []string {
	text := `={"n": ` + strconv.Itoa(n) + `}`
	return []string{p.a.String() + text, p.b.String() + text}
}

func (p *pair) act() client.LaunchAct {
	return client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: p.l.Tenant, ID: p.l.ID}}
}

func (p *pair) change(l config.Launch, err error) {
	p.Helper()
	p.must(err)
	p.l = l
}

// settle waits until all instances have all that was committed so far.
func (p *pair) settle() {
	p.Helper()
	p.fleet.reach(p.other, p.publish(p.other.String() + `={"settled": true}`).Items[0].Version)
}

// judge looks at every whole state of an instance.
func (p *pair) judge(s *simulated) {
	a, errA := s.number(p.a)
	b, errB := s.number(p.b)
	if errA != nil || errB != nil || a != b {
		p.Errorf("%s: the pair does not match: %d (%v) and %d (%v)", s.ID, a, errA, b, errB)
	}
	if va, vb := s.whole[p.a].Version, s.whole[p.b].Version; va != a || vb != a+1 {
		p.Errorf("%s: number %d is in versions %d and %d, got %d and %d", s.ID, a, a, a+1, va, vb)
	}
}

// want says which number instances have, by the slot that they ask for.
func (p *pair) want(when string, bySlot map[string]int64) {
	p.Helper()
	p.fleet.each(func(s *simulated) bool {
		if got, err := s.number(p.a); err != nil || got != bySlot[s.Slot] {
			p.Errorf("%s: %s, which asks for slot %q, has %d (%v); want %d", when, s.ID, s.Slot, got, err, bySlot[s.Slot])
		}
		return true
	})
}

// read has others read both configs, whole and one by one, until end is called.
func (p *pair) read() (end func()) {
	ctx, cancel := context.WithCancel(p.Context())
	var reading sync.WaitGroup
	p.Cleanup(func() { cancel(); reading.Wait() })
	for _, slot := range []string{"", config.SlotBlue, config.SlotGreen} {
		c := p.as(config.Client{ID: "reader-" + slot, Slot: slot})
		reading.Go(func() {
			pace := time.NewTicker(3 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				<-pace.C
				if err := p.readOnce(ctx, c); err != nil && ctx.Err() == nil {
					p.Errorf("a reader in slot %q: %v", slot, err)
					return
				}
			}
		})
	}
	return func() { cancel(); reading.Wait() }
}

// readOnce reads the whole env, and the two by themselves.
func (p *pair) readOnce(ctx context.Context, c *client.Client) error {
	snap, err := c.Snapshot(ctx, p.a.Parent(), client.ReadOptions{})
	if err != nil {
		return err
	}
	held := &simulated{whole: map[config.Path]client.Change{}}
	for _, r := range snap.Configs {
		held.whole[r.Path] = client.Change{Path: r.Path, Version: r.Version, Content: r.Content}
	}
	p.judge(held)
	for _, at := range []config.Path{p.a, p.b} {
		if _, err := c.Get(ctx, at, client.ReadOptions{MinRevision: snap.Revision}); err != nil {
			return err
		}
	}
	return nil
}
