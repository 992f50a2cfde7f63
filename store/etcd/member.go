package etcd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
)

const (
	// lookEach is how often a member looks whom it follows: etcd tells when there
	// is a new leader, but not when there is none any more.
	lookEach = 100 * time.Millisecond
	// leaderless is for how long there may be no leader before calls fail. Elections
	// are over sooner, even if one has to be repeated.
	leaderless = 2 * time.Second
	// settle is how long what was sent under one leader may take to be answered
	// under the next: if the old one got it into the log of a majority, it is
	// applied first of all, else it is lost and no answer ever comes.
	settle = time.Second
)

// Why calls end under a member's era.
var (
	errCutOff  = errors.New("this node is cut off from the majority of the members: it has had no leader for " + leaderless.String())
	errDeposed = errors.New("the member that led the others does not any more, and took no answer along")
)

// engineServer is what a member's link asks of etcd's server.
type engineServer interface {
	Lead() uint64
	LeaderChangedNotify() <-chan struct{}
}

// member is the link to the engine in this process if it is one of several.
// Proposals wait inside etcd for a leader, longer than anybody wants to wait, and
// where nobody can tell any more whether they were made. So they wait here.
type member struct {
	server  engineServer
	kv      pb.KVClient
	current atomic.Pointer[era]
	stop    context.CancelFunc
	looking sync.WaitGroup
}

// era is a time for which a member follows the same leader, or none.
type era struct {
	leader uint64 // 0 for none
	began  time.Time
	next   chan struct{} // closed when another era begins
	// over ends the calls that were sent in this era: some time after it, or in
	// its midst if it is one without a leader.
	over context.Context
	end  context.CancelCauseFunc
}

func newEra(leader uint64, now time.Time) *era {
	e := &era{leader: leader, began: now, next: make(chan struct{})}
	e.over, e.end = context.WithCancelCause(context.Background())
	return e
}

func newMember(server engineServer, kv pb.KVClient) *member {
	m := &member{server: server, kv: kv}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	changed := server.LeaderChangedNotify()
	m.current.Store(newEra(server.Lead(), time.Now()))
	m.looking.Go(func() { m.look(ctx, changed) })
	return m
}

// close implements link.
func (m *member) close() {
	m.stop()
	m.looking.Wait()
}

// look begins and ends eras.
func (m *member) look(ctx context.Context, changed <-chan struct{}) {
	tick := time.NewTicker(lookEach)
	defer tick.Stop()
	var past []*era // whose calls have not been ended
	for {
		elected := false
		select {
		case <-tick.C:
		case <-changed:
			elected = true
			changed = m.server.LeaderChangedNotify()
		case <-ctx.Done():
			for _, e := range append(past, m.current.Load()) {
				e.end(ctx.Err())
			}
			return
		}
		now, leader, e := time.Now(), m.server.Lead(), m.current.Load()
		if leader != e.leader || elected {
			past = append(past, e)
			next := newEra(leader, now)
			m.current.Store(next)
			close(e.next)
			e = next
		}
		switch age := now.Sub(e.began); {
		case e.leader == 0 && age >= leaderless:
			endAll(past, errCutOff)
			e.end(errCutOff)
			past = nil
		case e.leader != 0 && age >= settle:
			endAll(past, errDeposed)
			past = nil
		}
	}
}

func endAll(eras []*era, cause error) {
	for _, e := range eras {
		e.end(cause)
	}
}

// await returns the era of a leader. It waits for one where there is a chance.
func (m *member) await(ctx context.Context) (*era, error) {
	for {
		e := m.current.Load()
		if e.leader != 0 {
			return e, nil
		}
		select {
		case <-e.next:
		case <-e.over.Done():
			return nil, context.Cause(e.over)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// bind returns a ctx that ends with the era's calls, too.
func (e *era) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.over, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// write implements link.
func (m *member) write(ctx context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	until := time.Now().Add(retryFor)
	for {
		e, err := m.await(ctx)
		if err != nil {
			return nil, noAnswer("%w; nothing was written", err)
		}
		resp, err := m.send(ctx, e, request)
		if !dropped(err) {
			return resp, err
		}
		if time.Now().After(until) || pause(ctx) != nil {
			return nil, noAnswer("the members are changing their leader; nothing was written")
		}
	}
}

// send sends a transaction under a leader.
func (m *member) send(ctx context.Context, e *era, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	bound, cancel := e.bind(ctx)
	defer cancel()
	resp, err := m.kv.Txn(bound, request)
	if err != nil && ctx.Err() == nil && e.over.Err() != nil && code(err) == codes.Canceled {
		return nil, noAnswer("%w; %w", context.Cause(e.over), errOpen)
	}
	return resp, err
}

// read implements link.
func (m *member) read(ctx context.Context, stale bool, call func(context.Context) error) error {
	if stale {
		return call(ctx)
	}
	for {
		e, err := m.await(ctx)
		if err != nil {
			return noAnswer("%w", err)
		}
		bound, cancel := e.bind(ctx)
		err = call(bound)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(context.Cause(e.over), errCutOff):
			return noAnswer("%w", errCutOff)
		case e.over.Err() == nil && !is(err, rpctypes.ErrGRPCLeaderChanged):
			return err
		case pause(ctx) != nil:
			return err
		}
	}
}

var _ link = (*member)(nil)
