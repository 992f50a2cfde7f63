package yaml

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/setpointhq/setpoint/format"
)

// maxRepeated bounds how many values the aliases of a stream may repeat: the
// billion laughs end here. Content without aliases is bounded by its size.
const maxRepeated = 100_000

// linearKeys is up to how many keys a map is searched one by one.
const linearKeys = 16

// tree is the state of turning the library's nodes into ours.
type tree struct {
	anchored map[*yaml.Node]*branch // of the document at hand
	repeated int
	full     bool // maxRepeated is exceeded, and that was reported
}

// branch is a finished part of the tree. While an anchored node is being read
// its branch has no node: an alias that finds it so is inside of what it names.
type branch struct {
	node   *format.Node
	size   int            // values in it, those repeated by aliases included
	height int            // how deep it nests
	merged []*format.Node // maps to be merged into it
	broken bool           // an alias that could not be followed; reported
}

// document turns a document's root into a Node.
func (r *reader) document(n *yaml.Node) *format.Node {
	r.anchored = nil
	return r.value(n, 1).node
}

// value turns a node into a branch; its node is never nil.
func (r *reader) value(n *yaml.Node, depth int) branch {
	if n.Kind == yaml.AliasNode {
		return r.alias(n, depth)
	}
	if depth > format.MaxDepth {
		r.deep(n)
		return branch{node: r.node(format.Null, n), size: 1, height: 1}
	}
	if n.Anchor != "" {
		if r.anchored == nil {
			r.anchored = map[*yaml.Node]*branch{}
		}
		r.anchored[n] = &branch{}
	}
	var b branch
	switch n.Kind {
	case yaml.SequenceNode:
		b = r.list(n, depth)
	case yaml.MappingNode:
		b = r.mapping(n, depth)
	default:
		b = branch{node: r.scalar(n), size: 1, height: 1}
	}
	if n.Anchor != "" {
		*r.anchored[n] = b
	}
	return b
}

func (r *reader) deep(n *yaml.Node) {
	r.Errorf(r.offset(n.Line, n.Column), "", "nested deeper than %d levels", format.MaxDepth)
}

func (r *reader) node(kind format.NodeKind, n *yaml.Node) *format.Node {
	node := &format.Node{Kind: kind}
	node.Line, node.Column = r.place(n)
	return node
}

// alias repeats what it names, in its own place. The parts below are shared.
func (r *reader) alias(n *yaml.Node, depth int) branch {
	nothing := branch{node: r.node(format.Null, n), size: 1, height: 1, broken: true}
	target := r.anchored[n.Alias]
	switch {
	case target == nil || target.node == nil:
		r.Errorf(r.offset(n.Line, n.Column), "", "the alias *%s stands inside of what it repeats", n.Value)
		return nothing
	case depth+target.height-1 > format.MaxDepth:
		r.deep(n)
		return nothing
	case !r.repeat(n, target.size):
		return nothing
	}
	b := *target
	copied := *b.node
	copied.Line, copied.Column = r.place(n)
	b.node = &copied
	return b
}

// repeat counts values that an alias repeats, and says whether it may.
func (r *reader) repeat(n *yaml.Node, size int) bool {
	if r.repeated += size; r.repeated <= maxRepeated {
		return true
	}
	if r.repeated = maxRepeated; !r.full {
		r.full = true
		r.Errorf(r.offset(n.Line, n.Column), "repeat smaller parts, or split the file", "the aliases repeat more than %d values", maxRepeated)
	}
	return false
}

func (r *reader) list(n *yaml.Node, depth int) branch {
	b := branch{node: r.node(format.List, n), size: 1}
	if len(n.Content) > 0 {
		b.node.Items = make([]*format.Node, 0, len(n.Content))
	}
	for _, child := range n.Content {
		if r.Full() {
			break
		}
		item := r.value(child, depth+1)
		b.node.Items = append(b.node.Items, item.node)
		b.add(item)
	}
	b.height++
	return b
}

func (b *branch) add(child branch) {
	b.size += child.size
	b.height = max(b.height, child.height)
}

