package center_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func BenchmarkGet(b *testing.B) {
	n := start(b)
	n.house()
	n.publish(app, `{"a": 1}`)
	ctx, read := n.admin(), center.Read{Path: path(b, app)}
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

func BenchmarkPublish(b *testing.B) {
	n := start(b)
	n.house()
	ctx := n.admin()
	content := []byte(`{"text": "` + strings.Repeat("x", 1000) + `"}`)
	var writer atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		p := config.Path{Tenant: "acme", App: "shop", Env: "dev", Name: fmt.Sprintf("c%d.json", writer.Add(1))}
		for pb.Next() {
			if _, err := n.Publish(ctx, center.Publish{Tenant: "acme", Items: []center.PublishItem{{Path: p, Content: content}}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkStaleness is what every answer pays to know how old it may be.
func BenchmarkStaleness(b *testing.B) {
	n := start(b)
	b.ReportAllocs()
	for b.Loop() {
		n.Staleness()
	}
}

// BenchmarkOpenWatch is what a watch costs to be opened, listed and closed; its
// bytes are those that it holds while it is open.
func BenchmarkOpenWatch(b *testing.B) {
	n := start(b)
	n.house()
	ctx, request := n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/dev"}, Protocol: "rest"}
	b.ReportAllocs()
	for b.Loop() {
		w, err := n.Watch(ctx, request, func() {})
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}
