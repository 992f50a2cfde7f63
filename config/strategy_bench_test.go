package config

import "testing"

// fiveRules is a rollout whose five candidates are all asked in vain, each in a
// way of its own: the dearest case.
func fiveRules(t testing.TB) (Rollout, Client) {
	t.Helper()
	canary := func(version int64, salt string, rule Rule) Candidate {
		return Candidate{Release: Release{Version: version}, Strategy: Strategy{Kind: StrategyCanary, Salt: salt, Rule: &rule}}
	}
	ids := make([]string, 200)
	for i := range ids {
		ids[i] = "checkout-6f8d9c7b5-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	r := Rollout{
		Path:   Path{"acme", "checkout", "prod", "application.yaml"},
		Stable: &Release{Version: 1},
		Candidates: []Candidate{
			canary(2, "", Rule{Share: share(100)}),
			canary(3, "second", Rule{Share: share(200), Labels: mustSelector(t, "region in (eu, us)")}),
			canary(4, "third", Rule{Labels: mustSelector(t, `region = ap, tier != batch, version >= 2.4.0`)}),
			canary(5, "fourth", Rule{Addresses: []Network{mustNetwork(t, "192.0.2.0/24"), mustNetwork(t, "2001:db8::/32"), mustNetwork(t, "10.9.0.0/16")}}),
			canary(6, "fifth", Rule{Any: []Rule{{Instances: NewInstanceSet(ids...)}, {Share: share(1)}}}),
		},
	}
	client := Client{
		ID: "checkout-7f9c5d8b6-x2k4q", Address: "10.1.2.3",
		Labels: map[string]string{"region": "eu", "tier": "web", "version": "2.3.9", "zone": "eu-1"},
	}
	return r, client
}

func TestResolveAllocatesNothing(t *testing.T) {
	r, client := fiveRules(t)
	if got := r.Resolve(client); got.Version != 1 {
		t.Fatalf("want none of the five to claim the client, so that all are asked; got\n%s", r.Explain(client))
	}
	blueGreen := Rollout{Stable: &Release{Version: 1}, Candidates: []Candidate{{Strategy: Strategy{Kind: StrategyBlueGreen, Slots: &Slots{Stable: SlotBlue, Candidate: SlotGreen, Active: SlotGreen}}}}}
	named := client
	named.Slot, named.Address = SlotGreen, "fe80::1%eth0"
	for name, resolve := range map[string]func(){
		"five rules": func() { r.Resolve(client) },
		"a zone":     func() { r.Resolve(named) },
		"no client":  func() { r.Resolve(Client{}) },
		"blue-green": func() { blueGreen.Resolve(named) },
	} {
		if got := testing.AllocsPerRun(200, resolve); got != 0 {
			t.Errorf("%s: want no allocation, got %v", name, got)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	r, client := fiveRules(b)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		plain := Rollout{Path: r.Path, Stable: r.Stable}
		for b.Loop() {
			if plain.Resolve(client) == nil {
				b.Fatal("nothing is served")
			}
		}
	})
	b.Run("five rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.Resolve(client) == nil {
				b.Fatal("nothing is served")
			}
		}
	})
}

func share(s Share) *Share { return &s }

func mustSelector(t testing.TB, text string) Selector {
	t.Helper()
	s, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustNetwork(t testing.TB, text string) Network {
	t.Helper()
	n, err := ParseNetwork(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
