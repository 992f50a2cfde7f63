package etcd

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Restore implements store.Restorer, for the embedded engine. A cluster of
// several founding members comes to be if each of them restores the same snapshot
// with the same bump, members and token.
func (c *Settings) Restore(ctx context.Context, r store.Restore) error {
	const op = "restore"
	if len(c.Endpoints) > 0 {
		return config.Errorf(config.Unsupported, op, "", "the cluster is an external one (store.etcd.endpoints); its own tools restore it")
	}
	dir, err := c.restoreDir(r)
	if err != nil {
		return err
	}
	revision, err := checkSnapshot(ctx, c.Prefix, r.Snapshot, func(store.Entry) error { return nil })
	if err != nil {
		return err
	}
	if r.Bump < 0 || r.Bump > math.MaxInt64/2-revision {
		return config.Errorf(config.Invalid, op, "", "%d cannot be added to the revision %d of the snapshot", r.Bump, revision)
	}
	failed := func(err error) error {
		if kind := config.KindOf(err); kind != config.Internal {
			return &config.Error{Op: op, Kind: kind, Path: dir, Err: err}
		}
		return &config.Error{Op: op, Kind: config.Unavailable, Path: dir, Err: err}
	}
	conf, err := c.restoreConfig(r)
	if err != nil {
		return failed(err)
	}
	// Beside its place and moved there whole.
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return failed(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-restore-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // unless it was moved
	conf.OutputDataDir = fresh
	if err := build(conf); err != nil {
		return failed(err)
	}
	if err := syncTree(fresh); err != nil {
		return failed(err)
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	if err := replace(dir, fresh); err != nil {
		return failed(err)
	}
	return nil
}

// replace puts a folder in the place of one that holds no data.
func replace(dir, fresh string) error {
	// A node that could not start may have left its lock, and its folder.
	for _, left := range []string{filepath.Join(dir, lockFile), dir} {
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return syncFolder(os.Open(filepath.Dir(dir)))
}

// restoreDir returns the engine's folder, which must not hold any data.
func (c *Settings) restoreDir(r store.Restore) (string, error) {
	const op = "restore"
	dir := c.DataDir
	if dir == "" {
		if r.DataDir == "" {
			return "", config.Errorf(config.Invalid, op, "data_dir", "must name a folder, because the node has none")
		}
		dir = filepath.Join(r.DataDir, "etcd")
	}
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", &config.Error{Op: op, Kind: config.Unavailable, Path: dir, Err: err}
	case slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() != lockFile }):
		return "", config.Errorf(config.Exists, op, dir, "the folder holds data already; stop the node and move its folder away, or restore into another one")
	}
	return dir, nil
}

// restoreConfig is the snapshot's membership. Its token is not that of the
// cluster alone: members that come back with data from before the restore must
// not take those that were restored for their own.
func (c *Settings) restoreConfig(r store.Restore) (snapshot.RestoreConfig, error) {
	name, token, own := c.Name, embed.NewConfig().InitialClusterToken, lonePeer
	members := []string{name + "=" + lonePeer}
	if p := r.Peering; p != nil {
		if err := checkMembers(p); err != nil {
			return snapshot.RestoreConfig{}, err
		}
		name, token, own = p.Name, cmp.Or(p.Token, token), peerURL(p.Advertise)
		members = members[:0]
		for _, member := range slices.Sorted(maps.Keys(p.Members)) {
			members = append(members, member+"="+peerURL(p.Members[member]))
		}
	}
	sum, err := sumOf(r.Snapshot)
	if err != nil {
		return snapshot.RestoreConfig{}, err
	}
	return snapshot.RestoreConfig{
		SnapshotPath:        r.Snapshot,
		Name:                name,
		PeerURLs:            []string{own},
		InitialCluster:      strings.Join(members, ","),
		InitialClusterToken: fmt.Sprintf("%s/%s+%d", token, sum, r.Bump),
		RevisionBump:        uint64(r.Bump),
		MarkCompacted:       true,
	}, nil
}

// sumOf returns the beginning of the checksum at the end of a snapshot.
func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	const size = 32
	if _, err := f.Seek(-size, io.SeekEnd); err != nil {
		return "", err
	}
	sum := make([]byte, size/2)
	_, err = io.ReadFull(f, sum)
	return hex.EncodeToString(sum), err
}

// build has etcd make the data. Where it would panic, or end the process, this
// returns an error.
func build(conf snapshot.RestoreConfig) error {
	why := make(chan string, 1)
	logger := zapLogger(slog.Default().With("part", "etcd"), func(message string) {
		select {
		case why <- message:
		default:
		}
	})
	done := make(chan error, 1)
	go func() { // ended by etcd's logger, if it has met a fatal error
		err := errors.New("etcd gave up")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("etcd gave up: %v", p)
			}
			done <- err
		}()
		if err = snapshot.NewV3(logger).Restore(conf); err == nil {
			err = clearAlarms(logger, conf.OutputDataDir)
		}
	}()
	err := <-done
	select {
	case message := <-why:
		return fmt.Errorf("%w: %s", err, message)
	default:
		return err
	}
}

// clearAlarms forgets the alarms of the members of old. Nobody could take them
// back, and nothing could be written.
func clearAlarms(logger *zap.Logger, dir string) error {
	data := backend.NewDefaultBackend(logger, datadir.ToBackendFileName(dir))
	alarms := schema.NewAlarmBackend(logger, data)
	alarms.CreateAlarmBucket() // etcd makes it when it starts
	all, err := alarms.GetAllAlarms()
	for _, a := range all {
		alarms.MustDeleteAlarm(a)
	}
	alarms.ForceCommit()
	return errors.Join(err, data.Close())
}

// syncTree makes everything below a folder durable.
func syncTree(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return syncFolder(root.Open(name))
		}
		f, err := root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// syncFolder makes the names in an opened folder durable, and closes it. Windows
// cannot, and need not.
func syncFolder(f *os.File, err error) error {
	switch {
	case err != nil:
		return err
	case runtime.GOOS == "windows":
		return f.Close()
	}
	return errors.Join(f.Sync(), f.Close())
}

var _ store.Restorer = (*Settings)(nil)