func (r *reader) mapping(n *yaml.Node, depth int) branch {
	b := branch{node: r.node(format.Map, n), size: 1}
	if len(n.Content) > 0 {
		b.node.Members = make([]format.Member, 0, len(n.Content)/2)
	}
	keys := keys{pairs: n.Content}
	merge, mergeAt := (*yaml.Node)(nil), 0
	for i := 0; i+1 < len(n.Content) && !r.Full(); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		text, ok := r.key(k, depth)
		first := (*yaml.Node)(nil)
		if ok {
			first = keys.add(i, text)
		}
		value := r.value(v, depth+1)
		switch {
		case !ok:
		case first != nil:
			r.Errorf(r.offset(k.Line, k.Column), "remove one of the two", "the key %q is there already, on %s", clip(text), r.Place(r.offset(first.Line, first.Column)))
		case value.broken:
		case isMerge(k):
			merge, mergeAt = v, len(b.node.Members)
			r.merge(v, value, &b)
		default:
			b.node.Members = append(b.node.Members, format.Member{Key: text, Value: value.node})
			b.add(value)
		}
	}
	if merge != nil {
		r.insert(&b, mergeAt, merge)
	}
	b.height++
	return b
}

// isMerge says whether a key is the merge key rather than the text "<<".
func isMerge(k *yaml.Node) bool { return k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" }

// key returns the text of a key, and whether it can be one.
func (r *reader) key(k *yaml.Node, depth int) (string, bool) {
	if k.Kind != yaml.AliasNode {
		r.value(k, depth)
	}
	text, ok := keyText(k)
	if !ok {
		r.Errorf(r.offset(k.Line, k.Column), "use text as the key", "a key that is a list or a map is not supported")
	}
	return text, ok
}

func keyText(k *yaml.Node) (string, bool) {
	if k.Kind == yaml.AliasNode {
		k = k.Alias
	}
	if k == nil || k.Kind != yaml.ScalarNode {
		return "", false
	}
	return k.Value, true
}

// keys finds out whether a key of a map was there before.
type keys struct {
	pairs []*yaml.Node
	index map[string]*yaml.Node // once there are many
}

// add returns the earlier key of the same text, if there is one.
func (s *keys) add(i int, text string) (first *yaml.Node) {
	if len(s.pairs)/2 > linearKeys {
		if s.index == nil {
			s.index = make(map[string]*yaml.Node, len(s.pairs)/2)
		}
		if first = s.index[text]; first == nil {
			s.index[text] = s.pairs[i]
		}
		return first
	}
	for j := 0; j < i; j += 2 {
		if other, ok := keyText(s.pairs[j]); ok && other == text {
			return s.pairs[j]
		}
	}
	return nil
}

// merge checks what a merge key merges: a map, or a list of maps.
func (r *reader) merge(at *yaml.Node, value branch, to *branch) {
	maps := []*format.Node{value.node}
	if value.node.Kind == format.List {
		maps = value.node.Items
	}
	for _, m := range maps {
		if m.Kind != format.Map {
			r.Errorf(r.offset(at.Line, at.Column), "merge an alias of a map: <<: *name", "only a map, or a list of maps, can be merged, not %s", kindWithArticle(m.Kind))
			return
		}
		to.merged = append(to.merged, m)
	}
	to.add(value)
}

// insert puts the merged members where the merge key stands. What the map says
// itself wins, then what is merged first.
func (r *reader) insert(b *branch, at int, merge *yaml.Node) {
	has := make(map[string]bool, len(b.node.Members))
	for _, m := range b.node.Members {
		has[m.Key] = true
	}
	var members []format.Member
	for _, from := range b.merged {
		if !r.repeat(merge, len(from.Members)) {
			return
		}
		for _, m := range from.Members {
			if !has[m.Key] {
				has[m.Key] = true
				members = append(members, m)
			}
		}
	}
	b.node.Members = slices.Insert(b.node.Members, at, members...)
	b.merged = nil
}
