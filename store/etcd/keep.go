package etcd

import (
	"context"
	"errors"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/disk"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

// roomShare is which part of the quota must be free before a member that has used
// it up says that it has room again: it would soon be full anew otherwise.
const roomShare = 16

// Defragment implements store.Keeper. Conflict while a snapshot is being written;
// Exhausted if the disk has no room for the copy that it takes. Once it has begun
// it does not heed ctx.
func (s *Store) Defragment(ctx context.Context) error {
	const op = "defragment"
	ctx, release, err := s.keeping(ctx, op)
	if err != nil {
		return err
	}
	defer release()
	if ctx.Err() != nil {
		return ended(ctx, op)
	}
	return s.defragment(op)
}

// SetNoSpace implements store.Keeper. Room again is refused as Exhausted for as
// long as the quota is used up; where it helps, it defragments. Alarms of members
// that are gone are taken back as well: nobody else could.
//
// It asks nobody if there is nothing to change, and can be called often. For the
// quota that is needed: etcd raises the alarm by itself, and never takes it back.
func (s *Store) SetNoSpace(ctx context.Context, full bool) error {
	const op = "set no space"
	ctx, release, err := s.keeping(ctx, op)
	if err != nil {
		return err
	}
	defer release()
	self := uint64(s.engine.server.Server.MemberID())
	alarmed := s.noSpace()
	if full {
		if slices.Contains(alarmed, self) {
			return nil
		}
		return s.alarm(ctx, op, pb.AlarmRequest_ACTIVATE, self)
	}
	var refusal error
	for _, id := range alarmed {
		if id == self {
			refusal = s.makeRoom(op)
		}
		if (id == self && refusal == nil) || s.engine.server.Server.Cluster().Member(types.ID(id)) == nil {
			if err := s.alarm(ctx, op, pb.AlarmRequest_DEACTIVATE, id); err != nil {
				return err
			}
			s.log.Warn("a member that had no room has room again, or is gone", "member", types.ID(id).String())
		}
	}
	return refusal
}

// reclaim makes an engine writable again that was stopped for lack of room, if
// there is room now: because the quota was raised, or because the file can shrink.
func (s *Store) reclaim(ctx context.Context) {
	if err := s.SetNoSpace(ctx, false); err != nil {
		s.log.Error("this member has no room: the store refuses writes", "error", err)
	}
}

// keeping is hold, for what only an engine in this process has.
func (s *Store) keeping(ctx context.Context, op string) (context.Context, func(), error) {
	if s.engine == nil {
		return nil, nil, config.Errorf(config.Unsupported, op, "", "this node keeps no data of its own; ask one that does")
	}
	return s.hold(ctx)
}

// noSpace lists the members of which this one knows that they have no room.
func (s *Store) noSpace() []uint64 {
	var ids []uint64
	for _, a := range s.engine.server.Server.Alarms() {
		if a.Alarm == pb.AlarmType_NOSPACE {
			ids = append(ids, a.MemberID)
		}
	}
	return ids
}

// alarm raises or takes back an alarm, on all members. etcd lets it pass whatever
// alarms there are.
func (s *Store) alarm(ctx context.Context, op string, action pb.AlarmRequest_AlarmAction, member uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.RequestTimeout)
	defer cancel()
	_, err := v3rpc.NewMaintenanceServer(s.engine.server.Server, nil).
		Alarm(ctx, &pb.AlarmRequest{Action: action, MemberID: member, Alarm: pb.AlarmType_NOSPACE})
	if err != nil {
		return s.fail(ctx, op, err)
	}
	return nil
}

// makeRoom sees to it that the data is well below the quota.
func (s *Store) makeRoom(op string) error {
	backend, quota := s.engine.server.Server.Backend(), int64(s.settings.Quota)
	wanted := quota - quota/roomShare
	if backend.Size() < wanted {
		return nil
	}
	if s.engine.inUse() < wanted {
		if err := s.defragment(op); err != nil {
			return err
		}
	}
	if size := backend.Size(); size >= wanted {
		return config.Errorf(config.Exhausted, op, "", "member %s has used up its quota: %s of %s; raise store.etcd.quota and start it again",
			s.engine.name(uint64(s.engine.server.Server.MemberID())), plugin.Size(size), s.settings.Quota)
	}
	return nil
}

// defragment copies the data to a new file. The engine must be held.
func (s *Store) defragment(op string) error {
	// It would wait for snapshots, and the engine for it.
	if !s.file.TryLock() {
		return config.Errorf(config.Conflict, op, "", "this node writes a snapshot or defragments already; try again when that is done")
	}
	defer s.file.Unlock()
	server := s.engine.server.Server
	// Should the copy fill the disk, the log could not grow, of which etcd dies.
	need := s.engine.inUse() + wal.SegmentSizeBytes
	if free, _, err := disk.Space(s.settings.DataDir); err == nil && free < need {
		return config.Errorf(config.Exhausted, op, s.settings.DataDir, "defragmenting takes up to %s of free disk space for a while, there are %s", plugin.Size(need), plugin.Size(free))
	}
	if err := server.Defragment(); err != nil {
		return &config.Error{Op: op, Kind: config.Unavailable, Path: s.settings.DataDir, Err: err}
	}
	return nil
}

// inUse returns how large the data would be after defragmenting. What etcd tells
// itself is from before its last write, and without room there is no other.
func (e *engine) inUse() int64 {
	backend := e.server.Server.Backend()
	snapshot := backend.Snapshot()
	defer func() { _ = snapshot.Close() }()
	tx, ok := snapshot.(interface{ DB() *bolt.DB })
	if !ok {
		return backend.SizeInUse()
	}
	stats := tx.DB().Stats()
	return snapshot.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(tx.DB().Info().PageSize)
}

// name is what the members call one of them.
func (e *engine) name(id uint64) string {
	if m := e.server.Server.Cluster().Member(types.ID(id)); m != nil && m.Name != "" {
		return m.Name
	}
	return types.ID(id).String()
}

// explain is translate, and says whom etcd means.
func (s *Store) explain(op string, err error) error {
	if s.engine == nil || !errors.Is(err, rpctypes.ErrNoSpace) {
		return translate(op, err)
	}
	var names []string
	for _, id := range s.noSpace() {
		names = append(names, s.engine.name(id))
	}
	if len(names) == 0 {
		return translate(op, err)
	}
	return config.Errorf(config.Exhausted, op, "", "nothing can be written, because there is no room left on %s: free space on the disk there or, if the quota of %s is used up, raise it (store.etcd.quota) and start again: %w",
		strings.Join(names, ", "), s.settings.Quota, err)
}

var _ store.Keeper = (*Store)(nil)
