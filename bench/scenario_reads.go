package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// reads measures the same read over REST and over gRPC, and what etcd makes of it:
// a serializable Range over gRPC. The same client asks for both calls, so that it
// is the servers that differ.
func (r *run) reads(ctx context.Context) (_ []Result, err error) {
	paths, err := r.target.seed(ctx, scenarioReads, 1)
	if err != nil {
		return nil, err
	}
	floor, bare, err := r.openEtcd(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	rest, err := r.target.server.dialMany(ctx, r.Connections)
	if err != nil {
		return nil, err
	}
	defer rest.close()
	request := r.target.server.request(http.MethodGet, dataPath(paths[0]), r.target.authorization, "", nil)
	const readPath, rangeKey, rangeSerializable = 1, 1, 7 // fields of ReadConfigRequest and RangeRequest
	v := r.target.over(overGRPC)
	read, err := v.server.repeatCall(ctx, r.Connections, call{
		path: "/setpoint.v1.DataService/ReadConfig", authorization: r.target.authorization,
		message: appendBytes(nil, readPath, []byte(paths[0].String())), least: contentBytes,
	})
	if err != nil {
		return nil, err
	}
	defer read.close()
	key := appendBytes(nil, rangeKey, []byte(etcdKey))
	serializable := protowire.AppendVarint(protowire.AppendTag(key, rangeSerializable, protowire.VarintType), 1)
	ranged, err := bare.repeatCall(ctx, r.Connections, call{path: "/etcdserverpb.KV/Range", message: serializable, least: contentBytes})
	if err != nil {
		return nil, err
	}
	defer ranged.close()
	result, err := r.play(ctx, contest{
		scenario: scenarioReads, title: fmt.Sprintf("read of 1 KiB, %d connections", r.Connections),
		subjects: []subject{
			{name: "setpoint, REST", pids: r.target.pids, round: rest.repeat(request, http.StatusOK)},
			{name: "setpoint, " + v.title, pids: r.target.pids, round: read.round},
			{name: "etcd, serializable Range over gRPC", pids: floor.pids(), round: ranged.round},
		},
	})
	if err != nil {
		return nil, err
	}
	of := func(i int) float64 { return medianRatio(result.Rows[i].RoundRates, result.Rows[2].RoundRates) }
	result.Notes = []string{fmt.Sprintf("of etcd's rate: REST %.2f × (asked: 2), gRPC %.2f × (asked: 1); medians of neighbouring rounds", of(0), of(1))}
	return []Result{result}, nil
}

// etcdKey is what is read of etcd.
const etcdKey = "bench/get"

// openEtcd starts etcd with something to read in it.
func (r *run) openEtcd(ctx context.Context) (*process, server, error) {
	var ready listening
	floor, err := r.startFloor(ctx, floorEtcd, engineSetup{Dir: filepath.Join(r.dir, "etcd-reads")}, &ready)
	if err != nil {
		return nil, server{}, err
	}
	fail := func(err error) (*process, server, error) { return nil, server{}, errors.Join(err, floor.stop()) }
	bare, err := ready.server()
	if err != nil {
		return fail(err)
	}
	clients, err := etcdClients(ready, 1)
	if err != nil {
		return fail(err)
	}
	_, err = clients[0].Put(ctx, etcdKey, filler(contentBytes))
	if err = errors.Join(err, closeClients(clients)); err != nil {
		return fail(err)
	}
	return floor, bare, nil
}
