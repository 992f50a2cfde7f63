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
