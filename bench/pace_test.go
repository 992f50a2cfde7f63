package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhoIsLateMakesUpForIt(t *testing.T) {
	var done atomic.Int64
	slow := func() error {
		if done.Add(1) == 1 {
			return pause(t.Context(), 30*time.Millisecond) // in which 30 more fall due
		}
		return nil
	}
	got, err := byTheClock(t.Context(), []func() error{slow}, 1000, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got.ops != 50 || done.Load() != 50 || got.latency.TotalCount() != 50 {
		t.Errorf("want each of the 50 that were due done once, got %d, %d and %d latencies", got.ops, done.Load(), got.latency.TotalCount())
	}
	if p90 := got.latency.ValueAtPercentile(90); p90 < int64(15*time.Millisecond) {
		t.Errorf("want those that had to wait to count from when they were due, got a p90 of %s", time.Duration(p90))
	}
}

func TestTheClockStopsWithTheFirstError(t *testing.T) {
	refused := errors.New("refused")
	_, err := byTheClock(t.Context(), []func() error{func() error { return refused }, func() error { return nil }}, 100, time.Hour)
	if !errors.Is(err, refused) {
		t.Errorf("want %v, got %v", refused, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := byTheClock(ctx, []func() error{func() error { return nil }}, 100, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
}

func TestARoundFailsWithItsCompany(t *testing.T) {
	broken := errors.New("broken")
	a := accompanied{other: func(context.Context, effort) (sample, error) { return sample{}, broken }}
	forever := a.beside(func(ctx context.Context, _ effort) (sample, error) {
		<-ctx.Done()
		return sample{}, context.Cause(ctx)
	})
	if _, err := forever(t.Context(), effort{}); !errors.Is(err, broken) {
		t.Errorf("want %v, got %v", broken, err)
	}
}

func TestACrowdDoesNothingOutOfTurn(t *testing.T) {
	var m members
	for _, o := range []crowdOrder{{}, {Expect: "x"}, {Since: 1}} {
		if _, err := m.obey(t.Context(), o); err == nil {
			t.Errorf("%+v: want an error before anybody has subscribed", o)
		}
	}
	err := Clients(t.Context(), strings.NewReader(`{"n":1073741824}`), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("want an error that says how to raise the limit of open files, got %v", err)
	}
}

func TestManyConnectionsComeFromSeveralAddresses(t *testing.T) {
	for _, tt := range []struct {
		addr  string
		first int
		i     int
		want  string // "" for any
	}{
		{"127.0.0.1:7400", 0, perSource - 1, ""},
		{"127.0.0.1:7400", 0, perSource, "127.0.0.1:0"},
		{"localhost:7400", 16, 4 * perSource, "127.0.0.20:0"},
		{"localhost:7400", 250, 10 * perSource, "127.0.1.4:0"},
	} {
		got := ""
		if from, ok := sourcesFor(tt.addr, tt.first)(tt.i).(*net.TCPAddr); ok && from != nil {
			got = from.String()
		}
		if got != tt.want {
			t.Errorf("%+v: want %q, got %q", tt, tt.want, got)
		}
	}
	for _, addr := range []string{"192.0.2.1:7400", "[::1]:7400", "example.com:443", "nonsense"} {
		if sourcesFor(addr, 1) != nil {
			t.Errorf("%s: want the machine's own address", addr)
		}
	}
}
