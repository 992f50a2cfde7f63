package config

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The vectors that another implementation of Bucket is checked with.
func TestBucketVectors(t *testing.T) {
	for _, c := range []struct {
		seed, id string
		want     int
	}{
		{"acme/checkout/prod/application.yaml", "pod-1", 1267},
		{"acme/checkout/prod/application.yaml", "pod-2", 806},
		{"acme/checkout/prod/application.yaml", "10.1.2.3:8080", 4756},
		{"acme/checkout/prod/application.yaml", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", 3411},
		{"acme/checkout/prod/application.yaml", "实例-一", 9884},
		{"acme/checkout/prod/other.yaml", "pod-1", 264},
		{"2026-11-checkout", "pod-1", 5194},
		{"2026-11-checkout", "pod-2", 5713},
	} {
		if got := Bucket(c.seed, c.id); got != c.want {
			t.Errorf("%q of %q: want bucket %d, got %d", c.id, c.seed, c.want, got)
		}
	}
}

func TestXXH64(t *testing.T) {
	const text = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range []struct {
		text string
		seed uint64
		want uint64
	}{
		{"", 0, 0xef46db3751d8e999},
		{"a", 0, 0xd24ec4f1a98c6e5b},
		{"abc", 0, 0x44bc2cf5ad770999},
		{text[:4], 0, 0x4c33072b45647dcb},
		{text[:15], 7, 0xe00fadd324e2b2aa},
		{text[:31], 0, 0x80adfc1d42020f39},
		{text[:32], 0, 0xbf7c9dbe16b5c6e2},
		{text, 0x9e3779b185ebca87, 0x419cccfdad92bc4a},
	} {
		if got := xxh64(c.text, c.seed); got != c.want {
			t.Errorf("%q, seed %#x: want %#016x, got %#016x", c.text, c.seed, c.want, got)
		}
		if got := xxh64([]byte(c.text), c.seed); got != c.want {
			t.Errorf("%q as bytes, seed %#x: want %#016x, got %#016x", c.text, c.seed, c.want, got)
		}
	}
}

func TestSeedIsThatOfThePath(t *testing.T) {
	for _, p := range []Path{
		{"acme", "checkout", "prod", "application.yaml"},
		{"a", "b", "c", "d"},
		{strings.Repeat("t", 20), strings.Repeat("a", 20), strings.Repeat("e", 20), "x"},
		{strings.Repeat("t", 20), strings.Repeat("a", 20), strings.Repeat("e", 20), "xy"},
		{strings.Repeat("t", 63), strings.Repeat("a", 63), strings.Repeat("e", 63), strings.Repeat("n", 128)},
	} {
		if allocs := testing.AllocsPerRun(100, func() { seedOf(&p) }); allocs != 0 {
			t.Errorf("%s: want no allocation, got %v", p, allocs)
		}
		if want, got := xxh64(p.String(), 0), seedOf(&p); got != want {
			t.Errorf("%s: want %#x, got %#x", p, want, got)
		}
	}
}

func TestShareString(t *testing.T) {
	for s, want := range map[Share]string{0: "0%", 1: "0.01%", 10: "0.1%", 100: "1%", 1250: "12.5%", 1205: "12.05%", FullShare: "100%", -1: "-0.01%"} {
		if got := s.String(); got != want {
			t.Errorf("%d: want %s, got %s", int32(s), want, got)
		}
	}
}

// instanceIDs are what ids look like: numbered, by address, and as random text.
func instanceIDs(n int) map[string][]string {
	shapes := map[string][]string{}
	for i := range n {
		shapes["numbered"] = append(shapes["numbered"], fmt.Sprintf("checkout-%d", i))
		shapes["addresses"] = append(shapes["addresses"], fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&0xff, i&0xff))
		shapes["random"] = append(shapes["random"], fmt.Sprintf("checkout-7f9c5d8b6-%013x", uint64(i)*0x9e3779b97f4a7c15>>12))
	}
	return shapes
}

// within reports whether a count of n trials is one that chance alone would
// miss once in millions of runs; the ids are fixed, so it is the same every run.
func within(count, n int, p float64) bool {
	return math.Abs(float64(count)-float64(n)*p) <= 5*math.Sqrt(float64(n)*p*(1-p))+1
}

