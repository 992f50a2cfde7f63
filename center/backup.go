package center

import (
	"context"
	"io"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/store"
)

// BackupInfo is what is known of a backup that was made.
type BackupInfo = backup.Info

const opBackup = "backup.create"

// Backup writes everything that the installation holds, as of one revision, in
// the form of internal/backup. Reads and changes go on meanwhile; one backup at
// a time is made on a node. After an error what was written is no backup, and
// whoever reads it can tell.
//
// The attempt is recorded before the first byte is written, for with that the
// data leaves the house. Only if the store takes no changes, which is when a
// backup may be needed most, does the node's log have to do.
func (c *Center) Backup(ctx context.Context, w io.Writer) (BackupInfo, error) {
	if _, err := c.authorize(ctx, opBackup, auth.Operate, config.Path{}); err != nil {
		return BackupInfo{}, err
	}
	if c.snapshotter == nil {
		return BackupInfo{}, errNoSnapshots()
	}
	select {
	case c.backing <- struct{}{}:
		defer func() { <-c.backing }()
	default:
		return BackupInfo{}, config.Errorf(config.Throttled, opBackup, "", "this node is making a backup already; wait for its end, or ask another node")
	}
	return c.backUp(ctx, w)
}

func errNoSnapshots() error {
	return config.Errorf(config.Unsupported, opBackup, "", "the store cannot write out what it holds; back it up by its own means")
}

// backUp makes a backup for the caller in ctx. The turn to do so is the
// caller's already.
func (c *Center) backUp(ctx context.Context, w io.Writer) (BackupInfo, error) {
	if err := c.trace(ctx, audit.Record{Action: opBackup}); err != nil {
		return BackupInfo{}, err
	}
	h := backup.Header{
		Installation: c.view.Snapshot().Cluster, Created: c.now().UTC().Round(0),
		Version: c.version, Engine: c.engineName,
	}
	if p, ok := c.snapshotter.(store.Prefixed); ok {
		h.Prefix = p.KeyPrefix()
	}
	begun := time.Now()
	info, err := backup.Write(ctx, w, h, c.snapshotter.Snapshot)
	if err != nil {
		c.log.WarnContext(ctx, "a backup was not finished", "error", err)
		return BackupInfo{}, located(opBackup, "", err)
	}
	c.log.InfoContext(ctx, "a backup was made", "revision", info.Revision, "bytes", info.Size, "took", time.Since(begun).Round(time.Millisecond))
	return info, nil
}

// trace records that data is about to leave the house.
func (c *Center) trace(ctx context.Context, r audit.Record) error {
	err := c.record(ctx, r.Action, r)
	if err == nil || ctx.Err() != nil {
		return err
	}
	switch config.KindOf(err) {
	case config.Unavailable, config.Exhausted, config.Timeout:
		actor := actorOf(ctx)
		c.log.WarnContext(ctx, "data is given out, which cannot be recorded, for the store takes no changes", "action", r.Action, "path", r.Path.String(),
			"subject", actor.Subject, "address", actor.Address, "request_id", actor.RequestID, "error", err)
		return nil
	default:
		return err
	}
}

// BackupName is a name for the file of a backup that is made now. It tells no
// more than any token does, so it asks no rights.
func (c *Center) BackupName() string {
	return backup.FileName(c.view.Snapshot().Cluster, c.now())
}
