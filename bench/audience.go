package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	largestEvent = 1 << 20
	// wavePatience is how long an event may take to reach the last subscriber.
	wavePatience = 30 * time.Second
)

// audience is many subscribers with a connection each. It measures when each
// has the whole of an event.
type audience struct {
	conns   connections
	speech  speech
	judge   func(event []byte) error // looks at every event; nil for not
	wave    atomic.Pointer[wave]
	running sync.WaitGroup
	failed  chan error   // holds the first subscriber's that lost its stream
	lost    atomic.Int64 // subscribers that lost it before they had the event of a wave
	over    atomic.Bool
}

// wave is one event on its way to everybody.
type wave struct {
	mark    []byte
	start   time.Time
	took    []time.Duration // by subscriber; 0 for not yet
	missing atomic.Int64
	done    chan struct{}
}

// gathering says who subscribes.
type gathering struct {
	n       int
	speech  speech
	request func(i int) [][]byte     // in the parts that speech sends
	judge   func(event []byte) error // nil for one that is content with everything
	from    func(i int) net.Addr     // the address that each connects from; nil for any
	gate    *gate                    // before what each reads; nil for none
}

// alike are n who subscribe with the same request.
func alike(n int, s speech, request [][]byte) gathering {
	return gathering{n: n, speech: s, request: func(int) [][]byte { return request }}
}

// gather opens the subscriptions and returns when each has been told that it is
// current.
func gather(ctx context.Context, s server, g gathering) (*audience, error) {
	a := &audience{conns: make(connections, g.n), speech: g.speech, judge: g.judge, failed: make(chan error, 1)}
	err := atOnce(ctx, g.n, func(ctx context.Context, i int) error {
		var from net.Addr
		if g.from != nil {
			from = g.from(i)
		}
		c, err := s.dialFrom(ctx, from, g.speech.alpn())
		if err != nil {
			return err
		}
		if g.gate != nil {
			g.gate.guard(c)
		}
		a.conns[i] = c
		ready := make(chan error, 1)
		a.running.Go(func() { a.listen(i, g.request(i), ready) })
		select {
		case err := <-ready:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		a.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return a, nil
}

// close ends all subscriptions and waits for them.
func (a *audience) close() {
	a.over.Store(true)
	a.conns.close()
	a.running.Wait()
}

// listen is one subscriber. ready is told once, when it is current or when it
// never will be.
func (a *audience) listen(i int, request [][]byte, ready chan<- error) {
	c, isCurrent := a.conns[i], false
	_ = c.SetDeadline(time.Now().Add(patience)) // a connection that is gone fails by itself
	err := a.speech.listen(c, request, func(event []byte) error {
		if !isCurrent && a.speech.isCurrent(event) {
			isCurrent = true
			_ = c.SetDeadline(time.Time{})
			ready <- nil
		}
		a.hear(i, event)
		if a.judge != nil {
			return a.judge(event)
		}
		return nil
	})
	if err == nil {
		err = errors.New("the server ended the stream")
	}
	if !isCurrent {
		ready <- err
		return
	}
	if a.over.Load() {
		return
	}
	if w := a.wave.Load(); w == nil || w.took[i] == 0 {
		a.lost.Add(1)
	}
	select {
	case a.failed <- fmt.Errorf("subscriber %d: %w", i, err):
	default: // one is enough
	}
}

// hear notes when a subscriber has the event of the wave.
func (a *audience) hear(i int, event []byte) {
	w := a.wave.Load()
	if w == nil || w.took[i] != 0 || !bytes.Contains(event, w.mark) {
		return
	}
	w.took[i] = time.Since(w.start)
	if w.missing.Add(-1) == 0 {
		close(w.done)
	}
}

// send publishes by calling publish, and returns how long it took until each
// subscriber had the event that holds mark.
func (a *audience) send(ctx context.Context, mark string, publish func() error) ([]time.Duration, error) {
	w := a.expect(mark)
	if err := publish(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return a.wait(ctx, w)
}

// expect has everybody look out for the event that holds mark.
func (a *audience) expect(mark string) *wave {
	w := &wave{mark: []byte(mark), took: make([]time.Duration, len(a.conns)), done: make(chan struct{})}
	w.missing.Store(int64(len(a.conns)))
	w.start = time.Now()
	a.wave.Store(w)
	return w
}

// wait returns how long it took until each had the event.
func (a *audience) wait(ctx context.Context, w *wave) ([]time.Duration, error) {
	late := time.NewTimer(wavePatience)
	defer late.Stop()
	select {
	case <-w.done:
		return w.took, nil
	case err := <-a.failed:
		return nil, err
	case <-late.C:
		return nil, fmt.Errorf("%d of %d subscribers did not have %s after %s", w.missing.Load(), len(a.conns), w.mark, wavePatience)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// listener puts Server-Sent Events together from the pieces of a body.
type listener struct {
	part []byte // of an event that has no end yet
}

// take hands on each event that the piece completes, until heard returns an
// error. An event is good until heard returns.
func (l *listener) take(piece []byte, heard func(event []byte) error) error {
	end := []byte("\n\n")
	text := piece
	if len(l.part) > 0 {
		l.part = append(l.part, piece...)
		text = l.part
	}
	for {
		event, rest, found := bytes.Cut(text, end)
		if !found {
			break
		}
		if err := heard(event); err != nil {
			return err
		}
		text = rest
	}
	if len(text) > largestEvent {
		return fmt.Errorf("an event of more than %d bytes", largestEvent)
	}
	l.part = append(l.part[:0], text...)
	return nil
}
