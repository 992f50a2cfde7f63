package client_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
)

func share(s config.Share) *config.Share { return &s }

func canary(s config.Share) *client.NewRollout {
	return &client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Share: &s}}}
}

func launchCalls(t *testing.T, p config.Path) []call {
	const rollout = "/v1/tenants/acme/apps/checkout/envs/prod/configs/app.yaml/rollout"
	const one = "/v1/tenants/acme/launches/l1"
	byPath := client.LaunchRef{Path: p}
	byID := client.LaunchRef{Tenant: "acme", ID: "l1"}
	at := time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)
	return []call{
		{"publish with a rollout", func(ctx context.Context, c *client.Client) (any, error) {
			r := canary(1250)
			r.Gate, r.ExpiresAfter = &config.Gate{Refused: 2}, 7200
			return c.Publish(ctx, client.Publish{
				Items:          []client.PublishItem{{Path: p, FromDraft: true}},
				ReleaseOptions: client.ReleaseOptions{Rollout: r, BeginsAt: at, OnRunning: client.BeforeRunning, OverrideFreeze: true},
			})
		}, `POST /v1/tenants/acme/changesets {"items":[{"path":"acme/checkout/prod/app.yaml","from_draft":true}],` +
			`"rollout":{"strategy":{"kind":"canary","rule":{"share":1250}},"gate":{"refused":2},"expires_after_seconds":7200},` +
			`"begins_at":"2027-01-31T10:00:00Z","on_running":"before","override_freeze":true}`, `{}`},
		{"promote with a rollout", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Promote(ctx, client.Promote{App: mustPath(t, "acme/checkout"), From: "dev", To: "test", ReleaseOptions: client.ReleaseOptions{OnRunning: client.AfterRunning}})
		}, `POST /v1/tenants/acme/apps/checkout/promote {"from_env":"dev","to_env":"test","on_running":"after"}`, `{}`},
		{"import with a rollout", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Import(ctx, client.Import{Env: p.Parent(), Archive: strings.NewReader("PK"), ReleaseOptions: client.ReleaseOptions{
				Rollout: canary(100), BeginsAt: at, OnRunning: client.SupersedeRunning, OverrideFreeze: true}})
		}, `POST /v1/tenants/acme/apps/checkout/envs/prod/import?begins_at=2027-01-31T10%3A00%3A00Z&on_running=supersede&override_freeze=true&` +
			`rollout=%7B%22strategy%22%3A%7B%22kind%22%3A%22canary%22%2C%22rule%22%3A%7B%22share%22%3A100%7D%7D%7D PK`, `{}`},
		{"rollback without a version", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Rollback(ctx, client.Rollback{Path: p, Comment: "c"})
		}, `POST ` + strings.TrimSuffix(rollout, "rollout") + `rollback {"comment":"c"}`, `{}`},
		{"delete over a freeze", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.DeleteConfig(ctx, client.DeleteConfig{Path: p, OverrideFreeze: true}))
		}, `DELETE ` + strings.TrimSuffix(rollout, "/rollout") + `?override_freeze=true`, ``},
		{"launches", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.Launches(ctx, client.LaunchFilter{Path: p.Parent(), All: true}))
		}, `GET /v1/tenants/acme/launches?all=true&limit=500&path=acme%2Fcheckout%2Fprod`, `{"items":[]}`},
		{"launches of a tenant", func(ctx context.Context, c *client.Client) (any, error) {
			return collect(c.Launches(ctx, client.LaunchFilter{Path: config.Path{Tenant: "acme"}}))
		}, `GET /v1/tenants/acme/launches?limit=500`, `{"items":[]}`},
		{"launch", func(ctx context.Context, c *client.Client) (any, error) { return c.Launch(ctx, "acme", "l1") },
			`GET ` + one, `{}`},
		{"pause by path", func(ctx context.Context, c *client.Client) (any, error) {
			return c.PauseLaunch(ctx, client.LaunchAct{LaunchRef: byPath, Comment: "c", Expected: "r1"})
		}, `POST ` + rollout + `/pause [If-Match: "r1"] {"comment":"c"}`, `{}`},
		{"pause by id", func(ctx context.Context, c *client.Client) (any, error) {
			return c.PauseLaunch(ctx, client.LaunchAct{LaunchRef: byID})
		}, `POST ` + one + `/pause {}`, `{}`},
		{"resume by both", func(ctx context.Context, c *client.Client) (any, error) {
			return c.ResumeLaunch(ctx, client.LaunchAct{LaunchRef: client.LaunchRef{Path: p, ID: "l1"}, OverrideFreeze: true})
		}, `POST ` + rollout + `/resume {"launch":"l1","override_freeze":true}`, `{}`},
		{"advance", func(ctx context.Context, c *client.Client) (any, error) {
			return c.AdvanceLaunch(ctx, client.LaunchAct{LaunchRef: byPath})
		}, `POST ` + rollout + `/advance {}`, `{}`},
		{"promote launch", func(ctx context.Context, c *client.Client) (any, error) {
			return c.PromoteLaunch(ctx, client.LaunchAct{LaunchRef: byID})
		}, `POST ` + one + `/promote {}`, `{}`},
		{"abort", func(ctx context.Context, c *client.Client) (any, error) {
			return c.AbortLaunch(ctx, client.LaunchAct{LaunchRef: byID})
		}, `POST ` + one + `/abort {}`, `{}`},
		{"switch", func(ctx context.Context, c *client.Client) (any, error) {
			return c.SwitchLaunch(ctx, client.SwitchLaunch{LaunchAct: client.LaunchAct{LaunchRef: byPath}, To: "green"})
		}, `POST ` + rollout + `/switch {"to":"green"}`, `{}`},
		{"adjust", func(ctx context.Context, c *client.Client) (any, error) {
			return c.AdjustLaunch(ctx, client.AdjustLaunch{
				LaunchAct: client.LaunchAct{LaunchRef: byID, Expected: "r2"}, Share: share(0), Gate: &config.Gate{}, ExpiresAfter: ptr(config.Seconds(0)), BeginsAt: &at,
			})
		}, `PATCH ` + one + ` [If-Match: "r2"] {"share":0,"gate":{},"expires_after_seconds":0,"begins_at":"2027-01-31T10:00:00Z"}`, `{}`},
	}
}

