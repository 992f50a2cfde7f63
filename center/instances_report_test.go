package center_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const (
	shopProd = "acme/shop/prod"
	shopApp  = "acme/shop/prod/app.json"
)

// pod is an instance by its name.
func pod(id string) config.Client {
	return config.Client{ID: id, Address: "192.0.2.1", Labels: map[string]string{"version": "1.4"}}
}

// read has an instance read a config.
func (n *node) read(id, p string) {
	n.t.Helper()
	_, err := n.Get(n.admin(), center.Read{Path: path(n.t, p), Client: pod(id), Protocol: "rest"})
	n.must(err)
}

func said(n *node, p string, version int64, state config.AckState, why string) center.InstanceReport {
	return center.InstanceReport{Path: path(n.t, p), Version: version, State: state, Why: why}
}

// report has an instance report.
func (n *node) report(id string, reports ...center.InstanceReport) {
	n.t.Helper()
	n.must(n.Report(n.admin(), center.ReportRequest{Client: pod(id), Protocol: "rest", Reports: reports}))
}

// instances lists all instances of a path.
func (n *node) instances(p string) center.InstanceList {
	n.t.Helper()
	got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(n.t, p), PageRequest: center.PageRequest{Limit: 1000}})
	n.must(err)
	return got
}

// holds renders what instances hold: "pod-1 app.json sent 1 applied 1 refused 2 (why)".
func holds(all []config.Instance) []string {
	found := []string{}
	for _, i := range all {
		text := i.ID
		if i.Connected {
			text += "*"
		}
		for _, h := range i.Holds {
			text += fmt.Sprintf(" %s:%d/%d/%d%s", h.Path.Name, h.Sent, h.Applied, h.Refused, h.Why)
		}
		found = append(found, text)
	}
	return found
}

func (n *node) wantHolds(p string, want ...string) {
	n.t.Helper()
	if diff := cmp.Diff(want, holds(n.instances(p).Items), cmpopts.EquateEmpty()); diff != "" {
		n.t.Errorf("%s (-want +got):\n%s", p, diff)
	}
}

func TestWhoReadsIsRemembered(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(shopApp, `{"a": 1}`)
	n.publish("acme/shop/prod/b.json", `{"b": 1}`)
	n.publish("acme/shop/dev/app.json", `{"a": 1}`)
	n.read("pod-1", shopApp)
	n.must(second(n.Snapshot(n.admin(), center.ReadEnv{Env: path(t, shopProd), Client: pod("pod-2"), Protocol: "grpc"})))
	n.must(second(n.Get(n.admin(), center.Read{Path: path(t, shopApp)}))) // says no name
	w := n.watching("pod-3", shopProd)
	n.must(third(w.Next()))
	n.wantHolds(shopApp, "pod-1 app.json:1/0/0", "pod-2 app.json:1/0/0", "pod-3* app.json:1/0/0")
	n.wantHolds(shopProd, "pod-1 app.json:1/0/0", "pod-2 app.json:1/0/0 b.json:1/0/0", "pod-3* app.json:1/0/0 b.json:1/0/0")
	n.wantHolds("acme", "pod-1", "pod-2", "pod-3*")
	n.wantHolds("acme/shop/dev")

	// What each was sent stays so until it reads again, whatever is served since.
	n.publish(shopApp, `{"a": 2}`)
	n.wantHolds(shopApp, "pod-1 app.json:1/0/0", "pod-2 app.json:1/0/0", "pod-3* app.json:1/0/0")
	n.read("pod-1", shopApp)
	n.must(third(w.Next()))
	w.Close()
	n.publish(shopApp, `{"a": 3}`)
	n.wantHolds(shopApp, "pod-1 app.json:2/0/0", "pod-2 app.json:1/0/0", "pod-3 app.json:2/0/0")
	one := n.instances(shopApp).Items[1]
	want := config.Instance{
		ID: "pod-2", Labels: map[string]string{"version": "1.4"}, Address: "192.0.2.1", User: "admin", Protocol: "grpc", Node: "node",
		Holds: []config.Holding{{Path: path(t, shopApp), Sent: 1}},
	}
	if diff := cmp.Diff(want, one, cmpopts.IgnoreFields(config.Instance{}, "Since", "Seen")); diff != "" {
		t.Errorf("one who read (-want +got):\n%s", diff)
	}
	if one.Seen.IsZero() || one.Since.IsZero() {
		t.Errorf("want it known when it was seen, got %+v", one)
	}
	// Who reads what was deleted learns of it, and has no version of it.
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, "acme/shop/prod/b.json")}))
	n.must(second(n.Snapshot(n.admin(), center.ReadEnv{Env: path(t, shopProd), Client: pod("pod-2")})))
	n.wantHolds(shopProd, "pod-1 app.json:2/0/0", "pod-2 app.json:3/0/0", "pod-3 app.json:2/0/0 b.json:1/0/0")
}

