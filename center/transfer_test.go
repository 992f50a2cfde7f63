package center_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// furnish fills tenant acme with all that a tenant can hold: count configs in
// one env, among them deleted, purged and large ones, drafts, a long history,
// rollbacks and promotions, and the history of an env that is gone.
func furnish(n *node, count, releases int) {
	n.t.Helper()
	ctx := n.admin()
	n.house()
	tenant, err := n.Tenant(ctx, "acme")
	n.must(err)
	tenant.Description = "who buys everything"
	_, err = n.UpdateTenant(ctx, tenant)
	n.must(err)
	_, err = n.UpdateEnv(ctx, center.EnvPatch{Path: path(n.t, "acme/shop/prod"), Protected: ptr(true), Description: ptr("the real one")})
	n.must(err)
	_, err = n.CreateApp(ctx, config.App{Tenant: "acme", Name: "empty-app", Description: "has nothing"})
	n.must(err)

	set := center.Publish{Tenant: "acme", Comment: "all at once"}
	for i := range count {
		item := center.PublishItem{Path: path(n.t, fmt.Sprintf("acme/shop/dev/c%03d.yaml", i)), Content: fmt.Appendf(nil, "number: %d\n", i)}
		if i%10 == 0 {
			item.Description, item.File, item.Labels = "a tenth", fmt.Sprintf("sub/c%03d.yaml", i), map[string]string{"team": "a"}
		}
		set.Items = append(set.Items, item)
	}
	_, err = n.Publish(ctx, set)
	n.must(err)
	for i := range releases {
		n.publish("acme/shop/dev/long.json", fmt.Sprintf(`{"release": %d}`, i+1))
	}
	for _, size := range []int{record.InlineContent - 20, record.InlineContent, 900_000} {
		n.publish("acme/shop/dev/large.json", `{"a":"`+strings.Repeat("x", size)+`"}`)
	}
	_, err = n.Rollback(ctx, center.Rollback{Path: path(n.t, "acme/shop/dev/large.json"), Version: 2, Comment: "too large"})
	n.must(err)
	_, err = n.Promote(ctx, center.Promote{From: path(n.t, "acme/shop/dev"), To: path(n.t, "acme/shop/prod"), Names: []string{"long.json", "large.json"}, Comment: "it is time"})
	n.must(err)
	for _, p := range []string{"c001.yaml", "unreleased.yaml"} {
		if p == "unreleased.yaml" {
			_, err = n.CreateConfig(ctx, config.Config{Path: path(n.t, "acme/shop/dev/"+p), Description: "nothing yet"})
			n.must(err)
		}
		_, _, err = n.SaveDraft(ctx, center.SaveDraft{Path: path(n.t, "acme/shop/dev/"+p), Content: []byte("half: [done\n\x00\xff")})
		n.must(err)
	}
	n.must(n.DeleteConfig(ctx, center.DeleteConfig{Path: path(n.t, "acme/shop/dev/c002.yaml"), Comment: "not needed"}))
	n.must(n.DeleteConfig(ctx, center.DeleteConfig{Path: path(n.t, "acme/shop/dev/c003.yaml"), Purge: true}))
	// An env that is gone, with the history of what was in it.
	_, err = n.CreateEnv(ctx, config.Env{Tenant: "acme", App: "shop", Name: "gone", Kind: "lab", Order: 5})
	n.must(err)
	n.publish("acme/shop/gone/old.yaml", "a: 1\n")
	n.must(n.DeleteConfig(ctx, center.DeleteConfig{Path: path(n.t, "acme/shop/gone/old.yaml")}))
	n.must(n.DeleteEnv(ctx, path(n.t, "acme/shop/gone"), ""))
	n.furnishLaunches()
}

