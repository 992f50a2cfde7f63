package center_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// sealedHouse fills the audit over several checkpoints and returns the records,
// oldest first. The third of them is in a checkpoint with others around it.
func sealedHouse(n *node) []store.Entry {
	n.t.Helper()
	for range 4 {
		for i := range 5 {
			n.publish(app, fmt.Sprintf(`{"at": "%d-%s"}`, i, time.Now()))
		}
		after(2 * time.Second)
	}
	n.wantSealed()
	all := n.entries(record.AuditPrefix("acme"))
	slices.SortFunc(all, func(a, b store.Entry) int { return int(a.Revision - b.Revision) })
	return all
}

func rewritten(e store.Entry, old, with string) store.Write {
	return store.Write{Key: e.Key, Value: []byte(strings.Replace(string(e.Value), old, with, 1))}
}

func drop(key string) store.Write { return store.Write{Key: key, Delete: true} }

func as[T any](n *node, key string) T {
	n.t.Helper()
	found := n.entries(key)
	if len(found) == 0 {
		n.t.Fatalf("%s is not there", key)
	}
	noun, err := record.Decode[T](found[0].Value)
	n.must(err)
	return noun
}

func TestTamperingIsFound(t *testing.T) {
	removed := func(key string) audit.Finding { return about(audit.Removed, key) }
	cases := []struct {
		name   string
		tamper func(n *node, all []store.Entry)
		want   func(all []store.Entry) []audit.Finding
	}{
		{"a record deleted",
			func(n *node, all []store.Entry) { n.put(drop(all[10].Key)) },
			func(all []store.Entry) []audit.Finding { return []audit.Finding{removed(all[10].Key)} }},
		{"several deleted, of several checkpoints",
			func(n *node, all []store.Entry) { n.put(drop(all[10].Key), drop(all[11].Key), drop(all[16].Key)) },
			func(all []store.Entry) []audit.Finding {
				return []audit.Finding{removed(all[10].Key), removed(all[11].Key), removed(all[16].Key)}
			}},
		{"a record changed",
			func(n *node, all []store.Entry) { n.put(rewritten(all[10], `"admin"`, `"alice"`)) },
			func(all []store.Entry) []audit.Finding { return []audit.Finding{about(audit.Altered, all[10].Key)} }},
		{"a record changed by deleting and making it anew",
			func(n *node, all []store.Entry) {
				n.put(drop(all[10].Key))
				n.put(rewritten(all[10], `"admin"`, `"alice"`))
			},
			func(all []store.Entry) []audit.Finding { return []audit.Finding{about(audit.Altered, all[10].Key)} }},
		{"the values of two swapped",
			func(n *node, all []store.Entry) {
				n.put(store.Write{Key: all[10].Key, Value: all[11].Value}, store.Write{Key: all[11].Key, Value: all[10].Value})
			},
			func(all []store.Entry) []audit.Finding {
				return []audit.Finding{about(audit.Altered, all[10].Key), about(audit.Altered, all[11].Key)}
			}},
		{"a record moved behind others",
			func(n *node, all []store.Entry) {
				n.put(drop(all[10].Key))
				n.put(store.Write{Key: all[10].Key, Value: all[10].Value})
			},
			func(all []store.Entry) []audit.Finding { return []audit.Finding{about(audit.Reordered, all[10].Key)} }},
		{"a record deleted with the list that would name it",
			func(n *node, all []store.Entry) {
				n.put(drop(all[10].Key))
				for _, e := range n.entries(record.SealedPrefix()) {
					n.put(drop(e.Key))
				}
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken}} }},
		{"a checkpoint deleted",
			func(n *node, _ []store.Entry) { n.put(drop(record.CheckpointKey(2))) },
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Removed, Checkpoint: 2}} }},
		{"the first checkpoint deleted",
			func(n *node, _ []store.Entry) { n.put(drop(record.CheckpointKey(1))) },
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Removed, Checkpoint: 1}} }},
		{"the last checkpoint deleted",
			func(n *node, _ []store.Entry) { n.put(drop(record.CheckpointKey(n.verify().Seal.Sequence))) },
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Removed, Checkpoint: 4}} }},
		{"a checkpoint changed",
			func(n *node, _ []store.Entry) {
				c := as[audit.Checkpoint](n, record.CheckpointKey(2))
				c.SealedAt = c.SealedAt.Add(time.Hour)
				n.put(drop(record.CheckpointKey(2)))
				n.put(store.Write{Key: record.CheckpointKey(2), Value: record.Encode(c)})
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken, Checkpoint: 2}} }},
		{"a checkpoint changed with its hash",
			func(n *node, _ []store.Entry) {
				c := as[audit.Checkpoint](n, record.CheckpointKey(2))
				c.SealedAt = c.SealedAt.Add(time.Hour)
				c.Hash = c.Sum()
				n.put(drop(record.CheckpointKey(2)))
				n.put(store.Write{Key: record.CheckpointKey(2), Value: record.Encode(c)})
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken, Checkpoint: 3}} }},
		{"a checkpoint written again as it was",
			func(n *node, _ []store.Entry) {
				n.put(store.Write{Key: record.CheckpointKey(2), Value: n.entries(record.CheckpointKey(2))[0].Value})
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken, Checkpoint: 2}} }},
		{"a checkpoint of nonsense",
			func(n *node, _ []store.Entry) {
				n.put(store.Write{Key: record.CheckpointKey(2), Value: []byte(`{"records": -9223372036854775808}`)})
			},
			func([]store.Entry) []audit.Finding {
				return []audit.Finding{{Kind: audit.Broken, Checkpoint: 2}, {Kind: audit.Removed, Checkpoint: 2}}
			}},
		{"a checkpoint that claims to cover everything",
			func(n *node, _ []store.Entry) {
				c := as[audit.Checkpoint](n, record.CheckpointKey(2))
				c.First, c.Last, c.Records = -1<<63, 1<<63-1, 1<<62
				n.put(drop(record.CheckpointKey(2)))
				n.put(store.Write{Key: record.CheckpointKey(2), Value: record.Encode(c)})
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken, Checkpoint: 2}} }},
		{"records marked as dropped that were not",
			func(n *node, all []store.Entry) {
				head := as[audit.Head](n, record.SealHeadKey)
				head.Dropped = 3
				n.put(store.Write{Key: record.SealHeadKey, Value: record.Encode(head)}, drop(all[3].Key))
			},
			func([]store.Entry) []audit.Finding { return []audit.Finding{{Kind: audit.Broken}} }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sealing(t, func(t *testing.T, n *node) {
				all := sealedHouse(n)
				before := n.verify()
				c.tamper(n, all)
				n.wantFound(c.want(all))
				// Whoever seals goes on, and it stays found.
				n.publish(app, `{"a": "later"}`)
				after(30 * time.Second)
				n.wantFound(c.want(all))
				if v := n.verify(); v.Unsealed != 0 || v.Seal.Sequence <= before.Seal.Sequence {
					t.Errorf("want sealing to go on, got %+v", v)
				}
			})
		})
	}
}

