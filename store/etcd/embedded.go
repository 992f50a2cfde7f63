package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// catchUpEntries is how much of the log stays in memory for followers that lag
	// a little. A lone member has none, and one entry can hold many commits: with
	// etcd's default of 5,000 they would take up hundreds of megabytes.
	catchUpEntries = 100

	// stopPatience bounds the wait for an engine that broke: its goroutine that
	// met the fatal error is gone, so its orderly end may never come.
	stopPatience = 5 * time.Second

	// slowApply is when etcd logs that it was slow; its default of 100 ms is often
	// exceeded under load, and the request that it prints is long.
	slowApply = time.Second

	// peerURL is the address under which the one member is entered in the
	// membership. Nothing listens there; a cluster of several sets its own.
	peerURL = "http://127.0.0.1:7403"
)

// engine is etcd's server in this process. It opens no port: its client is
// in-process, and a single member has no peers.
type engine struct {
	server *embed.Etcd
	lock   *fileutil.LockedFile
	// life ends when the engine does; its cause is store.ErrClosed after an
	// orderly stop, or else why the engine died.
	life context.Context
	end  context.CancelCauseFunc
}

// embedded starts the engine and returns a store on it when it is ready.
func embedded(ctx context.Context, c Settings, log *slog.Logger) (*Store, error) {
	if c.UnsafeNoFsync {
		log.Warn("fsync is off: a crash of the machine loses acknowledged data", "data_dir", c.DataDir)
	}
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	e := &engine{}
	e.life, e.end = context.WithCancelCause(context.Background())
	if err := e.start(ctx, c, log); err != nil {
		e.end(store.ErrClosed)
		return nil, &config.Error{Op: "start the embedded etcd", Kind: kindOfStart(err), Path: c.DataDir, Err: err}
	}
	kv := adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(e.server.Server))
	txn := func(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) { return kv.Txn(ctx, r) }
	s := newStore(e.life, c, v3client.New(e.server.Server), txn, log)
	s.engine = e
	if err := s.reclaim(ctx); err != nil {
		return nil, errors.Join(translate("start the embedded etcd", err), s.Close())
	}
	return s, nil
}

// reclaim makes an engine writable again that was stopped by its quota, if there
// is room now: because the quota was raised, or because the file can shrink.
// Nobody else can do it, as there is no port for etcd's own tools.
func (s *Store) reclaim(ctx context.Context) error {
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != pb.AlarmType_NOSPACE {
			continue
		}
		// Not through the client: etcd's in-process one panics on this call.
		backend := s.engine.server.Server.Backend()
		if err := backend.Defrag(); err != nil {
			return err
		}
		if backend.Size() >= int64(s.settings.Quota) {
			s.log.Error("the store has used up its quota and refuses writes; raise store.etcd.quota", "bytes", backend.Size(), "quota", int64(s.settings.Quota))
			continue
		}
		s.log.Warn("the store had used up its quota; there is room again", "bytes", backend.Size(), "quota", int64(s.settings.Quota))
		if _, err := s.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return err
		}
	}
	return nil
}

// kindOfStart tells a ctx that ended from an engine that does not start.
func kindOfStart(err error) config.ErrorKind {
	if kind := config.KindOf(err); kind == config.Canceled || kind == config.Timeout {
		return kind
	}
	return config.Unavailable
}

// start runs the server and waits until it is ready.
func (e *engine) start(ctx context.Context, c Settings, log *slog.Logger) error {
	conf, err := engineConfig(c, log, e.die)
	if err != nil {
		return err
	}
	// etcd itself would wait for the other process for ever.
	e.lock, err = fileutil.TryLockFile(filepath.Join(c.DataDir, "setpoint.lock"), os.O_WRONLY|os.O_CREATE, fileutil.PrivateFileMode)
	if errors.Is(err, fileutil.ErrLocked) {
		return errors.New("the data folder is in use by another process; stop that one, or choose another folder")
	}
	if err != nil {
		return err
	}
	if e.server, err = e.launch(ctx, conf); err != nil {
		return err
	}
	select {
	case <-e.server.Server.ReadyNotify():
		go e.watchOver()
		return nil
	case <-e.server.Server.StopNotify():
		err = errors.New("the engine stopped while it started; its warnings in the log say why")
	case <-e.life.Done():
		err = context.Cause(e.life)
	case <-ctx.Done():
		err = fmt.Errorf("the engine was not ready in time: %w", ctx.Err())
	}
	return errors.Join(err, e.stop())
}

