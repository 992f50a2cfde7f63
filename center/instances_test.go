package center_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// watching opens a watch as admin of an instance.
func (n *node) watching(id string, patterns ...string) *center.Watch {
	n.t.Helper()
	ctx := auth.WithRequest(n.admin(), auth.Request{Address: "192.0.2.1", Agent: "shop/1"})
	w, err := n.Watch(ctx, center.WatchRequest{
		Patterns: patterns, Protocol: "rest", Client: config.Client{ID: id, Labels: map[string]string{"zone": "a"}},
	}, func() {})
	n.must(err)
	n.t.Cleanup(w.Close)
	return w
}

func ids(all []config.Instance) []string {
	found := []string{}
	for _, i := range all {
		found = append(found, i.ID+"@"+i.Node)
	}
	return found
}

func TestInstancesTellWhoWatchesWhat(t *testing.T) {
	n := cluster(t, &fakeNodes{})
	n.house()
	n.publish("acme/shop/prod/app.json", `{}`)
	n.must(second(n.CreateTenant(n.admin(), config.Tenant{Name: "globex"})))
	w := n.watching("pod-1", "acme/shop/prod", "globex/web/prod/x.json")
	delivery, _, err := w.Next()
	n.must(err)
	got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(t, "acme/shop/prod/app.json")})
	n.must(err)
	want := []config.Instance{{
		ID: "pod-1", Labels: map[string]string{"zone": "a"}, Address: "192.0.2.1", Agent: "shop/1", User: "admin",
		Protocol: "rest", Node: "n1", Connected: true, Watches: []string{"acme/shop/prod"}, Sent: delivery.Revision,
		Holds: []config.Holding{{Path: path(t, "acme/shop/prod/app.json"), Sent: 1}},
	}}
	if diff := cmp.Diff(want, got.Items, cmpopts.IgnoreFields(config.Instance{}, "Since", "Seen")); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if got.Items[0].Since.IsZero() || got.Items[0].Seen.Before(got.Items[0].Since) {
		t.Errorf("want it known since when, got %+v", got.Items[0])
	}
	if self := n.Self(t.Context()); self.Watchers != 1 {
		t.Errorf("want one watcher, got %d", self.Watchers)
	}
	w.Close()
	got, err = n.Instances(n.admin(), center.InstanceRequest{Path: config.Path{}})
	n.must(err)
	if len(got.Items) != 1 || got.Items[0].Connected || n.Self(t.Context()).Watchers != 0 {
		t.Errorf("want it remembered as one that has left after the watch was closed, got %+v", got)
	}
}

func TestInstancesOfAPathAreThoseThatItConcerns(t *testing.T) {
	n := cluster(t, &fakeNodes{})
	n.house()
	n.publish("acme/shop/prod/app.json", `{}`)
	n.publish("acme/shop/dev/app.json", `{}`)
	for _, pattern := range []string{"acme", "acme/shop/prod", "acme/shop/prod/app.json", "acme/*/dev", "acme/*/prod/a*", "acme/shop/prod/x*"} {
		n.watching(pattern, pattern)
	}
	for where, want := range map[string][]string{
		"":                        {"acme", "acme/*/dev", "acme/*/prod/a*", "acme/shop/prod", "acme/shop/prod/app.json", "acme/shop/prod/x*"},
		"acme/shop":               {"acme", "acme/*/dev", "acme/*/prod/a*", "acme/shop/prod", "acme/shop/prod/app.json", "acme/shop/prod/x*"},
		"acme/shop/prod":          {"acme", "acme/*/prod/a*", "acme/shop/prod", "acme/shop/prod/app.json", "acme/shop/prod/x*"},
		"acme/shop/prod/app.json": {"acme", "acme/*/prod/a*", "acme/shop/prod", "acme/shop/prod/app.json"},
		"acme/shop/dev/app.json":  {"acme", "acme/*/dev"},
		"acme/shop/test":          {"acme"},
	} {
		got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(t, where)})
		n.must(err)
		for i := range want {
			want[i] += "@n1"
		}
		if diff := cmp.Diff(want, ids(got.Items)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
	}
	for _, where := range []string{"ghost", "acme/ghost", "acme/shop/ghost", "acme/shop/prod/ghost.json"} {
		wantKind(t, config.NotFound, second(n.Instances(n.admin(), center.InstanceRequest{Path: path(t, where)})))
	}
}

func TestInstancesOfOtherNodesAreAdded(t *testing.T) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	nodes := &fakeNodes{silent: []string{"n4", "n3"}}
	for i := range 5 {
		nodes.instances = append(nodes.instances, config.Instance{ID: fmt.Sprint("pod-", i), Node: "n2", Since: begun.Add(time.Duration(i))})
	}
	// Some do not say who they are.
	for i := range 5 {
		nodes.instances = append(nodes.instances, config.Instance{Node: "n2", Since: begun.Add(time.Duration(i))})
	}
	n := cluster(t, nodes, func(o *center.Options) { o.Now = func() time.Time { return begun } })
	n.house()
	n.watching("", "acme")
	n.watching("", "acme")
	n.watching("pod-2", "acme")
	var all []config.Instance
	for page := (center.PageRequest{Limit: 2}); ; {
		got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(t, "acme"), PageRequest: page})
		n.must(err)
		if diff := cmp.Diff([]string{"n3", "n4"}, got.Silent); diff != "" {
			t.Errorf("silent nodes (-want +got):\n%s", diff)
		}
		all = append(all, got.Items...)
		if page.After = got.Next; page.After == "" {
			break
		}
	}
	want := []string{"@n1", "@n1", "@n2", "@n2", "@n2", "@n2", "@n2", "pod-0@n2", "pod-1@n2", "pod-2@n1", "pod-2@n2", "pod-3@n2", "pod-4@n2"}
	if diff := cmp.Diff(want, ids(all)); diff != "" {
		t.Errorf("by page (-want +got):\n%s", diff)
	}
	if slices.ContainsFunc(all[1:], func(i config.Instance) bool { return i.Node == "n1" && i.Since.Equal(all[0].Since) }) {
		t.Error("want no two of a node since the same moment, or pages would lose one")
	}
	wantKind(t, config.Invalid, second(n.Instances(n.admin(), center.InstanceRequest{Path: path(t, "acme"), PageRequest: center.PageRequest{After: "x!"}})))
	nodes.err = config.Errorf(config.Timeout, "", "", "too slow")
	wantKind(t, config.Timeout, second(n.Instances(n.admin(), center.InstanceRequest{Path: path(t, "acme")})))
}

func FuzzInstancesAfter(f *testing.F) {
	n := joinWith(f, prepared(f), func(*center.Options) {})
	for _, plain := range []string{"", "id\x00n1\x00abc", "\x00\x00", "\x00", "id\x00n1\x00-zz", "i\x00d\x00n1\x001"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(plain)))
	}
	f.Add("not base64!")
	f.Fuzz(func(t *testing.T, after string) {
		ctx := auth.WithIdentity(t.Context(), auth.Identity{Subject: center.AdminUser, Method: "basic"})
		got, err := n.Instances(ctx, center.InstanceRequest{PageRequest: center.PageRequest{After: after}})
		if err != nil && config.KindOf(err) != config.Invalid {
			t.Errorf("%q: %v", after, err)
		}
		if len(got.Items) > 0 || got.Next != "" {
			t.Errorf("%q: want nobody, got %+v", after, got)
		}
	})
}