func TestReports(t *testing.T) {
	n := start(t)
	n.house()
	for v := range 3 {
		n.publish(shopApp, fmt.Sprintf(`{"a": %d}`, v))
	}
	n.read("pod-1", shopApp)
	for _, step := range []struct {
		name    string
		reports []center.InstanceReport
		want    string
	}{
		{"applied", []center.InstanceReport{said(n, shopApp, 2, config.AckApplied, "ignored")}, "pod-1 app.json:3/2/0"},
		{"refused", []center.InstanceReport{said(n, shopApp, 3, config.AckRefused, "no port")}, "pod-1 app.json:3/2/3no port"},
		{"all again", []center.InstanceReport{said(n, shopApp, 2, config.AckApplied, ""), said(n, shopApp, 3, config.AckRefused, "no port")}, "pod-1 app.json:3/2/3no port"},
		{"applied after all", []center.InstanceReport{said(n, shopApp, 3, config.AckApplied, "")}, "pod-1 app.json:3/3/0"},
		{"and refused then", []center.InstanceReport{said(n, shopApp, 3, config.AckRefused, "")}, "pod-1 app.json:3/0/3"},
		{"a reason too long", []center.InstanceReport{said(n, shopApp, 3, config.AckRefused, strings.Repeat("ä", 600))}, "pod-1 app.json:3/0/3" + strings.Repeat("ä", 500)},
		{"half a character", []center.InstanceReport{said(n, shopApp, 3, config.AckRefused, "a"+strings.Repeat("ä", 600))}, "pod-1 app.json:3/0/3a" + strings.Repeat("ä", 499)},
		{"no text", []center.InstanceReport{said(n, shopApp, 3, config.AckRefused, "\xff")}, "pod-1 app.json:3/0/3"},
	} {
		n.report("pod-1", step.reports...)
		if diff := cmp.Diff([]string{step.want}, holds(n.instances(shopApp).Items)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	// One that was heard of by its report only.
	n.report("pod-2", said(n, shopApp, 1, config.AckApplied, ""))
	n.wantHolds(shopProd, "pod-1 app.json:3/0/3", "pod-2 app.json:0/1/0")
}

func TestWrongReportsAreRefusedAsAWhole(t *testing.T) {
	n := start(t, func(l *center.Limits) { l.InstancesMost = 2 })
	n.house()
	n.publish(shopApp, `{"a": 1}`)
	n.publish("acme/shop/dev/app.json", `{}`)
	reader := n.user("reader", auth.Grant{Role: auth.RoleViewer, Scope: path(t, shopProd)})
	good := said(n, shopApp, 1, config.AckApplied, "")
	for name, tt := range map[string]struct {
		ctx     context.Context
		client  config.Client
		reports []center.InstanceReport
		kind    config.ErrorKind
		text    string
	}{
		"nothing":            {n.admin(), pod("p"), nil, config.Invalid, "1 to 256"},
		"too much":           {n.admin(), pod("p"), slices.Repeat([]center.InstanceReport{good}, 257), config.Invalid, "1 to 256"},
		"nobody":             {t.Context(), pod("p"), []center.InstanceReport{good}, config.Unauthenticated, ""},
		"no name":            {n.admin(), pod(""), []center.InstanceReport{good}, config.Invalid, "says which it is"},
		"too long a name":    {n.admin(), pod(strings.Repeat("x", 257)), []center.InstanceReport{good}, config.Invalid, "says which it is"},
		"one denied":         {reader, pod("p"), []center.InstanceReport{good, said(n, "acme/shop/dev/app.json", 1, config.AckApplied, "")}, config.Denied, "acme/shop/dev/app.json"},
		"one not there":      {n.admin(), pod("p"), []center.InstanceReport{good, said(n, "acme/shop/prod/ghost", 1, config.AckApplied, "")}, config.Invalid, "acme/shop/prod/ghost"},
		"an env":             {n.admin(), pod("p"), []center.InstanceReport{said(n, shopProd, 1, config.AckApplied, "")}, config.Invalid, shopProd},
		"a version to come":  {n.admin(), pod("p"), []center.InstanceReport{good, said(n, shopApp, 2, config.AckApplied, "")}, config.Invalid, "version 2 to report of; the latest is 1"},
		"no version":         {n.admin(), pod("p"), []center.InstanceReport{said(n, shopApp, 0, config.AckApplied, "")}, config.Invalid, "version 0"},
		"no state":           {n.admin(), pod("p"), []center.InstanceReport{said(n, shopApp, 1, config.AckNone, "")}, config.Invalid, `"applied" or "refused"`},
		"another state":      {n.admin(), pod("p"), []center.InstanceReport{said(n, shopApp, 1, "happy", "")}, config.Invalid, `"happy"`},
		"one without rights": {n.user("mallory"), pod("p"), []center.InstanceReport{good}, config.Denied, shopApp},
	} {
		t.Run(name, func(t *testing.T) {
			err := n.Report(tt.ctx, center.ReportRequest{Client: tt.client, Reports: tt.reports})
			if e := wantKind(t, tt.kind, err); !strings.Contains(e.Error(), tt.text) {
				t.Errorf("want %q in it, got %v", tt.text, err)
			}
		})
	}
	n.wantHolds(shopProd)
	// Whoever finds no room is told so, and not led to believe that it was heard.
	n.report("pod-1", good)
	n.report("pod-2", good)
	err := n.Report(n.admin(), center.ReportRequest{Client: pod("pod-3"), Reports: []center.InstanceReport{good}})
	if e := wantKind(t, config.Exhausted, err); !strings.Contains(e.Error(), "instances_most, 2") {
		t.Errorf("want the limit named, got %v", err)
	}
	n.report("pod-2", good)
	n.watching("pod-4", shopProd)
	if diff := cmp.Diff(center.InstanceStats{Remembered: 3, Connected: 1, Lost: 1}, n.InstanceStats()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// A node that is behind must not refuse what another one has sent.
func TestReportOfAReleaseThatThisNodeHasNotSeenYet(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(shopApp, `{"a": 1}`)
	behind := join(t, n.store)
	n.publish(shopApp, `{"a": 2}`)
	behind.report("pod-1", said(n, shopApp, 2, config.AckApplied, ""))
	behind.wantHolds(shopApp, "pod-1 app.json:0/2/0")
}

func TestInstancesAreCountedAndChosen(t *testing.T) {
	n := start(t)
	n.house()
	for v := range 3 {
		n.publish(shopApp, fmt.Sprintf(`{"a": %d}`, v))
		for i := range 3 {
			n.read(fmt.Sprintf("v%d-%d", v+1, i), shopApp)
		}
	}
	n.report("v2-0", said(n, shopApp, 2, config.AckApplied, ""))
	n.report("v3-0", said(n, shopApp, 3, config.AckApplied, ""))
	n.report("v3-1", said(n, shopApp, 2, config.AckApplied, ""), said(n, shopApp, 3, config.AckRefused, "no"))
	n.report("r", said(n, shopApp, 1, config.AckRefused, "never"))
	n.watching("", shopApp).Next()
	want := []config.VersionCount{
		{Path: path(t, shopApp), Version: 3, Sent: 4, Applied: 1, Refused: 1, Silent: 2},
		{Path: path(t, shopApp), Version: 2, Sent: 3, Applied: 2, Silent: 2},
		{Path: path(t, shopApp), Version: 1, Sent: 3, Refused: 1, Silent: 3},
	}
	for _, tt := range []struct {
		version int64
		state   string
		want    []string
	}{
		{0, "", []string{"", "r", "v1-0", "v1-1", "v1-2", "v2-0", "v2-1", "v2-2", "v3-0", "v3-1", "v3-2"}},
		{2, "", []string{"v2-0", "v2-1", "v2-2", "v3-1"}},
		{3, "applied", []string{"v3-0"}},
		{2, "applied", []string{"v2-0", "v3-1"}},
		{3, "refused", []string{"v3-1"}},
		{3, "silent", []string{"", "v3-2"}},
		{0, "applied", []string{"v2-0", "v3-0"}},
		{0, "refused", []string{"r", "v3-1"}},
		{0, "silent", []string{"", "v1-0", "v1-1", "v1-2", "v2-1", "v2-2", "v3-2"}},
		{9, "", []string{}},
	} {
		found := []string{}
		for page := (center.PageRequest{Limit: 2}); ; {
			got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(t, shopApp), PageRequest: page, Version: tt.version, State: tt.state})
			n.must(err)
			if diff := cmp.Diff(want, got.Counts); diff != "" {
				t.Fatalf("counts of all, on any page (-want +got):\n%s", diff)
			}
			for _, i := range got.Items {
				found = append(found, i.ID)
			}
			if page.After = got.Next; page.After == "" {
				break
			}
		}
		if diff := cmp.Diff(tt.want, found); diff != "" {
			t.Errorf("version %d, state %q (-want +got):\n%s", tt.version, tt.state, diff)
		}
	}
	for _, r := range []center.InstanceRequest{
		{Path: path(t, shopApp), State: "sad"}, {Path: path(t, shopApp), Version: -1},
		{Path: path(t, shopProd), State: "applied"}, {Path: path(t, shopProd), Version: 1},
	} {
		wantKind(t, config.Invalid, second(n.Instances(n.admin(), r)))
	}
}

// An instance may be watched by one node and report to another, and has left the
// one that it was at before.
func TestInstancesOfSeveralNodesAreMerged(t *testing.T) {
	now := time.Now().UTC()
	at := func(id, node string, seen time.Duration, connected bool, h config.Holding) config.Instance {
		h.Path = path(t, shopApp)
		return config.Instance{ID: id, User: "admin", Node: node, Since: now.Add(-time.Hour), Seen: now.Add(seen), Connected: connected, Holds: []config.Holding{h}}
	}
	when := func(ago time.Duration) time.Time { return now.Add(-ago) }
	nodes := &fakeNodes{instances: []config.Instance{
		at("moved", "n2", -time.Minute, false, config.Holding{Sent: 1, Applied: 1, AppliedAt: when(time.Minute)}),
		at("moved", "n3", 0, true, config.Holding{Sent: 2}),
		at("proxied", "n2", 0, true, config.Holding{Sent: 2, Applied: 1, AppliedAt: when(time.Hour)}),
		at("proxied", "n3", -time.Second, false, config.Holding{Refused: 2, RefusedAt: when(time.Second), Why: "no"}),
		at("mended", "n2", 0, true, config.Holding{Sent: 2, Refused: 2, RefusedAt: when(time.Minute), Why: "no"}),
		at("mended", "n3", -time.Second, false, config.Holding{Applied: 2, AppliedAt: when(time.Second)}),
		at("reader", "n2", -2*time.Minute, false, config.Holding{Sent: 1}),
		at("reader", "n3", -time.Minute, false, config.Holding{Sent: 2}),
		at("twice", "n2", 0, true, config.Holding{Sent: 2}),
		at("twice", "n3", 0, true, config.Holding{Sent: 2}),
	}}
	n := cluster(t, nodes)
	n.house()
	n.publish(shopApp, `{"a": 1}`)
	n.wantHolds(shopApp, "mended* app.json:2/2/0", "moved* app.json:2/1/0", "proxied* app.json:2/1/2no", "reader app.json:2/0/0",
		"twice* app.json:2/0/0", "twice* app.json:2/0/0")
	want := []config.VersionCount{
		{Path: path(t, shopApp), Version: 2, Sent: 5, Applied: 1, Refused: 1, Silent: 3},
		{Path: path(t, shopApp), Version: 1, Applied: 2},
	}
	if diff := cmp.Diff(want, n.instances(shopApp).Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// peers are the other nodes of a cluster, that are asked as over the wire.
type peers struct {
	fakeNodes
	nodes []*node
	given int // instances that they gave
}

func (p *peers) Instances(_ context.Context, q config.InstanceQuery) (found []config.Instance, silent []string, err error) {
	for _, n := range p.nodes {
		found = append(found, n.LocalInstances(q)...)
	}
	p.given = len(found)
	return found, nil, nil
}

func (p *peers) Receipts(_ context.Context, path config.Path, version int64) (found []config.Receipt, silent []string, err error) {
	for _, n := range p.nodes {
		found = append(found, n.LocalReceipts(path, version)...)
	}
	return found, nil, nil
}

// three runs three nodes on one store, of which the first asks the others.
func three(t *testing.T) (all [3]*node, others *peers) {
	t.Helper()
	others = &peers{}
	s := prepared(t)
	for i := range all {
		all[i] = joinWith(t, s, func(o *center.Options) {
			if o.Node = fmt.Sprint("n", i+1); i == 0 {
				o.Nodes = others
			}
		})
	}
	others.nodes = all[1:]
	all[0].house()
	return all, others
}

func TestInstancesOfAnEnvArePagedOnEveryNode(t *testing.T) {
	all, others := three(t)
	n := all[0]
	n.publish(shopApp, `{"a": 1}`)
	for _, other := range all {
		other.must(second(other.Get(other.admin(), center.Read{Path: path(t, shopApp), Freshness: center.Freshness{Strong: true}})))
	}
	want := map[string]bool{}
	for i := range 120 {
		id := fmt.Sprintf("pod-%03d", i)
		all[i%3].watching(id, shopProd)
		want[id+"@"+all[i%3].Self(t.Context()).Name] = true
		if i%10 == 0 { // at two nodes at once
			all[(i+1)%3].watching(id, shopProd)
			want[id+"@"+all[(i+1)%3].Self(t.Context()).Name] = true
		}
		if i%20 == 5 { // was at another node before
			all[(i+1)%3].read(id, shopApp)
		}
	}
	for i := range 30 {
		all[i%3].watching("", shopProd)
	}
	for _, limit := range []int{1, 7, 50, 1000} {
		var found []config.Instance
		pages := 0
		for page := (center.PageRequest{Limit: limit}); ; pages++ {
			got, err := n.Instances(n.admin(), center.InstanceRequest{Path: path(t, shopProd), PageRequest: page})
			n.must(err)
			if len(got.Items) > limit || len(got.Counts) > 0 {
				t.Fatalf("limit %d: got %d, with counts %v", limit, len(got.Items), got.Counts)
			}
			if most := 2 * (limit + 3); others.given > most && others.given > len(all)*50 {
				t.Errorf("limit %d: want no node to give all that it has, got %d", limit, others.given)
			}
			found = append(found, got.Items...)
			if page.After = got.Next; page.After == "" {
				break
			}
		}
		named := map[string]bool{}
		unnamed := 0
		for at, i := range found {
			if i.ID == "" {
				unnamed++
				continue
			}
			if named[i.ID+"@"+i.Node] = true; at > 0 && found[at-1].ID > i.ID {
				t.Errorf("limit %d: %s comes behind %s", limit, i.ID, found[at-1].ID)
			}
		}
		if diff := cmp.Diff(want, named); diff != "" || unnamed != 30 || len(found) != len(want)+30 {
			t.Errorf("limit %d: got %d in all, %d without a name, in %d pages (-want +got):\n%s", limit, len(found), unnamed, pages, diff)
		}
	}
}

func TestHoldingsOfAnEnvAreBounded(t *testing.T) {
	n := start(t)
	n.house()
	set := center.Publish{Tenant: "acme"}
	for i := range 300 {
		set.Items = append(set.Items, one(fmt.Sprintf("acme/shop/prod/c%03d.json", i), `{}`).Items...)
	}
	n.must(second(n.Publish(n.admin(), set)))
	n.must(third(n.watching("pod-1", shopProd).Next()))
	got := n.instances(shopProd).Items[0].Holds
	if len(got) != 256 || got[0].Path.Name != "c000.json" || got[255].Path.Name != "c255.json" || got[255].Sent != 1 {
		t.Errorf("want the first 256, got %d", len(got))
	}
	n.wantHolds("acme/shop/prod/c299.json", "pod-1* c299.json:1/0/0")
	// All that there are of an env are not told of what their watches say.
	n.read("pod-2", "acme/shop/prod/c000.json")
	all := n.LocalInstances(config.InstanceQuery{Path: path(t, shopProd)})
	slices.SortFunc(all, func(a, b config.Instance) int { return strings.Compare(a.ID, b.ID) })
	if diff := cmp.Diff([]string{"pod-1*", "pod-2 c000.json:1/0/0"}, holds(all)); diff != "" {
		t.Errorf("all of an env (-want +got):\n%s", diff)
	}
}

func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _ := three(t)
		n := all[0]
		n.publish(shopApp, `{"a": 1}`)
		canary := one(shopApp, `{"a": 2}`)
		canary.ReleaseOptions = by(config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet("c-1", "c-2", "c-3", "c-4")})
		n.must(second(n.Publish(n.admin(), canary)))
		synctest.Wait()
		at := path(t, shopApp)
		render := func(receipts []config.Receipt) []string {
			var found []string
			for _, r := range receipts {
				found = append(found, fmt.Sprintf("%s %s%s %s", r.State, r.ID, r.Why, time.Since(time.UnixMilli(r.Seen)).Truncate(time.Second)))
			}
			slices.Sort(found)
			return found
		}
		n.watching("c-1", shopProd)
		all[1].watching("c-2", shopProd)
		all[1].watching("elsewhere", "acme/shop/dev")
		all[1].watching("", shopProd) // says no name
		n.watching("stable", shopProd)
		n.read("c-3", shopApp)
		all[2].report("c-4", said(n, shopApp, 2, config.AckRefused, strings.Repeat("x", 300)))
		// To another node than the one that it is watched by.
		all[2].report("c-2", said(n, shopApp, 2, config.AckApplied, ""))
		pass(30 * time.Second)
		for name, tt := range map[string]struct {
			got, want []string
		}{
			"n1, canary": {render(n.LocalReceipts(at, 2)), []string{"  0s", "  30s"}},
			"n1, stable": {render(n.LocalReceipts(at, 1)), []string{"  0s"}},
			"n2, canary": {render(all[1].LocalReceipts(at, 2)), []string{"  0s"}},
			"n3, canary": {render(all[2].LocalReceipts(at, 2)), []string{"applied  30s", "refused c-4" + strings.Repeat("x", 200) + " 30s"}},
			"no version": {render(n.LocalReceipts(at, 0)), nil},
			"no config":  {render(n.LocalReceipts(path(t, "acme/shop/prod/ghost"), 1)), nil},
		} {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		// Who is silent is gone after a minute; who reported and is watched elsewhere
		// counts for as long as that is remembered.
		pass(5 * time.Minute)
		if diff := cmp.Diff([]string{"  0s"}, render(n.LocalReceipts(at, 2))); diff != "" {
			t.Errorf("n1, later (-want +got):\n%s", diff)
		}
		if got := all[2].LocalReceipts(at, 2); len(got) != 2 {
			t.Errorf("want the reports still known, got %+v", got)
		}
		pass(6 * time.Minute)
		if got := all[2].LocalReceipts(at, 2); len(got) != 0 {
			t.Errorf("want them forgotten, got %+v", got)
		}
	})
}

func TestFewRefusalsAreNamed(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(shopApp, `{"a": 1}`)
	for i := range 50 {
		n.report(fmt.Sprint("pod-", i), said(n, shopApp, 1, config.AckRefused, "no"))
	}
	named := 0
	for _, r := range n.LocalReceipts(path(t, shopApp), 1) {
		if r.State != config.AckRefused {
			t.Errorf("want a refusal, got %+v", r)
		}
		if r.ID != "" {
			named++
		}
	}
	if named != 20 {
		t.Errorf("want 20 named, got %d", named)
	}
}

// What a gate asks of a node must go over the wire while it waits.
func TestReceiptsOfManyInstancesAreSmall(t *testing.T) {
	all := make([]config.Receipt, manyInstances)
	for i := range all {
		all[i] = config.Receipt{Instance: ^uint64(i), Seen: time.Now().UnixMilli(), State: config.AckApplied}
	}
	body, err := json.Marshal(all)
	if err != nil || len(body) > 4<<20 {
		t.Errorf("want less than 4 MiB, got %d bytes, %v", len(body), err)
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }
