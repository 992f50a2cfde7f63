package diff

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/aymanbagabas/go-udiff/lcs"

	"github.com/setpointhq/setpoint/format"
)

// hashes knows which values are equal. Values that aliases share are hashed
// once.
type hashes struct {
	seed maphash.Seed
	sums map[*format.Node]uint64
}

func newHashes() hashes {
	return hashes{seed: maphash.MakeSeed(), sums: map[*format.Node]uint64{}}
}

// of returns the same for values that are the same, whatever the order of their
// keys, and practically never for others.
func (h *hashes) of(n *format.Node) uint64 {
	type content struct {
		kind           format.NodeKind
		text           string
		items, members uint64
	}
	type member struct {
		key   string
		value uint64
	}
	if len(n.Items) == 0 && len(n.Members) == 0 {
		return maphash.Comparable(h.seed, content{kind: n.Kind, text: n.Text})
	}
	if sum, ok := h.sums[n]; ok {
		return sum
	}
	c := content{kind: n.Kind}
	for _, item := range n.Items {
		c.items = maphash.Comparable(h.seed, [2]uint64{c.items, h.of(item)})
	}
	for _, m := range n.Members {
		c.members += maphash.Comparable(h.seed, member{m.Key, h.of(m.Value)}) // in any order
	}
	sum := maphash.Comparable(h.seed, c)
	h.sums[n] = sum
	return sum
}

// pair is an item of an old list and the one of the new list that it became;
// -1 where there is none.
type pair struct{ from, to int }

// align matches the items of two lists, in order: first those that are equal,
// then, between them, those that are most alike.
func (w *walker) align(from, to []*format.Node) []pair {
	var pairs []pair
	i, j := 0, 0
	for _, d := range append(compare(w.sequence(from), w.sequence(to)), lcs.Diff{Start: len(from), End: len(from), ReplStart: len(to), ReplEnd: len(to)}) {
		for ; i < d.Start; i, j = i+1, j+1 {
			pairs = append(pairs, pair{i, j})
		}
		for _, p := range w.alike(from[d.Start:d.End], to[d.ReplStart:d.ReplEnd]) {
			if p.from >= 0 {
				p.from += d.Start
			}
			if p.to >= 0 {
				p.to += d.ReplStart
			}
			pairs = append(pairs, p)
		}
		i, j = d.End, d.ReplEnd
	}
	return pairs
}

// sequence renders items so that equal ones are equal text.
func (w *walker) sequence(items []*format.Node) []string {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = string(binary.LittleEndian.AppendUint64(nil, w.of(item)))
	}
	return keys
}

// maxAlike bounds the work of matching by likeness, in pairs looked at; beyond
// it items are matched by their position.
const maxAlike = 2_500

// alike matches two runs of items, none of which are equal, so that the sum of
// their likeness is greatest: the textbook alignment by dynamic programming.
func (w *walker) alike(from, to []*format.Node) []pair {
	n, m := len(from), len(to)
	if n*m > maxAlike {
		return byPosition(n, m)
	}
	like := make([][]float64, n) // of each two items; 0: not the same thing
	best := make([][]float64, n+1)
	best[n] = make([]float64, m+1)
	for i := n - 1; i >= 0; i-- {
		like[i], best[i] = make([]float64, m), make([]float64, m+1)
		for j := m - 1; j >= 0; j-- {
			like[i][j] = w.likeness(from[i], to[j])
			best[i][j] = max(best[i+1][j], best[i][j+1], best[i+1][j+1]+like[i][j])
		}
	}
	var pairs []pair
	for i, j := 0, 0; i < n || j < m; {
		switch {
		case i < n && j < m && like[i][j] > 0 && best[i][j] == best[i+1][j+1]+like[i][j]:
			pairs = append(pairs, pair{i, j})
			i, j = i+1, j+1
		case i < n && (j == m || best[i][j] == best[i+1][j]):
			pairs = append(pairs, pair{i, -1})
			i++
		default:
			pairs = append(pairs, pair{-1, j})
			j++
		}
	}
	return pairs
}

func byPosition(n, m int) []pair {
	pairs := make([]pair, 0, max(n, m))
	for i := range max(n, m) {
		p := pair{i, i}
		if i >= n {
			p.from = -1
		}
		if i >= m {
			p.to = -1
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// maxLikeness bounds how many members of a map are compared for its likeness.
const maxLikeness = 32

// likeness says how much two different values look like versions of one thing,
// from 0 to 1: maps by the keys and values that they share, anything else by
// its kind.
func (w *walker) likeness(a, b *format.Node) float64 {
	if a.Kind != b.Kind {
		return 0
	}
	if a.Kind != format.Map {
		return 0.1
	}
	shared := 0.0
	for i, m := range a.Members[:min(len(a.Members), maxLikeness)] {
		other := memberNear(b, m.Key, i)
		switch {
		case other == nil:
		case w.of(other) == w.of(m.Value):
			shared += naming(m.Key)
		default:
			shared += 0.1
		}
	}
	return shared / float64(max(len(a.Members), len(b.Members), 1)+10)
}

// naming is how much it says that two maps have the same value for a key: the
// keys that things are named by say most.
func naming(key string) float64 {
	switch key {
	case "name", "id", "key", "job_name", "alert", "record":
		return 10
	}
	return 1
}

// memberNear finds a key, looking first where it would be in an equal map.
func memberNear(n *format.Node, key string, at int) *format.Node {
	if at < len(n.Members) && n.Members[at].Key == key {
		return n.Members[at].Value
	}
	for _, m := range n.Members[:min(len(n.Members), maxLikeness)] {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}