// launch starts the server's goroutines, and releases the lock if it cannot.
func (e *engine) launch(ctx context.Context, c *embed.Config) (*embed.Etcd, error) {
	type outcome struct {
		server *embed.Etcd
		err    error
	}
	started := make(chan outcome, 1)
	// A goroutine of its own: a fatal error in here ends it without a return.
	go func() {
		server, err := embed.StartEtcd(c)
		started <- outcome{server, err}
	}()
	select {
	case o := <-started:
		if o.err != nil {
			return nil, errors.Join(o.err, e.lock.Close())
		}
		return o.server, nil
	case <-e.life.Done():
		return nil, errors.Join(context.Cause(e.life), e.lock.Close())
	case <-ctx.Done():
		// It cannot be interrupted, only be undone once it is there.
		go func() {
			if o := <-started; o.err == nil {
				o.server.Close()
			}
			_ = e.lock.Close()
		}()
		return nil, fmt.Errorf("the engine did not start in time: %w", ctx.Err())
	}
}

// watchOver learns of the server's end, whatever the cause.
func (e *engine) watchOver() {
	select {
	case <-e.life.Done():
	case err, ok := <-e.server.Err():
		if ok && err != nil {
			e.end(noAnswer("the engine failed: %w", err))
		}
	case <-e.server.Server.StopNotify():
		e.end(noAnswer("the engine stopped by itself; its warnings in the log say why"))
	}
}

// die is told by etcd, through its log, of an error that it cannot survive.
func (e *engine) die(message string) { e.end(noAnswer("the engine broke: %s", message)) }

// stop ends the server and waits for it.
func (e *engine) stop() error {
	e.end(store.ErrClosed)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		e.server.Close()
	}()
	cause := context.Cause(e.life)
	if errors.Is(cause, store.ErrClosed) {
		<-stopped
		return e.lock.Close()
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-stopped:
		return e.lock.Close()
	case <-patience.C:
		return fmt.Errorf("the engine did not stop after this: %w", cause)
	}
}

// engineConfig translates the settings for etcd.
func engineConfig(c Settings, log *slog.Logger, fatal func(string)) (*embed.Config, error) {
	peer, err := url.Parse(peerURL)
	if err != nil {
		return nil, err
	}
	logger := zapLogger(log, fatal)
	gate := featuregate.New(c.Name, logger)
	if err := gate.Add(features.DefaultEtcdServerFeatureGates); err != nil {
		return nil, err
	}
	err = gate.SetFromMap(map[string]bool{string(features.InitialCorruptCheck): true, string(features.CompactHashCheck): true})
	if err != nil {
		return nil, err
	}
	e := embed.NewConfig()
	e.Name = c.Name
	e.Dir = c.DataDir
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	// No listeners at all; the gateway would want one of its own.
	e.ListenClientUrls, e.AdvertiseClientUrls, e.ListenPeerUrls = nil, nil, nil
	e.EnableGRPCGateway = false
	e.AdvertisePeerUrls = []url.URL{*peer}
	e.InitialCluster = e.InitialClusterFromName(e.Name)

	e.QuotaBackendBytes = int64(c.Quota)
	e.MaxTxnOps = uint(c.MaxTxnOps)
	e.MaxRequestBytes = uint(c.MaxRequestBytes)
	e.SnapshotCount = uint64(c.SnapshotCount)
	e.SnapshotCatchUpEntries = catchUpEntries
	e.AutoCompactionMode = embed.CompactorModePeriodic
	e.AutoCompactionRetention = c.CompactionRetention.String()
	e.UnsafeNoFsync = c.UnsafeNoFsync
	e.WarningApplyDuration = slowApply
	e.ServerFeatureGate = gate
	// A lone member elects itself: there are no heartbeats to wait for, so short
	// ticks only make it ready sooner.
	e.TickMs, e.ElectionMs = 10, 100
	return e, nil
}
