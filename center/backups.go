package center

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/store"
)

// backupOffice is held by the node that makes backups by the clock.
const backupOffice = "backup"

// BackupState is how backups by the clock are doing on this node. Only the node
// that is elected to it makes any.
type BackupState struct {
	// Good is when the newest good one was made, File where it is and Size how
	// many bytes it has; zero if this node knows of none.
	Good time.Time
	File string
	Size int64
	// Failed and Err are when and why the last attempt failed; zero and nil if it
	// did not.
	Failed time.Time
	Err    error
	// Made and Failures count since the node started.
	Made, Failures int64
}

// backups keeps the BackupState.
type backups struct {
	mu    sync.Mutex
	state BackupState
}

// LastBackup returns how backups by the clock are doing, for status and
// metrics. It acts for the node and asks no rights.
func (c *Center) LastBackup() BackupState {
	c.backups.mu.Lock()
	defer c.backups.mu.Unlock()
	return c.backups.state
}

func (b *backups) update(change func(*BackupState)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.state)
}

// RunBackups makes backups by the clock until ctx ends, whenever this node is
// the one elected to it. The schedule's Dir must be set.
func (c *Center) RunBackups(ctx context.Context, s backup.Schedule) error {
	switch {
	case s.Every == 0:
		<-ctx.Done()
		return nil
	case c.snapshotter == nil:
		return errNoSnapshots()
	case c.elector == nil: // nobody else is there
		_ = c.makeBackups(ctx, s)
		return nil
	}
	c.hold(ctx, backupOffice, func(ctx context.Context, _ store.Term) error { return c.makeBackups(ctx, s) })
	return nil
}

// makeBackups makes a backup whenever one is due, until ctx ends.
func (c *Center) makeBackups(ctx context.Context, s backup.Schedule) error {
	select {
	case <-c.view.Ready(): // from then on the installation's id is known
	case <-ctx.Done():
		return ctx.Err()
	}
	shelf := backup.Shelf{Dir: s.Dir, Installation: c.view.Snapshot().Cluster}
	if err := shelf.Sweep(); err != nil {
		c.log.WarnContext(ctx, "what is left of a backup that was cut off cannot be deleted", "error", err)
	}
	for wait := c.untilBackup(ctx, shelf, s); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := c.makeBackup(ctx, shelf, s); err == nil {
			wait = s.Every
		} else {
			wait = retryBackup(s)
		}
	}
}

// retryBackup is how long after a failure a backup is tried again.
func retryBackup(s backup.Schedule) time.Duration {
	return min(s.Every, max(s.Every/10, time.Minute))
}

// untilBackup is how long it is until the next backup is due. It goes by the
// newest file, so that nodes that start often do not make as many backups.
func (c *Center) untilBackup(ctx context.Context, shelf backup.Shelf, s backup.Schedule) time.Duration {
	all, err := shelf.List()
	if err != nil {
		c.log.WarnContext(ctx, "the directory of backups cannot be read", "error", err)
	}
	if len(all) == 0 {
		return 0
	}
	c.backups.update(func(b *BackupState) { b.Good, b.File, b.Size = all[0].Time, all[0].File, all[0].Size })
	// A file of the future, by a clock that was wrong, must not put it off for long.
	return min(max(0, all[0].Time.Add(s.Every).Sub(c.now())), s.Every)
}

// makeBackup makes one, and deletes those that are no longer kept.
func (c *Center) makeBackup(ctx context.Context, shelf backup.Shelf, s backup.Schedule) error {
	select {
	case c.backing <- struct{}{}:
		defer func() { <-c.backing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := c.now()
	acting := auth.WithIdentity(ctx, auth.Identity{Subject: "system", Method: "schedule"})
	kept, _, err := shelf.Add(ctx, now, func(w io.Writer) (backup.Info, error) { return c.backUp(acting, w) })
	if ctx.Err() != nil {
		return ctx.Err() // the office or the node ended: no failure
	}
	if err != nil {
		c.backups.update(func(b *BackupState) { b.Failed, b.Err, b.Failures = now, err, b.Failures+1 })
		c.log.ErrorContext(ctx, "a backup by the clock failed", "dir", shelf.Dir, "again_in", retryBackup(s), "error", config.AsError(err))
		return err
	}
	c.backups.update(func(b *BackupState) {
		*b = BackupState{Good: now, File: kept.File, Size: kept.Size, Made: b.Made + 1, Failures: b.Failures}
	})
	deleted, err := shelf.Prune(s.Keep)
	if err != nil { // the new one is good all the same
		c.log.WarnContext(ctx, "old backups cannot be deleted", "error", err)
	}
	c.log.InfoContext(ctx, "a backup by the clock is kept", "file", kept.File, "bytes", kept.Size, "deleted", len(deleted))
	return nil
}
