package storetest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Elections tests who holds an office and for how long. A store that is not a
// store.Elector fails it.
func Elections(t *testing.T, open Factory) {
	t.Run("fence", func(t *testing.T) { fence(t, open) })
	t.Run("succession", func(t *testing.T) { succession(t, open) })
	t.Run("taken away", func(t *testing.T) { takenAway(t, open) })
	t.Run("offices are apart", func(t *testing.T) {
		f := start(t, open)
		for _, office := range []string{"a", "a-b", "ab", "b"} {
			term := f.campaign(office, "one")
			f.holds(term)
		}
	})
	t.Run("candidates leave", func(t *testing.T) { candidatesLeave(t, open) })
	t.Run("invalid", func(t *testing.T) {
		f := start(t, open)
		for _, office := range []string{"", "A", "a/b", "a b", "-a", "a-", "1", strings.Repeat("a", 64)} {
			_, err := f.elector().Campaign(f.ctx, office, "one")
			wantKind(t, config.Invalid, err)
		}
		for _, candidate := range []string{"", strings.Repeat("a", 257)} {
			_, err := f.elector().Campaign(f.ctx, "a", candidate)
			wantKind(t, config.Invalid, err)
		}
	})
	t.Run("contention", func(t *testing.T) { contendedOffice(t, open) })
	t.Run("closed", func(t *testing.T) { closedElections(t, open) })
}

// fence tests that writes are possible under it during the term, and only then.
func fence(t *testing.T, open Factory) {
	f := start(t, open)
	term := f.campaign("work", "one")
	f.holds(term)
	if e, ok := f.get(term.Fence().Key); !ok || string(e.Value) != "one" || e.Revision != term.Fence().Revision {
		t.Errorf("the fence %+v is on the entry %+v, want one that names the holder", term.Fence(), e)
	}
	if err := term.Resign(f.ctx); err != nil {
		t.Fatalf("resign: %v", err)
	}
	f.ended(term)
	if _, ok := f.get(term.Fence().Key); ok {
		t.Error("the office still has a holder")
	}
	if err := term.Resign(f.ctx); err != nil {
		t.Errorf("resign again: %v", err)
	}
	again := f.campaign("work", "one")
	f.holds(again)
	f.ended(term)
}

// succession tests that there is one holder at a time, and the next after it.
func succession(t *testing.T, open Factory) {
	f := start(t, open)
	term := f.campaign("work", "0")
	won := make(chan store.Term)
	failed := make(chan error, 3)
	for i := range cap(failed) {
		go func() {
			term, err := f.elector().Campaign(f.ctx, "work", strconv.Itoa(i+1))
			if err != nil {
				failed <- err
				return
			}
			won <- term
		}()
	}
	for range cap(failed) {
		select {
		case <-won:
			t.Fatal("a second candidate has the office")
		default:
		}
		f.holds(term)
		if err := term.Resign(f.ctx); err != nil {
			t.Fatalf("resign: %v", err)
		}
		before := term
		select {
		case term = <-won:
		case err := <-failed:
			t.Fatalf("campaign: %v", err)
		}
		f.ended(before)
	}
	f.holds(term)
}

// takenAway tests that whoever changes the office's key ends the term.
func takenAway(t *testing.T, open Factory) {
	f := start(t, open)
	for name, write := range map[string]func(key string) store.Write{
		"deleted":     del,
		"overwritten": func(key string) store.Write { return put(key, "somebody else") },
	} {
		term := f.campaign("work", "one")
		key := term.Fence().Key
		f.commit(write(key))
		select {
		case <-term.Done():
		case <-f.ctx.Done():
			t.Fatalf("%s: the term goes on", name)
		}
		f.ended(term)
		f.commit(del(key))
	}
	f.holds(f.campaign("work", "two"))
}

// candidatesLeave tests campaigns that are given up.
func candidatesLeave(t *testing.T, open Factory) {
	f := start(t, open)
	term := f.campaign("work", "one")
	canceled, cancel := context.WithCancel(f.ctx)
	waiting := make(chan error)
	go func() {
		_, err := f.elector().Campaign(canceled, "work", "two")
		waiting <- err
	}()
	cancel()
	wantKind(t, config.Canceled, <-waiting)
	late, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer cancel()
	_, err := f.elector().Campaign(late, "work", "three")
	wantKind(t, config.Timeout, err)
	_, err = f.elector().Campaign(canceled, "vacant", "two")
	wantKind(t, config.Canceled, err)
	f.holds(term)
	if err := term.Resign(f.ctx); err != nil {
		t.Fatalf("resign: %v", err)
	}
	f.holds(f.campaign("work", "four"))
}

