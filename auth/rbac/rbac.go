// Package rbac decides by roles: a user may do what a role grants that is bound
// to it at the path or above. Nothing is allowed that no grant allows. It keeps
// no state, so that a change of the Directory holds from the next decision on.
package rbac

import (
	"context"
	"slices"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings.
const Name = "rbac"

// Settings of the rbac driver; there is nothing to set.
type Settings struct{}

// Defaults does nothing.
func (*Settings) Defaults() {}

// Validate finds nothing wrong.
func (*Settings) Validate() error { return nil }

// Open returns the working driver, an *Authorizer.
func (*Settings) Open(_ context.Context, env auth.Env) (auth.Authorizer, error) {
	if env.Directory == nil {
		return nil, config.Errorf(config.Internal, "open", "auth."+Name, "opened without a directory of users and grants")
	}
	return New(env.Directory), nil
}

// Authorizer decides by the roles in a Directory.
type Authorizer struct{ directory auth.Directory }

// New returns an Authorizer over the directory.
func New(d auth.Directory) *Authorizer { return &Authorizer{directory: d} }

// Allowed reports whether a grant of the subject or of one of its groups allows
// each of the verbs at the path, none denies it and, for a narrowed identity, one
// of Narrow allows it as well.
func (a *Authorizer) Allowed(id auth.Identity, verb auth.Verb, path config.Path) bool {
	grants, ok := a.grants(id, verb)
	if !ok {
		return false
	}
	for rest := verb; rest != 0; rest &= rest - 1 {
		one := rest & -rest
		if !a.covers(grants, one, path) || id.Narrow != nil && !a.covers(id.Narrow, one, path) {
			return false
		}
	}
	return true
}

// Reaches reports whether there may be a place at the path or below it where each
// of the verbs is Allowed, not necessarily the same place for all. Where grants
// have patterns or deny, it may say so although there is none; it never misses one.
func (a *Authorizer) Reaches(id auth.Identity, verb auth.Verb, path config.Path) bool {
	grants, ok := a.grants(id, verb)
	if !ok {
		return false
	}
	for rest := verb; rest != 0; rest &= rest - 1 {
		if !a.reaches(grants, id.Narrow, rest&-rest, path) {
			return false
		}
	}
	return true
}

// grants returns what the identity was granted; false if it may do nothing,
// whatever that is.
func (a *Authorizer) grants(id auth.Identity, verb auth.Verb) ([]auth.Grant, bool) {
	if id.Anonymous() || verb == 0 {
		return nil, false
	}
	groups := id.Groups
	if id.Provider == "" {
		u, ok := a.directory.User(id.Subject)
		if !ok || u.Disabled {
			return nil, false
		}
		groups = u.Groups
	}
	grants := a.directory.Grants(id.Subject)
	if len(groups) > 0 {
		grants = slices.Clone(grants)
		for _, group := range groups {
			grants = append(grants, a.directory.GroupGrants(group)...)
		}
	}
	return grants, true
}

// covers reports whether one of the grants allows the verb at the path, and none
// denies it.
func (a *Authorizer) covers(grants []auth.Grant, verb auth.Verb, path config.Path) bool {
	allowed := false
	for i := range grants {
		g := &grants[i]
		if !g.Covers(path) || a.directory.Verbs(g.Role)&verb == 0 {
			continue
		}
		if g.Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// reaches reports whether one of the grants and, unless narrow is nil, one of
// narrow allow the verb at one and the same place at the path or below it.
func (a *Authorizer) reaches(grants, narrow []auth.Grant, verb auth.Verb, path config.Path) bool {
	for i := range grants {
		g := &grants[i]
		place := deeper(&g.Scope, &path)
		if place == nil || g.Deny || a.directory.Verbs(g.Role)&verb == 0 || a.denied(grants, verb, *place) {
			continue
		}
		if narrow == nil || a.meets(narrow, verb, place) {
			return true
		}
	}
	return false
}

// denied reports whether one of the grants denies the verb at the place and
// everywhere below it.
func (a *Authorizer) denied(grants []auth.Grant, verb auth.Verb, place config.Path) bool {
	for i := range grants {
		if g := &grants[i]; g.Deny && g.Covers(place) && a.directory.Verbs(g.Role)&verb != 0 {
			return true
		}
	}
	return false
}

// meets reports whether one of the grants allows the verb at the place, above
// it or below it.
func (a *Authorizer) meets(grants []auth.Grant, verb auth.Verb, place *config.Path) bool {
	for i := range grants {
		if g := &grants[i]; deeper(&g.Scope, place) != nil && a.directory.Verbs(g.Role)&verb != 0 {
			return true
		}
	}
	return false
}

// deeper returns the one of two paths that lies in the other, which is where
// both hold; nil if neither does. Pointers, because a Path has eight words.
func deeper(p, q *config.Path) *config.Path {
	switch {
	case p.Contains(*q):
		return q
	case q.Contains(*p):
		return p
	default:
		return nil
	}
}

var (
	_ auth.AuthorizerDriver = (*Settings)(nil)
	_ auth.Authorizer       = (*Authorizer)(nil)
)
