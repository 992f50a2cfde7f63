package protocoltest

import (
	"strconv"
	"sync"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func readScenarios() []scenario {
	needs := []Part{PartReads}
	return []scenario{
		{"what is served, and what is not there", needs, readServed},
		{"not modified", []Part{PartReads, PartConditions}, readNotModified},
		{"an env not modified", []Part{PartReads, PartEnvConditions}, readEnvNotModified},
		{"an env is as of one revision", needs, readWhole},
		{"one's own writes, and the newest", []Part{PartReads, PartFreshness}, readFresh},
		{"tokens that cannot be", []Part{PartReads, PartFreshness}, readBadTokens},
	}
}

func readServed(s *stage) {
	app, _ := s.application(config.Client{})
	set := s.publish("b.yaml", "b: 1\n", "a.json", "1")
	got, err := app.Get(s.ctx, Read{Path: s.prod.Join("b.yaml")})
	s.ok(err)
	s.want("the version, format and content", []any{int64(1), "yaml", "b: 1\n"}, []any{got.Version, got.Format, string(got.Content)})
	s.want("the revision", set.Revision, got.Revision)

	snapshot, err := app.Snapshot(s.ctx, Read{Path: s.prod})
	s.ok(err)
	s.want("the env", Snapshot{Revision: set.Revision, Tag: snapshot.Tag, Configs: []ServedConfig{
		{Path: s.prod.Join("a.json"), Version: 1, Format: "json", Digest: set.Items[1].Digest, Content: []byte("1")},
		{Path: s.prod.Join("b.yaml"), Version: 1, Format: "yaml", Digest: set.Items[0].Digest, Content: []byte("b: 1\n")},
	}}, snapshot)

	_, err = s.arrange.CreateConfig(s.ctx, config.Config{Path: s.prod.Join("unreleased.json")})
	s.ok(err)
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: s.prod.Join("a.json")}))
	for _, name := range []string{"missing.json", "unreleased.json", "a.json"} {
		read := Read{Path: s.prod.Join(name)}
		_, want := s.arrange.Get(s.ctx, read)
		_, err := app.Get(s.ctx, read)
		s.refused(name, config.NotFound, err)
		s.sameError(name, want, err)
	}
	snapshot, err = app.Snapshot(s.ctx, Read{Path: s.prod})
	s.ok(err)
	s.want("how many are left", 1, len(snapshot.Configs))
	none, err := s.admin().Snapshot(s.ctx, Read{Path: s.dev})
	s.ok(err)
	s.want("what an empty env holds", 0, len(none.Configs))
	_, err = s.admin().Snapshot(s.ctx, Read{Path: s.app.Join("moon")})
	s.refused("an env that is not there", config.NotFound, err)
}

func readNotModified(s *stage) {
	app, _ := s.application(config.Client{})
	path := s.prod.Join("app.json")
	s.publish("app.json", `"one"`)
	first, err := app.Get(s.ctx, Read{Path: path})
	s.ok(err)
	if first.Tag == "" || first.NotModified {
		s.Fatalf("want an answer with a tag, got %+v", first)
	}
	again, err := app.Get(s.ctx, Read{Path: path, Have: first.Tag})
	s.ok(err)
	if !again.NotModified || len(again.Content) > 0 {
		s.Errorf("want it not modified, and no content, got %+v", again)
	}
	s.want("the version of what was not modified", int64(1), again.Version)
	s.publish("other.json", "1")
	again, err = app.Get(s.ctx, Read{Path: path, Have: first.Tag})
	s.ok(err)
	s.want("not modified by another config", true, again.NotModified)

	s.publish("app.json", `"two"`)
	changed, err := app.Get(s.ctx, Read{Path: path, Have: first.Tag})
	s.ok(err)
	s.want("what was modified", []any{false, int64(2), `"two"`}, []any{changed.NotModified, changed.Version, string(changed.Content)})
	s.publish("app.json", `"one"`)
	back, err := app.Get(s.ctx, Read{Path: path, Have: changed.Tag})
	s.ok(err)
	s.want("the old content is another again", `"one"`, string(back.Content))
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: path}))
	_, err = app.Get(s.ctx, Read{Path: path, Have: back.Tag})
	s.refused("what was deleted is not not-modified", config.NotFound, err)
}

