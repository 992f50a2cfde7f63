// Package authtest holds what tests of authentication and authorization share:
// a Directory in memory, and the conformance suites that every driver passes.
package authtest

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Directory is an auth.Directory for tests. Each change is visible at once; it
// is safe for concurrent use, and looking up takes no lock.
type Directory struct {
	changing sync.Mutex
	state    atomic.Pointer[state]
}

type state struct {
	users  map[string]*auth.User
	tokens map[string]*auth.Token
	grants map[string][]auth.Grant
	groups map[string][]auth.Grant
	roles  map[auth.Role]auth.Verb

	generation uint64
}

// NewDirectory makes a Directory of users who may do nothing yet.
func NewDirectory(users ...auth.User) *Directory {
	d := &Directory{}
	d.state.Store(&state{
		users:  map[string]*auth.User{},
		tokens: map[string]*auth.Token{},
		grants: map[string][]auth.Grant{},
		groups: map[string][]auth.Grant{},
		roles:  map[auth.Role]auth.Verb{},
	})
	for _, u := range users {
		d.PutUser(u)
	}
	return d
}

// User implements auth.Directory.
func (d *Directory) User(name string) (*auth.User, bool) {
	u, ok := d.state.Load().users[name]
	return u, ok
}

// Token implements auth.Directory.
func (d *Directory) Token(id string) (*auth.Token, bool) {
	t, ok := d.state.Load().tokens[id]
	return t, ok
}

// Grants implements auth.Directory.
func (d *Directory) Grants(subject string) []auth.Grant { return d.state.Load().grants[subject] }

// GroupGrants implements auth.Directory.
func (d *Directory) GroupGrants(group string) []auth.Grant { return d.state.Load().groups[group] }

// Verbs implements auth.Directory.
func (d *Directory) Verbs(role auth.Role) auth.Verb {
	if verbs := role.Builtin(); verbs != 0 {
		return verbs
	}
	return d.state.Load().roles[role]
}

// Generation implements auth.Directory.
func (d *Directory) Generation() uint64 { return d.state.Load().generation }

// PutRole makes a role, or changes it.
func (d *Directory) PutRole(role auth.Role, verbs auth.Verb) {
	d.change(func(s *state) { s.roles[role] = verbs })
}

// BindGroup grants the members of a group more.
func (d *Directory) BindGroup(group string, grants ...auth.Grant) {
	d.change(func(s *state) { s.groups[group] = slices.Concat(s.groups[group], grants) })
}

// PutRoles makes many roles in one change.
func (d *Directory) PutRoles(roles map[auth.Role]auth.Verb) {
	d.change(func(s *state) { maps.Copy(s.roles, roles) })
}

// DeleteRole removes a made role.
func (d *Directory) DeleteRole(role auth.Role) { d.change(func(s *state) { delete(s.roles, role) }) }

// UnbindGroup takes everything from the members of a group.
func (d *Directory) UnbindGroup(group string) { d.change(func(s *state) { delete(s.groups, group) }) }

// PutUser adds a user, or replaces the one with its name.
func (d *Directory) PutUser(u auth.User) { d.change(func(s *state) { s.users[u.Name] = &u }) }

// DeleteUser removes a user.
func (d *Directory) DeleteUser(name string) { d.change(func(s *state) { delete(s.users, name) }) }

// PutToken adds a token, or replaces the one with its id.
func (d *Directory) PutToken(t auth.Token) { d.change(func(s *state) { s.tokens[t.ID] = &t }) }

// DeleteToken removes a token.
func (d *Directory) DeleteToken(id string) { d.change(func(s *state) { delete(s.tokens, id) }) }

// Bind grants the subject more.
func (d *Directory) Bind(subject string, grants ...auth.Grant) {
	d.change(func(s *state) { s.grants[subject] = slices.Concat(s.grants[subject], grants) })
}

// Unbind takes everything from the subject.
func (d *Directory) Unbind(subject string) { d.change(func(s *state) { delete(s.grants, subject) }) }

// change lets f alter a copy, so that what was handed out before stays as it was.
func (d *Directory) change(f func(*state)) {
	d.changing.Lock()
	defer d.changing.Unlock()
	old := d.state.Load()
	next := &state{
		users: maps.Clone(old.users), tokens: maps.Clone(old.tokens), grants: maps.Clone(old.grants),
		groups: maps.Clone(old.groups), roles: maps.Clone(old.roles), generation: old.generation + 1,
	}
	f(next)
	d.state.Store(next)
}

// Path parses a path that the test knows to be right; "" is the root.
func Path(tb testing.TB, s string) config.Path {
	tb.Helper()
	p, err := config.ParsePath(s)
	if err != nil {
		tb.Fatalf("the test's own path %q: %v", s, err)
	}
	return p
}

// Grant makes a grant of a role at a path given as text.
func Grant(tb testing.TB, role auth.Role, scope string) auth.Grant {
	tb.Helper()
	return auth.Grant{Role: role, Scope: Path(tb, scope)}
}

// Patterned makes a grant of a role at what the pattern says of the scope.
func Patterned(tb testing.TB, role auth.Role, scope, pattern string) auth.Grant {
	tb.Helper()
	g := Grant(tb, role, scope)
	if err := auth.CheckPattern(g.Scope, pattern); err != nil {
		tb.Fatalf("the test's own pattern: %v", err)
	}
	g.Pattern = pattern
	return g
}

// Denied makes a denial of what the grant would give.
func Denied(g auth.Grant) auth.Grant {
	g.Deny = true
	return g
}

var _ auth.Directory = (*Directory)(nil)