// about is a finding on a record.
func about(kind audit.FindingKind, key string) audit.Finding {
	tenant, id := record.SplitAudit(key)
	return audit.Finding{Kind: kind, Tenant: tenant, Record: id}
}

// wantFound checks that each of the findings is there and that nothing is found
// wrong with other records.
func (n *node) wantFound(want []audit.Finding) {
	n.t.Helper()
	v := n.verify()
	if v.Intact {
		n.t.Errorf("want it not to be intact, got %+v", v)
	}
	for _, w := range want {
		if !slices.ContainsFunc(v.Findings, func(f audit.Finding) bool {
			return !f.Warning && f.Kind == w.Kind && f.Tenant == w.Tenant && f.Record == w.Record && (w.Checkpoint == 0 || f.Checkpoint == w.Checkpoint)
		}) {
			n.t.Errorf("want %s %s/%s of checkpoint %d among\n%+v", w.Kind, w.Tenant, w.Record, w.Checkpoint, v.Findings)
		}
	}
	for _, f := range v.Findings {
		named := slices.ContainsFunc(want, func(w audit.Finding) bool { return w.Record == f.Record })
		if f.Record != "" && !named && !f.Warning {
			n.t.Errorf("want nothing wrong with %s, got %+v", f.Record, f)
		}
	}
}

