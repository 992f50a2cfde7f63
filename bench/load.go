package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what one round of one subject gave.
type sample struct {
	ops     int64
	elapsed time.Duration
	latency *hdrhistogram.Histogram
	last    *hdrhistogram.Histogram // fan-out: until the last subscriber had it
	request *hdrhistogram.Histogram // fan-out: until the publisher had its answer
}

func (s sample) rate() float64 {
	if s.elapsed <= 0 {
		return 0
	}
	return float64(s.ops) / s.elapsed.Seconds()
}

// drive runs a closed loop for each operation until the time is over: the next
// begins when the one before has ended. The first error ends all of them, since
// a rate of failures is the rate of something else.
func drive(ctx context.Context, operations []func() error, d time.Duration) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	loops := make([]loop, len(operations))
	start := time.Now()
	end := start.Add(d)
	var running sync.WaitGroup
	for i, operation := range operations {
		running.Go(func() {
			if err := loops[i].run(ctx, operation, end); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	total := sample{elapsed: time.Since(start), latency: newLatencies()}
	if err := context.Cause(ctx); err != nil {
		return total, err
	}
	for i := range loops {
		total.ops += loops[i].ops
		total.latency.Merge(loops[i].latency)
	}
	if total.ops == 0 {
		return total, errors.New("nothing was done in the time given; give --duration more of it")
	}
	return total, nil
}

// loop is one of the clients that work side by side.
type loop struct {
	ops     int64
	latency *hdrhistogram.Histogram
}

func (l *loop) run(ctx context.Context, operation func() error, end time.Time) error {
	l.latency = newLatencies()
	for before := time.Now(); before.Before(end) && ctx.Err() == nil; {
		if err := operation(); err != nil {
			return err
		}
		after := time.Now()
		record(l.latency, after.Sub(before))
		l.ops++
		before = after
	}
	return nil
}
