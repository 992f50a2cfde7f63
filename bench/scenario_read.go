package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

func dataPath(p config.Path) string {
	return "/v1/configs/" + strings.Join([]string{p.Tenant, p.App, p.Env, p.Name}, "/")
}

// read measures the whole of one config.
func (r *run) read(ctx context.Context) ([]Result, error) {
	return r.compareReads(ctx, scenarioRead, "GET of one config of 1 KiB", false)
}

// notModified measures the answer to one who has the config already.
func (r *run) notModified(ctx context.Context) ([]Result, error) {
	return r.compareReads(ctx, scenarioNotModified, "GET that is answered 304", true)
}

// compareReads reads one config again and again, from the server and from a
// bare handler that answers the same bytes.
func (r *run) compareReads(ctx context.Context, scenario, title string, conditional bool) (_ []Result, err error) {
	paths, err := r.target.seed(ctx, scenario, 1)
	if err != nil {
		return nil, err
	}
	path := dataPath(paths[0])
	answer, err := r.target.server.probe(ctx, path, r.target.authorization)
	if err != nil {
		return nil, err
	}
	if len(answer.Body) != contentBytes {
		return nil, fmt.Errorf("the server answers %d bytes for a config of %d", len(answer.Body), contentBytes)
	}
	var ready listening
	floor, err := r.startFloor(ctx, floorHTTP, answer, &ready)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	bare, err := ready.server()
	if err != nil {
		return nil, err
	}
	etag, lines, status := "", "", http.StatusOK
	if conditional {
		etag, status = answer.Header.Get("Etag"), http.StatusNotModified
		lines = "If-None-Match: " + etag + "\r\n"
	}
	one := contest{scenario: scenario, title: fmt.Sprintf("%s, %d connections, HTTP/1.1", title, r.Connections)}
	two := contest{scenario: scenario, title: fmt.Sprintf("%s, %d connections, HTTP/2", title, r.Connections)}
	for _, s := range []struct {
		name   string
		server server
		pids   []int
	}{{"setpoint", r.target.server, r.target.pids}, {"bare handler", bare, floor.pids()}} {
		conns, err := s.server.dialMany(ctx, r.Connections)
		if err != nil {
			return nil, err
		}
		defer conns.close()
		request := s.server.request(http.MethodGet, path, r.target.authorization, lines, nil)
		one.subjects = append(one.subjects, subject{name: s.name, pids: s.pids, round: conns.repeat(request, status)})
		conns2, repeat2, err := s.server.repeat2(ctx, r.Connections, s.server.block(path, r.target.authorization, etag), status)
		if err != nil {
			return nil, err
		}
		defer conns2.close()
		two.subjects = append(two.subjects, subject{name: s.name, pids: s.pids, round: repeat2})
	}
	first, err := r.play(ctx, one)
	if err != nil {
		return nil, err
	}
	second, err := r.play(ctx, two)
	return []Result{first, second}, err
}

// repeat makes a round of sending the same request on every connection.
func (all connections) repeat(request []byte, status int) round {
	operations := make([]func() error, len(all))
	for i, c := range all {
		operations[i] = func() error { return c.exchange(request, status) }
	}
	return all.round(operations)
}

// round makes a round of operations on the connections.
func (all connections) round(operations []func() error) round {
	return func(ctx context.Context, e effort) (sample, error) {
		release := all.bound(ctx, e.duration)
		defer release()
		return drive(ctx, operations, e.duration)
	}
}
