package view

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// fanOut is the largest number of slots in a node. Measured with 100,000 keys:
// 16 makes lookups a third slower (a level more), 64 makes a change half as dear
// again (more to copy) and lookups no faster.
const fanOut = 32

// tree is an ordered map from keys to V that never changes: set and remove
// return another tree that shares all but one path with this one. So any number
// of goroutines may read a tree without a lock, for as long as they like.
//
// It is a B+ tree whose inner slots also carry the number of entries below and
// their highest mark. The marks let a walk skip everything that is older than a
// given position: finding c changes among n entries costs O(c log n).
//
// A hash trie beside it, for lookups alone, was tried: it was no faster, and
// made a change half as dear again.
type tree[V any] struct {
	root *node[V]
}

// node is a leaf (its slots have values) or an inner node (its slots have kids).
type node[V any] struct {
	owner *edit
	leaf  bool
	skip  int // so many first bytes are the same in all keys
	slots []slot[V]
}

// slot is an entry of a leaf, or what an inner node knows of one kid: its
// smallest key, highest mark and sum of counts.
type slot[V any] struct {
	head  uint64 // the eight bytes after the skipped ones: see last
	key   string
	mark  int64
	count int
	value V
	kid   *node[V]
}

// edit is the right to change the nodes that were made under it in place, which
// makes a change of many keys cheap. Trees made with it must not be published
// before it is dropped.
type edit struct{ _ byte }

// get returns the value of a key, without allocating.
func (t tree[V]) get(key []byte) (value V, ok bool) {
	n := t.root
	if n == nil {
		return value, false
	}
	for !n.leaf {
		i := n.last(key)
		if i < 0 {
			return value, false
		}
		n = n.slots[i].kid
	}
	// A key that is in a leaf begins as all others there do: no need to look.
	if len(key) < n.skip {
		return value, false
	}
	if i := n.search(key); i >= 0 && n.slots[i].key == string(key) {
		return n.slots[i].value, true
	}
	return value, false
}

// size returns the sum of all counts.
func (t tree[V]) size() int {
	if t.root == nil {
		return 0
	}
	return t.root.summary().count
}

// set returns a tree in which the key has the value, with its mark (at least 0)
// and count.
func (t tree[V]) set(e *edit, key string, value V, mark int64, count int) tree[V] {
	s := slot[V]{key: key, value: value, mark: mark, count: count}
	if t.root == nil {
		return tree[V]{root: newNode(e, true, s)}
	}
	left, right := t.root.set(e, s)
	if right == nil {
		return tree[V]{root: left}
	}
	return tree[V]{root: newNode(e, false, left.summary(), right.summary())}
}

// remove returns a tree without the key.
func (t tree[V]) remove(e *edit, key string) tree[V] {
	if _, ok := t.get([]byte(key)); !ok {
		return t
	}
	root := t.root.remove(e, key)
	for !root.leaf && len(root.slots) == 1 {
		root = root.slots[0].kid
	}
	if len(root.slots) == 0 {
		root = nil
	}
	return tree[V]{root: root}
}

// walk yields the values whose keys begin with prefix, lie strictly after the
// key after, and have a mark above since, in key order. A since of -1 means all.
func (t tree[V]) walk(prefix, after string, since int64) iter.Seq[V] {
	return func(yield func(V) bool) {
		if t.root != nil {
			t.root.walk(prefix, after, since, yield)
		}
	}
}

// countPrefix returns the sum of the counts of the keys that begin with prefix.
func (t tree[V]) countPrefix(prefix string) int {
	switch {
	case t.root == nil:
		return 0
	case prefix == "":
		return t.size()
	default:
		return t.root.countPrefix(prefix)
	}
}

// last returns the index of the last slot whose key is not after the given one,
// or -1.
func (n *node[V]) last(key []byte) int {
	if len(n.slots) == 0 {
		return -1
	}
	shared := n.slots[0].key[:n.skip]
	if len(key) < n.skip || string(key[:n.skip]) != shared {
		if string(key) < shared {
			return -1
		}
		return len(n.slots) - 1
	}
	return n.search(key)
}

