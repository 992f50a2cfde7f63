package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// byTheClock runs operations in an open loop: so many are due in a second, spread
// evenly over those who do them, and how long one takes counts from when it was
// due. Who is late makes up for it, so that a slow server is not spared.
func byTheClock(ctx context.Context, operations []func() error, perSecond int, d time.Duration) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	loops := make([]loop, len(operations))
	each := time.Second / time.Duration(perSecond)
	start := time.Now()
	var running sync.WaitGroup
	for i, operation := range operations {
		running.Go(func() {
			err := loops[i].runAt(ctx, operation, schedule{
				first: start.Add(time.Duration(i) * each), each: time.Duration(len(operations)) * each, end: start.Add(d),
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	total := sample{elapsed: max(d, time.Since(start)), latency: newLatencies()}
	if err := context.Cause(ctx); err != nil {
		return total, err
	}
	for i := range loops {
		total.ops += loops[i].ops
		total.latency.Merge(loops[i].latency)
	}
	if total.ops == 0 {
		return total, errors.New("nothing was due in the time given; give --duration more of it")
	}
	return total, nil
}

// schedule says when operations are due.
type schedule struct {
	first, end time.Time
	each       time.Duration
}

// runAt runs the operation whenever it is due.
func (l *loop) runAt(ctx context.Context, operation func() error, s schedule) error {
	l.latency = newLatencies()
	for due := s.first; due.Before(s.end) && ctx.Err() == nil; due = due.Add(s.each) {
		if wait := time.Until(due); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		if err := operation(); err != nil {
			return err
		}
		record(l.latency, time.Since(due))
		l.ops++
	}
	return nil
}

// paced makes a round of operations by the clock.
func (all connections) paced(operations []func() error, perSecond int) round {
	return func(ctx context.Context, e effort) (sample, error) {
		release := all.bound(ctx, e.duration)
		defer release()
		return byTheClock(ctx, operations, perSecond, e.duration)
	}
}

// accompanied is a round beside which another goes on, of which it keeps what came
// of it.
type accompanied struct {
	other   round
	ops     int64
	elapsed time.Duration
	latency *hdrhistogram.Histogram
}

func (a *accompanied) beside(next round) round {
	return func(ctx context.Context, e effort) (sample, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var other sample
		var working sync.WaitGroup
		working.Go(func() {
			var err error
			if other, err = a.other(ctx, e); err != nil {
				cancel(fmt.Errorf("beside it: %w", err))
			}
		})
		out, err := next(ctx, e)
		if err != nil {
			cancel(err)
		}
		working.Wait()
		if cause := context.Cause(ctx); cause != nil {
			return out, cause
		}
		a.ops += other.ops
		a.elapsed += other.elapsed
		merge(&a.latency, other.latency)
		return out, nil
	}
}

// String tells what came of the other.
func (a *accompanied) String() string {
	l := summarize(a.latency)
	return fmt.Sprintf("%.0f/s, p50 %.2f ms, p99 %.2f ms", float64(a.ops)/a.elapsed.Seconds(), l.P50, l.P99)
}