func readEnvNotModified(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("a.json", "1", "b.json", "2")
	first, err := app.Snapshot(s.ctx, Read{Path: s.prod})
	s.ok(err)
	again, err := app.Snapshot(s.ctx, Read{Path: s.prod, Have: first.Tag})
	s.ok(err)
	if !again.NotModified || len(again.Configs) > 0 {
		s.Errorf("want it not modified, and no configs, got %+v", again)
	}
	s.ok(s.arrange.DeleteConfig(s.ctx, center.DeleteConfig{Path: s.prod.Join("a.json")}))
	changed, err := app.Snapshot(s.ctx, Read{Path: s.prod, Have: first.Tag})
	s.ok(err)
	s.want("what was modified", []any{false, 1}, []any{changed.NotModified, len(changed.Configs)})
}

// readWhole reads while change sets are published one after the other.
func readWhole(s *stage) {
	const sets, reads = 150, 50
	app, _ := s.application(config.Client{})
	names := []string{"a.json", "b.json", "c.json", "d.json"}
	publish := func(n int) error {
		var pairs []string
		for _, name := range names {
			pairs = append(pairs, name, strconv.Itoa(n))
		}
		_, err := s.arrange.Publish(s.ctx, s.items(pairs...))
		return err
	}
	s.ok(publish(0))
	published := make(chan error, 1) // room, so that nobody waits if the reads fail
	go func() {
		var err error
		for n := 1; n <= sets && err == nil; n++ {
			err = publish(n)
		}
		published <- err
	}()
	last, over := int64(0), false
	for n := 0; n < reads || !over; n++ {
		snapshot, err := app.Snapshot(s.ctx, Read{Path: s.prod})
		s.ok(err)
		if last = s.whole(snapshot, len(names), last); last == 0 {
			break
		}
		select {
		case err := <-published:
			s.ok(err)
			over = true
		default:
		}
	}
	if !over {
		s.ok(<-published)
	}
}

// whole returns the version of all configs of a snapshot, or fails and returns 0
// if they are not all of one change set, or of one before the last.
func (s *stage) whole(snapshot Snapshot, configs int, last int64) int64 {
	s.Helper()
	if len(snapshot.Configs) != configs {
		s.Errorf("want %d configs, got %d", configs, len(snapshot.Configs))
		return 0
	}
	first := snapshot.Configs[0]
	for _, c := range snapshot.Configs {
		if c.Version != first.Version || string(c.Content) != string(first.Content) || c.Version < last {
			s.Errorf("half of a change set: %s has version %d of content %s, %s version %d of %s; before it was %d",
				first.Path, first.Version, first.Content, c.Path, c.Version, c.Content, last)
			return 0
		}
	}
	return first.Version
}

// readFresh reads from a node that has not heard of the newest yet.
func readFresh(s *stage) {
	app, _ := s.application(config.Client{})
	path := s.prod.Join("app.json")
	s.publish("app.json", "1")
	release := s.node.store.hold()
	defer release()
	set := s.publish("app.json", "2")
	old, err := app.Get(s.ctx, Read{Path: path})
	s.ok(err)
	s.want("what a node serves that is behind", "1", string(old.Content))
	late := make([]error, 4)
	var waiting sync.WaitGroup // for as long as a node waits for a revision
	for i, fresh := range []center.Freshness{{MinRevision: set.Revision}, {Strong: true}} {
		waiting.Go(func() { _, late[2*i] = app.Get(s.ctx, Read{Path: path, Freshness: fresh}) })
		waiting.Go(func() { _, late[2*i+1] = app.Snapshot(s.ctx, Read{Path: s.prod, Freshness: fresh}) })
	}
	waiting.Wait()
	for _, err := range late {
		s.refused("a fresh read of a node that does not catch up", config.Timeout, err)
	}
	release()
	for _, fresh := range []center.Freshness{{MinRevision: set.Revision}, {Strong: true}, {MinRevision: set.Revision, Strong: true}} {
		got, err := app.Get(s.ctx, Read{Path: path, Freshness: fresh})
		s.ok(err)
		s.want("a fresh read", "2", string(got.Content))
		env, err := app.Snapshot(s.ctx, Read{Path: s.prod, Freshness: fresh})
		s.ok(err)
		s.want("a fresh read of the env", "2", string(env.Configs[0].Content))
	}
}

func readBadTokens(s *stage) {
	app, _ := s.application(config.Client{})
	s.publish("app.json", "1")
	for _, token := range []config.Token{"x", "-1.abc", "1.elsewhere", "zzzzzzzzzzzzzzzzzzzzzz.x", "1", ".", "größe.x"} {
		read := Read{Path: s.prod.Join("app.json"), Freshness: center.Freshness{MinRevision: token}}
		_, want := s.arrange.Get(s.ctx, read)
		_, err := app.Get(s.ctx, read)
		s.refused("the token "+string(token), config.Invalid, err)
		s.sameError("the token "+string(token), want, err)
	}
}
