package center

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const (
	pulseInterval = time.Second
	// pulseTimeout bounds one probe, so that a store that hangs counts as one that
	// does not answer.
	pulseTimeout = time.Second
	// pulsePatience is how old the last confirmation may be before the node counts
	// as cut off: one probe may be lost, and one may be late.
	pulsePatience = 3 * time.Second
)

// pulse knows when a majority last confirmed that this node's picture was whole.
type pulse struct {
	// origin is what the other times are counted from. The process's own clock is
	// used: a wall clock that jumps must not make old things look new.
	origin time.Time
	// confirmed is when the last probe that succeeded was begun: everything that
	// was finished by then is in the picture.
	confirmed atomic.Int64
}

func newPulse() *pulse { return &pulse{origin: time.Now()} }

// now is the time since the origin.
func (p *pulse) now() time.Duration { return time.Since(p.origin) }

// confirm notes that a probe that was begun then has succeeded.
func (p *pulse) confirm(begun time.Duration) {
	for last := p.confirmed.Load(); int64(begun) > last; last = p.confirmed.Load() {
		if p.confirmed.CompareAndSwap(last, int64(begun)) {
			return
		}
	}
}

// Staleness returns how old what this node serves may be: 0 while a majority
// keeps confirming it, else the time since it last did. It asks nobody, and costs
// a reading of the clock.
func (c *Center) Staleness() time.Duration {
	age := c.pulse.now() - time.Duration(c.pulse.confirmed.Load())
	if age < pulsePatience {
		return 0
	}
	return age
}

// tooStale refuses to show what is older than the limit max_staleness allows.
// Changes are not its affair: those the store refuses by itself.
func (c *Center) tooStale(op string, verb auth.Verb) error {
	if c.limits.MaxStaleness == 0 || verb&(auth.Fetch|auth.Read) == 0 {
		return nil
	}
	if stale := c.Staleness(); stale > c.limits.MaxStaleness {
		return config.Errorf(config.Unavailable, op, "", "this node has been cut off from the others for %s, and shows nothing that is older than %s (limit max_staleness): ask another node",
			stale.Round(time.Second), c.limits.MaxStaleness)
	}
	return nil
}

// freshness is how a node's picture stands; watches are told when it changes.
type freshness uint8

const (
	inTouch freshness = iota
	cutOff            // what it serves may be old, and is marked so
	tooOld            // older than is shown at all
)

func (c *Center) freshness() freshness {
	switch {
	case c.Staleness() == 0:
		return inTouch
	case c.tooStale("", auth.Fetch) == nil:
		return cutOff
	default:
		return tooOld
	}
}

// watchPulse asks the store again and again how far it is, and waits for the
// view to get there, until ctx ends. Open watches are woken when the answer
// changes what they are to tell.
func (c *Center) watchPulse(ctx context.Context) {
	select {
	case <-c.view.Ready():
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	was := inTouch
	for {
		err := c.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if is := c.freshness(); is != was {
			c.tellFreshness(ctx, is, err)
			was = is
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Center) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	_, err := c.catchUp(ctx)
	return err
}

func (c *Center) tellFreshness(ctx context.Context, is freshness, cause error) {
	switch is {
	case inTouch:
		c.log.InfoContext(ctx, "what this node serves is confirmed by a majority again")
	case cutOff:
		c.log.WarnContext(ctx, "what this node serves is not confirmed by a majority any more; it goes on serving it, and says so", "error", cause)
	case tooOld:
		c.log.WarnContext(ctx, "what this node serves has not been confirmed for longer than max_staleness; it is not shown any more", "error", cause)
	}
	c.instances.wake()
}
