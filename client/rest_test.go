package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func ptr[T any](v T) *T { return &v }

// collect drains a listing into printable form.
func collect[T any](seq func(func(T, error) bool)) (any, error) {
	var all []T
	for item, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

func none(err error) (any, error) { return nil, err }

type call struct {
	name   string
	call   func(context.Context, *client.Client) (any, error)
	want   string // the request: method, target, conditions, body
	answer string
}

// TestRequests holds every method to the request that it must make.
func TestRequests(t *testing.T) {
	p := mustPath(t, "acme/checkout/prod/app.yaml")
	for _, tt := range slices.Concat(scopeCalls(t), configCalls(p), publishCalls(t, p), launchCalls(t, p), identityCalls(t), clusterCalls(p)) {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = describe(r)
				io.WriteString(w, tt.answer)
			}))
			if _, err := tt.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func describe(r *http.Request) string {
	text := r.Method + " " + r.URL.RequestURI()
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if v := r.Header.Get(name); v != "" {
			text += fmt.Sprintf(" [%s: %s]", name, v)
		}
	}
	if r.Header.Get("Authorization") != "Bearer sp_secret" {
		text += " anonymously"
	}
	if body, _ := io.ReadAll(r.Body); len(body) > 0 {
		text += " " + strings.TrimSpace(string(body))
	}
	return text
}

func scopeCalls(t *testing.T) []call {
	app, env := mustPath(t, "acme/checkout"), mustPath(t, "acme/checkout/prod")
	return []call{
		{"tenants", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Tenants(ctx)) },
			`GET /v1/tenants?limit=500`, `{"items":[]}`},
		{"tenant", func(ctx context.Context, c *client.Client) (any, error) { return c.Tenant(ctx, "acme") },
			`GET /v1/tenants/acme`, `{}`},
		{"create tenant", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateTenant(ctx, config.Tenant{Name: "acme", Description: "d"})
		}, `POST /v1/tenants {"name":"acme","description":"d"}`, `{}`},
		{"update tenant", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateTenant(ctx, "acme", client.ScopePatch{Description: ptr(""), Expected: "r1"})
		}, `PATCH /v1/tenants/acme [If-Match: "r1"] {"description":""}`, `{}`},
		{"delete tenant", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.DeleteScope(ctx, config.Path{Tenant: "acme"}, "r1"))
		}, `DELETE /v1/tenants/acme [If-Match: "r1"]`, ``},
		{"create app", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateApp(ctx, config.App{Tenant: "acme", Name: "checkout"})
		}, `POST /v1/tenants/acme/apps {"name":"checkout"}`, `{}`},
		{"app", func(ctx context.Context, c *client.Client) (any, error) { return c.App(ctx, app) },
			`GET /v1/tenants/acme/apps/checkout`, `{}`},
		{"update app", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateApp(ctx, app, client.ScopePatch{Description: ptr("d")})
		}, `PATCH /v1/tenants/acme/apps/checkout {"description":"d"}`, `{}`},
		{"apps", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Apps(ctx, "acme")) },
			`GET /v1/tenants/acme/apps?limit=500`, `{"items":[]}`},
		{"create env", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateEnv(ctx, config.Env{Tenant: "acme", App: "checkout", Name: "prod", Kind: "prod", Protected: true, Order: 3})
		}, `POST /v1/tenants/acme/apps/checkout/envs {"name":"prod","kind":"prod","protected":true,"order":3}`, `{}`},
		{"envs", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Envs(ctx, app)) },
			`GET /v1/tenants/acme/apps/checkout/envs`, `{"items":[]}`},
		{"env", func(ctx context.Context, c *client.Client) (any, error) { return c.Env(ctx, env) },
			`GET /v1/tenants/acme/apps/checkout/envs/prod`, `{}`},
		{"update env", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateEnv(ctx, env, client.ScopePatch{Protected: ptr(false), Order: ptr(0)})
		}, `PATCH /v1/tenants/acme/apps/checkout/envs/prod {"protected":false,"order":0}`, `{}`},
		{"freeze env", func(ctx context.Context, c *client.Client) (any, error) {
			return c.FreezeEnv(ctx, env, config.Freeze{Name: "weekend", Reason: "r", Weekly: &config.Weekly{From: "fri 17:00", To: "mon 08:00"}})
		}, `PUT /v1/tenants/acme/apps/checkout/envs/prod/freezes/weekend {"reason":"r","weekly":{"from":"fri 17:00","to":"mon 08:00"}}`, `{}`},
		{"unfreeze env", func(ctx context.Context, c *client.Client) (any, error) { return c.UnfreezeEnv(ctx, env, "weekend") },
			`DELETE /v1/tenants/acme/apps/checkout/envs/prod/freezes/weekend`, `{}`},
		{"unfreeze all", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateEnv(ctx, env, client.ScopePatch{Freezes: &[]config.Freeze{}})
		}, `PATCH /v1/tenants/acme/apps/checkout/envs/prod {"freezes":[]}`, `{}`},
		{"configs", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.Configs(ctx, env, client.ConfigFilter{Prefix: "app", Deleted: true}))
		}, `GET /v1/tenants/acme/apps/checkout/envs/prod/configs?deleted=true&limit=500&prefix=app`, `{"items":[]}`},
		{"export", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.Export(ctx, client.Export{Env: env, Format: client.TarGz, Names: []string{"a", "b"}}, io.Discard))
		}, `GET /v1/tenants/acme/apps/checkout/envs/prod/export?format=tar.gz&name=a&name=b`, `x`},
		{"import", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Import(ctx, client.Import{Env: env, Archive: strings.NewReader("PK"), DryRun: true, Prune: true, Comment: "c d"})
		}, `POST /v1/tenants/acme/apps/checkout/envs/prod/import?comment=c+d&dry_run=true&prune=true PK`, `{}`},
	}
}

