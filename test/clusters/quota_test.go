package clusters

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// TestQuotaEndsChangesCleanly fills a store up to its quota: changes are refused as
// what they are, reads go on, and with a larger quota all goes on.
func TestQuotaEndsChangesCleanly(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1")
	n := nodes[0]
	program.Envs(t, n.root(), "acme/shop/prod")
	n.stop()
	env := n.process.Env
	n.set("STORE_ETCD_QUOTA=16MiB")
	n.restart()
	var last config.ChangeSet
	written := 0
	for ; ; written++ {
		noise := make([]byte, 100<<10)
		if _, err := rand.Read(noise); err != nil {
			t.Fatal(err)
		}
		set, err := n.publish(fmt.Sprintf("acme/shop/prod/c%d.txt", written), hex.EncodeToString(noise))
		if config.KindOf(err) == config.Exhausted {
			break
		}
		if err != nil || written > 1000 {
			t.Fatalf("want the quota to end it, got %v after %d", err, written)
		}
		last = set
	}
	if _, err := n.root().Get(h.Context(), program.Path(t, fmt.Sprintf("acme/shop/prod/c%d.txt", written-1)), client.ReadOptions{MinRevision: last.Revision, Strong: true}); err != nil {
		t.Errorf("read while there is no room: %v", err)
	}
	s, err := n.root().Cluster(h.Context())
	if err != nil || s.Writable || len(s.Problems) == 0 {
		t.Errorf("want the status to say that nothing can be written, got %+v, %v", s, err)
	}
	t.Logf("%d were written; the status says %q", written, s.Problems)
	n.stop()
	n.process.Env, n.process.Troubled = env, true
	n.restart()
	n.write(app, "v: 1\n")
}
