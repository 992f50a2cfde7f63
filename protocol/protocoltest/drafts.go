package protocoltest

import (
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func draftScenarios() []scenario {
	return []scenario{
		{"saved, read and dropped", []Part{PartDrafts}, draftsLive},
		{"malformed ones are saved, with their problems", []Part{PartDrafts}, draftsMalformed},
		{"saved on the condition of a revision", []Part{PartDrafts}, draftsOnCondition},
		{"published", []Part{PartDrafts, PartReleases}, draftsPublished},
	}
}

func draftsLive(s *stage) {
	a := s.admin()
	s.publish("app.yaml", "a: 1\n")
	path := s.prod.Join("app.yaml")
	saved, problems, err := a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte("a: 2\r\n")})
	s.ok(err)
	s.want("the problems", 0, len(problems))
	want, err := s.arrange.Draft(s.ctx, path)
	s.ok(err)
	got, err := a.Draft(s.ctx, path)
	s.ok(err)
	s.want("the draft", want, got)
	s.want("the draft's revision, author and base", []any{want.Revision, want.Author, int64(1)}, []any{saved.Revision, saved.Author, saved.BaseVersion})

	s.refused("dropping another draft", config.Conflict, a.DeleteDraft(s.ctx, path, s.publish("b.json", "1").Revision))
	s.ok(a.DeleteDraft(s.ctx, path, saved.Revision))
	_, err = a.Draft(s.ctx, path)
	s.refused("a draft that was dropped", config.NotFound, err)
	s.refused("dropping it again", config.NotFound, a.DeleteDraft(s.ctx, path, ""))
}

func draftsMalformed(s *stage) {
	a := s.admin()
	s.publish("app.json", "{}")
	save := center.SaveDraft{Path: s.prod.Join("app.json"), Content: []byte("{\n  \"größe\": 1,\n  \"b\" 2\n}")}
	_, want, err := s.arrange.SaveDraft(s.ctx, save)
	s.ok(err)
	_, got, err := a.SaveDraft(s.ctx, save)
	s.ok(err)
	s.want("the problems", want, got)
	if len(got) == 0 || got[0].Line != 3 || got[0].Column == 0 || got[0].Excerpt == "" {
		s.Errorf("want a problem on line 3 with a column and an excerpt, got %+v", got)
	}
	save.Format = "klingon"
	_, _, want2 := s.arrange.SaveDraft(s.ctx, save)
	_, _, got2 := a.SaveDraft(s.ctx, save)
	s.sameError("a format that is not there", want2, got2)
}

func draftsOnCondition(s *stage) {
	a := s.admin()
	s.publish("app.yaml", "a: 1\n")
	save := center.SaveDraft{Path: s.prod.Join("app.yaml"), Content: []byte("a: 2\n"), Expected: ptr(config.Token(""))}
	first, _, err := a.SaveDraft(s.ctx, save)
	s.ok(err)
	_, _, err = a.SaveDraft(s.ctx, save)
	s.refused("a first draft where there is one", config.Conflict, err)
	save.Expected = &first.Revision
	_, _, err = a.SaveDraft(s.ctx, save)
	s.ok(err)
	_, _, err = a.SaveDraft(s.ctx, save)
	s.refused("a draft on an older one", config.Conflict, err)
	save.Expected = nil
	_, _, err = a.SaveDraft(s.ctx, save)
	s.ok(err)
}

func draftsPublished(s *stage) {
	a := s.admin()
	s.publish("app.json", "1")
	path := s.prod.Join("app.json")
	publish := func(revision config.Token) center.Publish {
		return center.Publish{Tenant: path.Tenant, Items: []center.PublishItem{{Path: path, FromDraft: true, DraftRevision: revision}}}
	}
	_, err := a.Publish(s.ctx, publish(""))
	s.refused("a draft that is not there", config.NotFound, err)
	_, _, err = a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte("{")})
	s.ok(err)
	_, want := s.arrange.Publish(s.ctx, publish(""))
	_, err = a.Publish(s.ctx, publish(""))
	s.refused("a draft that is malformed", config.Invalid, err)
	s.sameError("a draft that is malformed", want, err)
	stale, _, err := a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte("2")})
	s.ok(err)
	saved, _, err := a.SaveDraft(s.ctx, center.SaveDraft{Path: path, Content: []byte("3")})
	s.ok(err)
	_, err = a.Publish(s.ctx, publish(stale.Revision))
	s.refused("a draft that was changed", config.Conflict, err)
	set, err := a.Publish(s.ctx, publish(saved.Revision))
	s.ok(err)
	s.want("the version", int64(2), set.Items[0].Version)
	_, err = a.Draft(s.ctx, path)
	s.refused("a draft that was published", config.NotFound, err)
	_, content, err := a.Release(s.ctx, path, 2)
	s.ok(err)
	s.want("the content", "3", string(content))
}
