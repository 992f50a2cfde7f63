package view

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func tenantOf(name string, importing bool) store.Write {
	noun := record.Tenant{Tenant: config.Tenant{Name: name}}
	if importing {
		noun.Import = &record.Import{ID: "i"}
	}
	return put(record.Tenants.Key(name), record.Encode(noun))
}

func scopesOf(tenant string) []store.Write {
	return []store.Write{
		put(record.Apps.Key(tenant+"/shop"), record.Encode(config.App{Tenant: tenant, Name: "shop"})),
		put(record.Envs.Key(tenant+"/shop/prod"), record.Encode(config.Env{Tenant: tenant, App: "shop", Name: "prod"})),
	}
}

// seen lists whatever a snapshot shows.
func seen(snap *Snapshot) []string {
	list := []string{}
	for t := range snap.Tenants("") {
		list = append(list, t.Name)
		for a := range snap.Apps(t.Name, "") {
			list = append(list, a.Path().String())
		}
	}
	for _, tenant := range []string{"acme", "globex"} {
		env := config.Path{Tenant: tenant, App: "shop", Env: "prod"}
		if _, ok := snap.Tenant(tenant); ok {
			list = append(list, "tenant "+tenant)
		}
		if _, ok := snap.App(env.Parent()); ok {
			list = append(list, "app "+tenant)
		}
		if _, ok := snap.Env(env); ok {
			list = append(list, "env "+tenant)
		}
		for range snap.Apps(tenant, "") {
			list = append(list, "apps of "+tenant)
		}
		for range snap.Envs(env.Parent(), "") {
			list = append(list, "envs of "+tenant)
		}
		if _, ok := snap.Config(env.Join("a")); ok {
			list = append(list, "config "+tenant)
		}
	}
	for c := range snap.Configs(config.Path{}, "") {
		list = append(list, c.Meta.Path.String())
	}
	return list
}

func TestATenantThatIsBeingImportedIsNotThere(t *testing.T) {
	s := newStore(t)
	v := start(t, s)
	sub := v.Subscribe(Filter{Patterns: mustPatterns("globex")}, func() {})
	defer sub.Close()
	sub.Next()

	commit(t, s, append([]store.Write{tenantOf("acme", false)}, scopesOf("acme")...)...)
	commit(t, s, publishOf("acme/shop/prod/a", 1, "mine")...)
	commit(t, s, tenantOf("globex", true))
	commit(t, s, scopesOf("globex")...)
	commit(t, s, put(draftKey("globex/shop/prod/a"), []byte("draft")))
	staged := commit(t, s, publishOf("globex/shop/prod/a", 7, "theirs")...)
	want := []string{"acme", "acme/shop", "tenant acme", "app acme", "env acme", "apps of acme", "envs of acme", "config acme", "acme/shop/prod/a"}
	check := func(v *View, revision int64) {
		t.Helper()
		snap := waitFor(t, v, revision)
		if diff := cmp.Diff(want, seen(snap)); diff != "" {
			t.Errorf("what is shown (-want +got):\n%s", diff)
		}
		if n := snap.CountConfigs(config.Path{Tenant: "globex"}); n != 0 {
			t.Errorf("want no config counted, got %d", n)
		}
		if got, ok := snap.Importing("globex"); !ok || got.ModRevision == 0 {
			t.Errorf("want the import known, got %v", got)
		}
	}
	check(v, staged)
	check(start(t, s), staged) // and for one that loads
	if d, ok := sub.Next(); ok {
		t.Errorf("want nothing delivered, got %v", names(d))
	}

	// It is all there at one revision, with the revisions that conditions need.
	opened := commit(t, s, tenantOf("globex", false))
	snap := waitFor(t, v, opened)
	c, ok := snap.Config(mustPath("globex/shop/prod/a"))
	if !ok || c.MetaRevision != staged || c.RolloutRevision != staged || c.DraftRevision == 0 || c.ServedRevision != opened {
		t.Errorf("want the config as it was written, got %+v", c)
	}
	if _, still := snap.Importing("globex"); still || snap.CountConfigs(config.Path{Tenant: "globex"}) != 1 {
		t.Error("want it a tenant as any other")
	}
	if d, ok := sub.Next(); !ok || d.Reset || len(d.Changes) != 1 || d.Changes[0].Release == nil || d.Changes[0].Release.Version != 7 {
		t.Errorf("want it delivered, got %v", names(d))
	}

	// What is taken away while it is concealed leaves nothing behind.
	commit(t, s, tenantOf("globex", true))
	writes := []store.Write{del(metaKey("globex/shop/prod/a")), del(rolloutKey("globex/shop/prod/a")), del(draftKey("globex/shop/prod/a"))}
	for _, w := range scopesOf("globex") {
		writes = append(writes, del(w.Key))
	}
	commit(t, s, writes...)
	snap = waitFor(t, v, commit(t, s, del(record.Tenants.Key("globex"))))
	if diff := cmp.Diff(want, seen(snap)); diff != "" {
		t.Errorf("what is shown at the end (-want +got):\n%s", diff)
	}
	if d, ok := sub.Next(); !ok || len(d.Changes) != 1 || d.Changes[0].Release != nil {
		t.Errorf("want it told that it is gone, got %v", names(d))
	}
}
