package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// The sizes of what one publish of a config of 1 KiB writes.
const (
	releaseBytes = 1<<10 + 300 // content and what is known of it
	rolloutBytes = 600         // which release whom is served
	auditBytes   = 500
)

// engineSetup says where the engine is to keep its data.
type engineSetup struct {
	Dir string `json:"dir"`
	// Members is how many members it is to have; 0 means a lone one.
	Members int `json:"members,omitempty"`
}

// engineOrder asks for one round.
type engineOrder struct {
	Writers  int           `json:"writers"`
	Duration time.Duration `json:"duration"`
}

// engineReport is what a round gave.
type engineReport struct {
	Ops     int64                  `json:"ops"`
	Elapsed time.Duration          `json:"elapsed"`
	Latency *hdrhistogram.Snapshot `json:"latency"`
	Error   string                 `json:"error,omitempty"`
}

func (r engineReport) sample() (sample, error) {
	if r.Error != "" {
		return sample{}, errors.New(r.Error)
	}
	if r.Latency == nil {
		return sample{}, errors.New("the floor measured nothing")
	}
	if err := r.Latency.Validate(); err != nil {
		return sample{}, err
	}
	return sample{ops: r.Ops, elapsed: r.Elapsed, latency: hdrhistogram.Import(r.Latency)}, nil
}

// serveEngineFloor is the engine alone, set up as Setpoint does, in one process
// with those who write: the three writes of a publish as one transaction, each
// on the condition that nobody else has published.
func serveEngineFloor(ctx context.Context, t talk) error {
	var setup engineSetup
	if err := t.hear(&setup); err != nil {
		return err
	}
	open := openEngine
	if setup.Members > 0 {
		open = openEngines
	}
	clients, stop, err := open(ctx, setup)
	if err != nil {
		return err
	}
	defer stop()
	if err := t.say(struct{}{}); err != nil {
		return err
	}
	writers := map[int]*engineWriter{}
	for {
		var order engineOrder
		if err := t.hear(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := t.say(runEngine(ctx, clients, writers, order)); err != nil {
			return err
		}
	}
}

// openEngine opens a lone member.
func openEngine(ctx context.Context, setup engineSetup) ([]*clientv3.Client, func(), error) {
	s, err := openStore(ctx, store.Env{DataDir: setup.Dir})
	if err != nil {
		return nil, nil, err
	}
	return []*clientv3.Client{s.Client()}, func() { _ = s.Close() }, nil
}

func openStore(ctx context.Context, env store.Env) (*etcd.Store, error) {
	var settings etcd.Settings
	settings.Defaults()
	opened, err := settings.Open(ctx, env)
	if err != nil {
		return nil, err
	}
	s, ok := opened.(*etcd.Store)
	if !ok {
		return nil, fmt.Errorf("the store is a %T, which has no client of its own", opened)
	}
	return s, nil
}

// runEngine does one round. Writers keep their place from round to round.
func runEngine(ctx context.Context, clients []*clientv3.Client, writers map[int]*engineWriter, order engineOrder) engineReport {
	operations := make([]func() error, order.Writers)
	for i := range operations {
		if writers[i] == nil {
			writers[i] = newEngineWriter(clients[i%len(clients)], i)
		}
		operations[i] = func() error { return writers[i].publish(ctx) }
	}
	total, err := drive(ctx, operations, order.Duration)
	report := engineReport{Ops: total.ops, Elapsed: total.elapsed, Latency: total.latency.Export()}
	if err != nil {
		report.Error = err.Error()
	}
	return report
}

// engineWriter publishes one config again and again.
type engineWriter struct {
	client  *clientv3.Client
	name    int
	version int64
	seen    int64 // revision of the rollout

	release, rollout, audit string // values
}

func newEngineWriter(c *clientv3.Client, name int) *engineWriter {
	return &engineWriter{client: c, name: name, release: filler(releaseBytes), rollout: filler(rolloutBytes), audit: filler(auditBytes)}
}

func (w *engineWriter) publish(ctx context.Context) error {
	w.version++
	rollout := fmt.Sprintf("bench/rollout/%d", w.name)
	release := fmt.Sprintf("bench/release/%d/%016x", w.name, w.version)
	record := fmt.Sprintf("bench/audit/%d/%016x", w.name, w.version)
	resp, err := w.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(rollout), "=", w.seen), clientv3.Compare(clientv3.ModRevision(release), "=", 0)).
		Then(clientv3.OpPut(release, w.release), clientv3.OpPut(rollout, w.rollout), clientv3.OpPut(record, w.audit)).
		Commit()
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		return fmt.Errorf("writer %d: a condition of its transaction does not hold", w.name)
	}
	w.seen = resp.Header.Revision
	return nil
}