// search is last for a key that begins as all keys of the node do. It neither
// copies it nor, mostly, looks at other keys: heads decide, and only where they
// are equal are keys compared. Keys lie anywhere in memory, heads side by side.
func (n *node[V]) search(key []byte) int {
	h := head(key[n.skip:])
	lo, hi := 0, len(n.slots)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		s := &n.slots[mid]
		if s.head < h || (s.head == h && s.key <= string(key)) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// head packs the first eight bytes so that numbers order as the bytes do. Keys
// have no NUL bytes, so padding with them keeps the order.
func head(b []byte) (h uint64) {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	for i := range 8 {
		h <<= 8
		if i < len(b) {
			h |= uint64(b[i])
		}
	}
	return h
}

// fit sets the head of slot i, whose key is new.
func (n *node[V]) fit(i int) {
	if s, other := &n.slots[i], (i+1)%len(n.slots); other != i && strings.HasPrefix(s.key, n.slots[other].key[:n.skip]) {
		s.head = head([]byte(s.key[n.skip:]))
		return
	}
	n.refit()
}

// refit finds anew what all keys share, and sets every head.
func (n *node[V]) refit() {
	first, final := n.slots[0].key, n.slots[len(n.slots)-1].key
	n.skip = 0
	for n.skip < min(len(first), len(final)) && first[n.skip] == final[n.skip] {
		n.skip++
	}
	for i := range n.slots {
		n.slots[i].head = head([]byte(n.slots[i].key[n.skip:]))
	}
}

// summary is the slot that stands for the node in its parent.
func (n *node[V]) summary() slot[V] {
	s := slot[V]{kid: n}
	if len(n.slots) > 0 {
		s.key = n.slots[0].key
	}
	for i := range n.slots {
		s.mark = max(s.mark, n.slots[i].mark)
		s.count += n.slots[i].count
	}
	return s
}

func newNode[V any](e *edit, leaf bool, slots ...slot[V]) *node[V] {
	n := &node[V]{owner: e, leaf: leaf, slots: slots}
	n.refit()
	return n
}

// own returns the node itself if the edit made it, else a copy that it may change.
func (n *node[V]) own(e *edit) *node[V] {
	if n.owner == e && e != nil {
		return n
	}
	slots := make([]slot[V], len(n.slots), len(n.slots)+1)
	copy(slots, n.slots)
	return &node[V]{owner: e, leaf: n.leaf, skip: n.skip, slots: slots}
}

// set returns the changed node, and a right sibling if it had to be split.
func (n *node[V]) set(e *edit, s slot[V]) (left, right *node[V]) {
	n = n.own(e)
	i := n.last([]byte(s.key))
	if n.leaf {
		if i >= 0 && n.slots[i].key == s.key {
			s.head = n.slots[i].head
			n.slots[i] = s
			return n, nil
		}
		n.slots = slices.Insert(n.slots, i+1, s)
		n.fit(i + 1)
		return n.split(e, i+1)
	}
	i = max(i, 0) // a key before all others becomes the smallest of the first kid
	kid, sibling := n.slots[i].kid.set(e, s)
	n.replace(i, kid)
	if sibling == nil {
		return n, nil
	}
	n.slots = slices.Insert(n.slots, i+1, sibling.summary())
	n.fit(i + 1)
	return n.split(e, i+1)
}

// replace puts a changed kid in the place of the one in slot i.
func (n *node[V]) replace(i int, kid *node[V]) {
	old := n.slots[i]
	n.slots[i] = kid.summary()
	if n.slots[i].key == old.key {
		n.slots[i].head = old.head
	} else {
		n.fit(i)
	}
}

// split cuts an overfull node in two. A node that grew at its end is left full:
// keys that come in order, as they do at the load, then make packed nodes.
func (n *node[V]) split(e *edit, grewAt int) (left, right *node[V]) {
	if len(n.slots) <= fanOut {
		return n, nil
	}
	mid := len(n.slots) / 2
	if grewAt == len(n.slots)-1 {
		mid = grewAt
	}
	right = newNode(e, n.leaf, slices.Clone(n.slots[mid:])...)
	n.slots = slices.Clone(n.slots[:mid])
	n.refit()
	return n, right
}

// remove returns the node without the key, which must be there; it may be left
// with no slots. Neighbours that fit into one node are joined.
func (n *node[V]) remove(e *edit, key string) *node[V] {
	n = n.own(e)
	i := n.last([]byte(key))
	if n.leaf {
		n.slots = slices.Delete(n.slots, i, i+1)
		return n
	}
	kid := n.slots[i].kid.remove(e, key)
	if len(kid.slots) == 0 {
		n.slots = slices.Delete(n.slots, i, i+1)
		return n
	}
	n.replace(i, kid)
	if i == 0 || !n.join(e, i-1) {
		n.join(e, i)
	}
	return n
}

// join merges kid i with the one after it, if both fit into one node.
func (n *node[V]) join(e *edit, i int) bool {
	if i+1 >= len(n.slots) {
		return false
	}
	a, b := n.slots[i].kid, n.slots[i+1].kid
	if len(a.slots)+len(b.slots) > fanOut {
		return false
	}
	a = a.own(e)
	a.slots = append(a.slots, b.slots...)
	a.refit()
	n.replace(i, a)
	n.slots = slices.Delete(n.slots, i+1, i+2)
	return true
}

// walk returns false if the walk is over: the caller broke off, or the keys are
// past the prefix.
func (n *node[V]) walk(prefix, after string, since int64, yield func(V) bool) bool {
	for i := max(n.last([]byte(max(prefix, after))), 0); i < len(n.slots); i++ {
		s := &n.slots[i]
		if s.key > prefix && !strings.HasPrefix(s.key, prefix) {
			return false
		}
		if s.mark <= since {
			continue
		}
		if !n.leaf {
			if !s.kid.walk(prefix, after, since, yield) {
				return false
			}
			continue
		}
		// The first slot may lie before the range.
		if s.key < prefix || (s.key <= after && after != "") {
			continue
		}
		if !yield(s.value) {
			return false
		}
	}
	return true
}

// countPrefix adds up whole kids, and looks into the two at the edges only.
func (n *node[V]) countPrefix(prefix string) (sum int) {
	for i := max(n.last([]byte(prefix)), 0); i < len(n.slots); i++ {
		s := &n.slots[i]
		inside := strings.HasPrefix(s.key, prefix)
		switch {
		case s.key > prefix && !inside:
			return sum
		case n.leaf:
			if inside {
				sum += s.count
			}
		case inside && i+1 < len(n.slots) && strings.HasPrefix(n.slots[i+1].key, prefix):
			sum += s.count
		default:
			sum += s.kid.countPrefix(prefix)
		}
	}
	return sum
}
