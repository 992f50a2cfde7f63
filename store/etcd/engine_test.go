package etcd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

func openInternal(t *testing.T) *Store {
	t.Helper()
	var c Settings
	c.Defaults()
	c.DataDir = filepath.Join(t.TempDir(), "etcd")
	s, err := c.open(t.Context(), store.Env{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func TestEmbeddedOpensNoPort(t *testing.T) {
	t.Parallel()
	s := openInternal(t)
	defer s.Close()
	if e := s.engine.server; len(e.Clients)+len(e.Peers) > 0 {
		t.Errorf("etcd listens on %v and %v, want nothing", e.Clients, e.Peers)
	}
}

// An engine that dies fails everything that is under way and to come, says why,
// and lets itself be closed.
func TestEngineDeath(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*Store){
		"a fatal error": func(s *Store) { s.engine.die("the disk is gone") },
		"a stop":        func(s *Store) { s.engine.server.Server.HardStop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openInternal(t)
			defer s.Close()
			if err := s.Err(); err != nil {
				t.Fatalf("a living engine has the error %v", err)
			}
			ended := make(chan error, 1)
			go func() {
				var last error
				for _, err := range s.Watch(context.Background(), "", 0) {
					last = err
				}
				ended <- last
			}()
			kill(s)
			<-s.Done()
			want := s.Err()
			if config.KindOf(want) != config.Unavailable || errors.Is(want, store.ErrClosed) {
				t.Fatalf("a dead engine has the error %v", want)
			}
			_, rangeErr := s.Range(context.Background(), store.Query{Prefix: true})
			_, commitErr := s.Commit(context.Background(), store.Txn{Writes: []store.Write{{Key: "k"}}})
			for what, err := range map[string]error{"watch": <-ended, "range": rangeErr, "commit": commitErr} {
				if !errors.Is(err, want) {
					t.Errorf("%s: error is %v, want %v", what, err, want)
				}
			}
		})
	}
}

// A watcher that is too slow for what may wait for it still sees everything.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	s := openInternal(t)
	defer s.Close()
	s.backlog = 2_000
	write := func() int64 {
		rev, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "k", Value: make([]byte, 500)}}})
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	before := write()
	want, got := []int64{write()}, []int64(nil)
	for batch, err := range s.Watch(t.Context(), "", before) {
		if err != nil {
			t.Fatal(err)
		}
		if len(batch.Events) == 0 {
			continue
		}
		if got = append(got, batch.Revision); len(got) == 1 || len(got) == 30 {
			for range 100 {
				want = append(want, write())
			}
		}
		if len(got) == 201 {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	if n := s.position.ids.Load(); n < 2 {
		t.Errorf("%d etcd watches, want more: nothing was left out", n)
	}
}

func TestLogBridge(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var fatal string
	log := zapLogger(slog.New(slog.NewTextHandler(&out, nil)), func(m string) { fatal = m })
	log.Info("not shown")
	log.Warn("simple token is not cryptographically signed")
	log.Warn("failed to update storage version", zap.Error(errors.New("x: missing term information")))
	log.With(zap.String("local-member-id", "7")).Warn("shown", zap.Int("round-trip", 3), zap.Error(errors.New("why")))
	for _, message := range []string{"broken", "torn"} {
		end := log.Fatal
		if message == "torn" {
			end = log.Panic
		}
		done := make(chan struct{})
		returned := false
		go func() {
			defer close(done)
			end(message)
			returned = true
		}()
		<-done
		if returned || fatal != message {
			t.Errorf("after a fatal entry: returned %v, told %q", returned, fatal)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	for i, parts := range [][]string{{"level=WARN", "msg=shown", "local_member_id=7", "round_trip=3", "error=why"}, {"level=ERROR", "msg=broken"}, {"level=ERROR", "msg=torn"}} {
		for _, part := range parts {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d lacks %s: %s", i, part, lines[i])
			}
		}
	}
}
