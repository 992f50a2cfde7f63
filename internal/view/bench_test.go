package view

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// benchPath spreads configs over envs of 100.
func benchPath(i int) string {
	return fmt.Sprintf("acme/service-%04d/prod/application-%02d.yaml", i/100, i%100)
}

func filledStore(b *testing.B, n int) *memory.Store {
	b.Helper()
	s := newStore(b)
	for i := 0; i < n; i += 50 {
		var writes []store.Write
		for j := i; j < min(n, i+50); j++ {
			p := benchPath(j)
			writes = append(writes, metaOf(p), put(rolloutKey(p), record.Encode(rolloutOf(p, 1, p))))
		}
		commit(b, s, writes...)
	}
	return s
}

func loadedView(b *testing.B, s store.Store) *View {
	b.Helper()
	v := New(Options{Store: s, Log: quiet()})
	if err := v.load(context.Background()); err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkLookup reads configs in random order, which no cache of the
// processor likes. A bare Go map that holds the same is the floor.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		v := loadedView(b, filledStore(b, n))
		floor := make(map[config.Path]*Config, n)
		paths := make([]config.Path, n)
		for i, j := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
			paths[i] = mustPath(benchPath(j))
			floor[paths[i]], _ = v.Snapshot().Config(paths[i])
		}
		b.Run(fmt.Sprintf("view/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := v.Snapshot().Config(paths[i%n]); !ok {
					b.Fatal("missing")
				}
			}
		})
		b.Run(fmt.Sprintf("map/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if c := floor[paths[i%n]]; !c.known() {
					b.Fatal("missing")
				}
			}
		})
	}
}

// publishBatch is the batch of one small publish, with its audit record.
func publishBatch(path string, version, revision int64) store.Batch {
	r := rolloutOf(path, version, "c")
	value, _ := record.EncodeRelease(*r.Stable, []byte("c"))
	b := store.Batch{Revision: revision}
	for _, w := range []store.Write{put(record.ReleaseKey(r.Path, version), value), put(rolloutKey(path), record.Encode(r)), put("a/acme/1", nil)} {
		b.Events = append(b.Events, store.Event{Entry: store.Entry{Key: w.Key, Value: w.Value, Revision: revision, Created: 1}})
	}
	return b
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		for _, watched := range []bool{false, true} {
			b.Run(fmt.Sprintf("configs=%d/watched=%v", n, watched), func(b *testing.B) {
				v := loadedView(b, filledStore(b, n))
				if watched {
					for i := range n {
						v.Subscribe(Filter{Patterns: mustPatterns(benchPath(i))}, func() {})
					}
				}
				batches := make([]store.Batch, 1000)
				for i := range batches {
					batches[i] = publishBatch(benchPath(rand.IntN(n)), int64(i+2), 0)
				}
				revision := v.Snapshot().Revision
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; b.Loop(); i++ {
					revision++
					batch := batches[i%len(batches)]
					batch.Revision = revision
					v.apply(batch)
					v.publish(false)
				}
			})
		}
	}
}

// BenchmarkApplyTree is BenchmarkApply without the decoding of records: the
// tree's, the past's and the snapshot's share.
func BenchmarkApplyTree(b *testing.B) {
	const n = 100_000
	v := loadedView(b, filledStore(b, n))
	var all []*Config
	for c := range v.Snapshot().Configs(config.Path{}, "") {
		all = append(all, c)
	}
	rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	revision := v.Snapshot().Revision
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		revision++
		c := *all[i%n]
		stable := *c.Rollout.Stable
		stable.Version = int64(i + 2)
		c.Rollout.Stable, c.RolloutRevision = &stable, revision
		v.applier.put(&c, revision)
		v.applier.work.Revision = revision
		v.publish(false)
	}
}

// BenchmarkWake is one publish that 5,000 subscribers watch: the loop's part,
// and then everybody's Next.
func BenchmarkWake(b *testing.B) {
	const subscribers = 5000
	path := benchPath(1)
	for _, pattern := range []string{path, "acme/service-0000/prod", "acme/*/prod/application-01.yaml"} {
		for _, next := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/next=%v", pattern, next), func(b *testing.B) {
				v := loadedView(b, filledStore(b, 10_000))
				subs := make([]*Subscription, subscribers)
				for i := range subs {
					subs[i] = v.Subscribe(Filter{Patterns: mustPatterns(pattern)}, func() {})
					subs[i].Next()
				}
				revision, version := v.Snapshot().Revision, int64(1)
				b.ResetTimer()
				for b.Loop() {
					revision, version = revision+1, version+1
					v.apply(publishBatch(path, version, revision))
					v.publish(false)
					for _, s := range subs {
						if !next {
							s.pending.Store(false)
						} else if _, ok := s.Next(); !ok {
							b.Fatal("nothing new")
						}
					}
				}
			})
		}
	}
}

func BenchmarkSubscribe(b *testing.B) {
	v := loadedView(b, filledStore(b, 100))
	f := Filter{Patterns: mustPatterns(benchPath(1))}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v.Subscribe(f, func() {}).Close()
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory reports what a config and a subscriber hold, without content.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	s := filledStore(b, n)
	for b.Loop() {
		before := heap()
		v := loadedView(b, s)
		loaded := heap()
		b.ReportMetric(float64(loaded-before)/n, "B/config")
		subs := make([]*Subscription, n)
		for i := range subs {
			subs[i] = v.Subscribe(Filter{Patterns: mustPatterns(benchPath(i))}, func() {})
		}
		b.ReportMetric(float64(heap()-loaded)/n, "B/subscriber")
		runtime.KeepAlive(v)
		runtime.KeepAlive(subs)
	}
}

func BenchmarkLoad(b *testing.B) {
	s := filledStore(b, 100_000)
	b.ResetTimer()
	for b.Loop() {
		loadedView(b, s)
	}
}

// BenchmarkPublishWhileRunning is the whole way from Commit to WaitFor, with 64
// writers.
func BenchmarkPublishWhileRunning(b *testing.B) {
	s := filledStore(b, 1000)
	v := start(b, s)
	var mu sync.Mutex
	version := int64(1)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			version++
			mine := version
			mu.Unlock()
			waitFor(b, v, commit(b, s, publishOf(benchPath(int(mine%1000)), mine, "c")...))
		}
	})
}
