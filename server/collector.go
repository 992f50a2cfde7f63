package server

import (
	"context"
	"os"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

// A node's heap is small and its garbage plenty: every publish leaves some
// 20 KB behind. Go's collector by default runs whenever the heap has doubled,
// which for 30 MB of live data is many times a second; measured, that is a
// fifth of a publish's CPU time. Memory to let garbage gather in costs little,
// and with a large heap it is let go of again.
const (
	garbageRoom    = 128 << 20 // bytes of garbage that are always allowed
	leastPercent   = 100       // Go's own: garbage as much as live data
	mostPercent    = 800
	paceInterval   = 5 * time.Second
	liveHeapMetric = "/gc/heap/live:bytes"
)

// paceCollector keeps the garbage that is allowed to gather at garbageRoom, or
// at as much as there is live data, whichever is more, until ctx ends; then it
// puts back what was before, since it is the whole process that it concerns.
// GOGC in the environment is the operator's own choice and is left alone.
func paceCollector(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(paceInterval)
	defer ticker.Stop()
	sample := []runtimemetrics.Sample{{Name: liveHeapMetric}}
	before := debug.SetGCPercent(leastPercent)
	defer debug.SetGCPercent(before)
	current := leastPercent
	for {
		runtimemetrics.Read(sample)
		if percent := collectorPercent(sample[0].Value.Uint64()); percent != current {
			debug.SetGCPercent(percent)
			current = percent
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// collectorPercent is the GC percentage for a live heap of so many bytes.
func collectorPercent(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	return int(min(max(garbageRoom*100/live, leastPercent), mostPercent))
}
