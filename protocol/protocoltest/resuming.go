package protocoltest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func resumeScenarios() []scenario {
	needs := []Part{PartWatches}
	return []scenario{
		{"what changed meanwhile, and the marker", needs, resumeMeanwhile},
		{"nothing changed meanwhile", needs, resumeUnchanged},
		{"by a token of another protocol, and back", needs, resumeAcross},
		{"cut again and again while it changes", needs, resumeStorm},
		{"from where nobody can resume", needs, resumeReset},
		{"by what is no token", needs, resumeBadTokens},
	}
}

func resumeMeanwhile(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1", "b.json", "1", "c.json", "1")
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	w := s.watch(app, r)
	w.current()
	w.stream.Close()

	s.publish("a.json", "2")
	s.publish("a.json", "3", "d.json", "1")
	s.publish("d.json", "2")
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: s.prod.Join("b.json")}))
	r.After = w.last.Revision
	again := s.watch(app, r)
	told := again.current()
	s.want("resets", 0, again.resets)
	s.want("what is told", map[config.Path]int64{s.prod.Join("a.json"): 3, s.prod.Join("b.json"): 0, s.prod.Join("d.json"): 2}, told)
	s.publish("c.json", "2")
	again.until("c.json", 2)
}

func resumeUnchanged(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	w := s.watch(app, r)
	w.current()
	w.stream.Close()
	_, err := s.arrange.CreateConfig(s.ctx, config.Config{Path: s.dev.Join("elsewhere.json")})
	s.ok(err)
	r.After = w.last.Revision
	again := s.watch(app, r)
	s.want("what is told, and resets", []int{0, 0}, []int{len(again.current()), again.resets})
}

func resumeAcross(s *stage) {
	app, _ := s.application(config.Client{})
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	s.publish("a.json", "1", "b.json", "1")
	elsewhere := s.watch(s.arrange, r)
	elsewhere.current()
	set := s.publish("b.json", "2")
	for what, token := range map[string]config.Token{"of a watch": elsewhere.last.Revision, "of a publish": set.Revision} {
		w := s.watch(app, WatchRequest{Patterns: r.Patterns, After: token})
		told := w.current()
		want := map[config.Path]int64{}
		if token != set.Revision {
			want[s.prod.Join("b.json")] = 2
		}
		s.want("what is told by the token "+what, want, told)
		s.want("resets", 0, w.resets)
	}
	w := s.watch(app, r)
	w.current()
	s.publish("a.json", "2")
	back := s.watch(s.arrange, WatchRequest{Patterns: r.Patterns, After: w.last.Revision})
	s.want("what is told elsewhere", map[config.Path]int64{s.prod.Join("a.json"): 2}, back.current())
	s.want("resets elsewhere", 0, back.resets)
}

// resumeStorm cuts a watch after every few events and goes on where it was.
func resumeStorm(s *stage) {
	const versions = 60
	app, _ := s.application(config.Client{})
	s.publish("a.json", "0", "b.json", "0")
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	w := s.watch(app, r)
	w.current()
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		for n := range versions {
			if _, err := s.arrange.Publish(s.ctx, s.items("a.json", fmt.Sprint(n), "b.json", fmt.Sprint(n))); err != nil {
				s.Errorf("publish: %v", err)
				return
			}
		}
	})
	cuts := 0
	for w.state[s.prod.Join("a.json")].Version <= versions {
		for range cuts % 3 {
			if w.state[s.prod.Join("a.json")].Version > versions {
				break
			}
			w.next()
		}
		if a, b := w.state[s.prod.Join("a.json")], w.state[s.prod.Join("b.json")]; a.Version != b.Version {
			s.Fatalf("half of a change set: a has version %d, b has %d", a.Version, b.Version)
		}
		w.stream.Close()
		r.After = w.last.Revision
		next := s.watch(app, r)
		next.state = w.state
		w = next
		w.current()
		cuts++
	}
	s.want("resets after the first", 0, w.resets)
	s.want("what is known", map[string]int64{"a.json": versions + 1, "b.json": versions + 1}, w.versions())
}

// revisionOf reads a token, as no client may: to make tokens that no server would
// give out any more.
func revisionOf(t config.Token) int64 {
	digits, _, _ := strings.Cut(string(t), ".")
	revision, _ := strconv.ParseInt(digits, 36, 64)
	return revision
}

func resumeReset(s *stage) {
	app, _ := s.application(config.Client{})
	newest := s.publish("a.json", "1").Revision
	_, installation, _ := strings.Cut(string(newest), ".")
	for what, token := range map[string]config.Token{
		"of another installation": config.Token(strconv.FormatInt(revisionOf(newest), 36) + ".elsewhere"),
		"from before the node":    config.Token("1." + installation),
		"of the beginning":        config.Token("0." + installation),
		"of a lost future":        config.Token("zzzzzz." + installation),
	} {
		w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}, After: token})
		w.current()
		s.want("the resets of a token "+what, 1, w.resets)
		s.want("the snapshot of a token "+what, map[string]int64{"a.json": 1}, w.versions())
	}
}

func resumeBadTokens(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	for _, token := range []config.Token{"x", "-1.abc", "1", ".", "größe.x", "99999999999999999999999999.x"} {
		r := WatchRequest{Patterns: []string{s.prod.String()}, After: token}
		want := s.watchError(s.arrange, r)
		err := s.watchError(app, r)
		s.refused("the token "+string(token), config.Invalid, err)
		s.sameError("the token "+string(token), want, err)
	}
}
