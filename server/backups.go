package server

import (
	"context"
	"fmt"
)

// runBackups makes backups by the clock, as the settings say.
func (n *node) runBackups(ctx context.Context) error {
	s := n.settings.Backup
	if s.Dir == "" {
		s.Dir = n.settings.path("backups")
	}
	if err := n.center.RunBackups(ctx, s); err != nil {
		return fmt.Errorf("backup.every is set: %w", err)
	}
	return nil
}

// measureBackups registers how backups by the clock are doing. Only the node
// that is elected to it makes any; the others tell of none.
func (n *node) measureBackups() {
	m := n.metrics
	m.gauge("backup_last_good_timestamp_seconds", "When the newest good backup by the clock was made that this node knows of; 0 for none.", func() float64 {
		if good := n.center.LastBackup().Good; !good.IsZero() {
			return float64(good.Unix())
		}
		return 0
	})
	m.gauge("backup_last_good_bytes", "Size of that backup.", func() float64 { return float64(n.center.LastBackup().Size) })
	m.counter("backup_made_total", "Backups that this node made by the clock.", func() float64 { return float64(n.center.LastBackup().Made) })
	m.counter("backup_failures_total", "Backups by the clock that failed on this node.", func() float64 { return float64(n.center.LastBackup().Failures) })
}
