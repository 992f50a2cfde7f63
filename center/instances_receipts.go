package center

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	// namedRefusals is how many of those that refused a release are named by each
	// node, with their reasons clipped to receiptReason bytes.
	namedRefusals = 20
	receiptReason = 200
)

// LocalReceipts tells what this node knows of the named instances that have to
// do with a config and are served a version of it: those that are there, or were
// within the last minute, and those that reported of the version and are still
// remembered: another node may see that they are there. It acts for the node
// itself and asks no rights.
func (c *Center) LocalReceipts(path config.Path, version int64) []config.Receipt {
	cfg, ok := c.view.Snapshot().Config(path)
	if !ok || cfg.MetaRevision == 0 || version < 1 {
		return nil
	}
	now := c.now()
	var all []config.Receipt
	refusals := 0
	for _, e := range c.instances.everybody() {
		s := e.state.Load()
		if !s.concerns(path) {
			continue
		}
		r := config.Receipt{Instance: e.hash, Seen: e.seen.Load()}
		reported := s.said(path)
		if reported != nil {
			h := reported.holding()
			r.State = h.State(version)
		}
		switch {
		case !s.idle():
			r.Seen = now.UnixMilli()
		case r.State == config.AckNone && r.Seen < now.Add(-present).UnixMilli(), r.Seen < now.Add(-c.limits.InstancesKept).UnixMilli():
			continue
		}
		if release := cfg.Rollout.Resolve(s.client); release == nil || release.Version != version {
			continue
		}
		if r.State == config.AckRefused && refusals < namedRefusals {
			r.ID, r.Why = s.client.ID, clipped(reported.why, receiptReason)
			refusals++
		}
		all = append(all, r)
	}
	return all
}

// receipts tells what all nodes know of the named instances that are served a
// version of a config and are there, or were within the last minute, each once.
// Nodes that did not answer are named. It acts for the node and asks no rights.
func (c *Center) receipts(ctx context.Context, path config.Path, version int64) (receipts []config.Receipt, silent []string, err error) {
	found := c.LocalReceipts(path, version)
	if c.nodes != nil {
		var others []config.Receipt
		if others, silent, err = c.nodes.Receipts(ctx, path, version); err != nil {
			return nil, silent, located("instance.receipts", path.String(), err)
		}
		found = append(found, others...)
	}
	return mergeReceipts(found, c.now()), silent, nil
}

// mergeReceipts has each instance once: as it was seen last, and with what it
// reported last. A report may have come to another node than the one that holds
// its watch, so that it beats the silence there, however old it is: it is of that
// very version, and an instance that took it back would have said so.
func mergeReceipts(found []config.Receipt, now time.Time) []config.Receipt {
	at := make(map[uint64]int, len(found))
	merged := make([]config.Receipt, 0, len(found))
	reported := make([]int64, 0, len(found)) // when the node that has the report saw it last
	for _, r := range found {
		i, known := at[r.Instance]
		if !known {
			at[r.Instance] = len(merged)
			merged, reported = append(merged, r), append(reported, reportedAt(r))
			continue
		}
		m := &merged[i]
		if when := reportedAt(r); when > reported[i] {
			reported[i] = when
			m.State, m.ID, m.Why = r.State, r.ID, r.Why
		}
		m.Seen = max(m.Seen, r.Seen)
	}
	there := merged[:0]
	for _, r := range merged {
		if r.Seen >= now.Add(-present).UnixMilli() {
			there = append(there, r)
		}
	}
	return there
}

func reportedAt(r config.Receipt) int64 {
	if r.State == config.AckNone {
		return 0
	}
	return r.Seen
}
