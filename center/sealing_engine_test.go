package center_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// TestAllIsSealedUnderLoad uses the real engine, where commits share revisions.
func TestAllIsSealedUnderLoad(t *testing.T) {
	opened, elector := openEngine(t, embeddedEngine(), t.TempDir())
	nodes := []*node{
		joinWith(t, opened, func(o *center.Options) { o.Elector, o.Node = elector, "n1" }),
		joinWith(t, opened, func(o *center.Options) { o.Elector, o.Node = elector, "n2" }),
	}
	n := nodes[0]
	n.house()
	var writers sync.WaitGroup
	const perWriter = 60
	for w := range 16 {
		writers.Go(func() {
			for i := range perWriter {
				p := one(fmt.Sprintf("acme/shop/dev/c%d.json", w), fmt.Sprintf(`{"a": %d}`, i))
				if _, err := nodes[w%2].Publish(n.admin(), p); err != nil {
					t.Error(err)
					return
				}
				if w == 0 && i == perWriter/2 { // the office changes hands in between
					n.put(store.Write{Key: store.OfficeKey("audit-sealer"), Delete: true})
				}
			}
		})
	}
	writers.Wait()
	want := n.verify()
	n.wantSealedSoon()
	if got := n.verify(); got.Verified < want.Verified+want.Unsealed {
		t.Errorf("want %d records sealed, got %d", want.Verified+want.Unsealed, got.Verified)
	}
	shared := 0
	revisions := map[int64]bool{}
	for _, e := range n.entries("a/") {
		if revisions[e.Revision] {
			shared++
		}
		revisions[e.Revision] = true
	}
	if shared == 0 {
		t.Error("no commits shared a revision: the test shows less than it should")
	}
}

// embeddedEngine returns the settings of an embedded engine for tests.
func embeddedEngine() *etcd.Settings {
	settings := &etcd.Settings{}
	settings.Defaults()
	settings.UnsafeNoFsync = true
	return settings
}

// openEngine opens a prepared store of the embedded engine.
func openEngine(t *testing.T, settings *etcd.Settings, dir string) (store.Store, store.Elector) {
	t.Helper()
	opened, err := settings.Open(t.Context(), store.Env{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	if _, _, err := center.Bootstrap(t.Context(), opened, plainHasher{}, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	elector, ok := opened.(store.Elector)
	if !ok {
		t.Fatal("the engine elects nobody")
	}
	return opened, elector
}

// wantSealedSoon waits until all that is there now is sealed.
func (n *node) wantSealedSoon() {
	n.t.Helper()
	for range n.store.Watch(n.t.Context(), record.SealHeadKey, n.revision()-1) {
		if n.verify().Unsealed == 0 {
			break
		}
	}
	n.wantSealed()
}

// TestTheChainGoesOnAfterARestore restores a snapshot with bumped revisions, in
// which some records are sealed and some are not.
func TestTheChainGoesOnAfterARestore(t *testing.T) {
	opened, elector := openEngine(t, embeddedEngine(), t.TempDir())
	n := joinWith(t, opened, func(o *center.Options) { o.Elector = elector })
	n.house()
	n.wantSealedSoon()
	noted := n.verify().Seal
	for i := range 20 {
		n.publish(app, fmt.Sprintf(`{"before": %d}`, i))
	}
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	file, err := os.Create(snapshot)
	n.must(err)
	_, err = opened.(store.Snapshotter).Snapshot(t.Context(), file)
	n.must(err)
	n.must(file.Close())

	dir := t.TempDir()
	n.must(embeddedEngine().Restore(t.Context(), store.Restore{Snapshot: snapshot, DataDir: dir, Bump: 1_000_000}))
	again, elector := openEngine(t, embeddedEngine(), dir)
	restored := joinWith(t, again, func(o *center.Options) { o.Elector = elector })
	restored.publish(app, `{"after": 1}`)
	restored.wantSealedSoon()
	v, err := restored.VerifyAudit(restored.admin(), center.AuditExpectation{Sequence: noted.Sequence, Hash: noted.Hash})
	n.must(err)
	if !v.Intact || v.Seal.Sequence <= noted.Sequence {
		t.Errorf("want the chain to go on behind the noted head, got %+v", v)
	}
	if page, err := again.Range(t.Context(), store.Query{Key: record.ClusterKey}); err != nil || page.Revision < 1_000_000 {
		t.Errorf("want bumped revisions, got %d, %v", page.Revision, err)
	}
}
