package view

import (
	"strings"
	"sync"
	"sync/atomic"
)

// hub knows which subscriptions a changed config concerns. Its lock is taken to
// subscribe, to close and to wake, never to read configs.
type hub struct {
	count atomic.Int64
	mu    sync.RWMutex
	// Every subscription lies in the bucket of each of its regions: under the
	// path of the config, of the env, or of the tenant for everything wider.
	buckets map[string]bucket
	// woken is room for wake, which only the apply loop calls.
	woken []*Subscription
}

// bucket is a set of subscriptions.
type bucket map[*Subscription]struct{}

func (h *hub) size() int { return int(h.count.Load()) }

func (h *hub) add(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.buckets == nil {
		h.buckets = map[string]bucket{}
	}
	for _, r := range s.regions {
		b := h.buckets[r.bucket]
		if b == nil {
			b = bucket{}
			h.buckets[r.bucket] = b
		}
		b[s] = struct{}{}
	}
	h.count.Add(1)
}

func (h *hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range s.regions {
		b := h.buckets[r.bucket]
		if delete(b, s); len(b) == 0 {
			delete(h.buckets, r.bucket)
		}
	}
	h.count.Add(-1)
}

// wake notifies the subscriptions of changed configs. Those that are woken
// already and have not looked yet are left alone.
//
// No wake-up is lost. The snapshot was stored before wake runs, and Next clears
// pending before it loads the snapshot; Go's atomics have one order. So if wake
// finds pending set, the Next that will clear it has yet to load the snapshot,
// and will see this change; else wake notifies. And a subscription that wake
// does not find in the hub was added later: its first Next sees the change.
//
// notify is called outside the lock, so that it may subscribe and close.
func (h *hub) wake(changed []*Config) {
	if len(changed) == 0 || h.count.Load() == 0 {
		return
	}
	h.mu.RLock()
	for _, c := range changed {
		env := c.key[:strings.LastIndexByte(c.key, '/')]
		tenant := c.key[:strings.IndexByte(c.key, '/')]
		for _, name := range [...]string{c.key, env, tenant} {
			for s := range h.buckets[name] {
				if !s.pending.Load() && s.concerns(c, name) && s.pending.CompareAndSwap(false, true) {
					h.woken = append(h.woken, s)
				}
			}
		}
	}
	h.mu.RUnlock()
	h.notify()
}

// wakeAll notifies every subscription.
func (h *hub) wakeAll() {
	h.mu.RLock()
	for _, b := range h.buckets {
		for s := range b {
			if s.pending.CompareAndSwap(false, true) {
				h.woken = append(h.woken, s)
			}
		}
	}
	h.mu.RUnlock()
	h.notify()
}

func (h *hub) notify() {
	for _, s := range h.woken {
		s.notify()
	}
	clear(h.woken)
	h.woken = h.woken[:0]
}
