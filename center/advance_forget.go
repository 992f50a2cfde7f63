package center

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

const (
	// sweepInterval is how often launches are looked through for old ones, sweepPage
	// how many at a time: no more than an external engine deletes in one go.
	sweepInterval = time.Hour
	sweepPage     = 100
)

// sweep is a walk through all launches, a page at a time between other work.
type sweep struct {
	after   string // the last key of the page before; empty at the start
	next    time.Time
	dropped int
}

// forget deletes what ended long ago: one page of it, when its time has come.
func (p *pilot) forget(ctx context.Context) error {
	c, now := p.center, p.center.now()
	if c.limits.RolloutHistory <= 0 || now.Before(p.sweep.next) {
		return nil
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.Launches.Prefix(), Prefix: true, Limit: sweepPage, After: p.sweep.after})
	if err != nil {
		return err
	}
	txn := store.Txn{Conds: []store.Cond{p.fence}}
	for _, entry := range page.Entries {
		p.sweep.after = entry.Key
		l, err := record.Decode[config.Launch](entry.Value)
		if err != nil {
			c.log.ErrorContext(ctx, "a launch cannot be read, and is kept", "key", entry.Key, "error", err)
			continue
		}
		if l.State.Ended() && now.Sub(l.EndedAt) > c.limits.RolloutHistory {
			txn.Writes = append(txn.Writes, store.Write{Key: entry.Key, Delete: true})
		}
	}
	if len(txn.Writes) > 0 {
		if _, err := c.store.Commit(ctx, txn); err != nil {
			return err
		}
		p.sweep.dropped += len(txn.Writes)
	}
	if page.More {
		return nil
	}
	if p.sweep.dropped > 0 {
		c.log.InfoContext(ctx, "launches that ended long ago are deleted", "launches", p.sweep.dropped)
	}
	p.sweep = sweep{next: now.Add(sweepInterval)}
	return nil
}
