package client

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Config is one config as a Set holds it.
type Config struct {
	Path    config.Path
	Version int64
	Format  string
	Digest  string    // lower-case hex SHA-256 of the content
	Time    time.Time // when it was released
	// Content is as it was published, and shared: it must not be changed.
	Content []byte
}

// same reports whether two configs mean the same to who decodes them.
func (c Config) same(d Config) bool { return c.Digest == d.Digest && c.Format == d.Format }

// State is everything that a Set holds, as of one revision. It never changes.
type State struct {
	revision  config.Token
	received  time.Time
	fromCache bool
	configs   map[config.Path]Config
	// values are those of the bindings, by their index. The slice is replaced,
	// never written to, when a binding is made while the State is in force.
	values atomic.Pointer[[]any]
}

// Revision is where the State stands in the order of all changes. It is opaque.
func (s *State) Revision() config.Token { return s.revision }

// Time is when the State came from a server, in this machine's time: also of
// one that was read from the cache since.
func (s *State) Time() time.Time { return s.received }

// FromCache reports whether the State was read from the local cache, and no
// server has confirmed or replaced it since.
func (s *State) FromCache() bool { return s.fromCache }

// Get returns a config; false if nothing is served at the path.
func (s *State) Get(path config.Path) (Config, bool) {
	c, ok := s.configs[path]
	return c, ok
}

// Len is how many configs there are.
func (s *State) Len() int { return len(s.configs) }

// All yields the configs in the order of their paths.
func (s *State) All() iter.Seq[Config] {
	return func(yield func(Config) bool) {
		for _, path := range sortedPaths(s.configs) {
			if !yield(s.configs[path]) {
				return
			}
		}
	}
}

// equal reports whether two States hold the same versions of the same.
func (s *State) equal(t *State) bool {
	return maps.EqualFunc(s.configs, t.configs, func(a, b Config) bool {
		return a.Version == b.Version && a.same(b)
	})
}

func sortedPaths[T any](m map[config.Path]T) []config.Path {
	return slices.SortedFunc(maps.Keys(m), func(a, b config.Path) int { return strings.Compare(a.String(), b.String()) })
}

// picture gathers what a watch tells into whole states.
type picture struct {
	configs  map[config.Path]Config
	revision config.Token
	partial  bool // a snapshot, or a revision, that has not come to its end
}

// add takes in an event, and reports whether the picture is whole after it.
func (p *picture) add(e Event) (whole bool) {
	if e.Reset {
		p.configs, p.partial = nil, true
	}
	next := maps.Clone(p.configs) // a State may hold the one before
	if next == nil {
		next = map[config.Path]Config{}
	}
	for _, c := range e.Changes {
		if c.Deleted {
			delete(next, c.Path)
			continue
		}
		next[c.Path] = Config{Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Time: c.Time, Content: c.Content}
	}
	p.configs, p.revision = next, e.Revision
	if e.Current {
		p.partial = false
	}
	return !p.partial && !e.Partial
}
