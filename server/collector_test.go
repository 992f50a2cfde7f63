package server

import "testing"

func TestCollectorPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 800}, {1 << 20, 800}, {32 << 20, 400}, {64 << 20, 200}, {128 << 20, 100}, {1 << 30, 100},
	} {
		if got := collectorPercent(c.live); got != c.want {
			t.Errorf("%d bytes live: want %d %%, got %d", c.live, c.want, got)
		}
	}
}