func configCalls(p config.Path) []call {
	const base = "/v1/tenants/acme/apps/checkout/envs/prod/configs"
	return []call{
		{"config", func(ctx context.Context, c *client.Client) (any, error) { return c.Config(ctx, p) },
			`GET ` + base + `/app.yaml`, `{}`},
		{"create config", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateConfig(ctx, config.Config{Path: p, Format: "yaml", File: "a/app.yaml", Labels: map[string]string{"k": "v"}})
		}, `POST ` + base + ` {"name":"app.yaml","format":"yaml","file":"a/app.yaml","labels":{"k":"v"}}`, `{}`},
		{"update config", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateConfig(ctx, p, client.ConfigPatch{Description: ptr("d"), Expected: "r"})
		}, `PATCH ` + base + `/app.yaml [If-Match: "r"] {"description":"d"}`, `{}`},
		{"delete config", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.DeleteConfig(ctx, client.DeleteConfig{Path: p, Comment: "c", ExpectedVersion: ptr(int64(0)), Purge: true}))
		}, `DELETE ` + base + `/app.yaml?comment=c&expected_version=0&purge=true`, ``},
		{"undelete config", func(ctx context.Context, c *client.Client) (any, error) { return c.UndeleteConfig(ctx, p, "c") },
			`POST ` + base + `/app.yaml/undelete {"comment":"c"}`, `{}`},
		{"draft", func(ctx context.Context, c *client.Client) (any, error) { return c.Draft(ctx, p) },
			`GET ` + base + `/app.yaml/draft`, `{}`},
		{"save draft", func(ctx context.Context, c *client.Client) (any, error) {
			_, problems, err := c.SaveDraft(ctx, client.SaveDraft{Path: p, Content: []byte("a: 1\n"), Format: "yaml"})
			return problems, err
		}, `PUT ` + base + `/app.yaml/draft {"content":"a: 1\n","format":"yaml"}`, `{}`},
		{"save first draft, not text", func(ctx context.Context, c *client.Client) (any, error) {
			_, problems, err := c.SaveDraft(ctx, client.SaveDraft{Path: p, Content: []byte{0xff}, Expected: ptr(config.Token(""))})
			return problems, err
		}, `PUT ` + base + `/app.yaml/draft [If-None-Match: *] {"content_base64":"/w=="}`, `{}`},
		{"save seen draft", func(ctx context.Context, c *client.Client) (any, error) {
			_, problems, err := c.SaveDraft(ctx, client.SaveDraft{Path: p, Expected: ptr(config.Token("r2"))})
			return problems, err
		}, `PUT ` + base + `/app.yaml/draft [If-Match: "r2"] {"content":""}`, `{}`},
		{"delete draft", func(ctx context.Context, c *client.Client) (any, error) { return none(c.DeleteDraft(ctx, p, "r2")) },
			`DELETE ` + base + `/app.yaml/draft [If-Match: "r2"]`, ``},
		{"validate", func(ctx context.Context, c *client.Client) (any, error) { return c.Validate(ctx, p, "", []byte("x")) },
			`POST ` + base + `/app.yaml/validate {"content":"x"}`, `{}`},
	}
}