func TestALostHeadIsFoundAndMended(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		sealedHouse(n)
		n.put(drop(record.SealHeadKey))
		n.wantFound([]audit.Finding{{Kind: audit.Removed}})
		n.publish(app, `{"a": "later"}`)
		after(30 * time.Second)
		if v := n.verify(); !v.Intact || v.Unsealed != 0 {
			t.Errorf("want the chain to go on, got %+v", v)
		}
	})
}

// doctored is a store whose history was changed behind the engine's back, as by
// somebody who edits its files.
type doctored struct {
	store.Store
	change atomic.Pointer[func([]store.Entry) []store.Entry]
}

func (d *doctored) doctor(change func([]store.Entry) []store.Entry) { d.change.Store(&change) }

func (d *doctored) Range(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := d.Store.Range(ctx, q)
	if change := d.change.Load(); change != nil && strings.HasPrefix(q.Key, "a/") {
		page.Entries = (*change)(page.Entries)
	}
	return page, err
}

func TestChangesBehindTheEnginesBackAreFound(t *testing.T) {
	var d doctored
	sealing(t, func(t *testing.T, n *node) {
		all := sealedHouse(n)
		d.doctor(func(entries []store.Entry) []store.Entry { // two change places
			entries = slices.Clone(entries)
			for i := range entries {
				switch entries[i].Key {
				case all[10].Key:
					entries[i].Revision, entries[i].Created = all[11].Revision, all[11].Revision
				case all[11].Key:
					entries[i].Revision, entries[i].Created = all[10].Revision, all[10].Revision
				}
			}
			return entries
		})
		v := n.verify()
		if len(v.Findings) != 1 || v.Findings[0].Kind != audit.Reordered {
			t.Errorf("two records swapped: want one reordered, got %+v", v)
		}
		for name, revision := range map[string]int64{"among them": all[11].Revision, "between two checkpoints": between(n)} {
			added := store.Entry{Key: record.AuditKey("acme", "17fffffffffffffff000000000000000"), Value: []byte(`{}`), Revision: revision, Created: revision}
			d.doctor(func(entries []store.Entry) []store.Entry {
				if len(entries) < 2 {
					return entries
				}
				return append(slices.Clone(entries), added)
			})
			v := n.verify()
			if len(v.Findings) != 1 || v.Findings[0].Kind != audit.Added || v.Findings[0].Record != "17fffffffffffffff000000000000000" {
				t.Errorf("one added %s: want it found, got %+v", name, v)
			}
		}
	}, func(o *center.Options) { d.Store = o.Store; o.Store = &d })
}

// between returns a revision that no checkpoint covers.
func between(n *node) int64 {
	first, second := as[audit.Checkpoint](n, record.CheckpointKey(2)), as[audit.Checkpoint](n, record.CheckpointKey(3))
	if second.First-first.Last < 2 {
		n.t.Fatalf("there is nothing between %d and %d", first.Last, second.First)
	}
	return first.Last + 1
}

func TestABackdatedRecordIsWarnedOf(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		all := sealedHouse(n)
		id := fmt.Sprintf("%016x%016x", time.Now().Add(-48*time.Hour).UnixNano(), 1)
		n.put(store.Write{Key: record.AuditKey("acme", id), Value: all[0].Value})
		after(2 * time.Second)
		v := n.verify()
		if len(v.Findings) != 1 || v.Findings[0].Kind != audit.Misdated || v.Findings[0].Record != id || !v.Intact {
			t.Errorf("want a warning of it, got %+v", v)
		}
	})
}