// furnishLaunches adds such launches to env test as arrive elsewhere as they are:
// those that have ended, in several ways, that are paused, and that are to come.
func (n *node) furnishLaunches() {
	n.t.Helper()
	ctx := n.admin()
	for _, name := range []string{"one", "two", "later", "slots"} {
		n.publish("acme/shop/test/"+name+".json", `{"stable": true}`)
	}
	_, err := n.AbortLaunch(ctx, act(n.launched(canary(1000), `acme/shop/test/one.json={"no": 1}`)))
	n.must(err)
	slots := n.launched(by(config.Strategy{Kind: config.StrategyBlueGreen}), `acme/shop/test/slots.json={"green": 1}`)
	_, err = n.SwitchLaunch(ctx, center.SwitchLaunch{LaunchAct: act(slots)})
	n.must(err)
	_, err = n.PromoteLaunch(ctx, act(slots))
	n.must(err)
	paused := n.launched(progressive(1000, 5000, 10_000), `acme/shop/test/one.json={"new": 1}`, `acme/shop/test/two.json={"new": 2}`)
	_, err = n.AdvanceLaunch(ctx, act(paused))
	n.must(err)
	_, err = n.PauseLaunch(ctx, act(paused))
	n.must(err)
	later := canary(5000)
	later.BeginsAt = n.at(24)
	n.launched(later, `acme/shop/test/later.json={"later": 1}`)
}

func all[T any](t testing.TB, list func(center.PageRequest) (config.Page[T], error)) []T {
	t.Helper()
	var items []T
	for r := (center.PageRequest{Limit: 1000}); ; {
		page, err := list(r)
		if err != nil {
			t.Fatal(err)
		}
		if items, r.After = append(items, page.Items...), page.Next; page.Next == "" {
			return items
		}
	}
}

// picture is everything that a node shows of a tenant, without revisions, which
// are each installation's own, and with the name replaced by "acme".
func (n *node) picture(tenant string) map[string]any {
	n.t.Helper()
	ctx, shown := n.admin(), map[string]any{}
	noun, err := n.Tenant(ctx, tenant)
	n.must(err)
	shown["tenant"] = noun
	for _, app := range all(n.t, func(r center.PageRequest) (config.Page[config.App], error) { return n.Apps(ctx, tenant, r) }) {
		shown["app "+app.Path().String()] = app
		envs, err := n.Envs(ctx, app.Path())
		n.must(err)
		for _, env := range envs {
			shown["env "+env.Path().String()] = env
			states := all(n.t, func(r center.PageRequest) (config.Page[config.State], error) {
				return n.Configs(ctx, center.ConfigsRequest{PageRequest: r, Env: env.Path(), Deleted: true})
			})
			for _, state := range states {
				n.pictureConfig(shown, state)
			}
		}
	}
	sets := all(n.t, func(r center.PageRequest) (config.Page[config.ChangeSet], error) { return n.ChangeSets(ctx, tenant, r) })
	for i, set := range sets {
		shown[fmt.Sprintf("change set %d", i)] = set
	}
	for _, l := range all(n.t, func(r center.PageRequest) (config.Page[config.Launch], error) {
		return n.Launches(ctx, center.LaunchesRequest{PageRequest: r, Tenant: tenant, All: true})
	}) {
		shown["launch "+l.ID] = l
	}
	// A purged config's counter is seen in the store alone.
	for _, e := range n.entries(record.Rollouts.Under(config.Path{Tenant: tenant})) {
		o, err := record.Decode[config.Rollout](e.Value)
		n.must(err)
		shown["rollout "+o.Path.String()] = o
	}
	return plain(n.t, shown, tenant)
}

func (n *node) pictureConfig(shown map[string]any, state config.State) {
	n.t.Helper()
	ctx, p := n.admin(), state.Path
	shown["config "+p.String()] = state
	if draft, err := n.Draft(ctx, p); err == nil {
		shown["draft "+p.String()] = []any{draft, draft.Content}
	}
	for _, r := range all(n.t, func(r center.PageRequest) (config.Page[config.Release], error) { return n.Releases(ctx, p, r) }) {
		release, content, err := n.Release(ctx, p, r.Version)
		n.must(err)
		shown[fmt.Sprintf("release %s %d", p, r.Version)] = []any{r, release, digest(content)}
	}
	content, version := n.served(p.String())
	shown["served "+p.String()] = []any{digest([]byte(content)), version}
}

