package center_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store/memory"
)

// BenchmarkPreview counts 50,000 instances that another node knows.
func BenchmarkPreview(b *testing.B) {
	for _, configs := range []int{1, 100} {
		b.Run(fmt.Sprintf("configs=%d", configs), func(b *testing.B) {
			s := memory.New()
			defer s.Close()
			_, _, err := center.Bootstrap(b.Context(), s, plainHasher{}, config.Secret{}, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			n := joinWith(b, s, func(o *center.Options) {
				o.Nodes = neighbours{&fakeNodes{instances: fleet(50_000, region, "acme/shop/dev")}}
			})
			n.house()
			r := center.PreviewRequest{ReleaseOptions: by(config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(b, "region = eu"), Share: ptr(config.Share(1000))}})}
			for i := range configs {
				r.Paths = append(r.Paths, path(b, fmt.Sprintf("acme/shop/dev/c%d.json", i)))
			}
			for b.Loop() {
				n.previewed(r)
			}
		})
	}
}