func TestLaunchesWithoutAName(t *testing.T) {
	c := serve(t, nil) // is never asked
	for name, f := range map[string]func(context.Context) (any, error){
		"no tenant": func(ctx context.Context) (any, error) { return collect(c.Launches(ctx, client.LaunchFilter{})) },
		"no launch": func(ctx context.Context) (any, error) { return c.AbortLaunch(ctx, client.LaunchAct{}) },
		"no id":     func(ctx context.Context) (any, error) { return c.Launch(ctx, "acme", "") },
		"not so deep": func(ctx context.Context) (any, error) {
			return c.AbortLaunch(ctx, client.LaunchAct{LaunchRef: client.LaunchRef{Path: config.Path{Tenant: "acme"}}})
		},
	} {
		if _, err := f(t.Context()); config.KindOf(err) != config.Invalid {
			t.Errorf("%s: want invalid, got %v", name, err)
		}
	}
}

// node runs the standard build on the memory store and returns a client of it,
// logged in as admin.
func node(t *testing.T) *client.Client {
	t.Helper()
	dir := t.TempDir()
	settings := fmt.Sprintf("data_dir: %s\nlog: {level: error}\nhttp: {addr: \"127.0.0.1:0\"}\nadmin: {addr: \"\"}\nstore: {memory: {}}\nauth: {token: {}, basic: {memory: 7MiB, time: 5}}\n", filepath.Join(dir, "data"))
	file := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := server.LoadSettings(standard.Drivers(), server.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var password config.Secret
	started, ended := make(chan server.Started, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, s, server.Options{
			Version: "test", Log: slog.New(slog.DiscardHandler),
			AdminPassword: func(p config.Secret) error { password = p; return nil },
			Ready:         func(s server.Started) { started <- s },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server's end: %v", err)
		}
	})
	select {
	case at := <-started:
		return newClient(t, client.Options{
			Endpoints: []string{at.URL}, Username: "admin", Password: password, TLS: client.TLS{Fingerprint: at.Fingerprint},
		})
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
		return nil
	}
}

