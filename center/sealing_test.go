package center_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// sealing runs fn with a node that seals, on a clock of its own.
func sealing(t *testing.T, fn func(t *testing.T, n *node), change ...func(*center.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		n := joinWith(t, s, func(o *center.Options) {
			o.Elector = s
			for _, f := range change {
				f(o)
			}
		})
		n.house()
		fn(t, n)
	})
}

// after lets time pass, by the clock of the bubble.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// entries returns what lies in the store below a prefix.
func (n *node) entries(prefix string) []store.Entry {
	n.t.Helper()
	page, err := n.store.Range(n.t.Context(), store.Query{Key: prefix, Prefix: true})
	n.must(err)
	return page.Entries
}

func (n *node) verify() audit.Verification {
	n.t.Helper()
	v, err := n.VerifyAudit(n.admin(), center.AuditExpectation{})
	n.must(err)
	return v
}

// wantSealed checks that every record is sealed, exactly once.
func (n *node) wantSealed() {
	n.t.Helper()
	v := n.verify()
	records := int64(len(n.entries("a/")))
	if !v.Intact || v.Unsealed != 0 || v.Verified != records || v.Seal.Records != records {
		n.t.Errorf("want all of %d records sealed once, got %+v", records, v)
	}
	seen := map[string]int64{}
	for _, e := range n.entries(record.SealedPrefix()) {
		list, err := record.DecodeSealed(e.Value)
		n.must(err)
		sequence, _ := record.SplitSealKey(e.Key)
		for _, sealed := range list {
			if other, twice := seen[sealed.Key]; twice {
				n.t.Errorf("%s: sealed by checkpoint %d and by %d", sealed.Key, other, sequence)
			}
			seen[sealed.Key] = sequence
		}
	}
}

func (n *node) put(writes ...store.Write) {
	n.t.Helper()
	_, err := n.store.Commit(n.t.Context(), store.Txn{Writes: writes})
	n.must(err)
}

func (n *node) revision() int64 {
	n.t.Helper()
	page, err := n.store.Range(n.t.Context(), store.Query{Key: record.ClusterKey, KeysOnly: true})
	n.must(err)
	return page.Revision
}

func TestRecordsAreSealedOnceASecond(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		after(2 * time.Second)
		n.wantSealed()
		before := n.verify().Checkpoints
		for i := range 100 {
			n.publish(app, fmt.Sprintf(`{"a": %d}`, i))
		}
		if v := n.verify(); v.Unsealed != 100 || !v.Intact {
			t.Errorf("at once: want 100 records unsealed, got %+v", v)
		}
		after(2 * time.Second)
		n.wantSealed()
		if got := n.verify().Checkpoints; got != before+1 {
			t.Errorf("want one checkpoint for what came in a second, got %d", got-before)
		}
		revision := n.revision()
		after(time.Hour)
		if got := n.revision(); got != revision {
			t.Errorf("an idle installation: want no writes, got %d", got-revision)
		}
		seal, err := n.AuditSeal(n.admin())
		n.must(err)
		if diff := cmp.Diff(n.verify().Seal, seal); diff != "" {
			t.Error(diff)
		}
	})
}

func TestManyRecordsTakeSeveralCheckpoints(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		after(2 * time.Second)
		before := n.verify().Checkpoints
		for i := range 3 { // revisions of 1,500 records, of which two do not fit together
			n.put(forged(i, 1500)...)
		}
		n.put(forged(3, 2500)...) // and one that does not fit alone
		after(2 * time.Second)
		n.wantSealed()
		if got := n.verify().Checkpoints - before; got != 4 {
			t.Errorf("want 4 checkpoints, got %d", got)
		}
	})
}

// forged makes records as nobody's acts.
func forged(seed, count int) []store.Write {
	var writes []store.Write
	for i := range count {
		id := fmt.Sprintf("%016x%016x", time.Now().UnixNano(), seed<<32+i)
		writes = append(writes, store.Write{Key: record.AuditKey("acme", id), Value: record.Encode(audit.Record{ID: id})})
	}
	return writes
}

func TestSealingGoesOnWhereTheLogIsCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		_, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		quiet := join(t, s) // seals nothing
		quiet.house()
		for i := range 50 {
			quiet.publish(app, fmt.Sprintf(`{"a": %d}`, i))
			quiet.put(forged(i, 10)...)
		}
		if err := s.Compact(t.Context(), quiet.revision()); err != nil {
			t.Fatal(err)
		}
		n := joinWith(t, s, func(o *center.Options) { o.Elector = s })
		after(2 * time.Second)
		n.wantSealed()
		n.publish(app, `{"a": "afterwards"}`)
		after(2 * time.Second)
		n.wantSealed()
	})
}

// deaf is an elector whose terms never tell that they are over.
type deaf struct{ store.Elector }

func (d deaf) Campaign(ctx context.Context, office, candidate string) (store.Term, error) {
	term, err := d.Elector.Campaign(ctx, office, candidate)
	return deafTerm{term}, err
}

type deafTerm struct{ store.Term }

func (deafTerm) Done() <-chan struct{} { return nil }

// witness notes what becomes of a node's attempts to seal.
type witness struct {
	store.Store
	mu              sync.Mutex
	sealed, refused int
	refuse          error // what to answer instead
}

func (w *witness) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	seals := false
	for _, write := range txn.Writes {
		seals = seals || strings.HasPrefix(write.Key, record.CheckpointPrefix())
	}
	w.mu.Lock()
	refuse := w.refuse
	w.mu.Unlock()
	if seals && refuse != nil {
		return 0, refuse
	}
	revision, err := w.Store.Commit(ctx, txn)
	if seals {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.sealed++
		} else if errors.Is(err, store.ErrConflict) {
			w.refused++
		}
	}
	return revision, err
}

func (w *witness) counts() (sealed, refused int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed, w.refused
}

func (w *witness) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

func TestTheOfficeMovesAndAStaleHolderChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		watched := &witness{Store: s}
		stale := joinWith(t, watched, func(o *center.Options) { o.Elector = deaf{s} })
		synctest.Wait() // it holds the offices
		n := joinWith(t, s, func(o *center.Options) { o.Elector = s })
		n.house()
		after(2 * time.Second)
		n.wantSealed()
		sealedBefore, refused := watched.counts()
		if sealedBefore == 0 || refused != 0 {
			t.Fatalf("the first holder: want it to seal, got %d sealed, %d refused", sealedBefore, refused)
		}

		// The engine ends its term; the other node takes over; it goes on nevertheless.
		n.put(store.Write{Key: store.OfficeKey("audit-sealer"), Delete: true})
		for i := range 10 {
			stale.publish(app, fmt.Sprintf(`{"a": %d}`, i))
			after(400 * time.Millisecond)
		}
		after(2 * time.Second)
		n.wantSealed()
		sealedAfter, refused := watched.counts()
		if sealedAfter != sealedBefore || refused == 0 {
			t.Errorf("the stale holder: want it refused, got %d checkpoints of its own, %d refused", sealedAfter-sealedBefore, refused)
		}
	})
}

func TestSealingSurvivesFaultsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		faulty := &witness{Store: s}
		n := joinWith(t, faulty, func(o *center.Options) { o.Elector = s })
		n.house()
		faulty.fail(config.Errorf(config.Unavailable, "commit", "", "no quorum"))
		after(time.Minute)
		if v := n.verify(); v.Unsealed == 0 || !v.Intact {
			t.Errorf("while nothing can be sealed: want records unsealed, got %+v", v)
		}
		faulty.fail(nil)
		after(time.Minute)
		n.wantSealed()
	})
}
