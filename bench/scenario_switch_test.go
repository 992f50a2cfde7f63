package bench

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
)

func TestWholeStatesAreToldFromHalves(t *testing.T) {
	env := config.Path{Tenant: "bench-1", App: "load", Env: "prod"}
	s := &switched{paths: []config.Path{env.Join("a.json"), env.Join("b.json")}}
	change := func(name, mark string) string {
		return `{"path":"` + env.Join(name).String() + `","version":1,"content":"{\"mark\":\"` + mark + `\"}"}`
	}
	event := func(changes ...string) string {
		return "event: changes\nid: 1.x\ndata: {\"revision\":\"1.x\",\"changes\":[" + strings.Join(changes, ",") + "]}"
	}
	for _, tt := range []struct{ name, event, want string }{
		{"both of one slot", event(change("a.json", mark(1)), change("b.json", mark(1))), ""},
		{"no news", "event: current\nid: 1.x\ndata: {}", ""},
		{"a heartbeat", ": beat", ""},
		{"one of each slot", event(change("a.json", mark(1)), change("b.json", mark(2))), "both configs of one slot"},
		{"one alone", event(change("a.json", mark(1))), "both configs of one slot"},
		{"one twice", event(change("a.json", mark(1)), change("a.json", mark(1))), "both configs of one slot"},
		{"no mark", event(change("a.json", ""), change("b.json", "")), "both configs of one slot"},
		{"nothing", event(), "both configs of one slot"},
		{"no JSON", "event: changes\nid: 1.x\ndata: {", "cannot be read"},
	} {
		err := s.whole([]byte(tt.event))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: want %q, got %v", tt.name, tt.want, err)
		}
	}
}

func TestAnEventThatIsJudgedWrongEndsTheRound(t *testing.T) {
	fan, send, _ := openFanoutFor(t, gathering{n: 3, speech: sse{}, judge: func(event []byte) error {
		if strings.Contains(string(event), mark(2)) {
			return errors.New("half a state")
		}
		return nil
	}})
	for range 2 { // the first may be complete before anybody has judged it
		if _, err := fan.send(t.Context(), send.next(), send.send); err != nil {
			if !strings.Contains(err.Error(), "half a state") {
				t.Errorf("want the judge's error, got %v", err)
			}
			return
		}
	}
	t.Error("want the round to fail, it went on")
}

func TestWhatGoesOnBesideEndsWithTheRound(t *testing.T) {
	var done atomic.Int64
	b := &background{reads: []func() error{func() error { done.Add(1); return nil }}}
	enough := b.beside(func(ctx context.Context, _ effort) (sample, error) {
		for done.Load() < 3 && ctx.Err() == nil {
			if err := pause(ctx, time.Millisecond); err != nil {
				return sample{}, err
			}
		}
		return sample{ops: 1}, nil
	})
	if out, err := enough(t.Context(), effort{}); err != nil || out.ops != 1 || b.read.Load() != done.Load() {
		t.Errorf("want what the round gave, and %d reads counted, got %+v, %v, %d", done.Load(), out, err, b.read.Load())
	}
	broken := errors.New("broken")
	b.writes = []func() error{func() error { return broken }}
	forever := b.beside(func(ctx context.Context, _ effort) (sample, error) {
		<-ctx.Done()
		return sample{}, context.Cause(ctx)
	})
	if _, err := forever(t.Context(), effort{}); !errors.Is(err, broken) {
		t.Errorf("want a round to fail with what goes on beside it, got %v", err)
	}
}

func TestResolvingIsMeasured(t *testing.T) {
	_, ruled, who, err := resolvable()
	if err != nil {
		t.Fatal(err)
	}
	if got := ruled.Explain(who); len(got.Verdicts) != 5 || got.Release != ruled.Stable {
		t.Errorf("want five rules asked in vain, got %s", got)
	}
	one, err := resolving(t.Context(), &ruled, who, time.Millisecond)
	if err != nil || one.calls == 0 || one.took <= 0 {
		t.Errorf("not measured: %+v, %v", one, err)
	}
	if _, err := resolving(t.Context(), &config.Rollout{}, who, time.Millisecond); err == nil {
		t.Error("want an error where nothing is served")
	}
}
