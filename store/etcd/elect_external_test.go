package etcd_test

import (
	"context"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest/etcdproc"
)

// A holder that is cut off learns it from its own clock, a candidate goes on
// waiting, and wins when the engine is back and the lease has run out.
func TestElectionWhileCutOff(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	c := externalSettings(p)
	c.RequestTimeout = time.Second
	one, two := mustOpen(t, c), mustOpen(t, c)
	defer one.Close()
	defer two.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	term, err := one.(store.Elector).Campaign(ctx, "work", "one")
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		term store.Term
		err  error
	}
	second := make(chan outcome, 1)
	go func() {
		term, err := two.(store.Elector).Campaign(ctx, "work", "two")
		second <- outcome{term, err}
	}()
	p.Kill()
	select {
	case <-term.Done():
	case <-ctx.Done():
		t.Fatal("the holder never learned that it is cut off")
	}
	select {
	case o := <-second:
		t.Fatalf("the candidate did not wait: %v", o.err)
	default:
	}
	p.Restart()
	o := <-second
	if o.err != nil {
		t.Fatalf("campaign: %v", o.err)
	}
	under := func(s store.Store, term store.Term) error {
		for { // connections are made anew in the background
			_, err := s.Commit(ctx, store.Txn{Conds: []store.Cond{term.Fence()}, Writes: []store.Write{{Key: "k"}}})
			if config.KindOf(err) != config.Unavailable || ctx.Err() != nil {
				return err
			}
		}
	}
	if err := under(two, o.term); err != nil {
		t.Errorf("commit by the new holder: %v", err)
	}
	if err := under(one, term); config.KindOf(err) != config.Conflict {
		t.Errorf("commit by the old holder: error is %v, want kind conflict", err)
	}
}

// A member that is cut off loses its offices, one that stops gives them up; edges
// can hold them as well.
func TestOfficesInACluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	under := func(s store.Store, term store.Term) error {
		for {
			_, err := s.Commit(ctx, store.Txn{Conds: []store.Cond{term.Fence()}, Writes: []store.Write{{Key: "k"}}})
			if config.KindOf(err) != config.Unavailable || ctx.Err() != nil {
				return err
			}
		}
	}
	// hold wins the office and does something in it. On a busy machine a term may
	// be over before that.
	hold := func(s *etcd.Store, candidate string) store.Term {
		t.Helper()
		for {
			term, err := s.Campaign(ctx, "work", candidate)
			if err != nil {
				t.Fatalf("campaign of %s: %v", candidate, err)
			}
			if err = under(s, term); err == nil {
				return term
			}
			if config.KindOf(err) != config.Conflict {
				t.Fatalf("commit by %s: %v", candidate, err)
			}
		}
	}
	cut := c.leader("n1", "n2", "n3")
	lost := hold(cut.Store, cut.name)
	c.isolate(cut.name)
	<-lost.Done()
	others := c.others(cut)
	next, last := c.nodes[others[0]], c.nodes[others[1]]
	won := hold(next.Store, next.name)
	c.heal()
	if err := under(cut, lost); config.KindOf(err) != config.Conflict {
		t.Errorf("commit by the old holder: error is %v, want kind conflict", err)
	}

	next.stop()
	<-won.Done()
	if err := hold(last.Store, last.name).Resign(ctx); err != nil {
		t.Errorf("resign: %v", err)
	}
	edge := c.edge(t, func(*etcd.Settings) {})
	defer edge.Close()
	if err := hold(edge, "edge").Resign(ctx); err != nil {
		t.Errorf("resign on an edge: %v", err)
	}
	hold(cut.Store, cut.name)
}
