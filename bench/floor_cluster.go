package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/internal/cluster"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// openEngines opens several members of the engine in this process, which meet
// as those of several nodes do: over TLS, by certificates.
func openEngines(ctx context.Context, setup engineSetup) ([]*clientv3.Client, func(), error) {
	members, err := newMembers(filepath.Join(setup.Dir, "certs"))
	if err != nil {
		return nil, nil, err
	}
	engines := make([]member, len(members))
	stop := func() {
		var stopping sync.WaitGroup
		for i := range engines {
			stopping.Go(engines[i].close)
		}
		stopping.Wait()
	}
	failed := make([]error, len(members))
	var starting sync.WaitGroup
	for i, m := range members {
		starting.Go(func() { failed[i] = engines[i].open(ctx, filepath.Join(setup.Dir, m.Name), m) })
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		stop()
		return nil, nil, err
	}
	var clients []*clientv3.Client
	for i := range engines {
		clients = append(clients, engines[i].store.Client())
	}
	return clients, stop, nil
}

// member is one member of the engine with the port at which others reach it.
type member struct {
	port  *cluster.Cluster
	store *etcd.Store
}

func (m *member) open(ctx context.Context, dir string, c ClusterSetup) error {
	var settings cluster.Settings
	settings.Defaults()
	settings.Name, settings.Members = c.Name, c.Members
	settings.CAFile = filepath.Join(c.CertDir, "ca.pem")
	settings.CertFile = filepath.Join(c.CertDir, c.Name+".pem")
	settings.KeyFile = filepath.Join(c.CertDir, c.Name+"-key.pem")
	var err error
	m.port, err = cluster.Open(ctx, cluster.Options{
		Settings: settings, DataDir: dir, Version: "bench", Log: slog.New(slog.DiscardHandler), Now: time.Now,
		URL: func() string { return "" },
	})
	if err != nil {
		return fmt.Errorf("member %s: %w", c.Name, err)
	}
	m.store, err = openStore(ctx, store.Env{DataDir: dir, Peering: m.port.Peering(), Log: slog.New(slog.DiscardHandler)})
	return err
}

// close ends the engine, then the port that it needs to say good-bye.
func (m *member) close() {
	if m.store != nil {
		_ = m.store.Close()
	}
	if m.port != nil {
		_ = m.port.Close()
	}
}
