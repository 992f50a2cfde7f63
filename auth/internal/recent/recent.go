// Package recent provides a map that remembers its latest entries, for a time
// and up to a number. It bounds what strangers can make a node keep. It starts
// no goroutine: what is too old goes when something new comes.
package recent

import (
	"container/list"
	"sync"
	"time"
)

// Map remembers at most limit entries, each for life after it was last put. It
// is safe for concurrent use.
type Map[K comparable, V any] struct {
	limit int
	life  time.Duration
	now   func() time.Time

	mu      sync.Mutex
	entries map[K]*list.Element // of *entry[K, V]
	// order has the entry put longest ago in front. As all live equally long,
	// it is the first to expire too.
	order list.List
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	expires time.Time
}

// New makes a map of at most limit entries that live for life by the clock now.
func New[K comparable, V any](limit int, life time.Duration, now func() time.Time) *Map[K, V] {
	return &Map[K, V]{limit: limit, life: life, now: now, entries: map[K]*list.Element{}}
}

// Get returns what is remembered under the key.
func (m *Map[K, V]) Get(key K) (V, bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key, now)
}

// Put remembers a value, which starts its life anew.
func (m *Map[K, V]) Put(key K, value V) {
	m.Update(key, func(V, bool) V { return value })
}

// Update replaces the value under the key by what f makes of it, in one step;
// its life starts anew. f must not use the map.
func (m *Map[K, V]) Update(key K, f func(old V, ok bool) V) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.get(key, now)
	m.remove(key)
	e := &entry[K, V]{key: key, value: f(old, ok), expires: now.Add(m.life)}
	m.entries[key] = m.order.PushBack(e)
	m.trim(now)
}

// Delete forgets the key.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(key)
}

// Len returns how many entries are held, some perhaps past their life.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

func (m *Map[K, V]) get(key K, now time.Time) (value V, ok bool) {
	el, ok := m.entries[key]
	if !ok {
		return value, false
	}
	e := el.Value.(*entry[K, V]) //nolint:errcheck // the list holds nothing else
	if !now.Before(e.expires) {
		return value, false
	}
	return e.value, true
}

func (m *Map[K, V]) remove(key K) {
	if el, ok := m.entries[key]; ok {
		m.order.Remove(el)
		delete(m.entries, key)
	}
}

func (m *Map[K, V]) trim(now time.Time) {
	for el := m.order.Front(); el != nil; el = m.order.Front() {
		e := el.Value.(*entry[K, V]) //nolint:errcheck // the list holds nothing else
		if len(m.entries) <= m.limit && now.Before(e.expires) {
			return
		}
		m.remove(e.key)
	}
}
