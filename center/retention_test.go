package center_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func keepFor(age time.Duration) func(*center.Options) {
	return func(o *center.Options) { o.Limits.AuditRetention = age }
}

// retained returns how many records there are of publishes, and of the retention.
func retained(n *node) (publishes, retentions int) {
	n.t.Helper()
	for _, e := range n.entries("a/") {
		rec, err := record.Decode[audit.Record](e.Value)
		n.must(err)
		switch rec.Action {
		case "config.publish":
			publishes++
		case "audit.retention":
			retentions++
		}
	}
	return publishes, retentions
}

func TestOldRecordsAreDroppedAndTheChainHolds(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		sealedHouse(n)
		noted := n.verify().Seal
		after(150 * time.Minute)
		for i := range 5 {
			n.publish(app, fmt.Sprintf(`{"young": %d}`, i))
		}
		after(time.Hour)
		if publishes, retentions := retained(n); publishes != 25 || retentions != 0 {
			t.Fatalf("before their time: want all 25 publishes and nothing dropped, got %d and %d", publishes, retentions)
		}
		after(2 * time.Hour)
		publishes, retentions := retained(n)
		if publishes != 5 || retentions != 1 {
			t.Errorf("want 5 young publishes, and one record of the retention, got %d and %d", publishes, retentions)
		}
		v, err := n.VerifyAudit(n.admin(), center.AuditExpectation{Sequence: noted.Sequence, Hash: noted.Hash})
		n.must(err)
		if !v.Intact || v.Seal.Dropped != noted.Sequence || v.Verified != int64(len(n.entries("a/"))) || len(v.Findings) != 0 {
			t.Errorf("want an intact chain, all that is left verified, and dropped up to %d, got %+v", noted.Sequence, v)
		}
		if left, all := len(n.entries(record.SealedPrefix())), v.Seal.Sequence-noted.Sequence; int64(left) != all {
			t.Errorf("want the lists of %d checkpoints left, got %d", all, left)
		}

		// What is left is guarded as before.
		for _, e := range n.entries(record.AuditPrefix("acme")) {
			n.put(drop(e.Key))
			n.wantFound([]audit.Finding{about(audit.Removed, e.Key)})
			break
		}
	}, keepFor(4*time.Hour))
}

func TestRecordsAreKeptForEverByDefault(t *testing.T) {
	var ahead atomic.Int64
	sealing(t, func(t *testing.T, n *node) {
		sealedHouse(n)
		ahead.Store(int64(20 * 365 * 24 * time.Hour))
		after(3 * time.Hour)
		n.wantSealed()
	}, func(o *center.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
}

// unsteady refuses some of the deletions of audit records.
type unsteady struct {
	store.Store
	allow atomic.Int64 // deletions that still succeed; below 0, all
}

func (u *unsteady) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	if w := txn.Writes[0]; w.Delete && strings.HasPrefix(w.Key, "a/") && u.allow.Load() >= 0 {
		if u.allow.Load() == 0 {
			return 0, config.Errorf(config.Unavailable, "commit", "", "no quorum")
		}
		u.allow.Add(-1)
	}
	return u.Store.Commit(ctx, txn)
}

func TestADeletionThatIsCutOffIsTakenUpAgain(t *testing.T) {
	var u unsteady
	sealing(t, func(t *testing.T, n *node) {
		after(2 * time.Second)
		n.put(forged(1, 450)...)
		after(2 * time.Second)
		u.allow.Store(3)
		after(185 * time.Minute)
		left := len(n.entries(record.AuditPrefix("acme")))
		if left == 0 || left >= 450 {
			t.Fatalf("want some records left where it was cut off, got %d", left)
		}
		if v := n.verify(); !v.Intact || v.Seal.Dropped == 0 {
			t.Errorf("cut off: want nothing found wrong, got %+v", v)
		}
		u.allow.Store(-1)
		after(2 * time.Hour)
		if left := len(n.entries(record.AuditPrefix("acme"))); left != 0 {
			t.Errorf("want it finished, %d records are left", left)
		}
		if v := n.verify(); !v.Intact {
			t.Errorf("finished: want nothing found wrong, got %+v", v)
		}
	}, keepFor(2*time.Hour), func(o *center.Options) {
		u.allow.Store(-1)
		u.Store, o.Store = o.Store, &u
	})
}

func TestAListThatWasChangedDeletesNothing(t *testing.T) {
	sealing(t, func(t *testing.T, n *node) {
		all := sealedHouse(n)
		after(2 * time.Hour)
		young := record.AuditKey("acme", fmt.Sprintf("%016x%016x", time.Now().UnixNano(), 1))
		list, err := record.DecodeSealed(n.entries(record.SealedKey(2))[0].Value)
		n.must(err)
		list[0].Key = young
		n.put(store.Write{Key: young, Value: all[0].Value}, store.Write{Key: record.SealedKey(2), Value: record.EncodeSealed(list)})
		after(130 * time.Minute)
		if found := n.entries(young); len(found) != 1 {
			t.Error("want the record kept that the list names and the checkpoint does not cover")
		}
		if found := n.entries(record.SealedKey(2)); len(found) != 1 {
			t.Error("want the list kept that is not to be believed")
		}
		if n.verify().Seal.Dropped < 3 {
			t.Error("want the other checkpoints dropped")
		}
	}, keepFor(3*time.Hour))
}

func TestRetentionSetting(t *testing.T) {
	for age, valid := range map[time.Duration]bool{0: true, time.Hour: true, -time.Hour: false, time.Minute: false} {
		var limits center.Limits
		limits.Defaults()
		limits.AuditRetention = age
		if err := limits.Validate(); (err == nil) != valid {
			t.Errorf("%s: want valid %v, got %v", age, valid, err)
		}
	}
}
