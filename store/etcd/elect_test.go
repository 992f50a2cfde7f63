package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/store"
)

// dead makes an office be held by somebody who gives no sign any more.
func dead(t *testing.T, s *Store, office string) {
	t.Helper()
	lease, err := s.client.Grant(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Put(t.Context(), s.data+store.OfficeKey(office), "dead", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
}

// An office passes on by itself from a holder that died, and stays with one that
// lives. A machine that stands still for seconds may cost the term, but not always.
func TestSuccessionAfterDeath(t *testing.T) {
	t.Parallel()
	s := openInternal(t)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dead(t, s, "work")
	for range 5 {
		term, err := s.Campaign(ctx, "work", "heir")
		if err != nil {
			t.Fatalf("campaign: %v", err)
		}
		// For longer than a lease lasts that nobody renews.
		outlived := time.NewTimer(leaseTTL + time.Second)
		defer outlived.Stop()
		select {
		case <-term.Done():
			continue
		case <-outlived.C:
		}
		_, err = s.Commit(ctx, store.Txn{Conds: []store.Cond{term.Fence()}, Writes: []store.Write{{Key: "k"}}})
		if err == nil {
			return
		}
	}
	t.Error("the terms end although their holder lives")
}

// A term ends when etcd takes its lease away, and when the engine dies.
func TestTermEndsWithItsLease(t *testing.T) {
	t.Parallel()
	s := openInternal(t)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	won, err := s.Campaign(ctx, "work", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Revoke(ctx, won.(*term).lease); err != nil {
		t.Fatal(err)
	}
	select {
	case <-won.Done():
	case <-ctx.Done():
		t.Fatal("the term goes on without its lease")
	}
	if err := won.Resign(ctx); err != nil {
		t.Errorf("resign from a term that is over: %v", err)
	}
	won, err = s.Campaign(ctx, "work", "one")
	if err != nil {
		t.Fatal(err)
	}
	s.engine.die("the disk is gone")
	select {
	case <-won.Done():
	case <-ctx.Done():
		t.Fatal("the term goes on without the engine")
	}
	if err := won.Resign(ctx); !errors.Is(err, s.Err()) {
		t.Errorf("resign from an engine that died: error is %v, want %v", err, s.Err())
	}
}

// The lease of a candidate that came too late is given back.
func TestNoLeaseIsLeftBehind(t *testing.T) {
	t.Parallel()
	s := openInternal(t)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, err := s.Campaign(ctx, "work", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.take(ctx, store.OfficeKey("work"), "two"); !errors.Is(err, errTaken) {
		t.Fatalf("take an office that has a holder: error is %v, want %v", err, errTaken)
	}
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		leases, err := s.client.Leases(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(leases.Leases) == 0 {
			return
		}
	}
}
