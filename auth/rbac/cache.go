package rbac

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/setpointhq/setpoint/auth"
)

// How much is remembered: so many identities, and so many grants of theirs, which
// cost some 200 bytes each. An identity counts for no more than a quarter of its
// shard, or one that has very many grants and its neighbours would forever turn
// each other out.
const (
	shards           = 32
	identitiesAShard = 256
	grantsAShard     = 16 << 10
	mostOfAShard     = grantsAShard / 4
)

// settling is how often the Directory is read anew when it changes meanwhile.
const settling = 4

// cache remembers what identities may do. Whoever asks for one that is there
// loads pointers and takes no lock; whoever finds it out of date brings it up to
// date, and those who ask for the same one meanwhile wait for that instead of
// doing it too.
type cache struct {
	directory auth.Directory
	seed      maphash.Seed
	shards    [shards]shard
}

// key is what an identity is found by. The number of groups is in it so that two
// logins of one person, of which one has had more groups since, seldom get into
// each other's way.
type key struct {
	subject  string
	external bool
	groups   int
}

// shard is a part of the cache. A change of its table replaces it.
type shard struct {
	changing sync.Mutex
	entries  atomic.Pointer[map[key]*entry]
}

// entry is one identity.
type entry struct {
	renewing sync.Mutex
	current  atomic.Pointer[standing]
	used     atomic.Bool // more than once since the shard was last cleared out
}

// standing returns what holds for the identity as of now. It is not anonymous.
func (c *cache) standing(id *auth.Identity) *standing {
	k := key{subject: id.Subject}
	if id.Provider != "" {
		k.external, k.groups = true, len(id.Groups)
	}
	sh := &c.shards[maphash.String(c.seed, id.Subject)%shards]
	e := sh.get(k)
	if e == nil {
		e = sh.add(k)
	}
	if s := e.current.Load(); s != nil && s.generation == c.directory.Generation() && s.is(id) {
		if !e.used.Load() { // or every reader would write to the same memory
			e.used.Store(true)
		}
		return s
	}
	s, compiled := e.renew(c.directory, id)
	if compiled {
		sh.clearOut(e)
	}
	return s
}

// renew brings the entry up to date. What was read while the Directory changed may
// be half of before and half of after, so it is read again; if there is no end of
// changes, the last one read is of an old generation, and serves for one decision.
func (e *entry) renew(d auth.Directory, id *auth.Identity) (now *standing, compiled bool) {
	e.renewing.Lock()
	defer e.renewing.Unlock()
	now = e.current.Load()
	for range settling {
		if now != nil && now.generation == d.Generation() && now.is(id) {
			break // perhaps somebody else's work while this one waited
		}
		var anew bool
		now, anew = stand(d, id, now)
		compiled = compiled || anew
	}
	e.current.Store(now)
	return now, compiled
}

func (s *shard) get(k key) *entry {
	if table := s.entries.Load(); table != nil {
		return (*table)[k]
	}
	return nil
}

// add returns the entry of the key, which it makes if there is none.
func (s *shard) add(k key) *entry {
	s.changing.Lock()
	defer s.changing.Unlock()
	if e := s.get(k); e != nil {
		return e
	}
	next := map[key]*entry{}
	if table := s.entries.Load(); table != nil {
		next = maps.Clone(*table)
	}
	e := &entry{}
	next[k] = e
	s.entries.Store(&next)
	return e
}

// clearOut makes room if the shard holds more than it may. What was used since the
// last time stays, as far as it fills half of the shard, and so does the entry.
func (s *shard) clearOut(keep *entry) {
	s.changing.Lock()
	defer s.changing.Unlock()
	table := *s.entries.Load()
	weight := 0
	for _, e := range table {
		weight += e.weight()
	}
	if len(table) <= identitiesAShard && weight <= grantsAShard {
		return
	}
	next := make(map[key]*entry, identitiesAShard/2)
	weight = keep.weight()
	for k, e := range table {
		if e == keep {
			next[k] = e
			continue
		}
		room := len(next) < identitiesAShard/2 && weight+e.weight() <= grantsAShard/2
		if e.used.Swap(false) && room {
			next[k] = e
			weight += e.weight()
		}
	}
	s.entries.Store(&next)
}

func (e *entry) weight() int {
	if s := e.current.Load(); s != nil {
		return min(s.weight, mostOfAShard)
	}
	return 1
}
