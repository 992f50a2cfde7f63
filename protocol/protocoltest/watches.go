package protocoltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func watchScenarios() []scenario {
	needs := []Part{PartWatches}
	return []scenario{
		{"a snapshot, then the marker", needs, watchSnapshot},
		{"a change set at once", needs, watchGrouped},
		{"what was asked for, and nothing else", needs, watchSelected},
		{"deleted and brought back", needs, watchDeleted},
		{"never older than what is read", []Part{PartWatches, PartReads}, watchAndRead},
		{"a slow one gets the latest", needs, watchSlowly},
		{"as many patterns as may be, and one more", needs, watchPatterns},
		{"patterns that cannot be", needs, watchBadPatterns},
		{"as many as a tenant may have, and one more", needs, watchTooMany},
		{"several on one client", needs, watchTwice},
		{"ended by a revoked token", needs, watchRevoked},
		{"ended by a withdrawn right", needs, watchWithdrawn},
		{"left by the client", needs, watchLeft},
	}
}

// follower reads a stream and keeps what it is told.
type follower struct {
	*stage
	stream Stream
	state  map[config.Path]Change
	last   Event
	events int
	resets int
	// falls says that versions may go back, as they do when a launch is aborted.
	falls bool
}

// watch opens a stream that ends with the scenario.
func (s *stage) watch(a *actor, r WatchRequest) *follower {
	s.Helper()
	stream, err := a.Watch(s.ctx, r)
	s.ok(err)
	s.Cleanup(stream.Close)
	return &follower{stage: s, stream: stream, state: map[config.Path]Change{}}
}

// next takes in one event.
func (f *follower) next() Event {
	f.Helper()
	e, err := f.stream.Next(f.ctx)
	if err != nil {
		f.Fatalf("after %d events, the last at %q: %v", f.events, f.last.Revision, err)
	}
	if e.Revision == "" {
		f.Fatalf("want every event to have a revision, got %+v", e)
	}
	if e.Reset {
		clear(f.state)
		f.resets++
	}
	for i, c := range e.Changes {
		if i > 0 && e.Changes[i-1].Path.String() >= c.Path.String() {
			f.Errorf("want changes in the order of paths, got %s after %s", c.Path, e.Changes[i-1].Path)
		}
		before := f.state[c.Path]
		if c.Version < before.Version && !c.Deleted && !f.falls {
			f.Errorf("%s went back from version %d to %d", c.Path, before.Version, c.Version)
		}
		if delete(f.state, c.Path); !c.Deleted {
			f.state[c.Path] = c
		}
	}
	f.last = e
	f.events++
	return e
}

// current reads until there is nothing more to catch up with, and returns what
// it was told, by path; a deleted config has version 0.
func (f *follower) current() map[config.Path]int64 {
	f.Helper()
	return f.read(func() bool { return f.last.Current })
}

// until reads until a config of prod has come to a version.
func (f *follower) until(name string, version int64) map[config.Path]int64 {
	f.Helper()
	return f.read(func() bool { return f.state[f.prod.Join(name)].Version >= version })
}

func (f *follower) read(enough func() bool) map[config.Path]int64 {
	f.Helper()
	told := map[config.Path]int64{}
	for {
		for _, c := range f.next().Changes {
			told[c.Path] = c.Version
		}
		if enough() {
			return told
		}
	}
}

// ends reads until the stream ends, and returns why.
func (f *follower) ends() error {
	f.Helper()
	for {
		if _, err := f.stream.Next(f.ctx); err != nil {
			if f.ctx.Err() != nil {
				f.Fatalf("the stream did not end: %v", err)
			}
			return err
		}
	}
}

// watchError opens a watch that is to be refused, and returns why it was.
func (s *stage) watchError(a *actor, r WatchRequest) error {
	s.Helper()
	stream, err := a.Watch(s.ctx, r)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = stream.Next(s.ctx)
	return err
}

// versions are what the follower knows of prod, by name.
func (f *follower) versions() map[string]int64 {
	all := map[string]int64{}
	for path, c := range f.state {
		all[path.Name] = c.Version
	}
	return all
}