func publishCalls(t *testing.T, p config.Path) []call {
	const base = "/v1/tenants/acme/apps/checkout/envs/prod/configs/app.yaml"
	return []call{
		{"publish", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Publish(ctx, client.Publish{Comment: "c", Items: []client.PublishItem{
				{Path: p, Content: []byte{}, ExpectedVersion: ptr(int64(3)), SkipUnchanged: true},
				{Path: p, FromDraft: true, DraftRevision: "r2"},
			}})
		}, `POST /v1/tenants/acme/changesets {"comment":"c","items":[` +
			`{"path":"acme/checkout/prod/app.yaml","content":"","expected_version":3,"skip_unchanged":true},` +
			`{"path":"acme/checkout/prod/app.yaml","from_draft":true,"draft_revision":"r2"}]}`, `{}`},
		{"change sets", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.ChangeSets(ctx, "acme")) },
			`GET /v1/tenants/acme/changesets?limit=500`, `{"items":[]}`},
		{"rollback", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Rollback(ctx, client.Rollback{Path: p, Version: 2, Comment: "c"})
		}, `POST ` + base + `/rollback {"version":2,"comment":"c"}`, `{}`},
		{"promote", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Promote(ctx, client.Promote{App: mustPath(t, "acme/checkout"), From: "dev", To: "test", DryRun: true})
		}, `POST /v1/tenants/acme/apps/checkout/promote {"from_env":"dev","to_env":"test","dry_run":true}`, `{}`},
		{"releases", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Releases(ctx, p)) },
			`GET ` + base + `/releases?limit=500`, `{"items":[]}`},
		{"release", func(ctx context.Context, c *client.Client) (any, error) { return c.Release(ctx, p, 7) },
			`GET ` + base + `/releases/7`, `{}`},
		{"rollout", func(ctx context.Context, c *client.Client) (any, error) { return c.Rollout(ctx, p) },
			`GET ` + base + `/rollout`, `{}`},
		{"diff", func(ctx context.Context, c *client.Client) (any, error) { return c.Diff(ctx, p, "3", "env:test") },
			`GET ` + base + `/diff?from=3&to=env%3Atest`, `{}`},
		{"get", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Get(ctx, p, client.ReadOptions{ETag: `"d"`, MinRevision: "r", Strong: true})
		}, `GET /v1/configs/acme/checkout/prod/app.yaml?consistency=strong&min_revision=r [If-None-Match: "d"]`, `x`},
		{"snapshot", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Snapshot(ctx, p.Parent(), client.ReadOptions{})
		}, `GET /v1/configs/acme/checkout/prod`, `{}`},
		{"audit of a tenant", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.Audit(ctx, "acme", client.AuditFilter{Action: "config.publish", Actor: "al", Path: p, Since: time.Unix(0, 0)}))
		}, `GET /v1/tenants/acme/audit?action=config.publish&actor=al&limit=500&path=acme%2Fcheckout%2Fprod%2Fapp.yaml&since=1970-01-01T00%3A00%3A00Z`, `{"items":[]}`},
		{"audit of the system", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.Audit(ctx, "", client.AuditFilter{}))
		}, `GET /v1/audit?limit=500`, `{"items":[]}`},
		{"audit's seal", func(ctx context.Context, c *client.Client) (any, error) { return c.AuditSeal(ctx) },
			`GET /v1/audit/seal`, `{}`},
		{"verify the audit", func(ctx context.Context, c *client.Client) (any, error) {
			return c.VerifyAudit(ctx, client.AuditSeal{})
		}, `GET /v1/audit/verify`, `{}`},
		{"verify the audit against a seal", func(ctx context.Context, c *client.Client) (any, error) {
			return c.VerifyAudit(ctx, client.AuditSeal{Sequence: 7, Hash: "ab"})
		}, `GET /v1/audit/verify?expect=ab&sequence=7`, `{}`},
	}
}

