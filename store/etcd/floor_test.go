package etcd

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/store"
)

// BenchmarkFloor is the engine's own rate for the transaction that
// BenchmarkEmbedded's Commit makes: each writer calls etcd directly.
func BenchmarkFloor(b *testing.B) {
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("Txn/writers=%d", writers), func(b *testing.B) {
			var c Settings
			c.Defaults()
			c.DataDir = filepath.Join(b.TempDir(), "etcd")
			s, err := c.open(b.Context(), store.Env{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			release, state, record := string(make([]byte, 700)), string(make([]byte, 150)), string(make([]byte, 200))
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					head := fmt.Sprintf("head/%d", w)
					var last int64
					for n := 0; left.Add(-1) >= 0; n++ {
						key := fmt.Sprintf("release/%d/%08d", w, n)
						resp, err := s.client.Txn(b.Context()).
							If(clientv3.Compare(clientv3.ModRevision(head), "=", last), clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
							Then(clientv3.OpPut(key, release), clientv3.OpPut(head, state), clientv3.OpPut(fmt.Sprintf("audit/%d/%08d", w, n), record)).
							Commit()
						if err != nil || !resp.Succeeded {
							b.Errorf("txn: %v, %v", resp, err)
							return
						}
						last = resp.Header.Revision
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