func TestARewrittenChainIsNotWhatWasNotedDown(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		all := sealedHouse(n)
		noted := n.verify().Seal
		expect := center.AuditExpectation{Sequence: noted.Sequence, Hash: noted.Hash}
		n.publish(app, `{"a": "later"}`)
		after(2 * time.Second)
		v, err := n.VerifyAudit(n.admin(), expect)
		n.must(err)
		if !v.Intact || v.Seal.Sequence <= noted.Sequence {
			t.Fatalf("before: want the noted head in the chain, got %+v", v)
		}

		n.put(drop(all[10].Key))
		n.rewriteChain(all[10].Key)
		if v := n.verify(); !v.Intact {
			t.Fatalf("the chain was rewritten well: want nothing found without the noted head, got %+v", v)
		}
		v, err = n.VerifyAudit(n.admin(), expect)
		n.must(err)
		if v.Intact || len(v.Findings) != 1 || v.Findings[0].Kind != audit.Replaced || v.Findings[0].Checkpoint != noted.Sequence {
			t.Errorf("with the noted head: want it found, got %+v", v)
		}
		v, err = n.VerifyAudit(n.admin(), center.AuditExpectation{Sequence: 1000, Hash: noted.Hash})
		n.must(err)
		if v.Intact || len(v.Findings) != 1 || v.Findings[0].Kind != audit.Replaced {
			t.Errorf("a head behind the chain's end: want it found, got %+v", v)
		}
	})
}

// rewriteChain makes all checkpoints anew as if a record had never been.
func (n *node) rewriteChain(without string) {
	n.t.Helper()
	var previous audit.Checkpoint
	for _, e := range n.entries(record.CheckpointPrefix()) {
		c, err := record.Decode[audit.Checkpoint](e.Value)
		n.must(err)
		list, err := record.DecodeSealed(n.entries(record.SealedKey(c.Sequence))[0].Value)
		n.must(err)
		list = slices.DeleteFunc(list, func(s audit.Sealed) bool { return s.Key == without })
		c.Previous, c.Records = previous.Hash, int64(len(list))
		c.Root = audit.Root(func(yield func(audit.Hash) bool) {
			for _, s := range list {
				if !yield(s.Leaf()) {
					return
				}
			}
		})
		c.Hash = c.Sum()
		n.put(drop(e.Key), drop(record.SealedKey(c.Sequence)))
		n.put(store.Write{Key: e.Key, Value: record.Encode(c)}, store.Write{Key: record.SealedKey(c.Sequence), Value: record.EncodeSealed(list)})
		previous = c
	}
	head := as[audit.Head](n, record.SealHeadKey)
	head.Hash = previous.Hash
	n.put(store.Write{Key: record.SealHeadKey, Value: record.Encode(head)})
}

func TestFindingsAreBounded(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		n.put(forged(1, 300)...)
		after(2 * time.Second)
		for chunk := range slices.Chunk(n.entries(record.AuditPrefix("acme")), 100) {
			for _, e := range chunk {
				n.put(drop(e.Key))
			}
		}
		v := n.verify()
		if len(v.Findings) != 100 || v.Omitted < 200 || v.Intact {
			t.Errorf("want 100 findings of more than 300, got %d and %d", len(v.Findings), v.Omitted)
		}
	})
}

func TestNothingIsSealedWithoutAnElector(t *testing.T) {
	n := start(t)
	n.house()
	want := audit.Verification{Intact: true, Unsealed: int64(len(n.entries("a/"))), Findings: []audit.Finding{}}
	if diff := cmp.Diff(want, n.verify()); diff != "" {
		t.Error(diff)
	}
	_, err := n.VerifyAudit(n.admin(), center.AuditExpectation{Hash: "00"})
	wantKind(t, config.Invalid, err)
	_, err = n.VerifyAudit(n.admin(), center.AuditExpectation{Sequence: 1, Hash: "xx"})
	wantKind(t, config.Invalid, err)
}
