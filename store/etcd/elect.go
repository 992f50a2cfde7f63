package etcd

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/store"
)

// errTaken says that another candidate was faster.
var errTaken = errors.New("another candidate has the office")

// Campaign implements store.Elector. It survives passing faults of the engine.
//
// An office is a key that is there during a term alone, held by a lease that the
// holder renews. Candidates watch the key and need no lease: etcd's own recipe
// (client/v3/concurrency) has each of them keep one, and lets a holder believe in
// its lease for longer than etcd does.
func (s *Store) Campaign(ctx context.Context, office, candidate string) (store.Term, error) {
	const op = "campaign"
	if err := store.CheckCampaign(office, candidate); err != nil {
		return nil, err
	}
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	pause := minPause
	for {
		t, err := s.stand(ctx, store.OfficeKey(office), candidate)
		switch {
		case err == nil:
			return t, nil
		case ctx.Err() != nil || s.life.Err() != nil:
			return nil, s.fail(ctx, op, err)
		case errors.Is(err, errTaken):
			pause = minPause
			continue
		case !passing(err):
			return nil, translate(op, err)
		}
		if pause == minPause {
			s.log.Warn("the campaign for an office was interrupted and goes on", "office", office, "error", err)
		}
		if !wait(ctx, pause) {
			return nil, s.fail(ctx, op, ctx.Err())
		}
		pause = min(2*pause, maxPause)
	}
}

// stand takes the office if it is vacant; if not, it waits for the end of the
// present term and says errTaken.
func (s *Store) stand(ctx context.Context, key, candidate string) (*term, error) {
	revision, at, err := s.holder(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case revision == 0:
		return s.take(ctx, key, candidate)
	}
	if err := s.outlast(ctx, key, at); err != nil {
		return nil, err
	}
	return nil, errTaken
}

// holder returns the revision of the key of an office, 0 if it is vacant, and the
// position at which that was so.
func (s *Store) holder(ctx context.Context, key string) (revision, at int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.RequestTimeout)
	defer cancel()
	resp, err := s.get(ctx, false, s.data+key, clientv3.WithKeysOnly())
	if err != nil {
		return 0, 0, err
	}
	if len(resp.Kvs) > 0 {
		revision = resp.Kvs[0].ModRevision
	}
	return revision, resp.Header.Revision, nil
}

// outlast waits until the key changes after a position.
func (s *Store) outlast(ctx context.Context, key string, at int64) error {
	ctx, cancel := context.WithCancel(s.led(ctx))
	defer cancel()
	for resp := range s.client.Watch(ctx, s.data+key, clientv3.WithRev(at+1)) {
		if err := resp.Err(); err != nil {
			return err
		}
		if len(resp.Events) > 0 {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return rpctypes.ErrNoLeader // it ended, and etcd's client does not say why
}

// take enters the candidate as the holder, if the office is still vacant.
func (s *Store) take(ctx context.Context, key, candidate string) (*term, error) {
	ctx, cancel := context.WithTimeout(s.led(ctx), s.settings.RequestTimeout)
	defer cancel()
	began := time.Now()
	granted, err := s.client.Grant(ctx, int64(leaseTTL/time.Second))
	if err != nil {
		return nil, err
	}
	until := began.Add(time.Duration(granted.TTL) * time.Second)
	entry := put(s.data+key, []byte(candidate))
	entry.GetRequestPut().Lease = int64(granted.ID)
	resp, err := s.link.write(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(s.data + key), Result: pb.Compare_EQUAL, Target: pb.Compare_MOD,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: 0},
		}},
		Success: []*pb.RequestOp{entry},
	})
	if err == nil && (!resp.Succeeded || !time.Now().Before(until)) {
		err = errTaken
	}
	if err != nil {
		s.terms.Go(func() { _ = s.revoke(granted.ID, until) }) // nobody waits for a candidate that has left
		return nil, err
	}
	t := &term{store: s, lease: granted.ID, fence: store.Cond{Key: key, Revision: resp.Header.Revision}, over: make(chan struct{})}
	t.life, t.end = context.WithCancel(s.life)
	s.terms.Go(func() { t.keep(until) })
	return t, nil
}

// led has members elsewhere refuse a call while they have no leader: they would
// keep it waiting.
func (s *Store) led(ctx context.Context) context.Context {
	if s.engine != nil {
		return ctx
	}
	return clientv3.WithRequireLeader(ctx)
}

// wait returns false if ctx ended before the time was over.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var _ store.Elector = (*Store)(nil)
