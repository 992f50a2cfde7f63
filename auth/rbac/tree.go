package rbac

import (
	"slices"

	"github.com/setpointhq/setpoint/auth"
)

// node is a place in a tree of grants: what is allowed and denied there and
// everywhere below it. The tree of an identity holds what all its bindings say,
// so that a decision costs a look-up at each level of the path, however many
// there are. A tree that is built is not changed any more.
type node struct {
	allow, deny auth.Verb
	// What is allowed and denied at this node or at any that hangs on it, so that
	// branches which cannot matter are not walked.
	allowBelow, denyBelow auth.Verb

	// Most nodes have one child, which takes less without a map.
	first     *node
	firstName string
	named     map[string]*node // the other children, by name
	every     *node            // for every name: "*" in a pattern
	open      *prefixes        // for names that begin so: "db-*" in a pattern
}

// prefixes are the children for names that begin in some way.
type prefixes struct {
	nodes   map[string]*node
	lengths []int // of the keys, each once
}

// add puts a grant of the verbs into the tree.
func (n *node) add(b *box, verbs auth.Verb, deny bool) {
	for i := 0; ; i++ {
		if deny {
			n.denyBelow |= verbs
		} else {
			n.allowBelow |= verbs
		}
		if i == b.depth {
			break
		}
		n = n.child(b.parts[i])
	}
	if deny {
		n.deny |= verbs
	} else {
		n.allow |= verbs
	}
}

// child returns the node of a part, which it makes if there is none.
func (n *node) child(p part) *node {
	if p.open && p.text == "" {
		if n.every == nil {
			n.every = &node{}
		}
		return n.every
	}
	if p.open {
		return n.openChild(p.text)
	}
	if n.first == nil {
		n.first, n.firstName = &node{}, p.text
	}
	c := n.at(p.text)
	if c == nil {
		if n.named == nil {
			n.named = map[string]*node{}
		}
		c = &node{}
		n.named[p.text] = c
	}
	return c
}

func (n *node) openChild(prefix string) *node {
	if n.open == nil {
		n.open = &prefixes{nodes: map[string]*node{}}
	}
	c, ok := n.open.nodes[prefix]
	if !ok {
		c = &node{}
		n.open.nodes[prefix] = c
		if !slices.Contains(n.open.lengths, len(prefix)) {
			n.open.lengths = append(n.open.lengths, len(prefix))
		}
	}
	return c
}

// at returns the child of just that name, nil if there is none.
func (n *node) at(name string) *node {
	if n.first != nil && n.firstName == name {
		return n.first
	}
	return n.named[name]
}

// says adds up what the tree says of the verbs at the place with these names, the
// outermost first. Branches that say nothing of them are left out.
func (n *node) says(verbs auth.Verb, names []string) (allow, deny auth.Verb) {
	allow, deny = n.allow, n.deny
	if len(names) == 0 || names[0] == "" {
		return allow, deny
	}
	name, rest := names[0], names[1:]
	if c := n.at(name); c != nil && (c.allowBelow|c.denyBelow)&verbs != 0 {
		a, d := c.says(verbs, rest)
		allow, deny = allow|a, deny|d
	}
	if c := n.every; c != nil && (c.allowBelow|c.denyBelow)&verbs != 0 {
		a, d := c.says(verbs, rest)
		allow, deny = allow|a, deny|d
	}
	if n.open == nil {
		return allow, deny
	}
	for _, length := range n.open.lengths {
		if length > len(name) {
			continue
		}
		if c := n.open.nodes[name[:length]]; c != nil && (c.allowBelow|c.denyBelow)&verbs != 0 {
			a, d := c.says(verbs, rest)
			allow, deny = allow|a, deny|d
		}
	}
	return allow, deny
}

// deniesAll reports whether one denial of the verb covers all of the parts.
func (n *node) deniesAll(verb auth.Verb, parts []part) bool {
	if n.deny&verb != 0 {
		return true
	}
	if n.denyBelow&verb == 0 || len(parts) == 0 {
		return false
	}
	p, rest := parts[0], parts[1:]
	if c := n.every; c != nil && c.deniesAll(verb, rest) {
		return true
	}
	if c := n.at(p.text); c != nil && !p.open && c.deniesAll(verb, rest) {
		return true
	}
	if n.open == nil {
		return false
	}
	for _, length := range n.open.lengths {
		if length > len(p.text) {
			continue
		}
		if c := n.open.nodes[p.text[:length]]; c != nil && c.deniesAll(verb, rest) {
			return true
		}
	}
	return false
}

// search looks for a place in a box where a tree allows a verb and no denial takes
// it away.
//
// What two grants have in common is a box too. If no single denial covers all of
// it, then it has a place that none covers: the one whose names are new wherever
// the box leaves them open. So the answer is exact as long as names are not used
// up: it is true for a box of which denials took every possible letter.
type search struct {
	tree   *node
	verb   auth.Verb
	within box
	narrow []auth.Grant // whose denials count as well
	roles  auth.Directory
	// parts are what the nodes on the way and within have in common.
	parts [levels]part
}

// from looks at a node, that many levels below the top, and at all that hangs on it.
func (s *search) from(n *node, depth int) bool {
	if n.allowBelow&s.verb == 0 || n.deny&s.verb != 0 {
		return false
	}
	if n.allow&s.verb != 0 {
		// What hangs on this node allows no more than it does itself.
		return !s.denied(depth)
	}
	want := part{open: true}
	if depth < s.within.depth {
		want = s.within.parts[depth]
	}
	if n.every != nil && s.into(n.every, part{open: true}, want, depth) {
		return true
	}
	if s.intoNamed(n, want, depth) {
		return true
	}
	if n.open == nil {
		return false
	}
	for prefix, c := range n.open.nodes {
		if s.into(c, part{text: prefix, open: true}, want, depth) {
			return true
		}
	}
	return false
}

// intoNamed follows the branches of single names.
func (s *search) intoNamed(n *node, want part, depth int) bool {
	if !want.open {
		c := n.at(want.text)
		return c != nil && s.into(c, want, want, depth)
	}
	if n.first != nil && s.into(n.first, part{text: n.firstName}, want, depth) {
		return true
	}
	for name, c := range n.named {
		if s.into(c, part{text: name}, want, depth) {
			return true
		}
	}
	return false
}

// into follows a branch, if it has something in common with what is wanted.
func (s *search) into(c *node, branch, want part, depth int) bool {
	if c.allowBelow&s.verb == 0 {
		return false
	}
	p, ok := branch.meet(want)
	if !ok {
		return false
	}
	s.parts[depth] = p
	return s.from(c, depth+1)
}

// denied reports whether a denial covers all of what was found.
func (s *search) denied(depth int) bool {
	found := s.within
	copy(found.parts[:], s.parts[:depth])
	found.depth = max(depth, s.within.depth)
	if s.tree.deniesAll(s.verb, found.parts[:found.depth]) {
		return true
	}
	for i := range s.narrow {
		g := &s.narrow[i]
		if !g.Deny || s.roles.Verbs(g.Role)&s.verb == 0 {
			continue
		}
		if b, ok := boxOf(g); ok && b.covers(&found) {
			return true
		}
	}
	return false
}
