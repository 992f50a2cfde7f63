package protocoltest

import (
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func scopeScenarios() []scenario {
	needs := []Part{PartScopes}
	return []scenario{
		{"made, shown and deleted", needs, scopesLive},
		{"listed page by page", needs, scopesInPages},
		{"envs in the order of promotion", needs, envsInOrder},
		{"refused as the center refuses", needs, scopesRefused},
		{"a change on the condition of a revision", needs, envOnCondition},
	}
}

func scopesLive(s *stage) {
	a := s.admin()
	name := s.node.tenant()
	made, err := a.CreateTenant(s.ctx, config.Tenant{Name: name, Description: "数据 ≤ “x” \U0001f600"})
	s.ok(err)
	want, err := s.arrange.Tenant(s.ctx, name)
	s.ok(err)
	s.want("the tenant as it was made", want, made)
	got, err := a.Tenant(s.ctx, name)
	s.ok(err)
	s.want("the tenant as it is shown", want, got)

	app, err := a.CreateApp(s.ctx, config.App{Tenant: name, Name: "shop", Description: "d"})
	s.ok(err)
	env, err := a.CreateEnv(s.ctx, config.Env{Tenant: name, App: "shop", Name: "eu", Kind: config.EnvProd, Description: "e", Protected: true, Order: 7})
	s.ok(err)
	envs, err := s.arrange.ListEnvs(s.ctx, app.Path())
	s.ok(err)
	s.want("the env", envs, []config.Env{env})

	s.refused("delete an app that has an env", config.Conflict, a.DeleteScope(s.ctx, app.Path(), ""))
	s.refused("delete a protected env", config.Conflict, a.DeleteScope(s.ctx, env.Path(), ""))
	_, err = a.UpdateEnv(s.ctx, center.EnvPatch{Path: env.Path(), Protected: ptr(false)})
	s.ok(err)
	for path := env.Path(); path != (config.Path{}); path = path.Parent() {
		s.ok(a.DeleteScope(s.ctx, path, ""))
	}
	_, err = a.Tenant(s.ctx, name)
	s.refused("a tenant that was deleted", config.NotFound, err)
}

func scopesInPages(s *stage) {
	a := s.admin()
	for _, name := range []string{"a1", "a2", "a3", "a4"} {
		_, err := a.CreateApp(s.ctx, config.App{Tenant: s.app.Tenant, Name: name})
		s.ok(err)
	}
	var names []string
	r := center.PageRequest{Limit: 2}
	for pages := 1; ; pages++ {
		page, err := a.ListApps(s.ctx, s.app.Tenant, r)
		s.ok(err)
		if len(page.Items) > 2 || pages > 3 {
			s.Fatalf("want 3 pages of 2, got page %d of %d items", pages, len(page.Items))
		}
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		if page.Next == "" {
			break
		}
		r.After = page.Next
	}
	s.want("the apps of all pages", []string{"a1", "a2", "a3", "a4", "shop"}, names)

	want, err := s.arrange.ListTenants(s.ctx, center.PageRequest{Limit: 1})
	s.ok(err)
	got, err := a.ListTenants(s.ctx, center.PageRequest{Limit: 1})
	s.ok(err)
	s.want("a page of one tenant", want, got)
}

func envsInOrder(s *stage) {
	a := s.admin()
	_, err := a.UpdateEnv(s.ctx, center.EnvPatch{Path: s.prod, Order: ptr(1)})
	s.ok(err)
	envs, err := a.ListEnvs(s.ctx, s.app)
	s.ok(err)
	var names []string
	for _, e := range envs {
		names = append(names, e.Name)
	}
	s.want("the envs", []string{"prod", "dev", "test"}, names)
	updated, err := a.UpdateEnv(s.ctx, center.EnvPatch{Path: s.dev, Kind: ptr(config.EnvKind("lab")), Description: ptr("")})
	s.ok(err)
	s.want("the kind", config.EnvKind("lab"), updated.Kind)
}

func scopesRefused(s *stage) {
	a := s.admin()
	for _, c := range []struct {
		what string
		do   func(*actor) error
	}{
		{"a tenant of a taken name", func(x *actor) error {
			_, err := x.CreateTenant(s.ctx, config.Tenant{Name: s.app.Tenant})
			return err
		}},
		{"an env of a taken name", func(x *actor) error {
			_, err := x.CreateEnv(s.ctx, config.Env{Tenant: s.app.Tenant, App: "shop", Name: "dev"})
			return err
		}},
		{"an app in no tenant", func(x *actor) error {
			_, err := x.CreateApp(s.ctx, config.App{Tenant: "nowhere", Name: "shop"})
			return err
		}},
		{"the apps of no tenant", func(x *actor) error {
			_, err := x.ListApps(s.ctx, "nowhere", center.PageRequest{})
			return err
		}},
		{"a tenant with a capital", func(x *actor) error {
			_, err := x.CreateTenant(s.ctx, config.Tenant{Name: "Acme"})
			return err
		}},
		{"a tenant in another script", func(x *actor) error {
			_, err := x.CreateTenant(s.ctx, config.Tenant{Name: "租户"})
			return err
		}},
		{"an env of an odd kind", func(x *actor) error {
			_, err := x.CreateEnv(s.ctx, config.Env{Tenant: s.app.Tenant, App: "shop", Name: "x", Kind: "Größe"})
			return err
		}},
	} {
		want, got := c.do(s.arrange), c.do(a)
		if want == nil {
			s.Fatalf("%s: the center does not refuse it", c.what)
		}
		s.sameError(c.what, want, got)
	}
}

func envOnCondition(s *stage) {
	a := s.admin()
	envs, err := a.ListEnvs(s.ctx, s.app)
	s.ok(err)
	seen := envs[0].Revision
	changed, err := a.UpdateEnv(s.ctx, center.EnvPatch{Path: s.dev, Description: ptr("one"), Expected: seen})
	s.ok(err)
	_, err = a.UpdateEnv(s.ctx, center.EnvPatch{Path: s.dev, Description: ptr("two"), Expected: seen})
	s.refused("a change of what others have changed", config.Conflict, err)
	s.refused("a deletion of what others have changed", config.Conflict, a.DeleteScope(s.ctx, s.dev, seen))
	s.ok(a.DeleteScope(s.ctx, s.dev, changed.Revision))
}
