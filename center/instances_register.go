package center

import (
	"cmp"
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// present is for how long a client without an open watch is taken to be there
	// since its last sign. Nobody is forgotten earlier to make room.
	present = time.Minute
	// instanceRoom is how many bytes the clients of a register may take up on
	// average, before there is no room for more; half of that and no more reasons
	// of refusals are kept.
	instanceRoom = 8 << 10
	// roomShare is what part of a full register is emptied at once: whoever comes
	// next finds room without looking for it again.
	roomShare = 16
	// roomPause is how long nobody looks for room after there was none.
	roomPause = time.Second

	registerShards = 64
)

// register remembers the clients that say a name, by that and their user: those
// with an open watch, however many the protocols let in, and a bounded number of
// others until some time after their last sign.
type register struct {
	kept   time.Duration
	most   int64
	seed   maphash.Seed
	shards [registerShards]registerShard

	total atomic.Int64
	idle  atomic.Int64  // of them, those without an open watch: at most most
	held  atomic.Int64  // bytes, roughly
	lost  atomic.Uint64 // clients not remembered, because there was no room

	making sync.Mutex // held while room is made
	barren time.Time  // until then there is no use in looking for room again

	stamping sync.Mutex
	latest   time.Time
}

type registerShard struct {
	mu  sync.RWMutex
	all map[namedKey]*named
}

func (r *register) prepare(l Limits) {
	r.kept, r.most, r.seed = l.InstancesKept, int64(l.InstancesMost), maphash.MakeSeed()
	for i := range r.shards {
		r.shards[i].all = map[namedKey]*named{}
	}
}

// stamp makes a moment unique on this node, so that a node and a since name one
// instance of it.
func (r *register) stamp(now time.Time) time.Time {
	r.stamping.Lock()
	defer r.stamping.Unlock()
	if !now.After(r.latest) {
		now = r.latest.Add(1)
	}
	r.latest = now
	return now
}

func (r *register) shard(key namedKey) *registerShard {
	return &r.shards[maphash.String(r.seed, key.id)%registerShards]
}

// find returns a client that is remembered, or nil.
func (r *register) find(key namedKey) *named {
	s := r.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all[key]
}

// everybody returns the clients that are remembered, in no order.
func (r *register) everybody() []*named {
	all := make([]*named, 0, r.total.Load())
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.RLock()
		all = slices.AppendSeq(all, maps.Values(s.all))
		s.mu.RUnlock()
	}
	return all
}

// change has edit change what is known of a client, who is entered if it is
// not known yet; nil if there is no room for that. For one that opens a watch
// there always is.
func (r *register) change(key namedKey, now time.Time, watching bool, edit func(*namedState)) *named {
	for {
		e := r.find(key)
		if e == nil {
			if e = r.enter(key, now, watching); e == nil {
				return nil
			}
		}
		e.sign(now)
		if r.edit(e, edit) {
			return e
		}
	}
}

// enter makes a client known.
func (r *register) enter(key namedKey, now time.Time, watching bool) *named {
	if r.idle.Add(1); !watching && !r.fits() && !r.makeRoom(now) {
		r.idle.Add(-1)
		r.lost.Add(1)
		return nil
	}
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known := s.all[key]; known {
		r.idle.Add(-1)
		return e
	}
	e := newNamed(key, r.stamp(now))
	s.all[e.key] = e
	r.total.Add(1)
	r.held.Add(e.state.Load().weight)
	return e
}

// edit puts an edited copy in the place of a client's state; false if the client
// has been forgotten meanwhile. The edit must not change what slices of the copy
// hold, but make others.
func (r *register) edit(e *named, edit func(*namedState)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return false
	}
	old := e.state.Load()
	next := *old
	edit(&next)
	next.weight = next.weigh()
	r.held.Add(next.weight - old.weight)
	switch was, is := len(old.watches) > 0, len(next.watches) > 0; {
	case is && !was:
		r.idle.Add(-1)
	case was && !is:
		r.idle.Add(1)
	}
	e.state.Store(&next)
	return true
}

// fits reports whether no more is remembered than may be.
func (r *register) fits() bool { return r.idle.Load() <= r.most && r.held.Load() <= r.room() }

// room is how many bytes may be taken up.
func (r *register) room() int64 {
	return instanceRoom * (r.most + max(0, r.total.Load()-r.idle.Load()))
}

// makeRoom forgets those who left longest ago, and reports whether what is
// remembered fits then.
func (r *register) makeRoom(now time.Time) bool {
	r.making.Lock()
	defer r.making.Unlock()
	if r.fits() {
		return true
	}
	if now.Before(r.barren) {
		return false
	}
	type departed struct {
		e    *named
		seen int64
	}
	var all []departed
	before := now.Add(-present).UnixMilli()
	for _, e := range r.everybody() {
		if seen := e.seen.Load(); seen < before && e.state.Load().idle() {
			all = append(all, departed{e, seen})
		}
	}
	slices.SortFunc(all, func(a, b departed) int { return cmp.Compare(a.seen, b.seen) })
	share := max(1, int(r.most/roomShare))
	for i, d := range all {
		if i >= share && r.fits() {
			break
		}
		r.drop(d.e, before)
	}
	if r.fits() {
		return true
	}
	r.barren = now.Add(roomPause)
	return false
}

// drop forgets a client, unless it has a watch open or was seen since.
func (r *register) drop(e *named, before int64) {
	s := r.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.state.Load()
	if e.gone || !state.idle() || e.seen.Load() >= before {
		return
	}
	e.gone = true
	delete(s.all, e.key)
	r.total.Add(-1)
	r.idle.Add(-1)
	r.held.Add(-state.weight)
}

// sweep forgets whoever left too long ago to be remembered.
func (r *register) sweep(now time.Time) {
	before := now.Add(-r.kept).UnixMilli()
	for _, e := range r.everybody() {
		if e.seen.Load() < before && e.state.Load().idle() {
			r.drop(e, before)
		}
	}
}

// forget sweeps now and then until ctx ends.
func (r *register) forget(ctx context.Context, now func() time.Time) {
	ticker := time.NewTicker(min(max(r.kept/10, time.Second), time.Minute))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sweep(now())
		case <-ctx.Done():
			return
		}
	}
}
