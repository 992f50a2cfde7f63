package center_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// manyInstances is how many a node is to hold.
const manyInstances = 50_000

// BenchmarkGetNamed is BenchmarkGet for a client that says its name.
func BenchmarkGetNamed(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	ctx := auth.WithRequest(n.admin(), auth.Request{Address: "192.0.2.1", Agent: "shop/1"})
	read := center.Read{Path: path(b, app), Protocol: "rest", Client: config.Client{
		ID: "checkout-7f9c8d6b54-x2x7q", Address: "192.0.2.1", Labels: map[string]string{"version": "1.4.2", "zone": "a", "tier": "web"},
	}}
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
}

// remembered has the node remember many instances, that have read or reported
// a config, and returns what one takes up, in bytes.
func remembered(b *testing.B, n *node, report bool) float64 {
	b.Helper()
	before := heap()
	for i := range manyInstances {
		address := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		ctx := auth.WithRequest(n.admin(), auth.Request{Address: address, Agent: "setpoint-go/1.0"})
		client := config.Client{ID: fmt.Sprintf("checkout-7f9c8d6b54-%05d", i), Address: address, Labels: map[string]string{
			"version": "1.4.2", "zone": fmt.Sprint("eu-", i%3), "tier": "web",
		}}
		if report {
			n.must(n.Report(ctx, center.ReportRequest{Client: client, Protocol: "rest", Reports: []center.InstanceReport{
				{Path: path(b, app), Version: 1, State: config.AckApplied},
			}}))
			continue
		}
		_, err := n.Get(ctx, center.Read{Path: path(b, app), Client: client, Protocol: "rest"})
		n.must(err)
	}
	return float64(heap()-before) / manyInstances
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRememberedInstances is what is remembered of an instance that has
// read, or reported, one config.
func BenchmarkRememberedInstances(b *testing.B) {
	for name, report := range map[string]bool{"read": false, "reported": true} {
		b.Run(name, func(b *testing.B) {
			n := start(b)
			n.house()
			n.publish(app, `{"a": 1}`)
			var each float64
			for b.Loop() {
				each = remembered(b, n, report)
			}
			b.ReportMetric(each, "B/instance")
		})
	}
}

// BenchmarkNamedWatches is what an idle watch of a named instance takes up in
// the center, its registration included.
func BenchmarkNamedWatches(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	var each float64
	for b.Loop() {
		open := make([]*center.Watch, manyInstances)
		before := heap()
		for i := range open {
			w, err := n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/dev"}, Protocol: "rest", Client: config.Client{
				ID: fmt.Sprintf("checkout-7f9c8d6b54-%05d", i), Labels: map[string]string{"version": "1.4.2", "zone": "a", "tier": "web"},
			}}, func() {})
			n.must(err)
			n.must(third(w.Next()))
			open[i] = w
		}
		each = float64(heap()-before) / manyInstances
		for _, w := range open {
			w.Close()
		}
	}
	b.ReportMetric(each, "B/watch")
}

// BenchmarkLocalReceipts is what a gate asks of a node with many instances.
func BenchmarkLocalReceipts(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	remembered(b, n, true)
	at := path(b, app)
	for b.Loop() {
		if got := len(n.LocalReceipts(at, 1)); got != manyInstances {
			b.Fatalf("want %d receipts, got %d", manyInstances, got)
		}
	}
}

// BenchmarkInstances is a page of the listing of a config, of a node with many.
func BenchmarkInstances(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	remembered(b, n, true)
	at := path(b, app)
	for name, where := range map[string]config.Path{"config": at, "env": at.Parent()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got, err := n.Instances(n.admin(), center.InstanceRequest{Path: where})
				if err != nil || len(got.Items) != 100 {
					b.Fatalf("want a page, got %d, %v", len(got.Items), err)
				}
			}
		})
	}
}
