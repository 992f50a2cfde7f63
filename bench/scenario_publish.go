package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/setpointhq/setpoint/config"
)

func releasesPath(p config.Path) string {
	return fmt.Sprintf("/v1/tenants/%s/apps/%s/envs/%s/configs/%s/releases", p.Tenant, p.App, p.Env, p.Name)
}

// publish measures writers that each release a config of their own, beside the
// engine alone; then one writer who has nobody beside him.
func (r *run) publish(ctx context.Context) (_ []Result, err error) {
	writers, err := r.openWriters(ctx, scenarioPublish, r.Writers)
	if err != nil {
		return nil, err
	}
	defer writers.conns.close()
	floor, err := r.startFloor(ctx, floorEngine, engineSetup{Dir: filepath.Join(r.dir, "engine")}, &struct{}{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	counts := []int{r.Writers}
	if r.Writers > 1 {
		counts = append(counts, 1)
	}
	var results []Result
	for _, n := range counts {
		title := fmt.Sprintf("POST of a release of 1 KiB, %d writers, each its own config", n)
		if n == 1 {
			title = "POST of a release of 1 KiB, 1 writer"
		}
		result, err := r.play(ctx, contest{scenario: scenarioPublish, title: title, subjects: []subject{
			{name: "setpoint", pids: r.target.pids, round: writers.round(n)},
			{name: "engine's bare transaction", pids: floor.pids(), round: engineRound(floor, n)},
		}})
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// engineRound has the floor do a round of its own.
func engineRound(floor *process, writers int) round {
	return func(_ context.Context, e effort) (sample, error) {
		var report engineReport
		if err := floor.ask(engineOrder{writers, e.duration}, &report, e.duration+patience); err != nil {
			return sample{}, err
		}
		return report.sample()
	}
}

// writers publish, each its own config over its own connection.
type writers struct {
	conns connections
	all   []*writer
}

type writer struct {
	conn    *conn
	request []byte
	mark    int // where in request the number stands
	next    int64
}

// openWriters connects n writers to the target, or to the given servers in turn.
func (r *run) openWriters(ctx context.Context, prefix string, n int, to ...server) (*writers, error) {
	paths, err := r.target.seed(ctx, prefix, n)
	if err != nil {
		return nil, err
	}
	if len(to) == 0 {
		to = []server{r.target.server}
	}
	w := &writers{}
	for i, path := range paths {
		c, err := to[i%len(to)].dial(ctx)
		if err != nil {
			w.conns.close()
			return nil, err
		}
		w.conns = append(w.conns, c)
		one, err := r.target.writer(c, path)
		if err != nil {
			w.conns.close()
			return nil, err
		}
		w.all = append(w.all, one)
	}
	return w, nil
}

// writer prepares the publishing of a config that was seeded.
func (t *target) writer(c *conn, path config.Path) (*writer, error) {
	return t.writerOf(c, path, contentBytes)
}

// writerOf is writer for contents of that size.
func (t *target) writerOf(c *conn, path config.Path, size int) (*writer, error) {
	body, err := publishBody(documentOf(0, size), "a new release, for the benchmark")
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, request: t.server.request(http.MethodPost, releasesPath(path), t.authorization, "", body)}
	// The tenant's name begins as a mark does, so look in the body only.
	at := markAt(body)
	if at < 0 {
		return nil, errors.New("the content to publish has no mark")
	}
	w.mark = len(w.request) - len(body) + at
	return w, nil
}

// publish releases the next content.
func (w *writer) publish() error {
	w.next++
	patch(w.request, w.mark, w.next)
	return w.conn.exchange(w.request, http.StatusCreated)
}

// round lets the first n of the writers publish.
func (w *writers) round(n int) round {
	operations := make([]func() error, n)
	for i := range operations {
		operations[i] = w.all[i].publish
	}
	return w.conns.round(operations)
}
