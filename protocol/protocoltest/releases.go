package protocoltest

import (
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func releaseScenarios() []scenario {
	needs := []Part{PartReleases}
	return []scenario{
		{"a publish is what it says", needs, publishTells},
		{"a conditional publish, and the version of its conflict", needs, publishOnCondition},
		{"a change set is all or nothing, with every problem", needs, changeSetWhole},
		{"a protected env wants a comment", needs, publishProtected},
		{"a rollback makes a new release", needs, rollbackGoesUp},
		{"a promotion releases what differs", needs, promotionDiffers},
		{"history, the newest first, page by page", needs, historyInPages},
	}
}

func publishTells(s *stage) {
	a := s.admin()
	p := s.items("app.yaml", "a: 1\n", "limits.json", "{}")
	p.Comment = "第一次: “quoted” <&>\ttab"
	p.Items[0].Format = "text"
	set, err := a.Publish(s.ctx, p)
	s.ok(err)
	history, err := s.arrange.ListChangeSets(s.ctx, s.app.Tenant, center.PageRequest{})
	s.ok(err)
	s.want("the change set and the history", history.Items[0], set)
	s.want("the comment", p.Comment, set.Comment)
	s.want("the items", []config.ChangeItem{
		{Path: s.prod.Join("app.yaml"), Version: 1, Format: "text", Size: 5, Digest: set.Items[0].Digest},
		{Path: s.prod.Join("limits.json"), Version: 1, Format: "json", Size: 2, Digest: set.Items[1].Digest},
	}, set.Items)

	p = s.items("app.yaml", "a: 1\n", "limits.json", "[]")
	p.Items[0].SkipUnchanged, p.Items[1].SkipUnchanged = true, true
	set, err = a.Publish(s.ctx, p)
	s.ok(err)
	s.want("unchanged and version of each", []any{true, int64(1), false, int64(2)},
		[]any{set.Items[0].Unchanged, set.Items[0].Version, set.Items[1].Unchanged, set.Items[1].Version})
}

func publishOnCondition(s *stage) {
	a := s.admin()
	on := func(version int64, content string) error {
		p := s.items("app.json", content)
		p.Items[0].ExpectedVersion = &version
		_, err := a.Publish(s.ctx, p)
		return err
	}
	s.want("the version of a conflict where there is none", int64(0), s.refused("a second version first", config.Conflict, on(1, "1")).Current)
	s.ok(on(0, "1"))
	s.want("the version of a conflict", int64(1), s.refused("a first version again", config.Conflict, on(0, "2")).Current)
	s.ok(on(1, "2"))
	s.publish("app.json", "3")
	err := s.refused("a version that was overtaken", config.Conflict, on(2, "4"))
	s.want("the version and path of a conflict", []any{int64(3), s.prod.Join("app.json").String()}, []any{err.Current, err.Path})
	content := s.released("app.json")
	s.want("what is served", "3", content)
}

// released is what an application gets of a config of prod.
func (s *stage) released(name string) string {
	s.Helper()
	got, err := s.arrange.Get(s.ctx, Read{Path: s.prod.Join(name)})
	s.ok(err)
	return string(got.Content)
}

func changeSetWhole(s *stage) {
	a := s.admin()
	p := s.items(
		"a.yaml", "a: 1\n\tb: 2\n", "b.json", "{\n \"größe\": [1,\n ]\n}", "c.yaml", "fine: true\n", "d.json", "{\"x\" 1}")
	_, want := s.arrange.Publish(s.ctx, p)
	_, got := a.Publish(s.ctx, p)
	s.refused("a change set with malformed content", config.Invalid, got)
	s.sameError("a change set with malformed content", want, got)
	seen := map[string]bool{}
	for _, problem := range config.AsError(got).Problems {
		seen[problem.Path] = true
		if problem.Line == 0 || problem.Column == 0 || problem.Excerpt == "" || problem.Message == "" || problem.Severity != config.SeverityError {
			s.Errorf("want a place, an excerpt, a message and a severity, got %+v", problem)
		}
	}
	s.want("how many configs have problems", 3, len(seen))

	p = s.items("c.yaml", "fine: true\n", "e.json", "1")
	p.Items[1].ExpectedVersion = ptr(int64(4))
	_, err := a.Publish(s.ctx, p)
	s.refused("a change set with a conflict", config.Conflict, err)
	for _, c := range []struct {
		what string
		edit func(*center.Publish)
	}{
		{"a config twice", func(p *center.Publish) { p.Items[1].Path = p.Items[0].Path }},
		{"a config of another tenant", func(p *center.Publish) { p.Items[1].Path.Tenant = "elsewhere" }},
		{"an env that is not there", func(p *center.Publish) { p.Items[1].Path.Env = "moon" }},
		{"no items", func(p *center.Publish) { p.Items = nil }},
	} {
		p := s.items("c.yaml", "fine: true\n", "e.json", "1")
		c.edit(&p)
		_, want := s.arrange.Publish(s.ctx, p)
		_, err := a.Publish(s.ctx, p)
		s.refused(c.what, config.KindOf(want), err)
	}
	page, err := s.arrange.ListConfigs(s.ctx, center.ConfigsRequest{Env: s.prod})
	s.ok(err)
	s.want("the configs that were made", 0, len(page.Items))
}

func publishProtected(s *stage) {
	a := s.admin()
	_, err := s.arrange.UpdateEnv(s.ctx, center.EnvPatch{Path: s.prod, Protected: ptr(true)})
	s.ok(err)
	p := s.items("app.json", "1")
	_, want := s.arrange.Publish(s.ctx, p)
	_, err = a.Publish(s.ctx, p)
	s.refused("a publish without a comment", config.Invalid, err)
	s.sameError("a publish without a comment", want, err)
	p.Comment = "why"
	_, err = a.Publish(s.ctx, p)
	s.ok(err)
}

func rollbackGoesUp(s *stage) {
	a := s.admin()
	path := s.prod.Join("app.json")
	_, err := a.Rollback(s.ctx, center.Rollback{Path: path})
	s.refused("a rollback of nothing", config.NotFound, err)
	for _, content := range []string{"1", "2", "3"} {
		s.publish("app.json", content)
	}
	set, err := a.Rollback(s.ctx, center.Rollback{Path: path, Comment: "bad"})
	s.ok(err)
	s.want("the action, version and comment", []any{"rollback", int64(4), "bad"}, []any{set.Action, set.Items[0].Version, set.Comment})
	s.want("what is served", "2", s.released("app.json"))
	_, err = a.Rollback(s.ctx, center.Rollback{Path: path})
	s.refused("a rollback of a rollback", config.Conflict, err)
	_, err = a.Rollback(s.ctx, center.Rollback{Path: path, Version: 1, ExpectedVersion: ptr(int64(3))})
	s.want("the version of a conflict", int64(4), s.refused("a rollback of another version", config.Conflict, err).Current)
	_, err = a.Rollback(s.ctx, center.Rollback{Path: path, Version: 1, ExpectedVersion: ptr(int64(4))})
	s.ok(err)
	release, content, err := a.Release(s.ctx, path, 5)
	s.ok(err)
	s.want("the source", config.Source{Kind: config.SourceRollback, Version: 1}, release.Source)
	s.want("the content", "1", string(content))
	_, err = a.Rollback(s.ctx, center.Rollback{Path: path, Version: 99})
	s.refused("a rollback to what never was", config.NotFound, err)
}

func promotionDiffers(s *stage) {
	a := s.admin()
	from := center.Publish{Tenant: s.app.Tenant}
	for _, name := range []string{"a.json", "b.json", "c.json"} {
		from.Items = append(from.Items, center.PublishItem{Path: s.dev.Join(name), Content: []byte(`"` + name + `"`)})
	}
	_, err := s.arrange.Publish(s.ctx, from)
	s.ok(err)
	s.publish("b.json", `"b.json"`)

	dry, err := a.Promote(s.ctx, center.Promote{From: s.dev, To: s.prod, DryRun: true})
	s.ok(err)
	s.want("a dry run", 3, len(dry.Items))
	if _, err := s.arrange.Get(s.ctx, Read{Path: s.prod.Join("a.json")}); config.KindOf(err) != config.NotFound {
		s.Errorf("want nothing released by a dry run, got %v", err)
	}
	set, err := a.Promote(s.ctx, center.Promote{From: s.dev, To: s.prod, Names: []string{"a.json", "b.json"}, Comment: "tested"})
	s.ok(err)
	unchanged := map[string]bool{}
	for _, item := range set.Items {
		unchanged[item.Path.String()] = item.Unchanged
	}
	s.want("what was unchanged", map[string]bool{s.prod.Join("a.json").String(): false, s.prod.Join("b.json").String(): true}, unchanged)
	s.want("what is served", `"a.json"`, s.released("a.json"))
	release, _, err := a.Release(s.ctx, s.prod.Join("a.json"), 1)
	s.ok(err)
	s.want("the source", config.Source{Kind: config.SourcePromotion, Version: 1, From: s.dev.Join("a.json").String()}, release.Source)
	back := center.Promote{From: s.prod, To: s.dev}
	_, want := s.arrange.Promote(s.ctx, back)
	_, err = a.Promote(s.ctx, back)
	s.refused("a promotion backward", config.Invalid, err)
	s.sameError("a promotion backward", want, err)
	back.Backward = true
	_, err = a.Promote(s.ctx, back)
	s.ok(err)
}

func historyInPages(s *stage) {
	a := s.admin()
	path := s.prod.Join("app.json")
	for _, content := range []string{"1", "2", "3", "4", "5"} {
		s.publish("app.json", content)
	}
	var versions []int64
	r := center.PageRequest{Limit: 2}
	for {
		page, err := a.ListReleases(s.ctx, path, r)
		s.ok(err)
		for _, release := range page.Items {
			versions = append(versions, release.Version)
		}
		if page.Next == "" || len(page.Items) != 2 {
			break
		}
		r.After = page.Next
	}
	s.want("the versions of all pages", []int64{5, 4, 3, 2, 1}, versions)
	want, err := s.arrange.ListReleases(s.ctx, path, center.PageRequest{})
	s.ok(err)
	got, err := a.ListReleases(s.ctx, path, center.PageRequest{})
	s.ok(err)
	s.want("the releases", want, got)

	first, err := a.ListChangeSets(s.ctx, s.app.Tenant, center.PageRequest{Limit: 3})
	s.ok(err)
	rest, err := a.ListChangeSets(s.ctx, s.app.Tenant, center.PageRequest{Limit: 3, After: first.Next})
	s.ok(err)
	sets, err := s.arrange.ListChangeSets(s.ctx, s.app.Tenant, center.PageRequest{})
	s.ok(err)
	s.want("the change sets of both pages", sets.Items, append(first.Items, rest.Items...))

	_, _, err = a.Release(s.ctx, path, 6)
	s.refused("a release that is not there", config.NotFound, err)
	_, err = a.ListReleases(s.ctx, s.prod.Join("other.json"), center.PageRequest{})
	s.refused("the releases of no config", config.NotFound, err)
}
