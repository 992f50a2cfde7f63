package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A histogram keeps three digits of every latency between a microsecond and a
// minute, in bounded memory however long a run is.
const (
	shortest = int64(time.Microsecond)
	longest  = int64(time.Minute)
	digits   = 3
)

func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, digits) }

// record takes in one latency; one out of range counts as the nearest in it.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), shortest), longest)) // in range by the line itself
}

// Latency is how long things took, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

func summarize(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return milliseconds(time.Duration(h.ValueAtPercentile(percentile))) }
	return Latency{P50: at(50), P99: at(99), P999: at(99.9), Max: milliseconds(time.Duration(h.Max()))}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
