package center

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

var _ auth.UseNoter = (*Directory)(nil)

const (
	// useGrain is how exactly the use of a session is noted. Most calls find it
	// noted already and only read, so that a session used by many cores at once
	// costs them nothing.
	useGrain = time.Second
	// A use is told to the other nodes, and to the store, once this part of
	// IdleAfter has gone by since the last one was: long before the session idles
	// out there, and seldom enough for any number of sessions.
	useShare = 6
	// usePause is the longest time between two looks for what there is to tell.
	usePause = time.Minute
	// What one look writes: commits, each with so many sessions and in such a time.
	useBatches  = 100
	useBatch    = 100
	usePatience = 5 * time.Second
	// useFarewell bounds the last look, as the node stops.
	useFarewell = 2 * time.Second
)

// session is what the node knows of a session that can idle out or be renewed.
// Times are on the node's own clock, which runs on evenly while the wall's is set
// back and forth: only what the store tells is reckoned from the wall's.
type session struct {
	token    *auth.Token
	revision int64         // of the token's last write
	limit    time.Duration // 0 never idles out
	stored   time.Duration // the last use that the store knows of
	told     time.Duration // when the node learned that
	last     *atomic.Int64 // the last use that the node knows of, a time.Duration
}

// keepTime has the directory go by a clock; before it is used.
func (d *Directory) keepTime(now func() time.Time) { d.now, d.base = now, now() }

// NoteUse implements auth.UseNoter.
func (d *Directory) NoteUse(t *auth.Token, now time.Time) bool {
	s, ok := d.state.Load().sessions[t.ID]
	if !ok || s.limit <= 0 {
		return !t.Idle(now)
	}
	at, last := now.Sub(d.base), s.last.Load()
	since := at - time.Duration(last)
	if since >= s.limit {
		return false
	}
	if since >= useGrain || since <= -useGrain {
		s.last.CompareAndSwap(last, int64(at)) // whoever was faster has noted as much
	}
	return true
}

// idledOut reports whether a session has idled out here for so long that it has
// everywhere else.
func (d *Directory) idledOut(t *auth.Token) bool {
	s, ok := d.state.Load().sessions[t.ID]
	return ok && s.limit > 0 && d.now().Sub(d.base)-time.Duration(s.last.Load()) >= 2*s.limit
}

// track keeps the state's sessions in step with its tokens. What this node knows
// of their use outlives every change of the token.
func (d *Directory) track(next *directoryState, id string, revision int64) {
	prior, known := d.state.Load().sessions[id]
	if tracked, ok := next.sessions[id]; ok {
		prior, known = tracked, true
	}
	t, ok := next.tokens[id]
	if !ok || t.IdleLimit() <= 0 && t.RenewAt.IsZero() {
		delete(next.sessions, id)
		return
	}
	now := d.now()
	at := now.Sub(d.base)
	// A use that lies ahead, because a clock was set back, counts as just now.
	stored := at - max(0, now.Sub(t.LastUse()))
	s := &session{token: t, revision: revision, limit: t.IdleLimit(), stored: stored, told: at}
	if known {
		s.last = prior.last
	} else {
		s.last = new(atomic.Int64)
		s.last.Store(int64(stored))
	}
	for last := s.last.Load(); last < int64(stored); last = s.last.Load() {
		if s.last.CompareAndSwap(last, int64(stored)) {
			break
		}
	}
	next.sessions[id] = s
}

// tellUses writes now and then to the store when sessions were used, until ctx
// ends, and once more then.
func (c *Center) tellUses(ctx context.Context) {
	pause := usePause
	if idle := c.limits.SessionIdle; idle > 0 {
		pause = min(pause, max(useGrain, idle/(2*useShare)))
	}
	for {
		// Not all nodes at once: they have much the same to tell.
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, keeps no secret
		select {
		case <-timer.C:
			c.writeUses(ctx, false)
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), useFarewell)
			defer cancel()
			c.writeUses(last, true)
			return
		}
	}
}

// writeUses writes what is due; or, at the end, whatever the store does not know.
// Each write is conditional on the token as it is known here, so that none that
// was ended comes back. Another node that was faster has told as much: then the
// next look sees what is left to tell.
func (c *Center) writeUses(ctx context.Context, all bool) {
	batch := store.Txn{}
	left := useBatches
	flush := func() bool {
		if len(batch.Writes) == 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(ctx, usePatience)
		defer cancel()
		_, err := c.store.Commit(ctx, batch)
		batch = store.Txn{}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			c.log.WarnContext(ctx, "the use of sessions was not noted in the store; sessions used on this node alone may end early elsewhere", "error", err)
			return false
		}
		left--
		return left > 0
	}
	for id, s := range c.directory.state.Load().sessions {
		used, due := c.directory.due(s, all)
		if !due {
			continue
		}
		t := *s.token
		t.UsedAt = used
		key := record.Tokens.Key(id)
		batch.Conds = append(batch.Conds, store.Cond{Key: key, Revision: s.revision})
		batch.Writes = append(batch.Writes, store.Write{Key: key, Value: record.EncodeToken(t)})
		if len(batch.Writes) == useBatch && !flush() {
			return
		}
	}
	flush()
}

// due returns when the session was used last, if the store should be told. One
// that has idled out is over.
func (d *Directory) due(s *session, all bool) (used time.Time, due bool) {
	now := d.now()
	at, last := now.Sub(d.base), time.Duration(s.last.Load())
	if last-s.stored < useGrain || at-last >= s.limit || !all && at-s.told < s.limit/useShare {
		return time.Time{}, false
	}
	return now.Add(last - at).UTC().Round(0), true
}
