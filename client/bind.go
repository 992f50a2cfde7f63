package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// BindOptions say how a config becomes a T.
type BindOptions[T any] struct {
	// Decode reads the content; nil reads JSON, in which fields that T does not
	// have are allowed, since a config is often a release ahead of the program.
	// Most libraries' Unmarshal fits: yaml.Unmarshal, toml.Unmarshal.
	Decode func(content []byte, into any) error
	// Defaults makes the T that is decoded into; nil begins with the zero T.
	Defaults func() T
	// Validate may refuse what was decoded, and complete it; nil takes all.
	Validate func(*T) error
	// OnChange is called when another value is in force, after all bindings of
	// the Set were swapped, by one goroutine: the next change waits for it. It is
	// not called for the first value, and must not call Set.Close.
	OnChange func(old, now *T)
	// Optional takes Defaults for a config that is not served. Otherwise Bind
	// asks that it is, and a State without it is refused.
	Optional bool
}

// Bound is a config of a Set as a T, always whole and always current.
type Bound[T any] struct {
	set   *Set
	path  config.Path
	o     BindOptions[T]
	index int // of its value in State.values
}

// Bind has a Set decode a config into a T, now and whenever it changes. The
// error is NotFound if it must be served and is not, and else Invalid with what
// is wrong; a version that is refused so is reported, and the Set goes on.
//
// Decode and Validate run while the Set decides on a State: they must not bind,
// and a panic in them is a refusal.
func Bind[T any](set *Set, path config.Path, o BindOptions[T]) (*Bound[T], error) {
	if err := path.Require(config.LevelConfig); err != nil {
		return nil, err
	}
	if !set.covers(path) {
		return nil, config.Errorf(config.Invalid, opBind, path.String(), "the set does not hold it, but %s; open the set with it", strings.Join(set.o.Patterns, ", "))
	}
	b := &Bound[T]{set: set, path: path, o: o}
	if err := set.bind(b, func(index int) { b.index = index }); err != nil {
		return nil, err
	}
	return b, nil
}

const opBind = "bind"

// Value returns what is in force now. It never blocks, and what it returns never
// changes and must not be changed: a new version is a new T.
func (b *Bound[T]) Value() *T { return b.In(b.set.State()) }

// In returns the value in a State of the Set that it is of. Two bindings are read
// consistently by reading both in one State:
//
//	state := set.State()
//	a, b := limits.In(state), routes.In(state)
//
// It is nil for a State that was replaced before the binding was made.
func (b *Bound[T]) In(state *State) *T {
	v, _ := valueIn(state, b.index).(*T)
	return v
}

// valueIn returns nil if the state was replaced before the binding was made.
func valueIn(state *State, index int) any {
	values := state.values.Load()
	if values == nil || index >= len(*values) {
		return nil
	}
	return (*values)[index]
}

// binder is a Bound of whatever type.
type binder interface {
	at() config.Path
	// bind returns the value in next: that in old, if the config is the same.
	bind(old, next *State) (any, error)
	// tell calls OnChange if the value is another.
	tell(old, next *State)
}

func (s *Set) covers(path config.Path) bool {
	return slices.ContainsFunc(s.o.Patterns, func(text string) bool {
		p, err := config.ParsePattern(text)
		return err == nil && p.Match(path)
	})
}

// bind adds a binding. number is told its index.
func (s *Set) bind(b binder, number func(int)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.State()
	v, err := b.bind(nil, state)
	if err != nil {
		if c, ok := state.Get(b.at()); ok {
			s.refuseFirst(c, err)
		}
		return err
	}
	if c, ok := state.Get(b.at()); ok && s.unbound[c.Path] == c.Version {
		delete(s.unbound, c.Path) // at a second attempt
		if !s.o.Manual {
			s.acks.applied(c.Path, c.Version)
		}
	}
	number(len(s.bindings))
	s.bindings = append(s.bindings, b)
	values := []any{v}
	if before := state.values.Load(); before != nil {
		values = append(slices.Clone(*before), v)
	}
	state.values.Store(&values)
	return nil
}

// refuseFirst reports a version that is in force, for others, and that a new
// binding does not take. While it is, nothing is kept: if the program starts
// again, what is in the cache from before is better.
func (s *Set) refuseFirst(c Config, err error) {
	s.unbound[c.Path] = c.Version
	if s.saver != nil {
		s.saver.drop()
	}
	if !s.o.Manual {
		s.acks.refused(c.Path, c.Version, reason(err))
	}
}

func (b *Bound[T]) at() config.Path { return b.path }

func (b *Bound[T]) bind(old, next *State) (any, error) {
	c, served := next.Get(b.path)
	if old != nil {
		if before, was := old.Get(b.path); was == served && before.same(c) {
			if v := valueIn(old, b.index); v != nil {
				return v, nil
			}
		}
	}
	var v T
	if b.o.Defaults != nil {
		v = b.o.Defaults()
	}
	if !served {
		if !b.o.Optional {
			return nil, config.Errorf(config.NotFound, opBind, b.path.String(), "nothing is served there; publish it, or make the binding optional")
		}
		return &v, nil
	}
	if err := b.decode(c, &v); err != nil {
		return nil, config.Errorf(config.Invalid, opBind, b.path.String(), "version %d: %w", c.Version, err)
	}
	return &v, nil
}

func (b *Bound[T]) decode(c Config, v *T) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding it panicked: %v", p)
		}
	}()
	decode := b.o.Decode
	if decode == nil {
		if c.Format != "json" {
			return fmt.Errorf("it is %s; give BindOptions.Decode, for example %s.Unmarshal of a library", orDefault(c.Format, "of no known format"), orDefault(c.Format, "yaml"))
		}
		decode = json.Unmarshal
	}
	if err := decode(c.Content, v); err != nil {
		return err
	}
	if b.o.Validate != nil {
		return b.o.Validate(v)
	}
	return nil
}

func (b *Bound[T]) tell(old, next *State) {
	before, after := b.In(old), b.In(next)
	if b.o.OnChange != nil && before != nil && after != nil && before != after {
		b.o.OnChange(before, after)
	}
}
