package recent_test

import (
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth/internal/recent"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func want(t *testing.T, m *recent.Map[string, int], key string, value int, ok bool) {
	t.Helper()
	if got, gotOK := m.Get(key); got != value || gotOK != ok {
		t.Errorf("%s: want %d, %v; got %d, %v", key, value, ok, got, gotOK)
	}
}

func TestMapForgetsAfterItsTime(t *testing.T) {
	c := &clock{now: time.Unix(0, 0)}
	m := recent.New[string, int](10, time.Minute, c.Now)
	m.Put("a", 1)
	c.pass(time.Minute - 1)
	want(t, m, "a", 1, true)
	m.Put("b", 2)
	c.pass(1)
	want(t, m, "a", 0, false)
	want(t, m, "b", 2, true)

	m.Put("c", 3)
	if got := m.Len(); got != 2 {
		t.Errorf("want what is too old dropped when something comes, 2 left, got %d", got)
	}
}

func TestMapLivesAnewAfterPut(t *testing.T) {
	c := &clock{now: time.Unix(0, 0)}
	m := recent.New[string, int](10, time.Minute, c.Now)
	m.Put("a", 1)
	c.pass(time.Minute / 2)
	m.Put("a", 2)
	c.pass(time.Minute - 1)
	want(t, m, "a", 2, true)
	if got := m.Len(); got != 1 {
		t.Errorf("want 1 entry, got %d", got)
	}
}

func TestMapForgetsTheOldestOverItsLimit(t *testing.T) {
	c := &clock{now: time.Unix(0, 0)}
	m := recent.New[string, int](2, time.Minute, c.Now)
	m.Put("a", 1)
	m.Put("b", 2)
	m.Put("a", 3)
	m.Put("c", 4)
	want(t, m, "a", 3, true)
	want(t, m, "b", 0, false)
	want(t, m, "c", 4, true)
	m.Delete("a")
	m.Delete("unknown")
	want(t, m, "a", 0, false)
}

func TestMapWithoutLifeRemembersNothing(t *testing.T) {
	m := recent.New[string, int](2, 0, (&clock{}).Now)
	m.Put("a", 1)
	want(t, m, "a", 0, false)
	if got := m.Len(); got != 0 {
		t.Errorf("want nothing held, got %d", got)
	}
}

func TestMapUpdatesInOneStep(t *testing.T) {
	m := recent.New[string, int](2, time.Minute, time.Now)
	const callers, times = 8, 100
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range times {
				m.Update("a", func(n int, _ bool) int { return n + 1 })
				m.Get("a")
			}
		})
	}
	all.Wait()
	want(t, m, "a", callers*times, true)
}

func BenchmarkGet(b *testing.B) {
	m := recent.New[[32]byte, string](10_000, time.Hour, time.Now)
	m.Put([32]byte{1}, "x")
	b.ReportAllocs()
	for b.Loop() {
		m.Get([32]byte{1})
	}
}
