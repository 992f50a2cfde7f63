package center_test

import (
	"fmt"
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
	settings := etcd.Settings{}
	settings.Defaults()
	settings.UnsafeNoFsync = true
	opened, err := settings.Open(t.Context(), store.Env{DataDir: t.TempDir()})
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
	for range n.store.Watch(t.Context(), record.SealHeadKey, 0) {
		if v := n.verify(); v.Unsealed == 0 && v.Verified >= want.Verified+want.Unsealed {
			break
		}
	}
	n.wantSealed()
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
