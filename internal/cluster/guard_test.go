package cluster

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

func TestGuardStopsChangesBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		var blind atomic.Bool
		var log bytes.Buffer
		keeper := newEngine()
		defer keeper.Close()
		g := Guard{
			Keeper: keeper, Dir: "/data", Reserve: 100, Log: slog.New(slog.NewTextHandler(&log, nil)),
			space: func(string) (int64, int64, error) {
				if blind.Load() {
					return 0, 0, errors.New("no such device")
				}
				return free.Load(), 1000, nil
			},
		}
		free.Store(500)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() { stopped <- g.Run(ctx) }()
		next := func(room int64) string {
			free.Store(room)
			<-time.After(guardPause)
			synctest.Wait()
			acts := keeper.done()
			return acts[len(acts)-1]
		}
		var got []string
		for _, room := range []int64{500, 100, 99, 100, 124, 125, 110} {
			got = append(got, next(room))
		}
		if diff := cmp.Diff([]string{"space", "space", "no space", "no space", "no space", "space", "space"}, got); diff != "" {
			t.Errorf("what the engine is told (-want +got):\n%s", diff)
		}

		keeper.set(func(e *engine) { e.err = config.Errorf(config.Exhausted, "", "", "the quota is used up") })
		next(500)
		next(500)
		keeper.set(func(e *engine) { e.err = nil })
		blind.Store(true)
		before := len(keeper.done())
		next(500)
		next(500)
		if got := len(keeper.done()); got != before {
			t.Error("want the engine told nothing while nothing is known")
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		for text, times := range map[string]int{"nearly full": 1, "there is room again": 1, "the quota is used up": 1, "no such device": 1} {
			if got := strings.Count(log.String(), text); got != times {
				t.Errorf("want %q told %d times, got %d:\n%s", text, times, got, log.String())
			}
		}
	})
}

func TestGuardStopsChangesBeforeTheQuotaIsUsedUp(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	keeper := newEngine()
	defer keeper.Close()
	g := Guard{Keeper: keeper, Engine: keeper, Dir: "/data", Log: slog.New(slog.NewTextHandler(&log, nil))}
	var state guardState
	var got []string
	for _, size := range []struct{ total, inUse int64 }{{94, 94}, {95, 89}, {95, 90}, {95, 95}, {95, 89}} {
		keeper.set(func(e *engine) {
			e.status.Total, e.status.InUse, e.status.Quota = size.total*1000, size.inUse*1000, 100_000
		})
		g.look(t.Context(), func(string) (int64, int64, error) { return 10, 100, nil }, &state)
		acts := keeper.done()
		got = append(got, acts[len(acts)-1])
	}
	if diff := cmp.Diff([]string{"space", "space", "no space", "no space", "space"}, got); diff != "" {
		t.Errorf("what the engine is told (-want +got):\n%s", diff)
	}
	for text, times := range map[string]int{"the store's quota is nearly used up": 1, "there is room again": 1, "disk": 0} {
		if got := strings.Count(log.String(), text); got != times {
			t.Errorf("want %q told %d times, got %d:\n%s", text, times, got, log.String())
		}
	}
}

func TestGuardIsSilentWhereTheEngineRunsElsewhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	keeper := newEngine()
	defer keeper.Close()
	keeper.err = config.Errorf(config.Unsupported, "", "", "this node keeps no data of its own")
	g := Guard{Keeper: keeper, Dir: "/data", Reserve: 100, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, free := range []int64{1000, 10} {
		var state guardState
		g.look(t.Context(), func(string) (int64, int64, error) { return free, 1000, nil }, &state)
	}
	if log.Len() > 0 {
		t.Errorf("want nothing told, got %s", log.String())
	}
}

func TestBytesAreWrittenRoughly(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		7: "7 bytes", 20_000: "19KiB", int64(12*plugin.MiB) + 5: "12MiB", int64(3 * plugin.GiB): "3GiB", int64(64 * plugin.GiB): "64GiB",
	} {
		if got := roughSize(bytes); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}
