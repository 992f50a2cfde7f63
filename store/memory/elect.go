package memory

import (
	"context"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// term is an office that was won. It ends when its key changes, or the store is
// closed.
type term struct {
	store *Store
	fence store.Cond
	done  chan struct{}
	once  sync.Once
}

// Campaign implements store.Elector.
func (s *Store) Campaign(ctx context.Context, office, candidate string) (store.Term, error) {
	if err := store.CheckCampaign(office, candidate); err != nil {
		return nil, err
	}
	for {
		t, changed, err := s.take(ctx, store.OfficeKey(office), candidate)
		if t != nil || err != nil {
			return t, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// take enters the candidate as the holder, if the office is vacant. If not, it
// returns a channel that is closed when that may have changed.
func (s *Store) take(ctx context.Context, key, candidate string) (store.Term, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, store.ErrClosed
	}
	if err := check(ctx, "campaign"); err != nil {
		return nil, nil, err
	}
	if _, held := s.at(key, s.revision); held {
		return nil, s.changed, nil
	}
	s.apply([]store.Write{{Key: key, Value: []byte(candidate)}})
	t := &term{store: s, fence: store.Cond{Key: key, Revision: s.revision}, done: make(chan struct{})}
	s.terms[key] = t
	return t, nil, nil
}

// Fence implements store.Term.
func (t *term) Fence() store.Cond { return t.fence }

// Done implements store.Term.
func (t *term) Done() <-chan struct{} { return t.done }

// Resign implements store.Term.
func (t *term) Resign(ctx context.Context) error {
	defer t.end()
	_, err := t.store.Commit(ctx, store.Txn{
		Conds:  []store.Cond{t.fence},
		Writes: []store.Write{{Key: t.fence.Key, Delete: true}},
	})
	if config.KindOf(err) == config.Conflict { // it was over
		return nil
	}
	return err
}

func (t *term) end() { t.once.Do(func() { close(t.done) }) }

var (
	_ store.Elector = (*Store)(nil)
	_ store.Term    = (*term)(nil)
)
