package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

func TestEmbeddedKeepsItsData(t *testing.T) {
	t.Parallel()
	c := settings(t)
	var want store.Page
	for round := range 3 {
		s := mustOpen(t, c)
		if round > 0 {
			got, err := s.Range(t.Context(), store.Query{Prefix: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Entries, got.Entries); diff != "" {
				t.Errorf("after start %d (-want +got):\n%s", round, diff)
			}
			if got.Revision < want.Revision {
				t.Errorf("the revision went back from %d to %d", want.Revision, got.Revision)
			}
			n := 0
			for batch, err := range s.Watch(t.Context(), "", 0) {
				if err != nil {
					t.Fatal(err)
				}
				if n += len(batch.Events); batch.Revision >= want.Revision {
					break
				}
			}
			if n != 10*round {
				t.Errorf("history has %d events after start %d, want %d", n, round, 10*round)
			}
		}
		for i := range 10 {
			txn := store.Txn{Writes: []store.Write{{Key: fmt.Sprintf("k/%d/%d", round, i), Value: []byte("v")}}}
			if _, err := s.Commit(t.Context(), txn); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if want, err = s.Range(t.Context(), store.Query{Prefix: true}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEmbeddedRefusesDataInUse(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	again, err := c.Open(t.Context(), store.Env{Log: testLog(t)})
	if config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second open: %v, error is %v, want one that says that the folder is in use", again, err)
	}
	if _, err := s.Range(t.Context(), store.Query{Prefix: true}); err != nil {
		t.Errorf("the first store after that: %v", err)
	}
}

func TestQuotaUsedUp(t *testing.T) {
	t.Parallel()
	c := settings(t)
	c.Quota = 32 * plugin.MiB
	s := mustOpen(t, c)
	defer func() { s.Close() }()
	var err error
	for i := 0; err == nil && i < 64; i++ {
		_, err = s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: fmt.Sprint(i), Value: make([]byte, plugin.MiB)}}})
	}
	if config.KindOf(err) != config.Exhausted || !strings.Contains(err.Error(), "quota") {
		t.Errorf("error over the quota is %v, want kind limit_exceeded", err)
	}
	if _, err := s.Range(t.Context(), store.Query{Key: "0"}); err != nil {
		t.Errorf("reading over the quota: %v", err)
	}
	reopen := func(quota plugin.Size) error {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c.Quota = quota
		s = mustOpen(t, c)
		_, err := s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "again", Value: []byte("v")}}})
		return err
	}
	if err := reopen(16 * plugin.MiB); config.KindOf(err) != config.Exhausted {
		t.Errorf("started again without more room: error is %v, want kind limit_exceeded", err)
	}
	if err := reopen(64 * plugin.MiB); err != nil {
		t.Errorf("started again with a larger quota: %v", err)
	}
}

func TestTooLargeTransactions(t *testing.T) {
	t.Parallel()
	c := settings(t)
	c.MaxRequestBytes, c.MaxTxnOps = 64*plugin.KiB, 20
	s := mustOpen(t, c)
	defer s.Close()
	many := store.Txn{}
	for i := range 21 {
		many.Writes = append(many.Writes, store.Write{Key: fmt.Sprint(i)})
	}
	conds := store.Txn{Writes: many.Writes[:1], Conds: make([]store.Cond, 21)}
	bytes := store.Txn{Writes: []store.Write{{Key: "k", Value: make([]byte, 65*plugin.KiB)}}}
	for name, txn := range map[string]store.Txn{"writes": many, "conditions": conds, "bytes": bytes} {
		if _, err := s.Commit(t.Context(), txn); config.KindOf(err) != config.TooLarge {
			t.Errorf("too many %s: error is %v, want kind too_large", name, err)
		}
	}
	many.Writes = many.Writes[:20]
	if _, err := s.Commit(t.Context(), many); err != nil {
		t.Errorf("as many writes as allowed: %v", err)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	s := openEmbedded(t)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// etcd counts what it has flushed, which it does now and then.
	for grown := false; !grown; {
		if _, err := s.Commit(ctx, store.Txn{Writes: []store.Write{{Key: "k", Value: make([]byte, 1<<20)}}}); err != nil {
			t.Fatal(err)
		}
		total, inUse, err := s.(store.Sizer).Size(ctx)
		if err != nil || total < inUse || inUse <= 0 {
			t.Fatalf("size is %d, in use %d, %v", total, inUse, err)
		}
		grown = inUse > 1<<20
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	external := func(c *etcd.Settings) { c.Endpoints = []string{"https://etcd-1:2379"} }
	tests := []struct {
		name   string
		change func(*etcd.Settings)
		want   []string // keys that are refused
	}{
		{"defaults", func(*etcd.Settings) {}, nil},
		{"external", external, nil},
		{"external with a user", func(c *etcd.Settings) { external(c); c.Username, c.Password = "u", config.NewSecret("p") }, nil},
		{"nothing filled in", func(c *etcd.Settings) { *c = etcd.Settings{} }, []string{
			"max_txn_ops", "max_request_bytes", "request_timeout", "name", "quota", "compaction_retention", "snapshot_count", "start_timeout",
		}},
		{"a user without a cluster", func(c *etcd.Settings) { c.Username = "u" }, []string{"username"}},
		{"endpoints", func(c *etcd.Settings) {
			c.Endpoints = []string{"https://good:2379", "etcd:2379", "https://u:p@etcd:2379", "unix:///x", "", "%"}
		}, []string{"endpoints", "endpoints", "endpoints", "endpoints", "endpoints"}},
		{"half of everything", func(c *etcd.Settings) {
			external(c)
			c.Username, c.CertFile, c.DialTimeout = "u", "cert.pem", 0
		}, []string{"dial_timeout", "password", "key_file"}},
	}
	for _, tt := range tests {
		var c etcd.Settings
		c.Defaults()
		tt.change(&c)
		var got []string
		if err := c.Validate(); err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("%s: %v is not a joined error", tt.name, err)
			}
			for _, err := range joined.Unwrap() {
				var e *config.Error
				if !errors.As(err, &e) || e.Kind != config.Invalid {
					t.Fatalf("%s: error is %v, want kind invalid", tt.name, err)
				}
				got = append(got, e.Path)
				if strings.Contains(err.Error(), "u:p@") {
					t.Errorf("%s: a password shows in %v", tt.name, err)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: refused keys (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestDataDirectory(t *testing.T) {
	t.Parallel()
	var c etcd.Settings
	c.Defaults()
	if s, err := c.Open(t.Context(), store.Env{Log: testLog(t)}); config.KindOf(err) != config.Invalid {
		t.Errorf("open without any folder: %v, error is %v, want kind invalid", s, err)
	}
	s, err := c.Open(t.Context(), store.Env{Log: testLog(t), DataDir: t.TempDir()})
	if err != nil {
		t.Fatalf("open in the node's folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
