package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func previewCalls(p config.Path) []call {
	const base = "/v1/tenants/acme/apps/checkout/envs/prod/configs/app.yaml/rollout/"
	explain := func(e client.Explain) func(context.Context, *client.Client) (any, error) {
		e.Path = p
		return func(ctx context.Context, c *client.Client) (any, error) { return c.Explain(ctx, e) }
	}
	preview := func(l client.PreviewLaunch) func(context.Context, *client.Client) (any, error) {
		return func(ctx context.Context, c *client.Client) (any, error) { return c.Preview(ctx, l) }
	}
	items := []config.Path{p}
	return []call{
		{"explain", explain(client.Explain{}), "GET " + base + "explain", `{}`},
		{"explain an id", explain(client.Explain{Client: config.Client{ID: "pod 1"}, At: "2s.x"}), "GET " + base + "explain?at=2s.x&instance=pod+1", `{}`},
		{"explain a client without labels", explain(client.Explain{Client: config.Client{ID: "a", Labels: map[string]string{}}}), "GET " + base + "explain?instance=a&labels=", `{}`},
		{"explain a client then", explain(client.Explain{
			Client: config.Client{Address: "::1", Slot: "green", Labels: map[string]string{"b": "2", "a": "1=x"}}, Time: time.Unix(1, 5).UTC(),
		}), "GET " + base + "explain?address=%3A%3A1&at=1970-01-01T00%3A00%3A01.000000005Z&labels=a%3D1%3Dx%2Cb%3D2&slot=green", `{}`},
		{"preview", preview(client.PreviewLaunch{
			Items: items, Strategy: &config.Strategy{Kind: config.StrategyAll}, BeginsAt: time.Unix(0, 0).UTC(), OnRunning: "before", ExpiresAfter: 60, Gate: &config.Gate{}, Most: 5,
		}), `POST /v1/tenants/acme/launches/preview?limit=5 {"items":["acme/checkout/prod/app.yaml"],"strategy":{"kind":"all"},"gate":{},"expires_after_seconds":60,"begins_at":"1970-01-01T00:00:00Z","on_running":"before"}`, `{}`},
		{"preview a change", preview(client.PreviewLaunch{Items: items, Change: config.ChangeAbort}), "POST " + base + `preview?limit=1000 {"change":"abort"}`, `{}`},
		{"preview a change of a launch", preview(client.PreviewLaunch{Tenant: "acme", Launch: "l1", Share: ptr(config.Share(5))}), `POST /v1/tenants/acme/launches/preview?limit=1000 {"launch":"l1","share":5}`, `{}`},
		{"preview of a launch and a config", preview(client.PreviewLaunch{Items: items, Launch: "l1"}), `POST /v1/tenants/acme/launches/preview?limit=1000 {"launch":"l1"}`, `{}`},
	}
}

func TestPreviewRequests(t *testing.T) {
	p := mustPath(t, "acme/checkout/prod/app.yaml")
	for _, tt := range previewCalls(p) {
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
	c := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }))
	for name, err := range map[string]error{
		"no tenant":     second(c.Preview(t.Context(), client.PreviewLaunch{Launch: "x"})),
		"no config":     second(c.Preview(t.Context(), client.PreviewLaunch{Items: []config.Path{p.Parent()}})),
		"env explained": second(c.Explain(t.Context(), client.Explain{Path: p.Parent()})),
		"both moments":  second(c.Explain(t.Context(), client.Explain{Path: p, At: "x", Time: time.Now()})),
		"a bad label":   second(c.Explain(t.Context(), client.Explain{Path: p, Client: config.Client{Labels: map[string]string{"a,b": ""}}})),
	} {
		if config.KindOf(err) != config.Invalid || err == nil {
			t.Errorf("%s: want it refused here, got %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestPreviewIsReadByPages holds that the counts are those of the first page, and
// that no more is read than is asked for.
func TestPreviewIsReadByPages(t *testing.T) {
	served := 0
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		var after, limit int
		fmt.Sscan(r.URL.Query().Get("after"), &after)
		fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		next := fmt.Sprint(after + 1)
		if after == 2 {
			next = ""
		}
		fmt.Fprintf(w, `{"revision":"r%d","configs":[{"instances":%d}],"items":[{"id":"pod-%d"}],"next":%q}`, after, after+3, after, next)
		if limit < 1 || limit > 1000 {
			t.Errorf("got a limit of %d", limit)
		}
	}))
	item := []config.Path{mustPath(t, "acme/checkout/prod/app.yaml")}
	for most, want := range map[int]int{0: 3, 1: 1, 2: 2, 9: 3} {
		served = 0
		got, err := c.Preview(t.Context(), client.PreviewLaunch{Items: item, Most: most})
		if err != nil || len(got.Items) != want || served != want || got.Revision != "r0" || got.Configs[0].Instances != 3 {
			t.Errorf("at most %d: want %d instances and the first counts, got %+v after %d answers, %v", most, want, got, served, err)
		}
	}
}
