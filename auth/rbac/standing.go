package rbac

import (
	"slices"

	"github.com/setpointhq/setpoint/auth"
)

// standing is what an identity may do by what the Directory said at a generation,
// compiled. It is not changed once it is made.
type standing struct {
	generation uint64
	external   []string // the groups that the provider gave; a copy

	refused refusal
	sources []source
	weight  int                     // how many grants they have, and one
	roles   map[auth.Role]auth.Verb // of the sources
	tree    *node                   // nil for those who may do nothing
}

// refusal is why somebody may do nothing, whatever is granted.
type refusal uint8

const (
	nothingRefused refusal = iota
	nobody
	unknownUser
	disabledUser
)

// source is what bindings give the subject itself, or one of its groups.
type source struct {
	group  string // empty for the subject
	grants []auth.Grant
}

// is reports whether the standing is that of the identity, given that subject and
// sort of provider are.
func (s *standing) is(id *auth.Identity) bool {
	return id.Provider == "" || slices.Equal(s.external, id.Groups)
}

// stand finds out what the identity may do. What is known from before is used
// again if it still holds, which costs a comparison of the identity's own grants;
// so a change of somebody else's compiles nothing. compiled is false then.
func stand(d auth.Directory, id *auth.Identity, before *standing) (now *standing, compiled bool) {
	now = &standing{generation: d.Generation()}
	groups := id.Groups
	if id.Provider != "" {
		now.external = slices.Clone(id.Groups)
	} else {
		u, ok := d.User(id.Subject)
		switch {
		case !ok:
			now.refused = unknownUser
		case u.Disabled:
			now.refused = disabledUser
		default:
			groups = u.Groups
		}
	}
	if now.refused != nothingRefused {
		return now, before == nil
	}
	now.gather(d, id.Subject, groups)
	if before != nil && before.tree != nil && now.equals(before, d) {
		now.sources, now.roles, now.tree = before.sources, before.roles, before.tree
		return now, false
	}
	now.compile(d)
	return now, true
}

// gather asks for what the subject and the groups were given.
func (s *standing) gather(d auth.Directory, subject string, groups []string) {
	s.sources, s.weight = make([]source, 0, 1+len(groups)), 1
	if grants := d.Grants(subject); len(grants) > 0 {
		s.sources = append(s.sources, source{grants: grants})
		s.weight += len(grants)
	}
	for _, group := range groups {
		if grants := d.GroupGrants(group); len(grants) > 0 && group != "" {
			s.sources = append(s.sources, source{group: group, grants: grants})
			s.weight += len(grants)
		}
	}
}

// equals reports whether the sources and their roles are those of before.
func (s *standing) equals(before *standing, d auth.Directory) bool {
	same := slices.EqualFunc(s.sources, before.sources, func(a, b source) bool {
		return a.group == b.group && sameGrants(a.grants, b.grants)
	})
	if !same {
		return false
	}
	for role, verbs := range before.roles {
		if d.Verbs(role) != verbs {
			return false
		}
	}
	return true
}

// sameGrants compares two answers of the Directory, which nobody modifies: the
// same memory has the same grants.
func sameGrants(a, b []auth.Grant) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// compile builds the tree of the sources.
func (s *standing) compile(d auth.Directory) {
	s.roles, s.tree = map[auth.Role]auth.Verb{}, &node{}
	for i := range s.sources {
		grants := s.sources[i].grants
		for j := range grants {
			g := &grants[j]
			verbs, ok := s.roles[g.Role]
			if !ok {
				verbs = d.Verbs(g.Role)
				s.roles[g.Role] = verbs
			}
			if b, ok := boxOf(g); ok && verbs != 0 {
				s.tree.add(&b, verbs, g.Deny)
			}
		}
	}
}
