package center_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// explained asks as the admin.
func (n *node) explained(r center.ExplainRequest) config.Explained {
	n.t.Helper()
	x, err := n.Explain(n.admin(), r)
	n.must(err)
	return x
}

func TestExplainTellsWhatIsServedAndWhy(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"a1"`)
	eu := n.launched(by(config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(t, "region = eu")}}), app+`="a2"`)
	request := center.ExplainRequest{Path: path(t, app), Client: config.Client{ID: "pod-1", Labels: map[string]string{"region": "eu"}}}
	x := n.explained(request)
	if x.Release == nil || x.Release.Version != 2 || x.Reason != config.ReasonRule || x.Revision == "" {
		t.Errorf("want version 2 by its rule, got %+v", x)
	}
	want := []config.ExplainedLaunch{{ID: eu.ID, State: config.LaunchRunning, Kind: config.StrategyCanary, Strategy: "canary by rule", Version: 2, Serves: true}}
	if diff := cmp.Diff(want, x.Launches); diff != "" {
		t.Errorf("launches (-want +got):\n%s", diff)
	}
	if text := x.String(); !strings.Contains(text, "version 2, by rule") || !strings.Contains(text, "its labels satisfy region = eu") {
		t.Errorf("got %s", text)
	}
	request.Client.Labels = nil
	if x = n.explained(request); x.Release.Version != 1 || x.Reason != config.ReasonStable || x.Launches[0].Serves {
		t.Errorf("want the stable version for whoever has no label, got %+v", x)
	}
	// What has ended explains itself from the store.
	n.must(second(n.PromoteLaunch(n.admin(), act(eu))))
	want[0].State = config.LaunchPromoted
	if diff := cmp.Diff(want, n.explained(request).Launches); diff != "" {
		t.Errorf("launches (-want +got):\n%s", diff)
	}
}

func selector(t testing.TB, text string) config.Selector {
	t.Helper()
	s, err := config.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExplainKnowsInstancesByTheirNames(t *testing.T) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	nodes := &fakeNodes{silent: []string{"n3"}, instances: []config.Instance{
		{ID: "pod-1", User: "bob", Node: "n2", Labels: map[string]string{"region": "us"}, Slot: "green", Address: "10.0.0.9", Watches: []string{"acme/shop"}, Since: begun, Seen: begun},
		{ID: "pod-1", User: "bob", Node: "n4", Labels: map[string]string{"region": "eu"}, Address: "10.0.0.7", Watches: []string{app}, Since: begun, Seen: begun.Add(time.Minute)},
		{ID: "pod-1", User: "eve", Node: "n2", Labels: map[string]string{"region": "us"}, Watches: []string{"acme/*/dev"}, Since: begun, Seen: begun},
		{ID: "pod-2", User: "bob", Node: "n2", Watches: []string{"acme/shop/prod"}, Connected: true, Seen: begun},
	}}
	n := among(t, nodes)
	n.house()
	n.publish(app, `"a1"`)
	n.launched(by(config.Strategy{Kind: config.StrategyCanary, Rule: &config.Rule{Labels: selector(t, "region = eu")}}), app+`="a2"`)
	x := n.explained(center.ExplainRequest{Path: path(t, app), Client: config.Client{ID: "pod-1"}})
	if x.Release.Version != 2 || x.Instance == nil || x.Instance.Node != "n4" || x.Namesakes != 1 || x.Client.Address != "10.0.0.7" {
		t.Errorf("want it as it was seen last, got %+v of %+v", x, x.Instance)
	}
	if diff := cmp.Diff([]string{"n3"}, x.Silent); diff != "" {
		t.Errorf("silent nodes (-want +got):\n%s", diff)
	}
	for name, client := range map[string]config.Client{
		"unknown": {ID: "pod-9"}, "one that does not watch the config": {ID: "pod-2"},
		"labels are given": {ID: "pod-1", Labels: map[string]string{"a": "b"}}, "an address is given": {ID: "pod-1", Address: "::1"}, "nobody": {},
	} {
		x := n.explained(center.ExplainRequest{Path: path(t, app), Client: client})
		if diff := cmp.Diff(client, x.Client); diff != "" || x.Instance != nil || x.Release.Version != 1 {
			t.Errorf("%s: want it explained as it was given, got %+v (-want +got):\n%s", name, x, diff)
		}
	}
}

// TestExplainAtAnEarlierMoment asks by token and by time for each state that a
// config had.
func TestExplainAtAnEarlierMoment(t *testing.T) {
	clock := noon()
	n := cluster(t, &fakeNodes{}, func(o *center.Options) { o.Now = clock.time })
	n.house()
	const other = "acme/shop/prod/other.json"
	type state struct {
		name    string
		at      config.Token
		moment  time.Time
		version int64
		reason  config.Reason
		states  []config.LaunchState
	}
	var states []state
	note := func(name string, version int64, reason config.Reason, launches ...config.LaunchState) {
		at, err := n.Get(n.admin(), center.Read{Path: path(t, other)})
		n.must(err)
		states = append(states, state{name, at.Revision, clock.time(), version, reason, launches})
		clock.pass(time.Minute)
	}
	n.publish(other, `"o1"`)
	n.must(second(n.CreateConfig(n.admin(), config.Config{Path: path(t, app)})))
	clock.pass(time.Minute)
	note("created", 0, config.ReasonUnpublished)
	n.publish(app, `"a1"`)
	note("published", 1, config.ReasonStable)
	l := n.launched(progressive(100, 10000), app+`="a2"`)
	note("first step", 1, config.ReasonStable, config.LaunchRunning)
	l, err := n.AdvanceLaunch(n.admin(), act(l))
	n.must(err)
	note("second step", 2, config.ReasonStep, config.LaunchRunning)
	n.must(second(n.AbortLaunch(n.admin(), act(l))))
	note("aborted", 1, config.ReasonStable)
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	note("deleted", 0, config.ReasonDeleted)
	n.publish(other, `"o2"`)
	client := config.Client{ID: "pod-1"} // in bucket 100 or above of the salt
	check := func(t *testing.T, s state, r center.ExplainRequest) {
		t.Helper()
		r.Path, r.Client = path(t, app), client
		x := n.explained(r)
		if version := int64(0); x.Release != nil && x.Release.Version != s.version || x.Release == nil && s.version != version || x.Reason != s.reason {
			t.Errorf("%s: want version %d by %s, got %+v by %s", s.name, s.version, s.reason, x.Release, x.Reason)
		}
		var launches []config.LaunchState
		for _, l := range x.Launches {
			launches = append(launches, l.State)
		}
		if diff := cmp.Diff(s.states, launches, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: launches (-want +got):\n%s", s.name, diff)
		}
	}
	for _, s := range states {
		check(t, s, center.ExplainRequest{At: s.at})
		for _, moment := range []time.Duration{0, time.Second, 59 * time.Second} {
			check(t, s, center.ExplainRequest{Time: s.moment.Add(moment)})
		}
	}
	for name, r := range map[string]center.ExplainRequest{
		"future":             {Time: clock.time().Add(time.Nanosecond)},
		"far future":         {Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"too early":          {Time: time.Date(2026, 11, 23, 11, 59, 0, 0, time.UTC)},
		"before 1970":        {Time: time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"both":               {Time: clock.time(), At: states[0].at},
		"no token":           {At: "soon"},
		"token of the start": {At: config.Token("0." + strings.SplitN(string(states[0].at), ".", 2)[1])},
		"token of elsewhere": {At: "5.elsewhere"},
		"token of later":     {At: config.Token("zzzz." + strings.SplitN(string(states[0].at), ".", 2)[1])},
	} {
		r.Path = path(t, app)
		e := wantKind(t, config.Invalid, second(n.Explain(n.admin(), r)))
		if name == "too early" && !strings.Contains(e.Error(), "the first is of 2026-11-23T12:00:00.000Z") {
			t.Errorf("want the first moment that there is, got %v", e)
		}
	}
	wantKind(t, config.NotFound, second(n.Explain(n.admin(), center.ExplainRequest{Path: path(t, "acme/shop/dev/ghost.json"), At: states[1].at})))
	wantKind(t, config.NotFound, second(n.Explain(n.admin(), center.ExplainRequest{Path: path(t, "acme/shop/dev/ghost.json")})))
	wantKind(t, config.Invalid, second(n.Explain(n.admin(), center.ExplainRequest{Path: path(t, "acme/shop/dev")})))
}

// ticking is a clock that goes on when it is told to.
type ticking struct{ now atomic.Int64 }

func (c *ticking) time() time.Time      { return time.Unix(0, c.now.Load()).UTC() }
func (c *ticking) pass(d time.Duration) { c.now.Add(int64(d)) }

// noon is a clock that stands.
func noon() *ticking {
	c := &ticking{}
	c.pass(time.Duration(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano()))
	return c
}

// What the engine has forgotten cannot be explained, and it is said what can.
func TestExplainSaysHowFarBackItCan(t *testing.T) {
	for name, open := range map[string]func(*testing.T, func(*center.Options)) *node{
		"memory": func(t *testing.T, change func(*center.Options)) *node { return cluster(t, &fakeNodes{}, change) },
		"etcd": func(t *testing.T, change func(*center.Options)) *node {
			opened, _ := openEngine(t, embeddedEngine(), t.TempDir())
			return joinWith(t, opened, change)
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := noon()
			explainUntilForgotten(t, open(t, func(o *center.Options) { o.Now = clock.time }), clock)
		})
	}
}

func explainUntilForgotten(t *testing.T, n *node, clock *ticking) {
	t.Helper()
	n.house()
	var tokens []config.Token
	for i := range 10 {
		n.publish(app, strconv.Itoa(i))
		at, err := n.Get(n.admin(), center.Read{Path: path(t, app)})
		n.must(err)
		tokens = append(tokens, at.Revision)
		clock.pass(time.Hour)
	}
	page, err := n.store.Range(t.Context(), store.Query{Key: "o/" + app})
	n.must(err)
	n.must(n.store.(store.Compacter).Compact(t.Context(), page.Entries[0].Revision-2))
	// The releases were made at every full hour from 12:00 to 21:00. The last three
	// revisions are left, and so what was there from 19:00 on.
	for name, r := range map[string]center.ExplainRequest{
		"token": {At: tokens[0]}, "time": {Time: clock.time().Add(-4 * time.Hour)},
	} {
		r.Path = path(t, app)
		_, err := n.Explain(n.admin(), r)
		e := wantKind(t, config.Compacted, err)
		if !strings.Contains(e.Error(), "of tenant acme it goes back to about 2026-11-23T19:00:0") {
			t.Errorf("%s: want to be told how far back it can be asked, got %v", name, e)
		}
	}
	for at, want := range map[time.Time]int64{clock.time().Add(-3*time.Hour + time.Second): 8, clock.time().Add(-2 * time.Hour): 9, clock.time(): 10} {
		if x := n.explained(center.ExplainRequest{Path: path(t, app), Time: at}); x.Release.Version != want {
			t.Errorf("%s: want version %d, got %d", at, want, x.Release.Version)
		}
	}
}

// A tenant that was deleted and made again has no past before that.
func TestExplainTellsNothingOfATenantBefore(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `1`)
	at, err := n.Get(n.admin(), center.Read{Path: path(t, app)})
	n.must(err)
	request := center.ExplainRequest{Path: path(t, app), At: at.Revision}
	if x := n.explained(request); x.Release.Version != 1 {
		t.Fatalf("got %+v", x)
	}
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app), Purge: true}))
	for _, env := range []string{"dev", "test", "prod"} {
		n.must(n.DeleteEnv(n.admin(), path(t, "acme/shop/"+env), ""))
	}
	n.must(n.DeleteApp(n.admin(), path(t, "acme/shop"), ""))
	n.must(n.DeleteTenant(n.admin(), "acme", ""))
	wantKind(t, config.NotFound, second(n.Explain(n.admin(), request)))
	n.house()
	n.publish(app, `2`)
	wantKind(t, config.NotFound, second(n.Explain(n.admin(), request)))
	request.At = ""
	if x := n.explained(request); x.Release.Version != 2 { // versions are never used twice
		t.Errorf("got %+v", x)
	}
}
