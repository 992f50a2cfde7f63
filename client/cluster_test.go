package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func clusterCalls(p config.Path) []call {
	return []call{
		{"Cluster", func(ctx context.Context, c *client.Client) (any, error) { return c.Cluster(ctx) }, "GET /v1/cluster", `{}`},
		{"Members", func(ctx context.Context, c *client.Client) (any, error) { return c.Members(ctx) }, "GET /v1/cluster/members", `{}`},
		{"PromoteMember", func(ctx context.Context, c *client.Client) (any, error) { return none(c.PromoteMember(ctx, "n/4")) }, "POST /v1/cluster/members/n%2F4/promote", ``},
		{"RemoveMember", func(ctx context.Context, c *client.Client) (any, error) { return none(c.RemoveMember(ctx, "n4")) }, "DELETE /v1/cluster/members/n4", ``},
		{"MoveLeader", func(ctx context.Context, c *client.Client) (any, error) { return none(c.MoveLeader(ctx, "n2")) }, `POST /v1/cluster/leader {"name":"n2"}`, ``},
		{"MoveLeader to whomever", func(ctx context.Context, c *client.Client) (any, error) { return none(c.MoveLeader(ctx, "")) }, `POST /v1/cluster/leader {}`, ``},
		{"CreateJoinToken", func(ctx context.Context, c *client.Client) (any, error) {
			return c.CreateJoinToken(ctx, client.NewJoinToken{TTL: time.Hour, Edge: true})
		}, `POST /v1/cluster/tokens {"ttl":"1h0m0s","edge":true}`, `{}`},
		{"JoinTokens", func(ctx context.Context, c *client.Client) (any, error) { return collect(c.JoinTokens(ctx)) }, "GET /v1/cluster/tokens?limit=500", `{}`},
		{"RevokeJoinToken", func(ctx context.Context, c *client.Client) (any, error) { return none(c.RevokeJoinToken(ctx, "k7")) }, "DELETE /v1/cluster/tokens/k7", ``},
		{"Instances of a config", func(ctx context.Context, c *client.Client) (any, error) { return c.Instances(ctx, p) }, "GET /v1/tenants/acme/apps/checkout/envs/prod/configs/app.yaml/instances?limit=500", `{}`},
		{"Instances of an env", func(ctx context.Context, c *client.Client) (any, error) { return c.Instances(ctx, p.Parent()) }, "GET /v1/tenants/acme/apps/checkout/envs/prod/instances?limit=500", `{}`},
		{"FindInstances", func(ctx context.Context, c *client.Client) (any, error) {
			return c.FindInstances(ctx, p, client.InstanceFilter{Version: 3, State: "silent"})
		}, "GET /v1/tenants/acme/apps/checkout/envs/prod/configs/app.yaml/instances?limit=500&state=silent&version=3", `{}`},
		{"Report", func(ctx context.Context, c *client.Client) (any, error) {
			return none(c.Report(ctx, []client.Report{
				{Path: p, Version: 2, State: config.AckApplied}, {Path: p, Version: 3, State: config.AckRefused, Why: "too large"},
			}))
		}, `POST /v1/instances/report {"reports":[{"path":"acme/checkout/prod/app.yaml","version":2,"state":"applied"},` +
			`{"path":"acme/checkout/prod/app.yaml","version":3,"state":"refused","why":"too large"}]}`, ``},
	}
}

func TestReportsGoInBatches(t *testing.T) {
	var got []int
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Reports []struct{ Version int64 }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		got = append(got, len(in.Reports))
		if len(got) == 4 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	all := make([]client.Report, 600)
	if err := c.Report(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{256, 256, 88}, got); diff != "" {
		t.Errorf("reports of each request (-want +got):\n%s", diff)
	}
	if err := c.Report(t.Context(), all); config.KindOf(err) != config.Denied || len(got) != 4 {
		t.Errorf("want the first refusal to end it, got %v after %v", err, got)
	}
}

func TestJoinOffer(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"token":"spj_x","id":"x","edge":true,"addresses":["h1:7403"],"fingerprint":"0f"}`)
	}))
	got, err := c.CreateJoinToken(t.Context(), client.NewJoinToken{})
	if err != nil {
		t.Fatal(err)
	}
	want := client.JoinOffer{
		JoinToken: config.JoinToken{ID: "x", Edge: true}, Secret: config.NewSecret("spj_x"),
		Invitation: config.Invitation{Addresses: []string{"h1:7403"}, Fingerprint: "0f"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config.Secret{})); diff != "" {
		t.Errorf("offer (-want +got):\n%s", diff)
	}
}

func TestInstancesOfAllPagesAndSilentNodes(t *testing.T) {
	pages := map[string]string{
		"":  `{"items":[{"id":"a"}],"next":"1","silent":["n3"]}`,
		"1": `{"items":[{"id":"b"}],"next":"2","silent":["n3","n2"]}`,
		"2": `{"items":[]}`,
		"x": `{"items":[],"next":"x"}`,
	}
	first := ""
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		if after == "" {
			after = first
		}
		io.WriteString(w, pages[after])
	}))
	env := mustPath(t, "acme/checkout/prod")
	got, err := c.Instances(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	want := client.InstanceList{Instances: []config.Instance{{ID: "a"}, {ID: "b"}}, Silent: []string{"n2", "n3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	first = "x"
	if _, err := c.Instances(t.Context(), env); config.KindOf(err) != config.Internal || !strings.Contains(err.Error(), "do not advance") {
		t.Errorf("want pages that do not advance refused, got %v", err)
	}
	if _, err := c.Instances(t.Context(), mustPath(t, "acme")); config.KindOf(err) != config.Invalid {
		t.Errorf("want a tenant refused, got %v", err)
	}
}

func TestReadsTellHowOldTheyMayBe(t *testing.T) {
	for header, want := range map[string]time.Duration{"": 0, "12": 12 * time.Second, "-1": 0, "x": 0} {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Setpoint-Stale-Seconds", header)
			io.WriteString(w, `{}`)
		}))
		served, err := c.Get(t.Context(), mustPath(t, "acme/checkout/prod/app.yaml"), client.ReadOptions{})
		if err != nil || served.Stale != want {
			t.Errorf("%q: want a config stale for %s, got %s, %v", header, want, served.Stale, err)
		}
		env, err := c.Snapshot(t.Context(), mustPath(t, "acme/checkout/prod"), client.ReadOptions{})
		if err != nil || env.Stale != want {
			t.Errorf("%q: want an env stale for %s, got %s, %v", header, want, env.Stale, err)
		}
	}
}

func TestWatchTellsWhenItsNodeIsCutOff(t *testing.T) {
	const current = "event: current\nid: r1\ndata: {\"revision\":\"r1\"}\n\n"
	c := serve(t, &script{hold: true, parts: []string{
		"retry: 1\n\n" + current + "event: stale\ndata: {\"seconds\":3}\n\nevent: stale\ndata: {\"seconds\":0}\n\nevent: stale\ndata: {\"seconds\":4.5}\n\n",
		"retry: 1\n\n" + current, // on another node, which is well
	}})
	var got []time.Duration
	seen := 0
	for _, err := range c.Watch(t.Context(), client.WatchRequest{
		Patterns: []string{"t/a/e"}, OnStale: func(stale time.Duration) { got = append(got, stale) },
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 2 {
			break
		}
	}
	want := []time.Duration{3 * time.Second, 0, 4500 * time.Millisecond, 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
