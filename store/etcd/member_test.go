package etcd

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/raft/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/config"
)

// fakeEngine has the leader that it is told, and answers transactions as it is
// told.
type fakeEngine struct {
	pb.KVClient
	mu      sync.Mutex
	lead    uint64
	changed chan struct{}
	txn     func(ctx context.Context, attempt int) error
	sent    int
}

func (f *fakeEngine) Lead() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lead
}

func (f *fakeEngine) LeaderChangedNotify() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// follow sets the leader; etcd tells of those that are, not of none.
func (f *fakeEngine) follow(leader uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lead = leader
	if leader != 0 {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

func (f *fakeEngine) Txn(ctx context.Context, _ *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	f.mu.Lock()
	f.sent++
	sent := f.sent
	f.mu.Unlock()
	return &pb.TxnResponse{Succeeded: true}, f.txn(ctx, sent)
}

// silent is an engine that never answers.
func silent(ctx context.Context, _ int) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

func willing(context.Context, int) error { return nil }

// What becomes of a transaction while leaders come and go, and when its caller
// knows.
func TestMemberWrites(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, tt := range []struct {
		name    string
		leaders map[time.Duration]uint64 // from when on there is which
		txn     func(context.Context, int) error
		text    string // of the error; empty for success
		sent    int
		least   time.Duration
		most    time.Duration
	}{
		{"a leader", map[time.Duration]uint64{0: 1}, willing, "", 1, 0, 0},
		{"an election", map[time.Duration]uint64{0: 0, 1500 * time.Millisecond: 2}, willing, "", 1, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"nobody", map[time.Duration]uint64{0: 0}, willing, "nothing was written", 0, 2 * second, 2*second + lookEach},
		{"a leader that is lost", map[time.Duration]uint64{0: 1, second: 0}, silent, "is not known", 1, 3 * second, 3*second + lookEach},
		{"another leader", map[time.Duration]uint64{0: 1, second: 0, 2 * second: 2}, silent, "is not known", 1, 3 * second, 3*second + lookEach},
		{"the same leader, elected again", map[time.Duration]uint64{0: 1, second: 1}, silent, "is not known", 1, 2 * second, 2*second + lookEach},
		{"an answer under the next leader", map[time.Duration]uint64{0: 1, second: 2}, func(ctx context.Context, _ int) error {
			select {
			case <-time.After(1500 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, "", 1, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"dropped, and taken", map[time.Duration]uint64{0: 1}, func(_ context.Context, attempt int) error {
			if attempt < 3 {
				return status.Error(codes.Unknown, raft.ErrProposalDropped.Error())
			}
			return nil
		}, "", 3, 2 * tryAgain, 2 * tryAgain},
		{"always dropped", map[time.Duration]uint64{0: 1}, func(context.Context, int) error {
			return status.Error(codes.Unknown, raft.ErrProposalDropped.Error())
		}, "nothing was written", 62, retryFor, retryFor + 2*tryAgain},
		{"a refusal", map[time.Duration]uint64{0: 1}, func(context.Context, int) error { return rpctypes.ErrGRPCNoSpace }, "space exceeded", 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeEngine{changed: make(chan struct{}), lead: tt.leaders[0], txn: tt.txn}
				m := newMember(f, f)
				defer m.close()
				for at, leader := range tt.leaders {
					if at > 0 {
						time.AfterFunc(at, func() { f.follow(leader) })
					}
				}
				began := time.Now()
				resp, err := m.write(t.Context(), nil)
				took := time.Since(began)
				switch {
				case tt.text == "" && (err != nil || !resp.Succeeded):
					t.Errorf("error is %v, want none", err)
				case tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text)):
					t.Errorf("error is %v, want one with %q", err, tt.text)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("it took %s, want between %s and %s", took, tt.least, tt.most)
				}
				if f.sent != tt.sent {
					t.Errorf("it was sent %d times, want %d", f.sent, tt.sent)
				}
			})
		})
	}
}

// A member that is cut off refuses at once, until there is a leader again.
func TestMemberIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeEngine{changed: make(chan struct{}), txn: willing}
		m := newMember(f, f)
		defer m.close()
		ask := func() error {
			return m.read(t.Context(), false, func(context.Context) error { return nil })
		}
		if err := ask(); config.KindOf(err) != config.Unavailable || !errors.Is(err, errCutOff) {
			t.Errorf("read without a leader: error is %v, want %v", err, errCutOff)
		}
		began := time.Now()
		for range 3 {
			if err := ask(); !errors.Is(err, errCutOff) {
				t.Errorf("read without a leader: error is %v, want %v", err, errCutOff)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("refusing took %s", took)
		}
		if err := m.read(t.Context(), true, func(context.Context) error { return nil }); err != nil {
			t.Errorf("stale read without a leader: %v", err)
		}
		f.follow(3)
		synctest.Wait()
		if err := ask(); err != nil {
			t.Errorf("read under a leader: %v", err)
		}
	})
}

// Reads are made again under the next leader.
func TestMemberReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeEngine{changed: make(chan struct{}), lead: 1}
		m := newMember(f, f)
		defer m.close()
		time.AfterFunc(time.Second, func() { f.follow(2) })
		attempts := 0
		err := m.read(t.Context(), false, func(ctx context.Context) error {
			switch attempts++; attempts {
			case 1:
				return rpctypes.ErrLeaderChanged
			case 2:
				return silent(ctx, 0)
			}
			return nil
		})
		if err != nil || attempts != 3 {
			t.Errorf("%d attempts, %v, want 3 and success", attempts, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = m.read(ctx, false, func(ctx context.Context) error { return silent(ctx, 0) })
		if code(err) != codes.DeadlineExceeded {
			t.Errorf("error is %v, want the ctx's", err)
		}
	})
}

// An edge's connection breaks when the other side says nothing for too long.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		conn := &attentive{here}
		go func() {
			for range 5 {
				<-time.After(pingEdges)
				there.Write([]byte{1})
			}
		}()
		began, got := time.Now(), 0
		var err error
		for err == nil {
			var n int
			n, err = conn.Read(make([]byte, 10))
			got += n
		}
		if want := 5*pingEdges + memberSilence; got != 5 || time.Since(began) != want || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes and %v after %s, want 5 and a deadline after %s", got, err, time.Since(began), want)
		}
	})
}
