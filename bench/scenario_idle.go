package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// idleShare is by how many times fewer events come in a round than to a smaller
// audience: each takes as much longer.
const idleShare = 5

// mostSources is how many addresses the largest crowd connects from, at most.
const mostSources = 16

// idle measures very many WebSocket connections to which next to nothing is sent:
// how long they take to be opened, what memory they take up, and how long one
// publish takes to reach the first, the median and the last. The clients are a
// process of their own, since one process may not have so many files.
func (r *run) idle(ctx context.Context) (_ []Result, err error) {
	r, end, err := r.fresh(ctx, scenarioIdle)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	v := r.target.over(overWS)
	f, err := r.openFanout(ctx, v, scenarioIdle)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.floor.stop()) }()
	c := contest{
		scenario: scenarioIdle, subscribers: r.Idle,
		title: fmt.Sprintf("from publish to each of %d idle subscribers over WebSocket, an event of %d bytes", r.Idle, f.bytes),
	}
	var crowds []*crowd
	defer func() {
		for _, all := range crowds {
			err = errors.Join(err, all.stop())
		}
	}()
	var notes []string
	var first []*hdrhistogram.Histogram
	for i, s := range f.sides {
		all, took, err := r.gatherCrowd(ctx, s.measured, crowdSetup{To: s.reach, Protocol: overWS, Request: f.request, N: r.Idle, Source: i * mostSources})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		crowds = append(crowds, all)
		conn, err := s.triggers.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		send, err := s.sender(conn)
		if err != nil {
			return nil, err
		}
		first = append(first, newLatencies())
		c.add(s.name, s.measured.pids, lessOften(fanoutRound(firstOf{all, first[i]}, send)), took)
		c.subjects[i].load = all.pids()
		notes = append(notes, fmt.Sprintf("%s: connecting took %.1f s, %.0f a second", s.name, all.connecting.Seconds(), float64(r.Idle)/all.connecting.Seconds()))
	}
	result, err := r.play(ctx, c)
	for i, h := range first {
		notes[i] += fmt.Sprintf("; the first had an event after %.2f ms (p50)", summarize(h).P50)
	}
	result.Notes = append(notes, boundOf(r.Idle))
	return []Result{result}, err
}

// gatherCrowd connects the subscribers of another process.
func (r *run) gatherCrowd(ctx context.Context, m measured, setup crowdSetup) (*crowd, each, error) {
	all, err := r.startCrowd(ctx, setup)
	if err != nil {
		return nil, each{}, err
	}
	r.note("connecting %d subscribers", setup.N)
	took, err := r.grown(ctx, m, setup.N, all.connect)
	if err != nil {
		return nil, each{}, errors.Join(err, all.stop())
	}
	return all, took, nil
}

// firstOf notes when the first of all has an event.
type firstOf struct {
	receivers
	first *hdrhistogram.Histogram
}

func (f firstOf) send(ctx context.Context, mark string, publish func() error) ([]time.Duration, error) {
	took, err := f.receivers.send(ctx, mark, publish)
	if err == nil {
		record(f.first, slices.Min(took))
	}
	return took, err
}

// lessOften has a round send fewer events.
func lessOften(next round) round {
	return func(ctx context.Context, e effort) (sample, error) {
		e.publishes = max(1, e.publishes/idleShare)
		return next(ctx, e)
	}
}

// boundOf tells what the number of connections is bounded by.
func boundOf(n int) string {
	limit := "unknown"
	if files, known := fileLimit(); known {
		limit = fmt.Sprint(files)
	}
	return fmt.Sprintf("files that one process may have open: %s, of which the server took %d for its connections; by default it takes 60000 connections (http.max_connections, protocols.ws.max_connections)", limit, n)
}