func identityCalls(t *testing.T) []call {
	secret := config.NewSecret("pa ss")
	grant := client.Grant{Role: "client", Scope: mustPath(t, "acme/checkout")}
	return []call{
		{"login", func(ctx context.Context, c *client.Client) (any, error) { return c.Login(ctx, "al", secret, time.Hour) },
			`POST /v1/auth/login anonymously {"username":"al","password":"pa ss","ttl":"1h0m0s"}`, `{}`},
		{"logout", func(ctx context.Context, c *client.Client) (any, error) { return none(c.Logout(ctx)) },
			`POST /v1/auth/logout`, ``},
		{"whoami", func(ctx context.Context, c *client.Client) (any, error) { return c.WhoAmI(ctx) },
			`GET /v1/auth/whoami`, `{}`},
		{"password", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.SetPassword(ctx, secret, config.NewSecret("new")))
		}, `POST /v1/auth/password {"old":"pa ss","new":"new"}`, ``},
		{"users", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Users(ctx)) },
			`GET /v1/users?limit=500`, `{"items":[]}`},
		{"user", func(ctx context.Context, c *client.Client) (any, error) { return c.User(ctx, "a/../b") },
			`GET /v1/users/a%2F..%2Fb`, `{}`},
		{"create user", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateUser(ctx, client.NewUser{Name: "al", Password: secret})
		}, `POST /v1/users {"name":"al","password":"pa ss"}`, `{}`},
		{"update user", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateUser(ctx, "al", client.UserPatch{Disabled: ptr(true), Password: &secret, Expected: "r"})
		}, `PATCH /v1/users/al [If-Match: "r"] {"disabled":true,"password":"pa ss"}`, `{}`},
		{"delete user", func(ctx context.Context, c *client.Client) (any, error) { return none(c.DeleteUser(ctx, "al", "")) },
			`DELETE /v1/users/al`, ``},
		{"tokens", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Tokens(ctx, "al")) },
			`GET /v1/tokens?limit=500&user=al`, `{"items":[]}`},
		{"create token", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateToken(ctx, client.NewToken{User: "svc", Grants: []client.Grant{grant}, TTL: 720 * time.Hour})
		}, `POST /v1/tokens {"user":"svc","grants":[{"role":"client","scope":"acme/checkout"}],"ttl":"720h0m0s"}`, `{}`},
		{"revoke token", func(ctx context.Context, c *client.Client) (any, error) { return none(c.RevokeToken(ctx, "t1")) },
			`DELETE /v1/tokens/t1`, ``},
		{"roles", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Roles(ctx)) },
			`GET /v1/roles`, `{"items":[]}`},
		{"bindings", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.Bindings(ctx, "al")) },
			`GET /v1/bindings?limit=500&user=al`, `{"items":[]}`},
		{"create binding", func(ctx context.Context, c *client.Client) (any, error) { return c.CreateBinding(ctx, "al", grant) },
			`POST /v1/bindings {"user":"al","role":"client","scope":"acme/checkout"}`, `{}`},
		{"create group binding", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateGroupBinding(ctx, "corp:devs", client.Grant{Role: "admin", Scope: grant.Scope, Pattern: "prod/db-*", Deny: true})
		}, `POST /v1/bindings {"group":"corp:devs","role":"admin","scope":"acme/checkout","pattern":"prod/db-*","deny":true}`, `{}`},
		{"find bindings", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.FindBindings(ctx, client.BindingFilter{Group: "g", Role: "r", Scope: grant.Scope, Pattern: "prod", Deny: ptr(false)}))
		}, `GET /v1/bindings?deny=false&group=g&limit=500&pattern=prod&role=r&scope=acme%2Fcheckout`, `{"items":[]}`},
		{"create role", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateRole(ctx, client.Role{Name: "r", Verbs: []string{"read"}})
		}, `POST /v1/roles {"name":"r","verbs":["read"]}`, `{}`},
		{"update role", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateRole(ctx, "r", client.RolePatch{Description: ptr(""), Expected: "v"})
		}, `PATCH /v1/roles/r [If-Match: "v"] {"description":""}`, `{}`},
		{"delete role", func(ctx context.Context, c *client.Client) (any, error) { return none(c.DeleteRole(ctx, "r", "")) },
			`DELETE /v1/roles/r`, ``},
		{"user's groups", func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateUser(ctx, "al", client.UserPatch{Groups: &[]string{}})
		}, `PATCH /v1/users/al {"groups":[]}`, `{}`},
		{"can i", func(ctx context.Context, c *client.Client) (any, error) { return c.CanI(ctx, "read", config.Path{}) },
			`GET /v1/auth/can-i?verb=read`, `{}`},
		{"can somebody", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Can(ctx, "al", "read", grant.Scope)
		}, `GET /v1/auth/can-i?as=al&path=acme%2Fcheckout&verb=read`, `{}`},
		{"who can", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.WhoCan(ctx, "read", grant.Scope))
		}, `GET /v1/auth/who-can?limit=500&path=acme%2Fcheckout&verb=read`, `{"items":[]}`},
		{"delete binding", func(ctx context.Context, c *client.Client) (any, error) { return none(c.DeleteBinding(ctx, "b1")) },
			`DELETE /v1/bindings/b1`, ``},
		{"version", func(ctx context.Context, c *client.Client) (any, error) { return c.Version(ctx) },
			`GET /v1/version`, `{}`},
	}
}

