package protocoltest

import (
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func configScenarios() []scenario {
	needs := []Part{PartConfigs}
	return []scenario{
		{"made, shown and changed", needs, configsLive},
		{"listed page by page", needs, configsInPages},
		{"deleted, brought back and purged", needs, configsDeleted},
		{"names that cannot be", needs, configNames},
	}
}

func configsLive(s *stage) {
	a := s.admin()
	path := s.prod.Join("App_1.final.yaml")
	made, err := a.CreateConfig(s.ctx, config.Config{
		Path: path, File: "etc/größe/app.yaml", Description: "描述\nline two",
		Labels: map[string]string{"team": "零售", "tier": "1"},
	})
	s.ok(err)
	want, err := s.arrange.Config(s.ctx, path)
	s.ok(err)
	s.want("the config as it was made", want, made)

	_, err = a.CreateConfig(s.ctx, config.Config{Path: path})
	s.refused("a config of a taken name", config.Exists, err)
	changed, err := a.UpdateConfig(s.ctx, center.ConfigPatch{
		Path: path, Description: ptr(""), Labels: ptr(map[string]string{"team": "b"}), Expected: made.Revision,
	})
	s.ok(err)
	_, err = a.UpdateConfig(s.ctx, center.ConfigPatch{Path: path, Description: ptr("x"), Expected: made.Revision})
	s.refused("a change of what others have changed", config.Conflict, err)
	s.want("what was changed", []any{"", map[string]string{"team": "b"}, "etc/größe/app.yaml"}, []any{changed.Description, changed.Labels, changed.File})
	_, err = a.UpdateConfig(s.ctx, center.ConfigPatch{Path: path, Labels: ptr(map[string]string{})})
	s.ok(err)

	s.publish(path.Name, "a: 1\n")
	got, err := a.Config(s.ctx, path)
	s.ok(err)
	want, err = s.arrange.Config(s.ctx, path)
	s.ok(err)
	s.want("the config with what is released", want, got)
	if len(got.Labels) != 0 || got.Rollout.Stable == nil {
		s.Errorf("want no labels and a stable release, got %v and %v", got.Labels, got.Rollout.Stable)
	}
	_, err = a.Config(s.ctx, s.prod.Join("other.yaml"))
	s.refused("a config that is not there", config.NotFound, err)
}

func configsInPages(s *stage) {
	a := s.admin()
	s.publish("b.json", "1", "a.json", "2", "a-2.json", "3", "c.json", "4", "a.yaml", "5")
	var names []string
	r := center.ConfigsRequest{Env: s.prod, Prefix: "a", PageRequest: center.PageRequest{Limit: 1}}
	for {
		page, err := a.ListConfigs(s.ctx, r)
		s.ok(err)
		if len(page.Items) > 1 {
			s.Fatalf("want pages of 1, got %d", len(page.Items))
		}
		for _, item := range page.Items {
			names = append(names, item.Path.Name)
		}
		if page.Next == "" || page.Next == r.After {
			break
		}
		r.After = page.Next
	}
	s.want("the configs that begin with a", []string{"a-2.json", "a.json", "a.yaml"}, names)
	all := center.ConfigsRequest{Env: s.prod}
	want, err := s.arrange.ListConfigs(s.ctx, all)
	s.ok(err)
	got, err := a.ListConfigs(s.ctx, all)
	s.ok(err)
	s.want("all configs", want, got)
}

func configsDeleted(s *stage) {
	a := s.admin()
	path := s.prod.Join("app.yaml")
	s.publish("app.yaml", "a: 1\n")
	err := a.DeleteConfig(s.ctx, center.DeleteConfig{Path: path, ExpectedVersion: ptr(int64(7))})
	s.want("the version of a conflict", int64(1), s.refused("a deletion of another version", config.Conflict, err).Current)
	s.ok(a.DeleteConfig(s.ctx, center.DeleteConfig{Path: path, Comment: "不再需要", ExpectedVersion: ptr(int64(1))}))
	s.refused("a second deletion", config.NotFound, a.DeleteConfig(s.ctx, center.DeleteConfig{Path: path}))

	for _, deleted := range []bool{false, true} {
		r := center.ConfigsRequest{Env: s.prod, Deleted: deleted}
		want, err := s.arrange.ListConfigs(s.ctx, r)
		s.ok(err)
		got, err := a.ListConfigs(s.ctx, r)
		s.ok(err)
		s.want("the configs", want, got)
		if (len(got.Items) == 1) != deleted {
			s.Errorf("deleted %t: want the deleted config only there, got %d", deleted, len(got.Items))
		}
	}
	state, err := a.UndeleteConfig(s.ctx, path, "still needed")
	s.ok(err)
	if state.Rollout.Deleted || state.Rollout.Stable == nil {
		s.Errorf("want it served again, got %+v", state.Rollout)
	}
	_, err = a.UndeleteConfig(s.ctx, path, "")
	s.refused("to bring back what is there", config.Conflict, err)

	s.ok(a.DeleteConfig(s.ctx, center.DeleteConfig{Path: path, Purge: true}))
	_, err = a.Config(s.ctx, path)
	s.refused("a config that was purged", config.NotFound, err)
	if set := s.publish("app.yaml", "a: 2\n"); set.Items[0].Version != 2 {
		s.Errorf("want version 2 after a purge of version 1, got %d", set.Items[0].Version)
	}
}

func configNames(s *stage) {
	a := s.admin()
	for _, name := range []string{"配置.yaml", "café.json", "a b", ".hidden", "a%2fb", "a\x00b", "-x", "a?b", "ａ"} {
		path := s.prod.Join(name)
		create := func(x *actor) error {
			_, err := x.CreateConfig(s.ctx, config.Config{Path: path})
			return err
		}
		s.refused("a config named "+name, config.Invalid, create(s.arrange))
		s.refused("a config named "+name, config.Invalid, create(a))
		_, err := a.Config(s.ctx, path)
		if kind := config.KindOf(err); err == nil || kind != config.Invalid && kind != config.NotFound {
			s.Errorf("read %q: want it invalid or not found, got %v", name, err)
		}
	}
	page, err := s.arrange.ListConfigs(s.ctx, center.ConfigsRequest{Env: s.prod})
	s.ok(err)
	s.want("the configs that were made", 0, len(page.Items))
}