func TestSharesAreWhatTheySay(t *testing.T) {
	const n = 100_000
	for shape, ids := range instanceIDs(n) {
		for _, path := range []Path{{"acme", "checkout", "prod", "application.yaml"}, {"acme", "checkout", "prod", "application.yml"}, {"a", "b", "c", "d"}} {
			var below [FullShare]int
			for _, id := range ids {
				below[bucket(seedOf(&path), id)]++
			}
			var chiSquare float64 // over 100 groups of 100 buckets: 99 degrees of freedom
			for g := range 100 {
				group := 0
				for _, count := range below[g*100 : g*100+100] {
					group += count
				}
				chiSquare += (float64(group) - n/100) * (float64(group) - n/100) / (n / 100)
			}
			if limit := 99 + 5*math.Sqrt(2*99); chiSquare > limit {
				t.Errorf("%s, %s: want a chi-square of at most %.0f, got %.0f", shape, path, limit, chiSquare)
			}
			for _, s := range []Share{1, 10, 100, 500, 1000, 2500, 5000, 9000, 9999, FullShare} {
				claimed := 0
				r := Rollout{Path: path, Candidates: []Candidate{{Strategy: Strategy{Kind: StrategyCanary, Rule: &Rule{Share: &s}}}}}
				for _, id := range ids {
					if r.Resolve(Client{ID: id}) != nil {
						claimed++
					}
				}
				if !within(claimed, n, float64(s)/float64(FullShare)) {
					t.Errorf("%s, %s: %s of %d instances is %d", shape, path, s, n, claimed)
				}
			}
		}
	}
}

// Two canaries with salts of their own overlap by chance and no more; so do two
// configs. Those with one salt claim the same instances.
func TestSaltsAreIndependent(t *testing.T) {
	const n = 100_000
	for shape, ids := range instanceIDs(n) {
		for _, seeds := range [][2]string{{"a", "b"}, {"canary-1", "canary-2"}, {"acme/checkout/prod/a.yaml", "acme/checkout/prod/b.yaml"}} {
			both := 0
			for _, id := range ids {
				if Bucket(seeds[0], id) < 1000 && Bucket(seeds[1], id) < 1000 {
					both++
				}
			}
			if !within(both, n, 0.01) {
				t.Errorf("%s: want about %d instances in a tenth by %q and by %q, got %d", shape, n/100, seeds[0], seeds[1], both)
			}
		}
	}
	one, other := Path{"acme", "checkout", "prod", "a.yaml"}, Path{"acme", "search", "prod", "b.yaml"}
	s := Strategy{Kind: StrategyCanary, Salt: "together", Rule: &Rule{Share: share(5000)}}
	a := Rollout{Path: one, Candidates: []Candidate{{Strategy: s}}}
	b := Rollout{Path: other, Candidates: []Candidate{{Strategy: s}}}
	for _, id := range instanceIDs(1000)["numbered"] {
		if c := (Client{ID: id}); (a.Resolve(c) == nil) != (b.Resolve(c) == nil) {
			t.Fatalf("%s: want it on the same side of both configs", id)
		}
	}
}

func TestGrowingAShareMovesNobodyOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		less := Share(rapid.IntRange(0, int(FullShare)).Draw(t, "less"))
		more := Share(rapid.IntRange(int(less), int(FullShare)).Draw(t, "more"))
		client := Client{ID: rapid.StringN(1, 60, -1).Draw(t, "id")}
		salt := rapid.SampledFrom([]string{"", "one", "other"}).Draw(t, "salt")
		labels := rapid.SampledFrom([]Selector{nil, {{Key: "region", Operator: OpNotEqual, Values: []string{"eu"}}}}).Draw(t, "labels")
		at := func(s Share) []bool {
			canary := Strategy{Kind: StrategyCanary, Salt: salt, Rule: &Rule{Share: &s, Labels: labels}}
			progressive := Strategy{Kind: StrategyProgressive, Salt: salt, Steps: []Step{{}, {Share: s}}, Step: 1}
			var claims []bool
			for _, strategy := range []Strategy{canary, progressive} {
				r := Rollout{Path: Path{"acme", "checkout", "prod", "a"}, Candidates: []Candidate{{Strategy: strategy}}}
				claims = append(claims, r.Resolve(client) != nil)
			}
			return claims
		}
		before, after := at(less), at(more)
		for i := range before {
			if before[i] && !after[i] {
				t.Fatalf("%q is claimed at %s and not at %s", client.ID, less, more)
			}
			if full := at(FullShare); !full[i] {
				t.Fatalf("%q is not claimed by a full share", client.ID)
			}
		}
	})
}

func TestNoShareClaimsAClientWithoutID(t *testing.T) {
	s := Strategy{Kind: StrategyCanary, Rule: &Rule{Share: share(FullShare)}}
	r := Rollout{Path: Path{"acme", "checkout", "prod", "a"}, Stable: &Release{Version: 1}, Candidates: []Candidate{{Release: Release{Version: 2}, Strategy: s}}}
	for i := range 256 {
		client := Client{Address: fmt.Sprintf("10.0.0.%d", i), Labels: map[string]string{"n": fmt.Sprint(i)}}
		if got := r.Resolve(client); got.Version != 1 {
			t.Fatalf("%+v: want the stable version 1, got %d", client, got.Version)
		}
	}
}
