package center

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// mayhem is an installation of a few nodes to which anything may happen in any
// order: writes, terms that end unnoticed, compactions, deletions of old records.
type mayhem struct {
	store   *memory.Store
	center  *Center // one is enough: sealers keep all that nodes would differ in
	now     time.Time
	sealers []*sealer // the last of them holds the office
	written int
}

func newMayhem(t *rapid.T) *mayhem {
	m := &mayhem{store: memory.New(), now: time.Unix(1e9, 0)}
	m.center = &Center{
		store: m.store, log: slog.New(slog.DiscardHandler), now: func() time.Time { return m.now },
		limits: Limits{AuditRetention: time.Hour},
	}
	m.must(t, m.commit(store.Write{Key: record.ClusterKey, Value: []byte("id")}))
	m.Elect(t)
	return m
}

func (m *mayhem) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *mayhem) commit(writes ...store.Write) error {
	_, err := m.store.Commit(context.Background(), store.Txn{Writes: writes})
	return err
}

// Write commits a few records at one revision.
func (m *mayhem) Write(t *rapid.T) {
	var writes []store.Write
	for range rapid.IntRange(1, 4).Draw(t, "records") {
		m.written++
		id := auditID(m.now)
		tenant := rapid.SampledFrom([]string{"", "acme", "globex"}).Draw(t, "tenant")
		writes = append(writes, store.Write{Key: record.AuditKey(tenant, id), Value: record.Encode(audit.Record{ID: id, Action: "test"})})
	}
	m.must(t, m.commit(writes...))
}

// Elect ends the present term, of which its holder learns nothing.
func (m *mayhem) Elect(t *rapid.T) {
	m.must(t, m.commit(store.Write{Key: store.OfficeKey(sealerOffice), Delete: true}))
	term, err := m.store.Campaign(context.Background(), sealerOffice, "node")
	m.must(t, err)
	s := &sealer{center: m.center, term: term, most: rapid.IntRange(1, 6).Draw(t, "most")}
	m.must(t, s.load(context.Background()))
	m.sealers = append(m.sealers, s)
}

// Follow has some node, mostly one that should not, follow the log and seal.
func (m *mayhem) Follow(t *rapid.T) {
	i := rapid.IntRange(max(0, len(m.sealers)-3), len(m.sealers)-1).Draw(t, "node")
	left := rapid.IntRange(0, 5).Draw(t, "left")
	stale := i < len(m.sealers)-1
	before := m.head(t)
	err := m.follow(m.sealers[i], left)
	if after := m.head(t); stale && after != before {
		t.Fatalf("a stale holder changed the chain: %+v to %+v", before, after)
	}
	if err != nil && !stale {
		t.Fatalf("the holder could not seal: %v", err)
	}
}

func (m *mayhem) follow(s *sealer, left int) error {
	ctx := context.Background()
	page, err := m.store.Range(ctx, store.Query{Key: record.ClusterKey})
	if err != nil {
		return err
	}
	s.pending = nil
	if s.position >= page.Revision {
		return nil // a watch would wait for more
	}
	for batch, err := range m.store.Watch(ctx, record.Audits.Prefix(), s.position) {
		if errors.Is(err, store.ErrCompacted) {
			return s.search(ctx)
		}
		if err != nil {
			return err
		}
		s.take(batch)
		if batch.Revision >= page.Revision {
			break
		}
	}
	err = s.seal(ctx, left)
	s.position = s.head.Last
	return err
}

// Compact drops history.
func (m *mayhem) Compact(t *rapid.T) {
	page, err := m.store.Range(context.Background(), store.Query{Key: record.ClusterKey})
	m.must(t, err)
	m.must(t, m.store.Compact(context.Background(), rapid.Int64Range(1, page.Revision).Draw(t, "revision")))
}

// Retain deletes old records, under another office.
func (m *mayhem) Retain(t *rapid.T) {
	m.must(t, m.commit(store.Write{Key: store.OfficeKey(retentionOffice), Delete: true}))
	term, err := m.store.Campaign(context.Background(), retentionOffice, "node")
	m.must(t, err)
	r := &retention{center: m.center, term: term}
	m.must(t, r.pass(context.Background()))
}

// Wait lets time pass.
func (m *mayhem) Wait(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
}

func (m *mayhem) head(t *rapid.T) string {
	head, revision, err := m.center.sealHead(context.Background(), 0)
	m.must(t, err)
	return fmt.Sprintf("%d %+v", revision, head)
}

// Check verifies the chain, after every step.
func (m *mayhem) Check(t *rapid.T) {
	v := verifier{center: m.center}
	m.must(t, v.run(context.Background()))
	if !v.out.Intact || len(v.out.Findings) > 0 {
		t.Fatalf("nobody tampered, and it is found: %+v", v.out)
	}
	page, err := m.store.Range(context.Background(), store.Query{Key: record.Audits.Prefix(), Prefix: true})
	m.must(t, err)
	if got := v.out.Verified + v.out.Unsealed; got != int64(len(page.Entries)) {
		t.Fatalf("%d records, and %d verified or unsealed: %+v", len(page.Entries), got, v.out)
	}
}

func TestSealingSurvivesMayhem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMayhem(t)
		defer m.store.Close()
		t.Repeat(rapid.StateMachineActions(m))
		m.must(t, m.follow(m.sealers[len(m.sealers)-1], 0))
		v := verifier{center: m.center}
		m.must(t, v.run(context.Background()))
		if !v.out.Intact || v.out.Unsealed != 0 || v.out.Seal.Records < int64(m.written) {
			t.Fatalf("at last: want all of %d records sealed, got %+v", m.written, v.out)
		}
	})
}
