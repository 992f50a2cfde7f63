package config

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const goldenRelease = `{"path":"acme/checkout/prod/app.yaml","version":3,"format":"yaml","digest":"ab","size":1,"source":{"kind":"publish"},"author":"ann","time":"2026-11-02T03:04:05Z","change_set":"cs1"}`

// What is in stores already, and what will be, reads and writes byte for byte.
func TestRolloutGolden(t *testing.T) {
	for name, candidates := range map[string]string{
		"none":        ``,
		"all":         `{"kind":"all"}`,
		"canary":      `{"kind":"canary","rule":{"any":[{"share":1000,"labels":"region in (eu, us), tier != batch"},{"addresses":["10.0.0.0/8","192.0.2.1"]},{"all":[{"share":0},{"instances":["a","b"]}]}]},"salt":"s1"}`,
		"targets":     `{"kind":"targets","targets":["pod-1","pod-2"]}`,
		"blue-green":  `{"kind":"blue-green","slots":{"stable":"blue","candidate":"green","active":"blue"}}`,
		"progressive": `{"kind":"progressive","rule":{"labels":"region = eu"},"salt":"s1","steps":[{"share":100,"hold_seconds":600},{"share":10000,"hold_seconds":0.5}],"step":1}`,
		"unknown":     `{"kind":"nobody"}`,
	} {
		if candidates != "" {
			candidates = `,"candidates":[{"release":` + goldenRelease + `,"strategy":` + candidates + `}]`
		}
		want := `{"path":"acme/checkout/prod/app.yaml","latest":3,"oldest":1,"stable":` + goldenRelease + candidates + `}`
		var r Rollout
		if err := json.Unmarshal([]byte(want), &r); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := json.Marshal(r)
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if err := r.Validate(); (err != nil) != (name == "unknown") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot mean what was meant is refused when it is read.
func TestRulesThatAreNotRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"labels":""}`:                   "invalid: label expression, column 1: want a label's key, found the end",
		`{"labels":"region ~ eu"}`:        `invalid: label expression, column 8: want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found "~"`,
		`{"addresses":["10.1.2.3/8"]}`:    `invalid: network "10.1.2.3/8" has bits set beyond its length; it is 10.0.0.0/8, or the address 10.1.2.3`,
		`{"any":[{"addresses":["web"]}]}`: `invalid: "web" is no IP address or network; write 10.1.2.3, 10.1.0.0/16 or 2001:db8::/32`,
	} {
		var r Rule
		if err := json.Unmarshal([]byte(text), &r); err == nil || err.Error() != want {
			t.Errorf("%s: want %s, got %v", text, want, err)
		}
	}
}

func TestInstancesAreReadInAnyOrder(t *testing.T) {
	var r Rule
	if err := json.Unmarshal([]byte(`{"instances":["c","a","b"]}`), &r); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"a": true, "b": true, "c": true, "": false, "d": false, "B": false} {
		if got := r.Instances.Has(id); got != want {
			t.Errorf("%q: want %v, got %v", id, want, got)
		}
	}
	if err := json.Unmarshal([]byte(`{"instances":"pod-1"}`), &r); err == nil {
		t.Error("a text was read as a list of instances")
	}
}

func TestBothSlotsAreInUse(t *testing.T) {
	r := Rollout{Stable: &Release{Version: 4}, Candidates: []Candidate{{Release: Release{Version: 6}, Strategy: Strategy{Kind: StrategyBlueGreen, Slots: &Slots{SlotBlue, SlotGreen, SlotGreen}}}}}
	for v, want := range map[int64]bool{4: true, 5: false, 6: true} {
		if got := r.InUse(v); got != want {
			t.Errorf("version %d: want %v, got %v", v, want, got)
		}
	}
}

func TestResolve(t *testing.T) {
	blueGreen := func(active string) Strategy {
		return Strategy{Kind: StrategyBlueGreen, Slots: &Slots{Stable: SlotBlue, Candidate: SlotGreen, Active: active}}
	}
	canary := func(r Rule) Strategy { return Strategy{Kind: StrategyCanary, Rule: &r} }
	// In the vectors of Bucket, pod-1 is in bucket 1267 and pod-2 in 806.
	steps := []Step{{Share: 500}, {Share: 1000}, {Share: FullShare}}
	const stable, first, second = 1, 2, 3
	for _, c := range []struct {
		name       string
		strategies []Strategy
		client     Client
		want       int64
		reason     Reason
	}{
		{"no candidate", nil, Client{ID: "pod-1"}, stable, ReasonStable},
		{"all", []Strategy{{Kind: StrategyAll}}, Client{}, first, ReasonAll},
		{"an unknown kind claims nobody", []Strategy{{Kind: "later"}}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"below the share", []Strategy{canary(Rule{Share: share(1268)})}, Client{ID: "pod-1"}, first, ReasonRule},
		{"at the share", []Strategy{canary(Rule{Share: share(1267)})}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"another salt", []Strategy{{Kind: StrategyCanary, Salt: "2026-11-checkout", Rule: &Rule{Share: share(1268)}}}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"each candidate's salt counts", []Strategy{
			{Kind: StrategyCanary, Salt: "2026-11-checkout", Rule: &Rule{Share: share(5194)}},
			canary(Rule{Share: share(1268)})}, Client{ID: "pod-1"}, second, ReasonRule},
		{"a rule is everything that it says", []Strategy{canary(Rule{Share: share(FullShare), Labels: mustSelector(t, "region = eu")})}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"IPv4", []Strategy{canary(Rule{Addresses: []Network{mustNetwork(t, "10.1.0.0/16")}})}, Client{Address: "10.1.2.3"}, first, ReasonRule},
		{"IPv4 in IPv6", []Strategy{canary(Rule{Addresses: []Network{mustNetwork(t, "10.1.0.0/16")}})}, Client{Address: "::ffff:10.1.2.3"}, first, ReasonRule},
		{"IPv6 with a zone", []Strategy{canary(Rule{Addresses: []Network{mustNetwork(t, "fe80::/10")}})}, Client{Address: "fe80::1%eth0"}, first, ReasonRule},
		{"no address", []Strategy{canary(Rule{Addresses: []Network{mustNetwork(t, "0.0.0.0/0"), mustNetwork(t, "::/0")}})}, Client{Address: "@"}, stable, ReasonStable},
		{"an instance", []Strategy{canary(Rule{Instances: NewInstanceSet("pod-2", "pod-1")})}, Client{ID: "pod-2"}, first, ReasonRule},
		{"an empty rule", []Strategy{canary(Rule{})}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"empty groups", []Strategy{canary(Rule{All: []Rule{}, Any: []Rule{}})}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"no rule", []Strategy{{Kind: StrategyCanary}}, Client{ID: "pod-1"}, stable, ReasonStable},
		{"a target", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("b", "a")}}, Client{ID: "a"}, first, ReasonTarget},
		{"no target", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("b", "a")}}, Client{ID: "c"}, stable, ReasonStable},
		{"nobody is no target", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("")}}, Client{}, stable, ReasonStable},
		{"the first wins", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("pod-1")}, {Kind: StrategyAll}}, Client{ID: "pod-1"}, first, ReasonTarget},
		{"the second, if the first does not", []Strategy{{Kind: StrategyTargets, Targets: NewInstanceSet("pod-1")}, {Kind: StrategyAll}}, Client{ID: "pod-2"}, second, ReasonAll},
		{"the active slot, stable", []Strategy{blueGreen(SlotBlue)}, Client{}, stable, ReasonSlot},
		{"the active slot, switched", []Strategy{blueGreen(SlotGreen)}, Client{}, first, ReasonSlot},
		{"the slot asked for", []Strategy{blueGreen(SlotBlue)}, Client{Slot: SlotGreen}, first, ReasonSlot},
		{"the slot asked for, switched", []Strategy{blueGreen(SlotGreen)}, Client{Slot: SlotBlue}, stable, ReasonSlot},
		{"a slot that is not there", []Strategy{blueGreen(SlotGreen)}, Client{Slot: "red"}, first, ReasonSlot},
		{"no slots", []Strategy{{Kind: StrategyBlueGreen}}, Client{Slot: SlotGreen}, stable, ReasonStable},
		{"before its step", []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: 0}}, Client{ID: "pod-2"}, stable, ReasonStable},
		{"at its step", []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: 1}}, Client{ID: "pod-2"}, first, ReasonStep},
		{"a step limited by a rule", []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: 2, Rule: &Rule{Labels: mustSelector(t, "region = eu")}}}, Client{ID: "pod-2"}, stable, ReasonStable},
		{"a step that is not there", []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: 3}}, Client{ID: "pod-2"}, stable, ReasonStable},
		{"a step below none", []Strategy{{Kind: StrategyProgressive, Steps: steps, Step: -1}}, Client{ID: "pod-2"}, stable, ReasonStable},
	} {
		r := Rollout{Path: Path{"acme", "checkout", "prod", "application.yaml"}, Stable: &Release{Version: stable}}
		for i, s := range c.strategies {
			r.Candidates = append(r.Candidates, Candidate{Release: Release{Version: int64(first + i)}, Strategy: s})
		}
		if got := r.Resolve(c.client); got.Version != c.want {
			t.Errorf("%s: want version %d, got %d", c.name, c.want, got.Version)
		}
		if x := r.Explain(c.client); x.Release.Version != c.want || x.Reason != c.reason {
			t.Errorf("%s: want version %d by %s, got\n%s", c.name, c.want, c.reason, x)
		}
	}
	for want, r := range map[Reason]Rollout{
		ReasonDeleted:     {Deleted: true, Stable: &Release{}, Candidates: []Candidate{{Strategy: Strategy{Kind: StrategyAll}}}},
		ReasonUnpublished: {Candidates: []Candidate{{Strategy: blueGreen(SlotBlue)}}},
	} {
		if x := r.Explain(Client{}); r.Resolve(Client{}) != nil || x.Release != nil || x.Reason != want {
			t.Errorf("%s: want nothing served, got\n%s", want, x)
		}
	}
}

func TestExplanationTellsWhy(t *testing.T) {
	r := Rollout{Path: Path{"acme", "checkout", "prod", "application.yaml"}, Stable: &Release{Version: 7}, Candidates: []Candidate{
		{Release: Release{Version: 8}, Strategy: Strategy{Kind: StrategyTargets, Targets: NewInstanceSet("pod-9")}},
		{Release: Release{Version: 9}, Strategy: Strategy{Kind: StrategyCanary, Rule: &Rule{Any: []Rule{
			{Addresses: []Network{mustNetwork(t, "192.0.2.0/24")}},
			{All: []Rule{{Labels: mustSelector(t, "region in (eu, us)")}, {Share: share(1000)}}},
		}}}},
	}}
	want := `acme/checkout/prod/application.yaml: version 9, by rule
candidate 0, version 8, targets: does not claim it
  no  targets: its id "pod-2" is not named
candidate 1, version 9, canary: claims it
  no  rule.any[0].addresses: its address "10.1.2.3" is in none of the networks
  yes rule.any[1].all[0].labels: its labels satisfy region in (eu, us)
  yes rule.any[1].all[1].share: its bucket 806 is below 1000`
	x := r.Explain(Client{ID: "pod-2", Address: "10.1.2.3", Labels: map[string]string{"region": "eu"}})
	if diff := cmp.Diff(want, x.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v := x.Verdicts[1]; v.Bucket == nil || *v.Bucket != 806 || v.Share != 1000 {
		t.Errorf("want bucket 806 of share 1000, got %+v", v)
	}
	slots := Rollout{Path: r.Path, Stable: r.Stable, Candidates: []Candidate{{Release: Release{Version: 8},
		Strategy: Strategy{Kind: StrategyBlueGreen, Slots: &Slots{Stable: SlotBlue, Candidate: SlotGreen, Active: SlotBlue}}}}}
	for asked, want := range map[string]string{
		"":      "it asks for no slot and gets the active one, \"blue\"",
		"red":   "it asks for slot \"red\", which is not there, and gets the active one, \"blue\"",
		"green": "it asks for slot \"green\"",
	} {
		x := slots.Explain(Client{Slot: asked})
		if got := x.Verdicts[0].Findings[0].What; got != want {
			t.Errorf("slot %q: want %q, got %q", asked, want, got)
		}
		if want := either(asked == "green", "green", "blue"); x.Slot != want {
			t.Errorf("slot %q: want slot %q explained, got %q", asked, want, x.Slot)
		}
	}
}

// The universe of the model: small, so that rules and clients meet often.
var (
	someIDs      = []string{"", "a", "b", "c", "d", "e", "f"}
	someAddrs    = []string{"", "10.0.0.1", "10.0.1.1", "::ffff:10.0.0.1", "2001:db8::1", "what"}
	someNetworks = []string{"10.0.0.0/24", "10.0.0.0/8", "10.0.1.1", "2001:db8::/32", "::/0"}
	someLabels   = []string{"x", "y", "1", "2.0", "10"}
	someSalts    = []string{"", "s1", "s2"}
	someSlots    = []string{"", SlotBlue, SlotGreen, "red"}
)

func drawClient(t *rapid.T) Client {
	return Client{
		ID: rapid.SampledFrom(someIDs).Draw(t, "id"), Address: rapid.SampledFrom(someAddrs).Draw(t, "address"),
		Slot:   rapid.SampledFrom(someSlots).Draw(t, "slot"),
		Labels: rapid.MapOfN(rapid.SampledFrom([]string{"k", "l"}), rapid.SampledFrom(someLabels), 0, 2).Draw(t, "labels"),
	}
}

func drawRule(t *rapid.T, depth int) Rule {
	var r Rule
	for _, what := range rapid.SliceOfN(rapid.IntRange(0, 5), 0, 2).Draw(t, "says") {
		switch what {
		case 0:
			r.Share = share(Share(rapid.IntRange(0, int(FullShare)).Draw(t, "share")))
		case 1:
			for range rapid.IntRange(1, 2).Draw(t, "requirements") {
				q := Requirement{Key: rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"), Operator: rapid.SampledFrom([]Operator{OpExists, OpAbsent, OpEqual, OpNotEqual, OpIn, OpNotIn, OpGreater, "?"}).Draw(t, "op")}
				switch q.Operator {
				case OpIn, OpNotIn:
					q.Values = rapid.SliceOfN(rapid.SampledFrom(someLabels), 1, 3).Draw(t, "values")
				case OpEqual, OpNotEqual:
					q.Values = []string{rapid.SampledFrom(someLabels).Draw(t, "value")}
				case OpGreater:
					q.Values = []string{"2"}
				}
				r.Labels = append(r.Labels, q)
			}
		case 2:
			for _, text := range rapid.SliceOfN(rapid.SampledFrom(someNetworks), 1, 2).Draw(t, "networks") {
				n, err := ParseNetwork(text)
				if err != nil {
					t.Fatal(err)
				}
				r.Addresses = append(r.Addresses, n)
			}
		case 3:
			r.Instances = NewInstanceSet(rapid.SliceOfN(rapid.SampledFrom(someIDs), 1, 3).Draw(t, "instances")...)
		default:
			if depth == 0 {
				continue
			}
			rules := make([]Rule, rapid.IntRange(1, 3).Draw(t, "rules"))
			for i := range rules {
				rules[i] = drawRule(t, depth-1)
			}
			if what == 4 {
				r.All = rules
			} else {
				r.Any = rules
			}
		}
	}
	return r
}

func drawStrategy(t *rapid.T) Strategy {
	s := Strategy{Kind: rapid.SampledFrom(append(StrategyKinds(), "later")).Draw(t, "kind"), Salt: rapid.SampledFrom(someSalts).Draw(t, "salt")}
	if rapid.Bool().Draw(t, "has rule") {
		rule := drawRule(t, 3)
		s.Rule = &rule
	}
	s.Targets = NewInstanceSet(rapid.SliceOfN(rapid.SampledFrom(someIDs), 0, 3).Draw(t, "targets")...)
	s.Slots = &Slots{Stable: SlotBlue, Candidate: SlotGreen, Active: rapid.SampledFrom([]string{SlotBlue, SlotGreen}).Draw(t, "active")}
	s.Steps = []Step{{Share: 1000}, {Share: 5000}, {Share: FullShare}}
	s.Step = rapid.IntRange(-1, 3).Draw(t, "step")
	return s
}

// modelRule is what Rule says it does, in the plainest words.
func modelRule(r Rule, seed string, c Client) bool {
	var holds []bool
	inShare := func(s Share) bool { return c.ID != "" && Bucket(seed, c.ID) < int(s) }
	if r.Share != nil {
		holds = append(holds, inShare(*r.Share))
	}
	for _, q := range r.Labels {
		v, there := c.Labels[q.Key]
		isIn := there && slices.Contains(q.Values, v)
		holds = append(holds, map[Operator]bool{
			OpExists: there, OpAbsent: !there, OpEqual: isIn, OpIn: isIn, OpNotEqual: !isIn, OpNotIn: !isIn,
			OpGreater: v == "10", // the only one of someLabels that is more than 2
		}[q.Operator])
	}
	if len(r.Addresses) > 0 {
		addr, _ := netip.ParseAddr(c.Address)
		inOne := false
		for _, n := range r.Addresses {
			prefix, err := netip.ParsePrefix(n.String())
			inOne = inOne || (err == nil && prefix.Contains(addr.Unmap())) || n.String() == c.Address
		}
		holds = append(holds, inOne)
	}
	if len(r.Instances) > 0 {
		holds = append(holds, c.ID != "" && slices.Contains(r.Instances, c.ID))
	}
	for _, child := range r.All {
		holds = append(holds, modelRule(child, seed, c))
	}
	if len(r.Any) > 0 {
		holds = append(holds, slices.ContainsFunc(r.Any, func(child Rule) bool { return modelRule(child, seed, c) }))
	}
	return len(holds) > 0 && !slices.Contains(holds, false)
}

func modelStrategy(s Strategy, path Path, c Client) bool {
	seed := s.Salt
	if seed == "" {
		seed = path.String()
	}
	switch s.Kind {
	case StrategyAll:
		return true
	case StrategyCanary:
		return s.Rule != nil && modelRule(*s.Rule, seed, c)
	case StrategyTargets:
		return c.ID != "" && slices.Contains(s.Targets, c.ID)
	case StrategyBlueGreen:
		return c.Slot == SlotGreen || s.Slots.Active == SlotGreen && c.Slot != SlotBlue
	case StrategyProgressive:
		shares := map[int]int{0: 1000, 1: 5000, 2: 10000}
		return c.ID != "" && Bucket(seed, c.ID) < shares[s.Step] && (s.Rule == nil || modelRule(*s.Rule, seed, c))
	}
	return false
}

func TestRulesDoWhatTheModelDoes(t *testing.T) {
	path := Path{"acme", "checkout", "prod", "app.yaml"}
	rapid.Check(t, func(t *rapid.T) {
		rule, salt := drawRule(t, 3), rapid.SampledFrom(someSalts).Draw(t, "salt")
		r := Rollout{Path: path, Candidates: []Candidate{{Strategy: Strategy{Kind: StrategyCanary, Rule: &rule, Salt: salt}}}}
		for range 8 {
			c := drawClient(t)
			want, got := modelStrategy(r.Candidates[0].Strategy, path, c), r.Resolve(c) != nil
			if want != got {
				t.Fatalf("%+v: want %v, got\n%s", c, want, r.Explain(c))
			}
		}
	})
}

func TestTheFirstThatClaimsWinsAndExplainAgrees(t *testing.T) {
	path := Path{"acme", "checkout", "prod", "app.yaml"}
	rapid.Check(t, func(t *rapid.T) {
		r := Rollout{Path: path, Stable: &Release{Version: 1}, Deleted: rapid.IntRange(0, 9).Draw(t, "deleted") == 0}
		for i := range rapid.IntRange(0, 4).Draw(t, "candidates") {
			r.Candidates = append(r.Candidates, Candidate{Release: Release{Version: int64(i) + 2}, Strategy: drawStrategy(t)})
		}
		for range 4 {
			c := drawClient(t)
			want, claimant := r.Stable, -1
			for i := range r.Candidates {
				if modelStrategy(r.Candidates[i].Strategy, path, c) {
					want, claimant = &r.Candidates[i].Release, i
					break
				}
			}
			if r.Deleted {
				want = nil
			}
			x := r.Explain(c)
			if got := r.Resolve(c); got != want || x.Release != got {
				t.Fatalf("%+v: want %+v, got %+v, explained as\n%s", c, want, got, x)
			}
			for i, v := range x.Verdicts {
				if v.Candidate != i || v.Claims != (i == claimant) || v.Claims && i != len(x.Verdicts)-1 {
					t.Fatalf("%+v: candidate %d claims it, explained as\n%s", c, claimant, x)
				}
			}
		}
	})
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3", "10.1.2.3/32": "10.1.2.3", "0.0.0.0/0": "0.0.0.0/0",
		"2001:DB8::/32": "2001:db8::/32", "::1": "::1", "::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.1.2.3": "10.1.2.3",
		"": "", "10.1.2.3/8": "", "10.1.2/24": "", "10.0.0.0/33": "", "fe80::1%eth0": "", "::ffff:0:0/90": "", "host": "", "10.0.0.0/": "",
	} {
		n, err := ParseNetwork(text)
		if got := n.String(); want != "" && (err != nil || got != want) {
			t.Errorf("%q: want %s, got %s, %v", text, want, got, err)
		}
		if want == "" && KindOf(err) != Invalid {
			t.Errorf("%q: want an Invalid error, got %v", text, err)
		}
	}
}

// FuzzRollout feeds what a store or a request may hold: nothing panics, and what
// is sound comes back as it was.
func FuzzRollout(f *testing.F) {
	for _, seed := range []string{
		`{"candidates":[{"strategy":{"kind":"all"}}]}`,
		`{"candidates":[{"strategy":{"kind":"canary","rule":{"any":[{"share":5},{"labels":"a in (b)"},{"addresses":["10.0.0.0/8"]}]}}}]}`,
		`{"stable":{},"candidates":[{"strategy":{"kind":"blue-green","slots":{"stable":"a","candidate":"b","active":"c"}}}]}`,
		`{"candidates":[{"strategy":{"kind":"progressive","steps":[{"share":1}],"step":7}},{"strategy":{"kind":"targets","targets":["b","a","a"]}}]}`,
	} {
		f.Add([]byte(seed), "a", "10.0.0.1")
	}
	f.Fuzz(func(t *testing.T, data []byte, id, address string) {
		var r Rollout
		if json.Unmarshal(data, &r) != nil {
			return
		}
		c := Client{ID: id, Address: address, Labels: map[string]string{"a": id}, Slot: id}
		x := r.Explain(c)
		if got := r.Resolve(c); got != x.Release || x.String() == "" {
			t.Errorf("want %v, got %s", got, x)
		}
		if r.Validate() != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Rollout
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(r.Candidates, again.Candidates); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	})
}
