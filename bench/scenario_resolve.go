package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// resolve measures what it costs to find out which release a client gets: of a
// config without a launch, which is the plain path, and of one with five
// candidates that are all asked in vain, each with a rule of another sort. It
// is a function of the program itself and needs no server.
func (r *run) resolve(ctx context.Context) ([]Result, error) {
	plain, ruled, who, err := resolvable()
	if err != nil {
		return nil, err
	}
	out := Result{Scenario: scenarioResolve, Title: "which release a client gets"}
	for _, s := range []struct {
		name    string
		rollout config.Rollout
	}{{"plain, no launch", plain}, {"five rules", ruled}} {
		allocs := 0.0
		row := Row{Subject: s.name, AllocsPerOp: &allocs}
		var took time.Duration
		for n := range r.Rounds + 1 {
			one, err := resolving(ctx, &s.rollout, who, r.Duration)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue // it warms up
			}
			row.Ops += one.calls
			took += one.took
			allocs = max(allocs, float64(one.allocs)/float64(one.calls))
			row.RoundRates = append(row.RoundRates, float64(one.calls)/one.took.Seconds())
		}
		row.Seconds = took.Seconds()
		row.Rate = float64(row.Ops) / row.Seconds
		out.Rows = append(out.Rows, row)
	}
	return []Result{out}, nil
}

// resolved is what one round of calls gave.
type resolved struct {
	calls  int64
	took   time.Duration
	allocs uint64
}

// resolving resolves until the time is over. The clock is asked so rarely that
// it does not count.
func resolving(ctx context.Context, rollout *config.Rollout, who config.Client, d time.Duration) (out resolved, err error) {
	const some = 10_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for out.took < d && ctx.Err() == nil {
		for range some {
			if release := rollout.Resolve(who); release == nil || release.Version != 1 {
				return out, errors.New("want the stable release")
			}
		}
		out.calls += some
		out.took = time.Since(start)
	}
	runtime.ReadMemStats(&after)
	out.allocs = after.Mallocs - before.Mallocs
	return out, context.Cause(ctx)
}

// resolvable makes a rollout without a launch, one with five candidates, and a
// client that none of them claims.
func resolvable() (plain, ruled config.Rollout, who config.Client, err error) {
	label := func(text string) config.Selector {
		s, failed := config.ParseSelector(text)
		err = errors.Join(err, failed)
		return s
	}
	network := func(text string) config.Network {
		n, failed := config.ParseNetwork(text)
		err = errors.Join(err, failed)
		return n
	}
	ids := make([]string, 200)
	for i := range ids {
		ids[i] = fmt.Sprintf("checkout-6f8d9c7b5-%05d", i)
	}
	few, fewer := config.Share(100), config.Share(1)
	rules := []config.Rule{
		{Labels: label("region = ap, tier != batch, version >= 2.4.0")},
		{Addresses: []config.Network{network("192.0.2.0/24"), network("2001:db8::/32"), network("10.9.0.0/16")}},
		{Instances: config.NewInstanceSet(ids...)},
		{Share: &few},
		{Any: []config.Rule{{Instances: config.NewInstanceSet(ids[:10]...)}, {Share: &fewer, Labels: label("region in (eu, us)")}}},
	}
	plain = config.Rollout{Path: config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "application.yaml"}, Stable: &config.Release{Version: 1}}
	ruled = plain
	for i := range rules {
		ruled.Candidates = append(ruled.Candidates, config.Candidate{
			Release:  config.Release{Version: int64(i + 2)},
			Strategy: config.Strategy{Kind: config.StrategyCanary, Salt: fmt.Sprintf("salt-%d", i), Rule: &rules[i]},
		})
	}
	return plain, ruled, config.Client{
		ID: "checkout-7f9c5d8b6-x2k4q", Address: "10.1.2.3",
		Labels: map[string]string{"region": "eu", "tier": "web", "version": "2.3.9", "zone": "eu-1"},
	}, err
}
