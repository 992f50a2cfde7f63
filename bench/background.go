package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What goes on beside a scenario that is not to be measured on an idle server.
const (
	besideReaders = 8
	besideReads   = 1000 // a second, by all readers
	besideWriters = 4
	besideWrites  = 100 // a second, by all writers
)

// background is others who read and publish, at a steady pace, configs that
// nobody who is measured has to do with.
type background struct {
	conns  connections
	reads  []func() error
	writes []func() error

	read, written atomic.Int64
	took          time.Duration
}

func (r *run) openBackground(ctx context.Context, prefix string) (_ *background, err error) {
	b := &background{}
	paths, err := r.target.seed(ctx, prefix+"-read", 1)
	if err != nil {
		return nil, err
	}
	if b.conns, err = r.target.server.dialMany(ctx, besideReaders); err != nil {
		return nil, err
	}
	request := r.target.server.request(http.MethodGet, dataPath(paths[0]), r.target.authorization, "", nil)
	for _, c := range b.conns {
		b.reads = append(b.reads, c.patiently(func() error { return c.exchange(request, http.StatusOK) }))
	}
	w, err := r.openWriters(ctx, prefix+"-written", besideWriters)
	if err != nil {
		b.conns.close()
		return nil, err
	}
	b.conns = append(b.conns, w.conns...)
	for i, one := range w.all {
		b.writes = append(b.writes, w.conns[i].patiently(one.publish))
	}
	return b, nil
}

// beside has the background go on for as long as a round takes.
func (b *background) beside(next round) round {
	return func(ctx context.Context, e effort) (sample, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		over, end := context.WithCancel(ctx)
		start := time.Now()
		var working sync.WaitGroup
		steadily := func(all []func() error, each time.Duration, count *atomic.Int64) {
			for i, operation := range all {
				working.Go(func() {
					first := each * time.Duration(i) / time.Duration(len(all)) // so that they do not all come at once
					if err := paced(over, operation, first, each, count); err != nil {
						cancel(fmt.Errorf("beside it: %w", err))
					}
				})
			}
		}
		steadily(b.reads, time.Second*besideReaders/besideReads, &b.read)
		steadily(b.writes, time.Second*besideWriters/besideWrites, &b.written)
		out, err := next(ctx, e)
		end()
		working.Wait()
		b.took += time.Since(start)
		if cause := context.Cause(ctx); err == nil || cause != nil {
			err = errors.Join(err, cause)
		}
		return out, err
	}
}

// paced does an operation again and again, one each interval, until ctx ends.
// One that takes longer is not made up for.
func paced(ctx context.Context, operation func() error, first, each time.Duration, count *atomic.Int64) error {
	if pause(ctx, first) != nil {
		return nil
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		if err := operation(); err != nil {
			return err
		}
		count.Add(1)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// String tells how much was really done.
func (b *background) String() string {
	seconds := b.took.Seconds()
	return fmt.Sprintf("beside it all the time, server's rounds and floor's: %.0f reads/s (wanted: %d) and %.0f publishes/s (wanted: %d) of other configs",
		float64(b.read.Load())/seconds, besideReads, float64(b.written.Load())/seconds, besideWrites)
}
