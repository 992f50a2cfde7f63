// Package rbac decides by roles: a user may do what a role grants that is bound
// to it or to one of its groups at the path or above, unless one is denied there.
// Nothing is allowed that no grant allows.
//
// What an identity may do is compiled when it is first asked for, and remembered
// for as long as the Directory has not changed, so that a change holds from the
// next decision on.
package rbac

import (
	"context"
	"hash/maphash"

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

// Authorizer decides by the roles in a Directory. It starts no goroutine and needs
// no closing.
type Authorizer struct{ cache cache }

// New returns an Authorizer over the directory.
func New(d auth.Directory) *Authorizer {
	return &Authorizer{cache: cache{directory: d, seed: maphash.MakeSeed()}}
}

// Allowed reports whether grants of the subject or of its groups allow each of the
// verbs at the path, none denies one of them and, for a narrowed identity, those of
// Narrow allow each as well.
func (a *Authorizer) Allowed(id auth.Identity, verb auth.Verb, path config.Path) bool {
	if id.Anonymous() || verb == 0 {
		return false
	}
	tree := a.cache.standing(&id).tree
	if tree == nil {
		return false
	}
	names := [...]string{path.Tenant, path.App, path.Env, path.Name}
	allow, deny := tree.says(verb, names[:])
	return allow&verb == verb && deny&verb == 0 && (id.Narrow == nil || a.keeps(id.Narrow, verb, &path))
}

// keeps reports whether what narrows a token leaves each of the verbs at the path.
// There are few such grants, and they come with the call: to look at each costs
// less than to find what was made of them before. One that denies, which no token
// is made with, allows nothing and denies.
func (a *Authorizer) keeps(narrow []auth.Grant, verb auth.Verb, path *config.Path) bool {
	var allow, deny auth.Verb
	for i := range narrow {
		g := &narrow[i]
		if !g.Covers(*path) {
			continue
		}
		if g.Deny {
			deny |= a.cache.directory.Verbs(g.Role)
		} else {
			allow |= a.cache.directory.Verbs(g.Role)
		}
	}
	return allow&verb == verb && deny&verb == 0
}

// Reaches reports whether there is a place at the path or below it, whether it
// exists yet or not, where each of the verbs is Allowed; not necessarily the same
// place for all.
func (a *Authorizer) Reaches(id auth.Identity, verb auth.Verb, path config.Path) bool {
	if id.Anonymous() || verb == 0 {
		return false
	}
	tree := a.cache.standing(&id).tree
	if tree == nil {
		return false
	}
	at := boxAt(&path)
	for rest := verb; rest != 0; rest &= rest - 1 {
		if !a.reaches(tree, rest&-rest, &at, id.Narrow) {
			return false
		}
	}
	return true
}

// reaches looks for one verb in the box.
func (a *Authorizer) reaches(tree *node, verb auth.Verb, at *box, narrow []auth.Grant) bool {
	s := search{tree: tree, verb: verb, within: *at, narrow: narrow, roles: a.cache.directory}
	if narrow == nil {
		return s.from(tree, 0)
	}
	for i := range narrow {
		g := &narrow[i]
		if g.Deny || a.cache.directory.Verbs(g.Role)&verb == 0 {
			continue
		}
		b, ok := boxOf(g)
		if !ok {
			continue
		}
		if s.within, ok = at.meet(&b); ok && s.from(tree, 0) {
			return true
		}
	}
	return false
}

var (
	_ auth.AuthorizerDriver = (*Settings)(nil)
	_ auth.Authorizer       = (*Authorizer)(nil)
)