func watchSnapshot(s *stage) {
	app, _ := s.application(config.Client{})
	empty := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	empty.current()
	s.want("resets, and what is in an empty env", []int{1, 0}, []int{empty.resets, len(empty.state)})

	set := s.publish("b.yaml", "b: 1\n", "a.json", "1")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	first := w.next()
	want := []Change{
		{Path: s.prod.Join("a.json"), Version: 1, Format: "json", Digest: set.Items[1].Digest, Content: []byte("1")},
		{Path: s.prod.Join("b.yaml"), Version: 1, Format: "yaml", Digest: set.Items[0].Digest, Content: []byte("b: 1\n")},
	}
	if _, without := s.proto.lacks(PartWatchContent); without {
		want[0].Content, want[1].Content = nil, nil
	}
	s.want("whether it is a snapshot, and its changes", []any{true, want}, []any{first.Reset, first.Changes})
	if !first.Current {
		w.current()
	}
	s.want("the changes with the marker, if it comes alone", w.last.Current && (first.Current || len(w.last.Changes) == 0), true)
	s.want("the revision of the marker", set.Revision, w.last.Revision)
}

func watchGrouped(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "0", "b.json", "0", "c.json", "0")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	for n := range 10 {
		set := s.publish("c.json", fmt.Sprint(n), "a.json", fmt.Sprint(n), "b.json", fmt.Sprint(n))
		e := w.next()
		s.want("how many changes come at once", 3, len(e.Changes))
		s.want("the revision", set.Revision, e.Revision)
		for _, c := range e.Changes {
			s.want(c.Path.Name+": the version", int64(n+2), c.Version)
		}
	}
	s.want("resets", 1, w.resets)
}

func watchSelected(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("app-1.json", "0", "exact.json", "0", "other.json", "0")
	w := s.watch(app, WatchRequest{Patterns: []string{
		s.prod.String() + "/app-*", s.prod.Join("exact.json").String(), s.prod.Join("later.json").String(),
	}})
	w.current()
	s.want("the snapshot", map[string]int64{"app-1.json": 1, "exact.json": 1}, w.versions())
	s.publish("other.json", "1")
	s.publish("app-2.json", "1", "other.json", "2", "exact.json.not", "1")
	e := w.next()
	s.want("the changes", []Change{{Path: s.prod.Join("app-2.json"), Version: 1}}, bare(e.Changes))
	s.publish("later.json", "1")
	w.until("later.json", 1)
	s.want("what is known", map[string]int64{"app-1.json": 1, "app-2.json": 1, "exact.json": 1, "later.json": 1}, w.versions())
}

// bare are changes without content and what goes with it.
func bare(changes []Change) []Change {
	var all []Change
	for _, c := range changes {
		all = append(all, Change{Path: c.Path, Version: c.Version, Deleted: c.Deleted})
	}
	return all
}

func watchDeleted(s *stage) {
	app, _ := s.application(config.Client{})
	path := s.prod.Join("a.json")
	s.publish("a.json", "1", "b.json", "1")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: path}))
	s.want("the deletion", []Change{{Path: path, Deleted: true}}, bare(w.next().Changes))
	_, err := s.arrange.UndeleteConfig(s.ctx, path, "")
	s.ok(err)
	s.want("the return", []Change{{Path: path, Version: 1}}, bare(w.next().Changes))
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: path, Purge: true}))
	s.want("the purge", []Change{{Path: path, Deleted: true}}, bare(w.next().Changes))
	s.publish("a.json", "1")
	s.want("the new config", []Change{{Path: path, Version: 2}}, bare(w.next().Changes))
}

func watchAndRead(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "0")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	for range 20 {
		s.publish("a.json", "1")
		w.next()
		seen := w.state[s.prod.Join("a.json")].Version
		got, err := app.Get(s.ctx, Read{Path: s.prod.Join("a.json")})
		s.ok(err)
		if got.Version < seen {
			s.Errorf("read version %d after version %d was watched", got.Version, seen)
		}
	}
}

// watchSlowly publishes more than fits on the way while the client reads nothing.
func watchSlowly(s *stage) {
	const versions, size = 80, 512 << 10
	app, _ := s.application(config.Client{})
	s.publish("big.txt", "", "small.txt", "", "gone.txt", "")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	w.events = 0
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: s.prod.Join("gone.txt")}))
	for n := range versions {
		s.publish("big.txt", strings.Repeat(fmt.Sprint(n%10), size), "small.txt", fmt.Sprint(n))
	}
	for _, name := range []string{"big.txt", "small.txt"} {
		if w.state[s.prod.Join(name)].Version <= versions {
			w.until(name, versions+1)
		}
	}
	s.want("what is known", map[string]int64{"big.txt": versions + 1, "small.txt": versions + 1}, w.versions())
	s.want("resets", 1, w.resets)
	if _, without := s.proto.lacks(PartWatchContent); !without && w.events > versions*2/3 {
		s.Errorf("want the states in between to be left out for a client that reads nothing, got %d events of %d", w.events, versions)
	}
}

