package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/store"
)

// Bench measures a driver: commits of the shape of a publish (two conditions,
// three writes of about 1 KiB in all) by more and more writers, reads, and a
// watch that follows the writers.
func Bench(b *testing.B, open Factory) {
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("Commit/writers=%d", writers), func(b *testing.B) { benchCommit(b, open, writers) })
	}
	b.Run("Get", func(b *testing.B) {
		f := start(b, open)
		f.commit(store.Write{Key: "k", Value: noise(1024)})
		b.ResetTimer()
		for b.Loop() {
			f.get("k")
		}
	})
	b.Run("Range100", func(b *testing.B) {
		f := start(b, open)
		for i := range 100 {
			f.commit(store.Write{Key: fmt.Sprintf("k/%02d", i), Value: noise(1024)})
		}
		b.ResetTimer()
		for b.Loop() {
			f.query(store.Query{Key: "k/", Prefix: true})
		}
	})
	b.Run("WatchBehindCommit", func(b *testing.B) {
		f := start(b, open)
		revs := make(chan int64, 1)
		revs <- f.commit(put("k", "x"))
		b.ResetTimer()
		n := 0
		for batch, err := range f.Watch(f.ctx, "k", f.now()-1) {
			if err != nil {
				b.Fatal(err)
			}
			if len(batch.Events) == 0 {
				continue
			}
			if n++; n > b.N {
				break
			}
			f.commit(put("k", "x"))
		}
	})
}

// benchCommit lets each writer work on configs of its own.
func benchCommit(b *testing.B, open Factory, writers int) {
	f := start(b, open)
	release, state, record := noise(700), noise(150), noise(200)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	f.parallel(writers, func(w int) error {
		head := fmt.Sprintf("head/%d", w)
		var last int64
		for n := 0; left.Add(-1) >= 0; n++ {
			key := fmt.Sprintf("release/%d/%08d", w, n)
			rev, err := f.Commit(f.ctx, store.Txn{
				Conds: []store.Cond{{Key: head, Revision: last}, {Key: key}},
				Writes: []store.Write{
					{Key: key, Value: release}, {Key: head, Value: state},
					{Key: fmt.Sprintf("audit/%d/%08d", w, n), Value: record},
				},
			})
			if err != nil {
				return err
			}
			last = rev
		}
		return nil
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
