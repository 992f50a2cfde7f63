package center

import (
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Directory is the node's picture of users, tokens and bindings, built from the
// store's log like the view, by the view's loop. A change takes effect with the
// revision that carries it.
//
// Readers load one pointer. A change copies the tables that it touches, which
// are small beside the configs and change seldom.
type Directory struct {
	state atomic.Pointer[directoryState]
	log   *slog.Logger
	now   func() time.Time
	base  time.Time // what sessions' times count from
	renew *renewals // nil until a Center renews sessions
}

var _ auth.Directory = (*Directory)(nil)

type directoryState struct {
	users    map[string]*User
	tokens   map[string]*auth.Token
	sessions map[string]*session // those of the tokens that can idle out or be renewed
	bindings map[string]*Binding
	roles    map[string]*Role
	grants   map[string][]auth.Grant // by user, compiled from bindings
	groups   map[string][]auth.Grant // by group, likewise

	generation uint64
}

// User is a stored user with its position in the log.
type User struct {
	auth.User
	ModRevision int64
}

// Binding is a stored binding with its position in the log.
type Binding struct {
	auth.Binding
	ModRevision int64
}

// Role is a stored role with its position in the log.
type Role struct {
	auth.RoleInfo
	verbs       auth.Verb
	ModRevision int64
}

// NewDirectory makes an empty directory. The server hands Apply to the view.
func NewDirectory(log *slog.Logger) *Directory {
	d := &Directory{log: log}
	d.keepTime(time.Now)
	d.state.Store(newDirectoryState())
	return d
}

func newDirectoryState() *directoryState {
	return &directoryState{
		users: map[string]*User{}, tokens: map[string]*auth.Token{}, sessions: map[string]*session{},
		bindings: map[string]*Binding{}, roles: map[string]*Role{},
		grants: map[string][]auth.Grant{}, groups: map[string][]auth.Grant{},
	}
}

// Sections are those that Apply wants to be told of.
func (*Directory) Sections() []record.Section {
	return []record.Section{record.Users, record.Tokens, record.Bindings, record.Roles}
}

// Apply takes in one revision of the log or, with reset, the whole of it. It is
// called by one goroutine.
func (d *Directory) Apply(reset bool, b store.Batch) {
	var next *directoryState
	rights := reset // whether anything but tokens changes
	if reset {
		next = newDirectoryState()
	}
	for _, event := range b.Events {
		section, id := record.Split(event.Key)
		if !slices.Contains(d.Sections(), section) {
			continue
		}
		if next == nil {
			next = d.state.Load().clone()
		}
		if err := next.apply(section, id, event); err != nil {
			d.log.Error("an identity record cannot be read; it grants nothing", "key", event.Key, "error", err)
			next.remove(section, id)
		}
		if section == record.Tokens {
			d.track(next, id, event.Revision)
		} else {
			rights = true
		}
	}
	if next == nil {
		return
	}
	old := d.state.Load()
	next.generation, next.grants, next.groups = old.generation, old.grants, old.groups
	if rights {
		next.generation++
		next.compile()
	}
	d.state.Store(next)
}

func (s *directoryState) clone() *directoryState {
	next := newDirectoryState()
	for k, v := range s.users {
		next.users[k] = v
	}
	for k, v := range s.tokens {
		next.tokens[k] = v
	}
	for k, v := range s.sessions {
		next.sessions[k] = v
	}
	for k, v := range s.bindings {
		next.bindings[k] = v
	}
	for k, v := range s.roles {
		next.roles[k] = v
	}
	return next
}

func (s *directoryState) apply(section record.Section, id string, event store.Event) error {
	if event.Deleted {
		s.remove(section, id)
		return nil
	}
	switch section {
	case record.Users:
		u, err := record.DecodeUser(event.Value)
		if err != nil {
			return err
		}
		s.users[id] = &User{User: u, ModRevision: event.Revision}
	case record.Tokens:
		t, err := record.DecodeToken(event.Value)
		if err != nil {
			return err
		}
		s.tokens[id] = &t
	case record.Bindings:
		b, err := record.Decode[auth.Binding](event.Value)
		if err != nil {
			return err
		}
		s.bindings[id] = &Binding{Binding: b, ModRevision: event.Revision}
	case record.Roles:
		r, err := record.Decode[auth.RoleInfo](event.Value)
		if err != nil {
			return err
		}
		verbs, err := auth.ParseVerbs(r.Verbs)
		if err != nil {
			return err
		}
		s.roles[id] = &Role{RoleInfo: r, verbs: verbs, ModRevision: event.Revision}
	}
	return nil
}

func (s *directoryState) remove(section record.Section, id string) {
	switch section {
	case record.Users:
		delete(s.users, id)
	case record.Tokens:
		delete(s.tokens, id)
	case record.Bindings:
		delete(s.bindings, id)
	case record.Roles:
		delete(s.roles, id)
	}
}

// compile gathers the grants of each user and group. The order is fixed, so that equal
// bindings always give equal answers at equal cost.
func (s *directoryState) compile() {
	ids := make([]string, 0, len(s.bindings))
	for id := range s.bindings {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	s.grants = make(map[string][]auth.Grant, len(s.users))
	s.groups = map[string][]auth.Grant{}
	for _, id := range ids {
		b := s.bindings[id]
		if b.Group != "" {
			s.groups[b.Group] = append(s.groups[b.Group], b.Grant())
			continue
		}
		s.grants[b.User] = append(s.grants[b.User], b.Grant())
	}
}

// User implements auth.Directory.
func (d *Directory) User(name string) (*auth.User, bool) {
	u, ok := d.state.Load().users[name]
	if !ok {
		return nil, false
	}
	return &u.User, true
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
func (d *Directory) Verbs(role auth.Role) auth.Verb { return d.state.Load().verbs(role) }

func (s *directoryState) verbs(role auth.Role) auth.Verb {
	if verbs := role.Builtin(); verbs != 0 {
		return verbs
	}
	if made, ok := s.roles[string(role)]; ok {
		return made.verbs
	}
	return 0
}

// Generation implements auth.Directory.
func (d *Directory) Generation() uint64 { return d.state.Load().generation }

func (d *Directory) user(name string) (*User, bool) {
	u, ok := d.state.Load().users[name]
	return u, ok
}

func (d *Directory) binding(id string) (*Binding, bool) {
	b, ok := d.state.Load().bindings[id]
	return b, ok
}

// sorted yields the values of a table in the order of their keys, after one.
func sorted[V any](table map[string]V, after string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		keys := make([]string, 0, len(table))
		for k := range table {
			if after == "" || strings.Compare(k, after) > 0 {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield(k, table[k]) {
				return
			}
		}
	}
}
