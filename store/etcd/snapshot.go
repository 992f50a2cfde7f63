package etcd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// beforeSnapshot bounds the wait for this member to have caught up.
const beforeSnapshot = 2 * time.Second

// Snapshot implements store.Snapshotter. It is what etcd's own tools write and
// restore: the file of the data, and its SHA-256.
//
// It holds what this member knows; where there is a majority, that includes every
// Commit that returned before. Without one it is still possible: it may be the
// last that is left of a cluster. From an external cluster, which does not tell
// of what revision a snapshot is, it returns one that the snapshot has at least.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) (int64, error) {
	const op = "snapshot"
	asked := ctx
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return 0, err
	}
	produce := s.copyData
	if s.engine == nil {
		produce = s.fetch
	}
	type outcome struct {
		revision int64
		err      error
	}
	produced := make(chan outcome, 1)
	pr, pw := io.Pipe()
	// A goroutine of its own holds the engine: the writer may be slow to give up
	// when the store is closed.
	go func() {
		stop := context.AfterFunc(ctx, func() { pr.CloseWithError(context.Cause(ctx)) })
		revision, err := produce(ctx, pw)
		if err != nil {
			revision, err = 0, s.fail(ctx, op, err)
		}
		stop()
		release()
		pw.CloseWithError(err)
		produced <- outcome{revision, err}
	}()
	target := &noting{Writer: w}
	// Its error is the target's, or that of who produces.
	_, _ = io.Copy(target, pr)
	pr.CloseWithError(errLeft)
	o := <-produced
	if target.err != nil {
		return 0, &config.Error{Op: op, Kind: config.KindOf(target.err), Err: fmt.Errorf("write the snapshot: %w", target.err)}
	}
	if o.err == nil && asked.Err() != nil { // it ended while the last of it was on its way
		return 0, s.fail(asked, op, asked.Err())
	}
	return o.revision, o.err
}

// noting is a writer that remembers why it failed.
type noting struct {
	io.Writer
	err error
}

func (w *noting) Write(p []byte) (n int, err error) {
	n, err = w.Writer.Write(p)
	w.err = err
	return n, err
}

// copyData writes the snapshot of the engine in this process.
func (s *Store) copyData(ctx context.Context, w io.Writer) (int64, error) {
	s.catchUp(ctx)
	s.file.RLock()
	defer s.file.RUnlock()
	snapshot := s.engine.server.Server.Backend().Snapshot()
	defer func() { _ = snapshot.Close() }()
	// It is a transaction of bbolt; only from that can it be told for sure of what
	// revision it is, while others write.
	tx, ok := snapshot.(buckets)
	if !ok {
		return 0, config.Errorf(config.Internal, "", "", "etcd's snapshot is a %T, which does not show its buckets", snapshot)
	}
	revision, err := lastRevision(tx)
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	if _, err := snapshot.WriteTo(io.MultiWriter(w, sum)); err != nil {
		return 0, err
	}
	_, err = w.Write(sum.Sum(nil))
	return revision, err
}

// catchUp waits until this member knows of every Commit that has returned.
func (s *Store) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beforeSnapshot)
	defer cancel()
	if _, err := s.get(ctx, false, s.touch, clientv3.WithKeysOnly()); err != nil {
		s.log.Warn("the snapshot holds what this member knows, because a majority does not answer", "error", err)
	}
}

// fetch writes the snapshot of the member that knows most.
func (s *Store) fetch(ctx context.Context, w io.Writer) (int64, error) {
	best, at, unwell := "", int64(-1), error(nil)
	for _, endpoint := range s.client.Endpoints() {
		revision, err := s.revisionOf(ctx, endpoint)
		switch {
		case err != nil:
			unwell = err
		case revision > at:
			best, at = endpoint, revision
		}
	}
	if at < 0 {
		return 0, unwell
	}
	conn, err := s.client.Dial(best)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	member := clientv3.NewMaintenanceFromMaintenanceClient(clientv3.RetryMaintenanceClient(s.client, conn), s.client)
	snapshot, err := member.SnapshotWithVersion(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = snapshot.Snapshot.Close() }()
	_, err = io.Copy(w, snapshot.Snapshot)
	return at, err
}

// revisionOf returns how far a member of an external cluster is.
func (s *Store) revisionOf(ctx context.Context, endpoint string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.RequestTimeout)
	defer cancel()
	status, err := s.client.Status(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	return status.Header.Revision, nil
}

// buckets is the part of a transaction of bbolt that is needed here.
type buckets interface {
	Bucket(name []byte) *bolt.Bucket
}

// lastRevision returns the revision that etcd is at when it starts on the data.
// Where compaction has removed the last deletion, it alone tells.
func lastRevision(tx buckets) (int64, error) {
	keys, meta := tx.Bucket(schema.Key.Name()), tx.Bucket(schema.Meta.Name())
	if keys == nil || meta == nil {
		return 0, errors.New("it lacks what every database of etcd has")
	}
	revision := int64(1)
	last, _ := keys.Cursor().Last()
	for _, at := range [][]byte{last, meta.Get(schema.FinishedCompactKeyName), meta.Get(schema.ScheduledCompactKeyName)} {
		if at == nil {
			continue
		}
		rev, err := parseRevision(at)
		if err != nil {
			return 0, err
		}
		revision = max(revision, rev.Main)
	}
	return revision, nil
}

// parseRevision is mvcc.BytesToRev, which panics on what is no revision.
func parseRevision(b []byte) (mvcc.Revision, error) {
	const length, marked, separator = 17, 18, 8
	if (len(b) != length && len(b) != marked) || b[separator] != '_' ||
		int64(binary.BigEndian.Uint64(b)) < 0 || int64(binary.BigEndian.Uint64(b[separator+1:])) < 0 {
		return mvcc.Revision{}, fmt.Errorf("it has a revision that is none: %x", b[:min(len(b), marked)])
	}
	return mvcc.BytesToRev(b), nil
}

var _ store.Snapshotter = (*Store)(nil)
