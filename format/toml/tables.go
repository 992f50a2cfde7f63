package toml

import (
	"github.com/setpointhq/setpoint/format"
)

// origin says how a key came to be, which decides what may be added to it.
type origin uint8

const (
	plain    origin = iota // key = value: nothing
	dotted                 // the front of a dotted key: further dotted keys, and tables below
	implicit               // the front of a header: anything, and a header of its own
	header                 // [table]: keys, and tables below
	array                  // [[table]]: further elements
)

// entry is one key of the document.
type entry struct {
	node   *format.Node
	kind   origin
	offset int    // where it was written first
	depth  int    // how many keys and lists lead to it
	last   *entry // of an array: its last element, as a table
}

// place names a key within a table.
type place struct {
	in  *entry
	key string
}

// tables knows all keys that were read.
type tables struct {
	root    *entry
	current *entry // what the last header named
	index   map[place]*entry
	parts   []part
}

func (t *tables) find(in *entry, key string) *entry { return t.index[place{in, key}] }

// add makes a key. The parent's node gets it too.
func (r *reader) add(in *entry, kind origin, p part, node *format.Node) *entry {
	e := &entry{node: node, kind: kind, offset: p.offset, depth: in.depth + 1}
	if r.index == nil {
		r.index = make(map[place]*entry, 32)
	}
	r.index[place{in, p.text}] = e
	in.node.Members = append(in.node.Members, format.Member{Key: p.text, Value: node})
	return e
}

func (r *reader) node(kind format.NodeKind, offset int) *format.Node {
	node := &format.Node{Kind: kind}
	node.Line, node.Column = r.Position(offset)
	return node
}

// clash reports a key that is there already as something else.
func (r *reader) clash(p part, first *entry) {
	what, hint := "the key", "remove one of the two"
	switch first.kind {
	case plain:
	case dotted:
		what, hint = "a table of dotted keys", "write all of its keys in one place"
	case array:
		what, hint = "an array of tables", "write [["+clip(p.text)+"]] for a further element"
	default:
		what, hint = "the table", "write all of its keys in one place"
	}
	r.Errorf(p.offset, hint, "%s %q is there already, on %s", what, clip(p.text), r.Place(first.offset))
}

// nowhere collects keys whose table is a mistake, so that no more is said of them.
func (r *reader) nowhere() *entry {
	return &entry{kind: header, node: &format.Node{Kind: format.Map, Line: 1, Column: 1}}
}

// parent walks to the table that the last part of a header's key belongs to;
// nil after a mistake.
func (r *reader) parent(key []part) *entry {
	at := r.root
	for _, p := range key[:len(key)-1] {
		e := r.find(at, p.text)
		switch {
		case r.deep(at.depth+1, p.offset):
			return nil
		case e == nil:
			e = r.add(at, implicit, p, r.node(format.Map, p.offset))
		case e.kind == plain:
			r.clash(p, e)
			return nil
		case e.kind == array:
			e = e.last
		}
		at = e
	}
	return at
}

// deep says whether a depth is more than is allowed, and reports it.
func (r *reader) deep(depth, offset int) bool {
	if depth <= format.MaxDepth {
		return false
	}
	r.Errorf(offset, "", "nested deeper than %d levels", format.MaxDepth)
	return true
}

// table reads the header [key].
func (r *reader) table(key []part) {
	in := r.parent(key)
	r.current = r.nowhere()
	if in == nil {
		return
	}
	p := key[len(key)-1]
	switch e := r.find(in, p.text); {
	case r.deep(in.depth+1, p.offset):
	case e == nil:
		r.current = r.add(in, header, p, r.node(format.Map, p.offset))
	case e.kind == implicit:
		e.kind, e.offset = header, p.offset
		e.node.Line, e.node.Column = r.Position(p.offset)
		r.current = e
	default:
		r.clash(p, e)
	}
}

// arrayTable reads the header [[key]].
func (r *reader) arrayTable(key []part) {
	in := r.parent(key)
	r.current = r.nowhere()
	if in == nil {
		return
	}
	p := key[len(key)-1]
	e := r.find(in, p.text)
	switch {
	case r.deep(in.depth+2, p.offset):
		return
	case e == nil:
		e = r.add(in, array, p, r.node(format.List, p.offset))
	case e.kind != array:
		r.clash(p, e)
		return
	}
	e.last = &entry{kind: header, node: r.node(format.Map, p.offset), offset: p.offset, depth: e.depth + 1}
	e.node.Items = append(e.node.Items, e.last.node)
	r.current = e.last
}
