package center

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/setpointhq/setpoint/store"
)

// The offices: work that one node of the installation does at a time.
const (
	sealerOffice    = "audit-sealer"
	retentionOffice = "audit-retention"
)

const (
	// A node that lost an office, or whose work in it failed, pauses before it
	// stands again: long enough for another node to be faster, and longer while it
	// goes on failing.
	officePause     = time.Second
	officeLongPause = 15 * time.Second
	// resignPatience bounds the good-bye; without one the term runs out by itself.
	resignPatience = 2 * time.Second
)

// hold stands for the office until ctx ends, and does the work whenever this
// node holds it. The work's ctx ends with the term; every write that it makes
// must be conditional on the term's fence, for the term may be over before the
// node knows. Work that returns gives the office up.
func (c *Center) hold(ctx context.Context, office string, work func(context.Context, store.Term) error) {
	if c.elector == nil {
		return
	}
	for pause := officePause; ; pause = min(2*pause, officeLongPause) {
		begun := time.Now()
		err := c.serveTerm(ctx, office, work)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > officeLongPause {
			pause = officePause
		}
		c.log.WarnContext(ctx, "an office is given up and stood for again", "office", office, "pause", pause, "error", err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, keeps no secret
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// serveTerm waits for the office and works until the term, or the work, ends.
func (c *Center) serveTerm(ctx context.Context, office string, work func(context.Context, store.Term) error) error {
	term, err := c.elector.Campaign(ctx, office, c.node)
	if err != nil {
		return err
	}
	c.log.InfoContext(ctx, "this node holds an office", "office", office)
	during, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-term.Done():
			cancel()
		case <-during.Done():
		}
	}()
	err = work(during, term)
	cancel()
	<-watched
	last, done := context.WithTimeout(context.WithoutCancel(ctx), resignPatience)
	defer done()
	if late := term.Resign(last); late != nil && err == nil {
		err = late
	}
	return err
}
