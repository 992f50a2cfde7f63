package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// settling is the pause between two rounds, in which a subject finishes
	// what it still has to do, so that it does not do so in the other's round.
	settling = 300 * time.Millisecond
	// warming is the longest round that only warms up.
	warming = time.Second
)

// effort is how much is to be done in a round.
type effort struct {
	duration  time.Duration
	publishes int // of a fan-out, which is counted rather than timed
}

// round has a subject do its work, and measures it.
type round func(context.Context, effort) (sample, error)

// subject is what does the work: the server, or a floor.
type subject struct {
	name  string
	pids  []int // its processes; none where it is not on this machine
	round round
	load  []int // processes that make the load, beside this one
}

// contest is subjects that take turns. The first is the server.
type contest struct {
	scenario, title string
	subjects        []subject
	subscribers     int    // of a fan-out
	perSubscriber   []each // what memory each takes up, by subject
}

// add adds a subject to a fan-out, with the memory that a subscriber takes up in it.
func (c *contest) add(name string, pids []int, r round, perSubscriber each) {
	c.subjects = append(c.subjects, subject{name: name, pids: pids, round: r})
	c.perSubscriber = append(c.perSubscriber, perSubscriber)
}

// tally gathers one subject's rounds.
type tally struct {
	rates   []float64
	p99s    []float64
	total   sample
	cpu     time.Duration
	loadCPU time.Duration
	rss     int64
}

// play lets the subjects take turns, round by round.
func (r *run) play(ctx context.Context, c contest) (Result, error) {
	r.note("%s: %s", c.scenario, c.title)
	full := effort{r.Duration, r.Publishes}
	warm := effort{min(r.Duration, warming), min(r.Publishes, 3)}
	for _, s := range c.subjects {
		if _, err := s.round(ctx, warm); err != nil {
			return Result{}, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	tallies := make([]tally, len(c.subjects))
	for n := range r.Rounds {
		for i, s := range c.subjects {
			if err := pause(ctx, min(settling, r.Duration)); err != nil {
				return Result{}, err
			}
			if err := tallies[i].add(ctx, s, full); err != nil {
				return Result{}, fmt.Errorf("%s, round %d: %w", s.name, n+1, err)
			}
		}
	}
	if err := r.profile(ctx, c, full); err != nil {
		return Result{}, err
	}
	return c.result(tallies), nil
}

// add has the subject do one round and takes its measure.
func (t *tally) add(ctx context.Context, s subject, e effort) error {
	before, err := observe(s.pids, s.load...)
	if err != nil {
		return err
	}
	done, err := s.round(ctx, e)
	if err != nil {
		return err
	}
	after, err := observe(s.pids, s.load...)
	if err != nil {
		return err
	}
	t.cpu += after.subject.cpu - before.subject.cpu
	t.loadCPU += after.load.cpu - before.load.cpu
	t.rss = max(t.rss, after.subject.rss)
	t.rates = append(t.rates, done.rate())
	t.p99s = append(t.p99s, summarize(done.latency).P99)
	t.total.ops += done.ops
	t.total.elapsed += done.elapsed
	merge(&t.total.latency, done.latency)
	merge(&t.total.last, done.last)
	merge(&t.total.request, done.request)
	return nil
}

func merge(into **hdrhistogram.Histogram, from *hdrhistogram.Histogram) {
	switch {
	case from == nil:
	case *into == nil:
		*into = from
	default:
		(*into).Merge(from)
	}
}

// observation is what subject and load generator have taken up so far.
type observation struct{ subject, load usage }

func observe(pids []int, load ...int) (o observation, err error) {
	if o.subject, err = usageOfAll(pids); err != nil {
		return o, err
	}
	o.load, err = usageOfAll(append([]int{os.Getpid()}, load...))
	return o, err
}

func usageOfAll(pids []int) (sum usage, err error) {
	for _, pid := range pids {
		one, err := usageOf(pid)
		if err != nil {
			return sum, err
		}
		sum.cpu += one.cpu
		sum.rss += one.rss
	}
	return sum, nil
}

// result compares the subjects with the first.
func (c contest) result(tallies []tally) Result {
	out := Result{Scenario: c.scenario, Title: c.title, Subscribers: c.subscribers}
	for i, t := range tallies {
		row := Row{
			Subject: c.subjects[i].name, Ops: t.total.ops, Seconds: t.total.elapsed.Seconds(),
			Rate: t.total.rate(), RoundRates: t.rates, RoundP99s: t.p99s, Latency: summarize(t.total.latency),
			CPUSeconds: t.cpu.Seconds(), LoadCPUSeconds: t.loadCPU.Seconds(), RSS: t.rss,
		}
		if t.total.ops > 0 {
			row.CPUPerOp = t.cpu.Seconds() * 1e6 / float64(t.total.ops)
		}
		if i > 0 {
			row.RateRatio = medianRatio(tallies[0].rates, t.rates)
			row.P99Ratio = medianRatio(tallies[0].p99s, t.p99s)
		}
		if t.total.last != nil {
			last, request := summarize(t.total.last), summarize(t.total.request)
			row.Last, row.Request = &last, &request
			row.PerSubscriber, row.HeldPerSubscriber = c.perSubscriber[i].rss, c.perSubscriber[i].held
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// medianRatio is the median of the ratios of rounds that were next to each
// other, which the machine's drift from the first round to the last is no part of.
func medianRatio(of, to []float64) float64 {
	var ratios []float64
	for i := range min(len(of), len(to)) {
		if to[i] > 0 {
			ratios = append(ratios, of[i]/to[i])
		}
	}
	if len(ratios) == 0 {
		return 0
	}
	slices.Sort(ratios)
	middle := len(ratios) / 2
	if len(ratios)%2 == 1 {
		return ratios[middle]
	}
	return (ratios[middle-1] + ratios[middle]) / 2
}

// profile has the server do one more round, which is not measured, under the
// CPU profiler.
func (r *run) profile(ctx context.Context, c contest, e effort) error {
	if r.ProfileDir == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	saved := make(chan error, 1)
	go func() { saved <- r.target.profile(ctx, r.ProfileDir, c.scenario+"-"+slug(c.title), r.Duration) }()
	_, err := c.subjects[0].round(ctx, e)
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-saved)
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