func TestGet(t *testing.T) {
	content := []byte("a: \xff\r\n")
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"d1"`)
		w.Header().Set("Setpoint-Version", "7")
		w.Header().Set("Setpoint-Revision", "r9")
		w.Header().Set("Setpoint-Format", "yaml")
		w.Header().Set("Content-Type", "application/yaml")
		if r.Header.Get("If-None-Match") == `"d1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(content)
	}))
	path := mustPath(t, "acme/checkout/prod/app.yaml")
	want := client.Served{
		Path: path, Version: 7, Format: "yaml", MediaType: "application/yaml", ETag: `"d1"`, Revision: "r9", Content: content,
	}
	got, err := c.Get(t.Context(), path, client.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
	want.Content, want.NotModified = nil, true
	if got, err = c.Get(t.Context(), path, client.ReadOptions{ETag: got.ETag}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("get again (-want +got):\n%s", diff)
	}
}

func TestPages(t *testing.T) {
	pages := map[string]string{
		"":  `{"items":[{"name":"a"},{"name":"b"}],"next":"b"}`,
		"b": `{"items":[{"name":"c"}]}`,
	}
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, pages[r.URL.Query().Get("after")])
	}))
	var got []string
	for tenant, err := range c.Tenants(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tenant.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func TestPagesThatDoNotAdvanceEnd(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"items":[{"name":"a"}],"next":"a"}`)
	}))
	if _, err := collect(c.Tenants(t.Context())); config.KindOf(err) != config.Internal {
		t.Errorf("want internal, got %v", err)
	}
}

func TestExportIsByteForByte(t *testing.T) {
	want := bytes.Repeat([]byte{0, 1, 0xff, '\n'}, 1<<18)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(want) }))
	var got bytes.Buffer
	if err := c.Export(t.Context(), client.Export{Env: mustPath(t, "a/b/c")}, &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got.Bytes()) {
		t.Errorf("want %d bytes as sent, got %d", len(want), got.Len())
	}
}

func TestCreatedTokenKeepsItsSecret(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"token":"sp_abc","id":"t1","user":"svc"}`)
	}))
	got, err := c.CreateToken(t.Context(), client.NewToken{User: "svc"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "sp_abc"; got.Secret.Reveal() != want || got.ID != "t1" {
		t.Errorf("want secret %q of t1, got %q of %s", want, got.Secret.Reveal(), got.ID)
	}
	if text := fmt.Sprintf("%v %+v", got, got); strings.Contains(text, "sp_abc") {
		t.Errorf("the secret prints: %s", text)
	}
}
