package server

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store"
)

// metrics measures the node, for the admin port.
type metrics struct {
	registry *prometheus.Registry

	requests   *prometheus.HistogramVec
	deliveries *prometheus.HistogramVec
	sent       *prometheus.CounterVec
	streams    *prometheus.GaugeVec
	commits    *prometheus.HistogramVec
	ranges     *prometheus.HistogramVec

	// series remembers the children of requests: looking one up by its labels
	// costs more than observing it.
	series sync.Map // requestSeries → prometheus.Observer
	count  atomic.Int32
}

type requestSeries struct{ protocol, op, code string }

// maxSeries bounds the series of requests. Operations and codes are closed
// sets, so it is reached only if a protocol is wrong about that.
const maxSeries = 4096

func newMetrics(version string) *metrics {
	// From a quarter of a millisecond, about what a cached read costs, to ten
	// seconds. Native histograms beside them resolve finer where they are scraped.
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "setpoint_" + name, Help: help,
			Buckets:                     []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		requests:   histogram("request_duration_seconds", "Time that finished requests took, by operation and code.", "protocol", "op", "code"),
		deliveries: histogram("delivery_duration_seconds", "Time that it took to encode and write one delivery to one watcher.", "protocol"),
		commits:    histogram("store_commit_duration_seconds", "Time of one commit to the store, durable when it ends.", "result"),
		ranges:     histogram("store_range_duration_seconds", "Time of one read from the store.", "result"),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "setpoint_delivery_bytes_total", Help: "Bytes written to watchers.",
		}, []string{"protocol"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "setpoint_streams", Help: "Watches open on this node.",
		}, []string{"protocol"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "setpoint_build_info", Help: "Always 1; the labels tell the build.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.deliveries, m.commits, m.ranges, m.sent, m.streams, build)
	return m
}

// handler serves all metrics. The default gatherer holds what libraries
// register by themselves: the engine's, and those of the Go runtime and process.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers{m.registry, prometheus.DefaultGatherer}, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}

// ObserveRequest implements protocol.Observer.
func (m *metrics) ObserveRequest(protocol, op, code string, took time.Duration) {
	key := requestSeries{protocol, op, code}
	if series, ok := m.series.Load(key); ok {
		if o, ok := series.(prometheus.Observer); ok {
			o.Observe(took.Seconds())
			return
		}
	}
	if m.count.Load() >= maxSeries || m.count.Add(1) > maxSeries {
		key = requestSeries{protocol: "other", op: "other", code: "other"}
	}
	o := m.requests.WithLabelValues(key.protocol, key.op, key.code)
	m.series.Store(key, o)
	o.Observe(took.Seconds())
}

// ObserveStreams implements protocol.Observer.
func (m *metrics) ObserveStreams(protocol string, delta int) {
	m.streams.WithLabelValues(protocol).Add(float64(delta))
}

// ObserveDelivery implements protocol.Observer.
func (m *metrics) ObserveDelivery(protocol string, bytes int, took time.Duration) {
	m.deliveries.WithLabelValues(protocol).Observe(took.Seconds())
	m.sent.WithLabelValues(protocol).Add(float64(bytes))
}

// gauge registers a value that is asked for at each scrape.
func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "setpoint_" + name, Help: help}, value))
}

// counter registers a total that is asked for at each scrape.
func (m *metrics) counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "setpoint_" + name, Help: help}, value))
}

// sizes registers what a store that knows it takes up on disk.
func (m *metrics) sizes(s store.Store) {
	sizer, ok := s.(store.Sizer)
	if !ok {
		return
	}
	ask := func(pick func(total, used int64) int64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			total, used, err := sizer.Size(ctx)
			if err != nil {
				return 0
			}
			return float64(pick(total, used))
		}
	}
	m.gauge("store_size_bytes", "Bytes that the store takes up on disk.", ask(func(total, _ int64) int64 { return total }))
	m.gauge("store_used_bytes", "Bytes of the store in use; the rest is free for reuse.", ask(func(_, used int64) int64 { return used }))
}

// meteredStore measures a store. What else the store can do is asked of the
// store itself, not of this.
type meteredStore struct {
	store.Store
	metrics *metrics
}

// Commit implements store.Store.
func (s *meteredStore) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	start := time.Now()
	revision, err := s.Store.Commit(ctx, txn)
	s.metrics.commits.WithLabelValues(result(err)).Observe(time.Since(start).Seconds())
	return revision, err
}

// Range implements store.Store.
func (s *meteredStore) Range(ctx context.Context, q store.Query) (store.Page, error) {
	start := time.Now()
	page, err := s.Store.Range(ctx, q)
	s.metrics.ranges.WithLabelValues(result(err)).Observe(time.Since(start).Seconds())
	return page, err
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return config.KindOf(err).String()
}

var (
	_ protocol.Observer = (*metrics)(nil)
	_ store.Store       = (*meteredStore)(nil)
)