// What the client sends the server understands, and the other way round.
func TestLaunchesOfARealServer(t *testing.T) {
	c, ctx := node(t), t.Context()
	env := mustPath(t, "acme/shop/prod")
	app, limits := env.Join("app.yaml"), env.Join("limits.json")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.CreateTenant(ctx, config.Tenant{Name: "acme"})
	must(err)
	_, err = c.CreateApp(ctx, config.App{Tenant: "acme", Name: "shop"})
	must(err)
	_, err = c.CreateEnv(ctx, config.Env{Tenant: "acme", App: "shop", Name: "prod"})
	must(err)
	release := func(o client.ReleaseOptions, n int) (config.ChangeSet, error) {
		return c.Publish(ctx, client.Publish{Comment: fmt.Sprint("release ", n), ReleaseOptions: o, Items: []client.PublishItem{
			{Path: app, Content: fmt.Appendf(nil, "a: %d\n", n)}, {Path: limits, Content: fmt.Appendf(nil, "{\"a\": %d}\n", n)},
		}})
	}
	_, err = release(client.ReleaseOptions{}, 1)
	must(err)

	set, err := release(client.ReleaseOptions{Rollout: canary(1000)}, 2)
	must(err)
	l := set.Launch
	_, err = release(client.ReleaseOptions{}, 3)
	if config.KindOf(err) != config.Conflict || !strings.Contains(err.Error(), l.ID) {
		t.Errorf("over a launch: want a conflict that names it, got %v", err)
	}
	act := client.LaunchAct{LaunchRef: client.LaunchRef{Path: app}, Expected: l.Revision}
	adjusted, err := c.AdjustLaunch(ctx, client.AdjustLaunch{LaunchAct: act, Share: share(5000)})
	must(err)
	_, err = c.PauseLaunch(ctx, act)
	if config.KindOf(err) != config.Conflict {
		t.Errorf("at an old revision: want a conflict, got %v", err)
	}
	act.Expected = adjusted.Revision
	_, err = c.PauseLaunch(ctx, act)
	must(err)
	act.Expected = ""
	_, err = c.ResumeLaunch(ctx, act)
	must(err)
	promoted, err := c.PromoteLaunch(ctx, client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: "acme", ID: l.ID}, Comment: "good"})
	must(err)
	got, err := c.Launch(ctx, "acme", l.ID)
	must(err)
	if diff := cmp.Diff(promoted, got); diff != "" || got.State != config.LaunchPromoted || len(got.Events) != 5 {
		t.Errorf("after promoting (-want +got):\n%s", diff)
	}

	set, err = release(client.ReleaseOptions{Rollout: &client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}}, 3)
	must(err)
	for _, want := range []string{"green", "blue"} {
		l, err := c.SwitchLaunch(ctx, client.SwitchLaunch{LaunchAct: client.LaunchAct{LaunchRef: client.LaunchRef{Path: limits}}})
		must(err)
		if l.Strategy.Slots.Active != want {
			t.Errorf("want %s active, got %+v", want, l.Strategy.Slots)
		}
	}
	back, err := c.Rollback(ctx, client.Rollback{Path: app})
	must(err)
	if diff := cmp.Diff([]string{set.Launch.ID}, back.Ended); diff != "" {
		t.Errorf("ended by the rollback (-want +got):\n%s", diff)
	}

	scheduled, err := release(client.ReleaseOptions{BeginsAt: time.Now().Add(time.Hour)}, 4)
	must(err)
	later := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	moved, err := c.AdjustLaunch(ctx, client.AdjustLaunch{LaunchAct: client.LaunchAct{LaunchRef: client.LaunchRef{Path: app}}, BeginsAt: &later})
	must(err)
	if moved.State != config.LaunchScheduled || !moved.BeginsAt.Equal(later) {
		t.Errorf("got %+v", moved)
	}
	_, err = c.AbortLaunch(ctx, client.LaunchAct{LaunchRef: client.LaunchRef{Path: app, ID: scheduled.Launch.ID}})
	must(err)

	imported, err := c.Import(ctx, client.Import{Env: env, Archive: zipOf(t, "app.yaml", "a: 9\n"), ReleaseOptions: client.ReleaseOptions{
		Rollout: &client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyProgressive, Steps: []config.Step{{Share: 1, Hold: 60}, {Share: 10000}}}}}})
	must(err)
	_, err = c.AdvanceLaunch(ctx, client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: "acme", ID: imported.ChangeSet.Launch.ID}})
	must(err)
	var states []string
	for l, err := range c.Launches(ctx, client.LaunchFilter{Path: env, All: true}) {
		must(err)
		states = append(states, fmt.Sprint(l.Strategy.Kind, " ", l.State))
	}
	want := []string{"progressive running", "all aborted", "blue-green aborted", "canary promoted"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("all launches (-want +got):\n%s", diff)
	}
	_, err = release(client.ReleaseOptions{OnRunning: client.SupersedeRunning, Rollout: canary(10001)}, 5)
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "strategy.rule.share") {
		t.Errorf("want the share refused, got %v", err)
	}
}

func zipOf(t *testing.T, name, content string) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &buf
}