func watchPatterns(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("c-255.json", "1")
	patterns := make([]string, center.MaxPatterns)
	for i := range patterns {
		patterns[i] = s.prod.Join(fmt.Sprintf("c-%d.json", i)).String()
	}
	w := s.watch(app, WatchRequest{Patterns: patterns})
	w.current()
	s.want("the snapshot", map[string]int64{"c-255.json": 1}, w.versions())
	s.publish("c-0.json", "1")
	w.until("c-0.json", 1)
	err := s.watchError(app, WatchRequest{Patterns: slices.Concat(patterns, []string{s.prod.String()})})
	s.refused("one pattern too many", config.Invalid, err)
}

func watchBadPatterns(s *stage) {
	admin := s.admin()
	s.refused("no pattern", config.Invalid, s.watchError(admin, WatchRequest{}))
	for _, pattern := range []string{"", "/", "*", "*/shop", s.prod.String() + "/a/b", s.prod.String() + "/*.json", "Größe/shop", "acme//prod", s.prod.String() + "/a*b"} {
		r := WatchRequest{Patterns: []string{s.prod.String(), pattern}}
		want := s.watchError(s.arrange, r)
		err := s.watchError(admin, r)
		s.refused("the pattern "+pattern, config.Invalid, err)
		s.sameError("the pattern "+pattern, want, err)
	}
}

// watchTooMany has the places of the tenant taken by others, so that the client of
// the protocol is the one too many.
func watchTooMany(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	r := WatchRequest{Patterns: []string{s.prod.String()}}
	var others []*follower
	for range limitWatches {
		others = append(others, s.watch(s.arrange, r))
	}
	s.refused("one watch more", config.Throttled, s.watchError(app, r))
	others[0].stream.Close()
	s.watch(app, r).current()
}

func watchTwice(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1", "b.json", "1")
	a := s.watch(app, WatchRequest{Patterns: []string{s.prod.Join("a.json").String()}})
	b := s.watch(app, WatchRequest{Patterns: []string{s.prod.Join("b.json").String()}})
	a.current()
	b.current()
	s.publish("a.json", "2", "b.json", "2")
	s.want("the first", []Change{{Path: s.prod.Join("a.json"), Version: 2}}, bare(a.next().Changes))
	s.want("the second", []Change{{Path: s.prod.Join("b.json"), Version: 2}}, bare(b.next().Changes))
	a.stream.Close()
	s.publish("a.json", "3", "b.json", "3")
	s.want("the second, when the first has ended", []Change{{Path: s.prod.Join("b.json"), Version: 3}}, bare(b.next().Changes))
}

// root is the admin for calls of the center itself.
func (s *stage) root() context.Context {
	return auth.WithIdentity(s.ctx, auth.Identity{Subject: center.AdminUser, Method: basic.Name})
}

func watchRevoked(s *stage) {
	app, token := s.application(config.Client{})
	s.publish("a.json", "1")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	s.ok(s.node.Center.RevokeToken(s.root(), token))
	s.refused("the watch of a revoked token", config.Unauthenticated, w.ends())
	s.refused("a new watch of it", config.Unauthenticated, s.watchError(app, WatchRequest{Patterns: []string{s.prod.String()}}))
}

func watchWithdrawn(s *stage) {
	caller, _ := s.user()
	app := s.as(caller)
	binding, err := s.node.Center.CreateBinding(s.root(), auth.Binding{User: s.newest, Role: auth.RoleClient, Scope: s.prod})
	s.ok(err)
	s.publish("a.json", "1")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	s.ok(s.node.Center.DeleteBinding(s.root(), binding.ID))
	s.publish("a.json", "2")
	s.refused("the watch of one without the right", config.Denied, w.ends())
}

func watchLeft(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1")
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := w.stream.Next(ctx); err == nil || !errors.Is(err, context.Canceled) && config.KindOf(err) != config.Canceled {
		s.Errorf("want it canceled, got %v", err)
	}
}