// contendedOffice tests many candidates that change the same thing under the
// fence alone.
func contendedOffice(t *testing.T, open Factory) {
	f := start(t, open)
	f.commit(put("count", "0"))
	const candidates, terms = 3, 4
	results := make(chan error, candidates)
	for c := range candidates {
		go func() {
			for range terms {
				if err := f.countOnce(fmt.Sprint("candidate-", c)); err != nil {
					results <- err
					return
				}
			}
			results <- nil
		}()
	}
	for range candidates {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if e, _ := f.get("count"); string(e.Value) != strconv.Itoa(candidates*terms) {
		t.Errorf("counted to %s in %d terms", e.Value, candidates*terms)
	}
}

// countOnce adds one during a term. Only the fence is a condition.
func (f *fixture) countOnce(candidate string) error {
	for {
		term, err := f.elector().Campaign(f.ctx, "counter", candidate)
		if err != nil {
			return fmt.Errorf("campaign: %w", err)
		}
		page, err := f.Range(f.ctx, store.Query{Key: "count"})
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(page.Entries[0].Value))
		if err != nil {
			return err
		}
		_, err = f.Commit(f.ctx, store.Txn{Conds: []store.Cond{term.Fence()}, Writes: []store.Write{put("count", strconv.Itoa(n+1))}})
		if resigned := term.Resign(f.ctx); resigned != nil {
			return fmt.Errorf("resign: %w", resigned)
		}
		if config.KindOf(err) != config.Conflict { // the term may end early on a busy machine
			return err
		}
	}
}

// closedElections tests that nobody waits for a store that is closed.
func closedElections(t *testing.T, open Factory) {
	f := start(t, open)
	term := f.campaign("work", "one")
	waiting := make(chan error)
	go func() {
		_, err := f.elector().Campaign(f.ctx, "work", "two")
		waiting <- err
	}()
	if err := f.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	wantIs(t, store.ErrClosed, <-waiting)
	select {
	case <-term.Done():
	default:
		t.Error("a term outlasted the store")
	}
	_ = term.Resign(f.ctx) // whether that still succeeds is the driver's affair; it returns
	_, err := f.elector().Campaign(f.ctx, "work", "three")
	wantIs(t, store.ErrClosed, err)
}

func (f *fixture) elector() store.Elector {
	e, ok := f.Store.(store.Elector)
	if !ok {
		f.Errorf("%T is not a store.Elector", f.Store)
		return noElector{}
	}
	return e
}

// noElector stands in for what a store does not have.
type noElector struct{}

// Campaign refuses.
func (noElector) Campaign(context.Context, string, string) (store.Term, error) {
	return nil, config.Errorf(config.Unsupported, "campaign", "", "the store is not a store.Elector")
}

// campaign wins an office that must be vacant or become so.
func (f *fixture) campaign(office, candidate string) store.Term {
	f.Helper()
	term, err := f.elector().Campaign(f.ctx, office, candidate)
	if err != nil {
		f.Fatalf("campaign of %s for %s: %v", candidate, office, err)
	}
	return term
}

// holds fails unless the term goes on.
func (f *fixture) holds(term store.Term) {
	f.Helper()
	if err := f.under(term); err != nil {
		f.Errorf("commit during the term: %v", err)
	}
	select {
	case <-term.Done():
		f.Error("the term is over")
	default:
	}
}

// ended fails unless the term is over.
func (f *fixture) ended(term store.Term) {
	f.Helper()
	wantIs(f, store.ErrConflict, f.under(term))
	select {
	case <-term.Done():
	default:
		f.Error("the term is not over")
	}
}

// under commits under the fence of a term.
func (f *fixture) under(term store.Term) error {
	_, err := f.Commit(f.ctx, store.Txn{Conds: []store.Cond{term.Fence()}, Writes: []store.Write{put("done", "work")}})
	return err
}
