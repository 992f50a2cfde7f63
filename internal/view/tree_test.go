package view

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// entry is what the model remembers of a key.
type entry struct {
	Value int
	Mark  int64
	Count int
}

// check compares the whole behaviour of a tree with a plain map, and the tree's
// own rules with its nodes.
func check(t *rapid.T, tr tree[int], model map[string]entry, prefix, after string, since int64) {
	t.Helper()
	var want []int
	count := 0
	for _, k := range slices.Sorted(maps.Keys(model)) {
		e := model[k]
		if v, ok := tr.get([]byte(k)); !ok || v != e.Value {
			t.Fatalf("get %q: want %d, got %d, %v", k, e.Value, v, ok)
		}
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		count += e.Count
		if e.Mark > since && (after == "" || k > after) {
			want = append(want, e.Value)
		}
	}
	if diff := cmp.Diff(want, slices.Collect(tr.walk(prefix, after, since))); diff != "" {
		t.Fatalf("walk prefix %q after %q since %d (-want +got):\n%s", prefix, after, since, diff)
	}
	if got := tr.countPrefix(prefix); got != count {
		t.Fatalf("count under %q: want %d, got %d", prefix, count, got)
	}
	if _, ok := tr.get([]byte(prefix + "~")); ok {
		t.Fatalf("get found a key that was never set")
	}
	if tr.root != nil {
		checkNode(t, tr.root, depth(tr.root))
	}
}

func depth[V any](n *node[V]) (d int) {
	for ; !n.leaf; n = n.slots[0].kid {
		d++
	}
	return d
}

func checkNode(t *rapid.T, n *node[int], levels int) {
	t.Helper()
	if len(n.slots) == 0 || len(n.slots) > fanOut {
		t.Fatalf("a node has %d slots", len(n.slots))
	}
	if n.leaf != (levels == 0) {
		t.Fatal("leaves are not all equally deep")
	}
	if !slices.IsSortedFunc(n.slots, func(a, b slot[int]) int { return strings.Compare(a.key, b.key) }) {
		t.Fatal("slots are out of order")
	}
	for i := range n.slots {
		if s := n.slots[i]; s.key[:n.skip] != n.slots[0].key[:n.skip] || s.head != head([]byte(s.key[n.skip:])) {
			t.Fatalf("the head of %q is wrong", n.slots[i].key)
		}
		if n.leaf {
			continue
		}
		s := n.slots[i]
		if s.head = 0; s != s.kid.summary() {
			t.Fatalf("a slot says %+v of its kid, which is %+v", s, s.kid.summary())
		}
		checkNode(t, n.slots[i].kid, levels-1)
	}
}

func TestTreeBehavesAsASortedMap(t *testing.T) {
	keys := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%c/%02d", 'a'+rapid.IntRange(0, 3).Draw(t, "letter"), rapid.IntRange(0, 99).Draw(t, "number"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var tr tree[int]
		model := map[string]entry{}
		if rapid.Bool().Draw(t, "full start") { // reach trees of three levels
			for i := range 4 * 100 {
				k := fmt.Sprintf("%c/%02d", 'a'+i/100, i%100)
				model[k] = entry{i, int64(i), 1}
				tr = tr.set(nil, k, i, int64(i), 1)
			}
		}
		frozen, frozenModel := tr, maps.Clone(model)
		var e *edit
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				frozen, frozenModel, e = tr, maps.Clone(model), nil
			case 1:
				e = new(edit)
			case 2, 3, 4:
				k := keys.Draw(t, "remove")
				tr = tr.remove(e, k)
				delete(model, k)
			default:
				k := keys.Draw(t, "set")
				m := entry{rapid.Int().Draw(t, "value"), rapid.Int64Range(0, 50).Draw(t, "mark"), rapid.IntRange(0, 1).Draw(t, "count")}
				tr = tr.set(e, k, m.Value, m.Mark, m.Count)
				model[k] = m
			}
		}
		prefix := rapid.SampledFrom([]string{"", "a/", "b/", "b/4", "c/77", "d/", "e", "0"}).Draw(t, "prefix")
		after := rapid.OneOf(rapid.Just(""), keys).Draw(t, "after")
		since := rapid.Int64Range(-1, 51).Draw(t, "since")
		check(t, tr, model, prefix, after, since)
		check(t, frozen, frozenModel, prefix, after, since)
	})
}

func TestTreeShrinksToNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "keys")
		e := new(edit)
		var tr tree[int]
		order := rand.New(rand.NewPCG(uint64(n), 1)).Perm(n)
		for _, i := range order {
			tr = tr.set(e, fmt.Sprintf("%05d", i), i, int64(i), 1)
		}
		if got := tr.size(); got != n {
			t.Fatalf("want size %d, got %d", n, got)
		}
		for _, i := range order {
			tr = tr.remove(e, fmt.Sprintf("%05d", i))
		}
		if tr.root != nil {
			t.Fatal("want an empty tree")
		}
	})
}

func filledTree(n int) (tree[*int], []string) {
	e := new(edit)
	var tr tree[*int]
	keys := make([]string, n)
	for i := range n {
		keys[i] = fmt.Sprintf("acme/service-%03d/prod/application-%d.yaml", i/100, i)
		tr = tr.set(e, keys[i], new(int), int64(i), 1)
	}
	return tr, keys
}

func BenchmarkTree(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		tr, keys := filledTree(n)
		order := rand.New(rand.NewPCG(1, 1)).Perm(n)
		b.Run(fmt.Sprintf("get/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var buf [320]byte
			for i := 0; b.Loop(); i++ {
				if _, ok := tr.get(append(buf[:0], keys[order[i%n]]...)); !ok {
					b.Fatal("a key is missing")
				}
			}
		})
		b.Run(fmt.Sprintf("set/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tr = tr.set(nil, keys[order[i%n]], nil, int64(n+i), 1)
			}
		})
		b.Run(fmt.Sprintf("changed/%d", n), func(b *testing.B) {
			at := tr.root.summary().mark
			tr := tr.set(nil, keys[n/2], nil, at+1, 1)
			b.ReportAllocs()
			for b.Loop() {
				for range tr.walk("acme/", "", at) {
				}
			}
		})
		b.Run(fmt.Sprintf("count/%d", n), func(b *testing.B) {
			for b.Loop() {
				tr.countPrefix("acme/service-000/")
			}
		})
	}
}