// plain turns nouns into JSON without revisions.
func plain(t testing.TB, shown map[string]any, tenant string) map[string]any {
	t.Helper()
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte(tenant), []byte("acme")), &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range out {
		if m, ok := v.(map[string]any); ok {
			delete(m, "revision")
		}
		if l, ok := v.([]any); ok {
			if m, ok := l[0].(map[string]any); ok {
				delete(m, "revision")
			}
		}
	}
	return out
}

func (n *node) export(tenant string) []byte {
	n.t.Helper()
	var out bytes.Buffer
	info, err := n.ExportTenant(n.admin(), tenant, &out)
	n.must(err)
	if info.Tenant != tenant || info.Size != int64(out.Len()) || info.Revision == 0 {
		n.t.Errorf("want it told what was written, got %+v for %d bytes", info, out.Len())
	}
	return out.Bytes()
}

func (n *node) importAs(file []byte, name string) (center.TenantImport, error) {
	return n.ImportTenant(n.admin(), center.ImportTenant{From: bytes.NewReader(file), As: name})
}

func onEngine(t *testing.T) *node {
	t.Helper()
	settings := etcd.Settings{}
	settings.Defaults()
	settings.UnsafeNoFsync = true
	opened, err := settings.Open(t.Context(), store.Env{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	if _, _, err := center.Bootstrap(t.Context(), opened, plainHasher{}, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return join(t, opened)
}

func TestATenantMovesBetweenInstallationsWithItsWholeHistory(t *testing.T) {
	here, there := start(t), onEngine(t)
	furnish(here, 200, 100)
	want := here.picture("acme")
	file := here.export("acme")
	done, err := there.importAs(file, "")
	there.must(err)
	contents := center.TenantContents{
		Apps: 2, Envs: 3, Configs: 209, Rollouts: 209, Drafts: 2, Launches: 4, Releases: 199 + 100 + 4 + 2 + 1 + 4 + 5, AuditRecords: done.Contents.AuditRecords,
	}
	if diff := cmp.Diff(contents, done.Contents); diff != "" || done.Installation != here.cluster() || done.Name != "acme" {
		t.Errorf("what the import tells: %+v (-want +got):\n%s", done, diff)
	}
	if diff := cmp.Diff(want, there.picture("acme")); diff != "" {
		t.Errorf("what is shown there (-want +got):\n%.4000s", diff)
	}
	// And back again, under another name.
	second := there.export("acme")
	if _, err = here.importAs(second, "acme-copy"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, here.picture("acme-copy")); diff != "" {
		t.Errorf("what is shown of the copy (-want +got):\n%.4000s", diff)
	}
	if diff := cmp.Diff(want, here.picture("acme")); diff != "" {
		t.Errorf("the original is not what it was (-want +got):\n%.4000s", diff)
	}
	// It is a tenant as any other: its versions go on, and nothing is retired.
	if v := there.publish("acme/shop/dev/long.json", `{}`); v != 101 {
		t.Errorf("want the next version 101, got %d", v)
	}
	if v := there.publish("acme/shop/dev/c003.yaml", "a: 1\n"); v != 2 {
		t.Errorf("want the version after the purged one, got %d", v)
	}
}

func (n *node) cluster() string { return n.view.Snapshot().Cluster }

func TestAuditRecordsArriveAsHistoryOfTheOtherInstallation(t *testing.T) {
	here, there := start(t), start(t)
	furnish(here, 5, 3)
	records := func(n *node, tenant string) []audit.Record {
		list := all(t, func(r center.PageRequest) (config.Page[audit.Record], error) {
			return n.Audit(n.admin(), center.AuditRequest{PageRequest: r, Tenant: tenant})
		})
		slices.Reverse(list)
		return list
	}
	file := here.export("acme")
	before := records(here, "acme")
	if last := before[len(before)-1]; last.Action != "tenant.export" || last.Actor.Subject != center.AdminUser {
		t.Errorf("want the export recorded, got %+v", last)
	}
	began := time.Now()
	_, err := there.importAs(file, "moved")
	there.must(err)
	got := records(there, "moved")
	if last := got[len(got)-1]; last.Action != "tenant.import" || last.Detail["state"] != "finished" || last.Detail["origin"] != here.cluster() || last.Detail["origin_tenant"] != "acme" {
		t.Errorf("want the import recorded, got %+v", last)
	}
	system := records(there, "")
	if last := system[len(system)-1]; last.Action != "tenant.import" || last.Detail["state"] != "begun" || last.Subject != "moved" {
		t.Errorf("want its beginning recorded, got %+v", last)
	}
	if len(got) != len(before)+1 {
		t.Fatalf("want %d records, got %d", len(before)+1, len(got))
	}
	for i, want := range before {
		r := got[i]
		if r.Time.Before(began.Add(-time.Minute)) || r.ID == want.ID {
			t.Errorf("record %d: want it written as of now, got %s at %s", i, r.ID, r.Time)
		}
		if r.Detail["origin"] != here.cluster() || r.Detail["origin_id"] != want.ID || r.Detail["origin_time"] != want.Time.Format(time.RFC3339Nano) || r.Detail["origin_tenant"] != "acme" {
			t.Errorf("record %d: want its origin told, got %v", i, r.Detail)
		}
		detail := maps.Clone(r.Detail)
		for _, k := range []string{"origin", "origin_id", "origin_time", "origin_tenant", "import"} {
			delete(detail, k)
		}
		if len(detail) == 0 {
			detail = nil
		}
		r.ID, r.Time, r.Detail, r.Revision, want.Revision = want.ID, want.Time, detail, "", ""
		text, err := json.Marshal(r)
		there.must(err)
		var renamed audit.Record
		there.must(json.Unmarshal(bytes.ReplaceAll(text, []byte(`"moved`), []byte(`"acme`)), &renamed))
		if diff := cmp.Diff(want, renamed); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
	}

	// Further on its way it still tells where it happened.
	further := start(t)
	_, err = further.importAs(there.export("moved"), "")
	further.must(err)
	first := records(further, "moved")[0]
	if first.Detail["origin"] != here.cluster() || first.Detail["origin_id"] != before[0].ID || first.Detail["origin_via"] != there.cluster() {
		t.Errorf("want the first origin kept, got %v", first.Detail)
	}
}

// TestImportedRecordsAreSealedLikeOthers shows that the audit of the new home is
// none the worse for them.
func TestImportedRecordsAreSealedLikeOthers(t *testing.T) {
	from := start(t)
	furnish(from, 20, 30)
	file := from.export("acme")
	sealing(t, func(t *testing.T, n *node) {
		after(3 * time.Hour) // what is imported is older than what is sealed here
		n.publish(app, `{}`)
		after(2 * time.Second)
		_, err := n.importAs(file, "other")
		n.must(err)
		after(2 * time.Second)
		n.wantSealed()
		if v := n.verify(); len(v.Findings) != 0 {
			t.Errorf("want nothing found, not even warnings, got %+v", v.Findings)
		}
	})
}

func TestATenantThatWasDeletedComesBack(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `{"a": 1}`)
	n.publish(app, `{"a": 2}`)
	want := n.picture("acme")
	file := n.export("acme")
	_, err := n.importAs(file, "")
	wantKind(t, config.Exists, err)
	n.publish(app, `{"a": 3}`)
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	for _, env := range []string{"dev", "test", "prod"} {
		n.must(n.DeleteEnv(n.admin(), path(t, "acme/shop/"+env), ""))
	}
	n.must(n.DeleteApp(n.admin(), path(t, "acme/shop"), ""))
	n.must(n.DeleteTenant(n.admin(), "acme", ""))

	// The history that it left is only removed if that is wanted.
	_, err = n.importAs(file, "")
	if e := wantKind(t, config.Conflict, err); !strings.Contains(e.Error(), "--discard") || !strings.Contains(e.Error(), app) {
		t.Errorf("want it said what is in the way and what to do, got %v", e)
	}
	_, err = n.ImportTenant(n.admin(), center.ImportTenant{From: bytes.NewReader(file), Discard: true})
	n.must(err)
	got := n.picture("acme")
	// What was done after the export did happen, and the audit tells of it.
	sets := func(p map[string]any) (ids []any) {
		for k, v := range p {
			if strings.HasPrefix(k, "change set ") {
				ids = append(ids, v.(map[string]any)["id"])
				delete(p, k)
			}
		}
		return ids
	}
	if before, now := sets(want), sets(got); len(before) != 2 || len(now) != 3 {
		t.Errorf("want each change set listed once, got %v, then %v", before, now)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what came back (-want +got):\n%s", diff)
	}
	n.wantServed(app, `{"a": 2}`, 2)
}

func TestWhoMayMoveTenants(t *testing.T) {
	n := start(t)
	n.house()
	file := n.export("acme")
	acme := config.Path{Tenant: "acme"}
	for role, want := range map[auth.Role]bool{
		auth.RoleAdmin: true, auth.RoleAuditor: false, auth.RolePublisher: false, auth.RoleViewer: false, auth.RoleClient: false,
	} {
		ctx := n.user("u-"+string(role), auth.Grant{Role: role, Scope: acme})
		_, err := n.ExportTenant(ctx, "acme", &bytes.Buffer{})
		if want && err != nil || !want && config.KindOf(err) != config.Denied {
			t.Errorf("%s of the tenant exports it: want %v, got %v", role, want, err)
		}
		_, err = n.ImportTenant(ctx, center.ImportTenant{From: bytes.NewReader(file), As: "mine"})
		wantKind(t, config.Denied, err)
	}
	part := n.user("part", auth.Grant{Role: auth.RoleAdmin, Scope: path(t, "acme/shop")})
	_, err := n.ExportTenant(part, "acme", &bytes.Buffer{})
	wantKind(t, config.Denied, err)
	_, err = n.ExportTenant(n.admin(), "ghost", &bytes.Buffer{})
	wantKind(t, config.NotFound, err)
	_, err = n.ExportTenant(n.admin(), "acme/shop", &bytes.Buffer{})
	wantKind(t, config.Invalid, err)
	_, err = n.ImportTenant(n.admin(), center.ImportTenant{From: bytes.NewReader(file), As: "No Name"})
	wantKind(t, config.Invalid, err)
	_, err = n.ImportTenant(n.admin(), center.ImportTenant{})
	wantKind(t, config.Invalid, err)
}

// compacted forgets the past as soon as an export reads it.
type compacted struct{ store.Store }

func (c compacted) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if q.Revision > 0 && strings.HasPrefix(q.Key, record.Releases.Prefix()) {
		return store.Page{}, store.ErrCompacted
	}
	return c.Store.Range(ctx, q)
}

func TestAnExportWhoseRevisionIsGoneSaysSo(t *testing.T) {
	n := start(t)
	n.house()
	slow := join(t, compacted{n.store})
	var out bytes.Buffer
	_, err := slow.ExportTenant(n.admin(), "acme", &out)
	wantKind(t, config.Compacted, err)
	_, err = n.importAs(out.Bytes(), "copy")
	wantKind(t, config.Invalid, err)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
