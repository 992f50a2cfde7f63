package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd measures what users of etcd know: its own reads and writes over gRPC
// with TLS, beside a read and a publish, which do more.
func (r *run) etcd(ctx context.Context) (_ []Result, err error) {
	var ready listening
	floor, err := r.startFloor(ctx, floorEtcd, engineSetup{Dir: filepath.Join(r.dir, "etcd")}, &ready)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	clients, err := etcdClients(ready, r.Connections)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeClients(clients)) }()
	get, put := "bench/get", filler(contentBytes)
	if _, err := clients[0].Put(ctx, get, put); err != nil {
		return nil, err
	}
	paths, err := r.target.seed(ctx, scenarioEtcd, 1)
	if err != nil {
		return nil, err
	}
	conns, err := r.target.server.dialMany(ctx, r.Connections)
	if err != nil {
		return nil, err
	}
	defer conns.close()
	request := r.target.server.request(http.MethodGet, dataPath(paths[0]), r.target.authorization, "", nil)
	reads, err := r.play(ctx, contest{
		scenario: scenarioEtcd, title: fmt.Sprintf("read of 1 KiB, %d clients; etcd over gRPC with TLS", r.Connections),
		subjects: []subject{
			{name: "setpoint GET", pids: r.target.pids, round: conns.repeat(request, http.StatusOK)},
			{name: "etcd get, serializable", pids: floor.pids(), round: etcdRound(clients, func(ctx context.Context, c *clientv3.Client, _ int) error {
				_, err := c.Get(ctx, get, clientv3.WithSerializable())
				return err
			})},
			{name: "etcd get, linearizable", pids: floor.pids(), round: etcdRound(clients, func(ctx context.Context, c *clientv3.Client, _ int) error {
				_, err := c.Get(ctx, get)
				return err
			})},
		},
	})
	if err != nil {
		return nil, err
	}
	publishers, err := r.openWriters(ctx, scenarioEtcd+"-put", r.Connections)
	if err != nil {
		return nil, err
	}
	defer publishers.conns.close()
	writes, err := r.play(ctx, contest{
		scenario: scenarioEtcd, title: fmt.Sprintf("write of 1 KiB, %d clients; etcd over gRPC with TLS", r.Connections),
		subjects: []subject{
			{name: "setpoint publish", pids: r.target.pids, round: publishers.round(r.Connections)},
			{name: "etcd put", pids: floor.pids(), round: etcdRound(clients, func(ctx context.Context, c *clientv3.Client, i int) error {
				_, err := c.Put(ctx, fmt.Sprintf("bench/put/%d", i), put)
				return err
			})},
		},
	})
	return []Result{reads, writes}, err
}

// etcdRound has every client do one thing again and again.
func etcdRound(clients []*clientv3.Client, each func(ctx context.Context, c *clientv3.Client, i int) error) round {
	return func(ctx context.Context, e effort) (sample, error) {
		ctx, cancel := context.WithTimeout(ctx, e.duration+patience)
		defer cancel()
		operations := make([]func() error, len(clients))
		for i, c := range clients {
			operations[i] = func() error { return each(ctx, c, i) }
		}
		return drive(ctx, operations, e.duration)
	}
}
