package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// forgetful is a link whose answers get lost now and then: after the engine has
// done as it was told, or before it heard of it.
type forgetful struct {
	link
	mu    sync.Mutex
	count int
	// lose says of the n-th call whether the engine hears of it and whether its
	// answer comes through.
	lose func(n int) (heard, answered bool)
}

func (f *forgetful) write(ctx context.Context, r *pb.TxnRequest) (resp *pb.TxnResponse, err error) {
	f.mu.Lock()
	f.count++
	heard, answered := f.lose(f.count)
	f.mu.Unlock()
	if heard {
		resp, err = f.link.write(ctx, r)
	}
	if !answered {
		return nil, noAnswer("%w; %w", errDeposed, errOpen)
	}
	return resp, err
}

func openForgetful(t *testing.T, lose func(n int) (heard, answered bool)) *Store {
	t.Helper()
	var c Settings
	c.Defaults()
	c.DataDir, c.UnsafeNoFsync = filepath.Join(t.TempDir(), "etcd"), true
	s, err := c.open(t.Context(), store.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.link = &forgetful{link: s.link, lose: lose}
	return s
}

func TestALostAnswerIsAskedForAgainWhereNothingCanHappenTwice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		lose   func(n int) (heard, answered bool)
		once   bool
		want   config.ErrorKind
		writes int64 // how often the counted key was written
	}{
		{"done, and the answer lost", func(n int) (bool, bool) { return true, n > 1 }, true, 0, 1},
		{"never heard of", func(n int) (bool, bool) { return n > 1, n > 1 }, true, 0, 1},
		{"lost many times", func(n int) (bool, bool) { return n%2 == 0 || n > 6, n > 6 }, true, 0, 1},
		{"heard at last only", func(n int) (bool, bool) { return n > 4, n > 5 }, true, 0, 1},
		{"done, the answer lost, nothing to tell it by", func(n int) (bool, bool) { return true, n > 1 }, false, config.Unavailable, 1},
		{"nothing lost", func(int) (bool, bool) { return true, true }, true, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := openForgetful(t, tc.lose)
			txn := store.Txn{Conds: []store.Cond{{Key: "a"}}, Writes: []store.Write{{Key: "a", Value: []byte("1")}, {Key: "id", Value: []byte("x")}}}
			if tc.once {
				txn.Once = "id"
			}
			revision, err := s.Commit(t.Context(), txn)
			if tc.want != 0 {
				if config.KindOf(err) != tc.want || !errors.Is(err, errOpen) {
					t.Fatalf("want kind %v and an open outcome, got %v", tc.want, err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			page, err := s.Range(t.Context(), store.Query{Key: "a"})
			if err != nil || len(page.Entries) != 1 {
				t.Fatalf("want it written, got %v, %v", page, err)
			}
			if e := page.Entries[0]; e.Created != e.Revision || tc.want == 0 && e.Revision != revision {
				t.Errorf("want it written once, at revision %d, got %+v", revision, e)
			}
		})
	}
}

// Of a batch whose answer is lost, those that can be told are sent again, and
// the others are told that their outcome is open.
func TestALostAnswerOfABatch(t *testing.T) {
	t.Parallel()
	begin := make(chan struct{})
	s := openForgetful(t, func(n int) (bool, bool) {
		if n <= inFlight { // hold the workers until there is something to put together
			<-begin
		}
		return true, n%3 != 0
	})
	const commits = 60
	kinds := make([]error, commits)
	var committing, queued sync.WaitGroup
	for i := range commits {
		queued.Add(1)
		committing.Go(func() {
			id := fmt.Sprint("id/", i)
			txn := store.Txn{Conds: []store.Cond{{Key: fmt.Sprint("a/", i)}}, Writes: []store.Write{{Key: fmt.Sprint("a/", i)}, {Key: id}}}
			if i%2 == 0 {
				txn.Once = id
			}
			queued.Done()
			_, kinds[i] = s.Commit(t.Context(), txn)
		})
	}
	queued.Wait()
	close(begin)
	committing.Wait()
	page, err := s.Range(t.Context(), store.Query{Key: "a/", Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Entries) != commits {
		t.Errorf("want %d keys written, got %d", commits, len(page.Entries))
	}
	for i, err := range kinds {
		if i%2 == 0 && err != nil {
			t.Errorf("commit %d, which can be told: %v", i, err)
		}
		if i%2 == 1 && err != nil && !errors.Is(err, errOpen) {
			t.Errorf("commit %d: want no error or an open outcome, got %v", i, err)
		}
	}
}
