package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// stopPatience bounds the wait for an engine that broke: its goroutine that met
// the fatal error is gone, so its orderly end may never come.
const stopPatience = 5 * time.Second

// lockFile keeps a second process off the data. It may be there without any.
const lockFile = "setpoint.lock"

// engine is etcd's server in this process. It opens no port: its client is
// in-process, and its peers come by the node's own port, if it has any.
type engine struct {
	server *embed.Etcd
	lock   *fileutil.LockedFile
	port   *port // nil for a lone node
	// life ends when the engine does; its cause is store.ErrClosed after an
	// orderly stop, or else why the engine died.
	life    context.Context
	end     context.CancelCauseFunc
	watcher sync.WaitGroup
	removed atomic.Bool // the other members said that this one is none any more
}

// embedded starts the engine and returns a store on it when it is ready. peering
// is nil for a lone node.
func embedded(ctx context.Context, c Settings, peering *store.Peering, log *slog.Logger) (*Store, error) {
	if c.UnsafeNoFsync {
		log.Warn("fsync is off: a crash of the machine loses acknowledged data", "data_dir", c.DataDir)
	}
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	e := &engine{}
	e.life, e.end = context.WithCancelCause(context.Background())
	if err := e.start(ctx, c, peering, log); err != nil {
		e.end(store.ErrClosed)
		return nil, &config.Error{Op: "start the embedded etcd", Kind: kindOfStart(err), Path: c.DataDir, Err: err}
	}
	s := newStore(e.life, c, v3client.New(e.server.Server), e.link(), log)
	s.engine, s.stop = e, e.stop
	if err := s.moved(ctx); err != nil {
		return nil, errors.Join(translate("start the embedded etcd", err), s.Close())
	}
	s.reclaim(ctx)
	if e.port != nil {
		e.port.serve(e.server.Server)
	}
	return s, nil
}

// link is how the store's calls reach the engine.
func (e *engine) link() link {
	kv := adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(e.server.Server))
	if e.port == nil {
		return &direct{kv: kv}
	}
	return newMember(e.server.Server, kv)
}

// moved tells the other members where this one is now. A lone node that becomes
// one of several has to, and a member that got a new address.
func (s *Store) moved(ctx context.Context) error {
	p := s.engine.port
	if p == nil {
		return nil
	}
	id, now := s.engine.server.Server.MemberID(), []string{peerURL(p.peering.Advertise)}
	if me := s.engine.server.Server.Cluster().Member(id); me != nil && slices.Equal(me.PeerURLs, now) {
		return nil
	}
	_, err := s.client.MemberUpdate(ctx, uint64(id), now)
	if errors.Is(err, rpctypes.ErrPeerURLExist) {
		return config.Errorf(config.Unavailable, "", "", "another member is at %s already; give this node an address of its own", p.peering.Advertise)
	}
	return err
}

// kindOfStart tells a ctx that ended, or settings that cannot work, from an
// engine that does not start.
func kindOfStart(err error) config.ErrorKind {
	switch kind := config.KindOf(err); kind {
	case config.Canceled, config.Timeout, config.Invalid:
		return kind
	default:
		return config.Unavailable
	}
}

// start runs the server and waits until it is ready.
func (e *engine) start(ctx context.Context, c Settings, peering *store.Peering, log *slog.Logger) error {
	logger := zapLogger(log, e.die).WithOptions(zap.Hooks(e.hear))
	conf, err := engineConfig(c, peering, logger)
	if err != nil {
		return err
	}
	// etcd itself would wait for the other process for ever.
	e.lock, err = fileutil.TryLockFile(filepath.Join(c.DataDir, lockFile), os.O_WRONLY|os.O_CREATE, fileutil.PrivateFileMode)
	if errors.Is(err, fileutil.ErrLocked) {
		return errors.New("the data folder is in use by another process; stop that one, or choose another folder")
	}
	if err != nil {
		return err
	}
	if peering != nil && !hasData(c.DataDir) {
		look := forgotten
		if peering.Join {
			look = awaitEntry
		}
		if err := look(ctx, peering); err != nil {
			return errors.Join(err, e.lock.Close())
		}
	}
	if e.server, err = e.launch(ctx, conf); err != nil {
		return explainLaunch(err, peering)
	}
	if peering != nil {
		// Before it is ready: it becomes so by talking with the others.
		e.port = openPort(peering, e.server.Server, logger)
		e.watcher.Go(e.unstick)
	}
	select {
	case <-e.server.Server.ReadyNotify():
		e.watcher.Go(e.watchOver)
		return nil
	case <-e.server.Server.StopNotify():
		err = e.stoppedItself()
	case <-e.life.Done():
		err = context.Cause(e.life)
	case <-ctx.Done():
		err = fmt.Errorf("the engine was not ready in time: %w", ctx.Err())
		if why := e.explainWait(peering); why != "" {
			err = fmt.Errorf("the engine was not ready in time: %s: %w", why, ctx.Err())
		}
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
	case <-e.server.Server.StoppingNotify(): // before it closes what calls use
		e.end(e.stoppedItself())
	}
}

// stoppedItself says why an engine stopped that nobody told to.
func (e *engine) stoppedItself() error {
	s := e.server.Server
	if e.removed.Load() || s.IsIDRemoved(uint64(s.MemberID())) {
		return noAnswer("this node was removed from the cluster; to let it join again, empty its data_dir and make a token with 'setpoint cluster add'")
	}
	return noAnswer("the engine stopped by itself; its warnings in the log say why")
}

// hear is told by etcd, through its log, what it tells nobody otherwise: that it
// stops because the others no longer count this member as one of them.
func (e *engine) hear(entry zapcore.Entry) error {
	if entry.Message == "data-dir used by this member must be removed" {
		e.removed.Store(true)
	}
	return nil
}

// die is told by etcd, through its log, of an error that it cannot survive.
func (e *engine) die(message string) { e.end(noAnswer("the engine broke: %s", message)) }

// stop ends the server and waits for it. A leader hands over first.
func (e *engine) stop() error {
	e.end(store.ErrClosed)
	e.watcher.Wait()
	if e.port != nil {
		e.port.drain()
	}
	cause := context.Cause(e.life)
	orderly := errors.Is(cause, store.ErrClosed)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if orderly && e.port != nil {
			handOver(e.server.Server, e.port.peering)
			e.server.Server.HardStop() // so that etcd does not try it again
		}
		e.server.Close()
		if e.port != nil {
			e.port.wait()
		}
	}()
	if orderly {
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
