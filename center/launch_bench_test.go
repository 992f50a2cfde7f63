package center_test

import (
	"fmt"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// BenchmarkGetBesideLaunches is BenchmarkGet, of a config without a launch, where
// a hundred others have one each, and of one that has as many as there can be.
func BenchmarkGetBesideLaunches(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	const others = 100
	for i := range others {
		n.launched(canary(1000), fmt.Sprintf("%s/other-%d.json=1", prodEnv, i))
	}
	launched := prodEnv + "/launched.json"
	n.publish(launched, `{"a": 1}`)
	for i := range config.MaxCandidates {
		o := by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet(fmt.Sprint("pod-", i))})
		o.OnRunning = center.AfterRunning
		n.launched(o, fmt.Sprintf("%s=%d", launched, i))
	}
	for _, bench := range []struct{ name, path string }{{"without", app}, {"with 16", launched}} {
		b.Run(bench.name, func(b *testing.B) {
			ctx, read := n.admin(), center.Read{Path: path(b, bench.path)}
			b.ReportAllocs()
			for b.Loop() {
				got, err := n.Get(ctx, read)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := n.Content(ctx, got.Release); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
