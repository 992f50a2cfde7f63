package center_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

var printOfCA = strings.Repeat("0123456789abcdef", 4)

// fakeNodes stand in for a cluster: they say what the test tells them to, and
// note what they were asked to do.
type fakeNodes struct {
	status    config.ClusterStatus
	instances []config.Instance
	receipts  []config.Receipt
	silent    []string
	err       error

	mu   sync.Mutex
	acts []string
}

func (f *fakeNodes) note(act string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = append(f.acts, act)
	return f.err
}

func (f *fakeNodes) Status(context.Context) (config.ClusterStatus, error) { return f.status, f.err }

func (f *fakeNodes) Promote(_ context.Context, name string) error { return f.note("promote " + name) }

func (f *fakeNodes) Remove(_ context.Context, name string) error { return f.note("remove " + name) }

func (f *fakeNodes) MoveLeader(_ context.Context, to string) error { return f.note("lead " + to) }

func (f *fakeNodes) Invitation() (config.Invitation, error) {
	return config.Invitation{Addresses: []string{"h1:7403", "h2:7403"}, Fingerprint: printOfCA}, f.err
}

func (f *fakeNodes) Instances(context.Context, config.InstanceQuery) ([]config.Instance, []string, error) {
	return f.instances, f.silent, f.err
}

func (f *fakeNodes) Receipts(context.Context, config.Path, int64) ([]config.Receipt, []string, error) {
	return f.receipts, f.silent, f.err
}

// cluster runs a node that belongs to the fake cluster.
func cluster(t *testing.T, nodes *fakeNodes, change ...func(*center.Options)) *node {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return joinWith(t, s, func(o *center.Options) {
		o.Node, o.Nodes = "n1", nodes
		for _, f := range change {
			f(o)
		}
	})
}

// acts lists the audit records of an action, the oldest first, as "outcome subject".
func (n *node) acts(action string) []string {
	n.t.Helper()
	page, err := n.Audit(n.admin(), center.AuditRequest{Action: action})
	n.must(err)
	var all []string
	for _, r := range page.Items {
		all = append([]string{string(r.Outcome) + " " + r.Subject}, all...)
	}
	return all
}

func TestLoneNodeDescribesItself(t *testing.T) {
	n := joinWith(t, prepared(t), func(o *center.Options) {
		o.Node = "solo"
		o.Self = func(context.Context) config.Node { return config.Node{Version: "1.2", DiskFree: 7} }
	})
	got, err := n.ClusterStatus(n.admin())
	n.must(err)
	want := config.ClusterStatus{Leader: "solo", Writable: true, Problems: []string{}, Nodes: []config.Node{{
		Name: "solo", Role: config.Voter, Leader: true, Self: true, Healthy: true, Version: "1.2", DiskFree: 7,
	}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(config.ClusterStatus{}, "ID"), cmpopts.IgnoreFields(config.Node{}, "StartedAt", "Revision")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if got.ID == "" || got.Nodes[0].StartedAt.IsZero() || !strings.HasSuffix(string(got.Nodes[0].Revision), "."+got.ID) {
		t.Errorf("want an id, a start and a revision, got %+v", got)
	}
	for name, err := range map[string]error{
		"promote": n.PromoteMember(n.admin(), "n2"),
		"remove":  n.RemoveMember(n.admin(), "n2"),
		"lead":    n.MoveLeader(n.admin(), ""),
		"token":   second(n.CreateJoinToken(n.admin(), center.NewJoinToken{})),
	} {
		if e := wantKind(t, config.Unsupported, err); !strings.Contains(e.Error(), "--cluster") {
			t.Errorf("%s: want it said how to start a cluster, got %v", name, err)
		}
	}
	if got := n.acts("cluster.promote"); got != nil {
		t.Errorf("want nothing recorded of what was not done, got %q", got)
	}
}

func prepared(t testing.TB) store.Store {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

func second[T any](_ T, err error) error { return err }

// engine says what a test tells it to.
type engine struct {
	store.Cluster
	status store.EngineStatus
	err    error
}

func (e engine) EngineStatus(context.Context) (store.EngineStatus, error) { return e.status, e.err }

func TestLoneNodeTellsOfItsEngine(t *testing.T) {
	for name, c := range map[string]struct {
		engine   engine
		writable bool
		problems []string // of the installation and the node
	}{
		"well":          {engine{status: store.EngineStatus{Total: 9, InUse: 5}}, true, nil},
		"no room":       {engine{status: store.EngineStatus{NoSpace: []uint64{1}}}, false, []string{"nothing can be written: the engine has no room left"}},
		"damaged":       {engine{status: store.EngineStatus{Corrupt: []uint64{1}}}, true, []string{"the engine's data is damaged: restore a backup"}},
		"says nothing":  {engine{err: store.ErrClosed}, true, []string{"the engine does not say how it is doing: the store is closed"}},
		"has a problem": {engine{}, true, []string{"the disk is old"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := joinWith(t, prepared(t), func(o *center.Options) {
				o.Engine = c.engine
				o.Self = func(context.Context) config.Node {
					if name == "has a problem" {
						return config.Node{Problems: c.problems}
					}
					return config.Node{}
				}
			})
			got, err := n.ClusterStatus(n.admin())
			n.must(err)
			self := got.Nodes[0]
			all := append(append([]string(nil), got.Problems...), self.Problems...)
			if diff := cmp.Diff(c.problems, all); diff != "" || got.Writable != c.writable || self.Healthy != (c.problems == nil) {
				t.Errorf("want writable %v, got %+v (-want +got):\n%s", c.writable, got, diff)
			}
			if self.StoreSize != c.engine.status.Total || self.StoreUsed != c.engine.status.InUse {
				t.Errorf("want the engine's sizes, got %+v", self)
			}
		})
	}
}

func TestClusterStatusTellsLagAndMembers(t *testing.T) {
	nodes := &fakeNodes{status: config.ClusterStatus{Nodes: []config.Node{
		{Name: "n1", Role: config.Voter, Revision: "a.x"}, {Name: "n2", Role: config.Learner, Revision: "7.x"},
		{Name: "n3", Role: config.Voter}, {Name: "e1", Role: config.Edge, Revision: "8.x"},
	}}}
	n := cluster(t, nodes)
	got, err := n.ClusterStatus(n.admin())
	n.must(err)
	var lags []int64
	for _, node := range got.Nodes {
		lags = append(lags, node.Lag)
	}
	if diff := cmp.Diff([]int64{0, 3, 0, 2}, lags); diff != "" || got.ID == "" {
		t.Errorf("lags, and id %q (-want +got):\n%s", got.ID, diff)
	}
	members, err := n.Members(n.admin())
	n.must(err)
	if len(members) != 3 || members[2].Name != "n3" {
		t.Errorf("want the members without the edge, got %+v", members)
	}
	nodes.err = errors.New("boom")
	wantKind(t, config.Internal, second(n.ClusterStatus(n.admin())))
}

func TestActsOnMembersAreDoneAndRecorded(t *testing.T) {
	nodes := &fakeNodes{}
	n := cluster(t, nodes)
	n.must(n.PromoteMember(n.admin(), "n2"))
	n.must(n.RemoveMember(n.admin(), "n3"))
	n.must(n.MoveLeader(n.admin(), ""))
	n.must(n.MoveLeader(n.admin(), "n2"))
	if diff := cmp.Diff([]string{"promote n2", "remove n3", "lead ", "lead n2"}, nodes.acts); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	wantKind(t, config.Invalid, n.PromoteMember(n.admin(), ""))
	wantKind(t, config.Invalid, n.RemoveMember(n.admin(), strings.Repeat("n", 254)))

	nodes.err = config.Errorf(config.Conflict, "", "", "it lags too far behind")
	wantKind(t, config.Conflict, n.PromoteMember(n.admin(), "n4"))
	for action, want := range map[string][]string{
		"cluster.promote":     {"done n2", "done n4", "failed n4"},
		"cluster.remove":      {"done n3"},
		"cluster.move_leader": {"done ", "done n2"},
	} {
		if diff := cmp.Diff(want, n.acts(action)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

// What cannot be recorded is not done.
func TestActsThatCannotBeRecordedAreNotDone(t *testing.T) {
	nodes, s := &fakeNodes{}, &faulty{Store: prepared(t)}
	n := joinWith(t, s, func(o *center.Options) { o.Nodes = nodes })
	s.fail(config.Errorf(config.Unavailable, "", "", "no leader"))
	wantKind(t, config.Unavailable, n.RemoveMember(n.admin(), "n2"))
	if nodes.acts != nil {
		t.Errorf("want nothing done, got %q", nodes.acts)
	}
}

// faulty is a store that can be cut off.
type faulty struct {
	store.Store
	mu  sync.Mutex
	err error
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) broken() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *faulty) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	if err := f.broken(); err != nil {
		return 0, err
	}
	return f.Store.Commit(ctx, txn)
}

func (f *faulty) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if err := f.broken(); err != nil {
		return store.Page{}, err
	}
	return f.Store.Range(ctx, q)
}

func TestJoinTokenLetsOneNodeIn(t *testing.T) {
	n := cluster(t, &fakeNodes{})
	made, err := n.CreateJoinToken(n.admin(), center.NewJoinToken{Edge: true})
	n.must(err)
	text, err := config.ParseJoinToken(made.Text)
	n.must(err)
	if text.ID != made.ID || text.Fingerprint != printOfCA || made.ExpiresAt.Sub(made.CreatedAt) != time.Hour || !made.Edge || made.CreatedBy != "admin" {
		t.Errorf("want a token of an hour, got %+v", made)
	}
	if diff := cmp.Diff([]string{"h1:7403", "h2:7403"}, made.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	redeem := func(node, key string) error {
		edge, err := n.RedeemJoinToken(t.Context(), made.Text, node, key)
		if err == nil && !edge {
			t.Error("want it let in as an edge")
		}
		return err
	}
	for _, node := range []string{"e1", "e2"} {
		edge, err := n.CheckJoinToken(t.Context(), made.Text, node, "key")
		n.must(err)
		if !edge {
			t.Error("want it checked as an edge's")
		}
	}
	n.must(redeem("e1", "key"))
	n.must(redeem("e1", "key"))
	refused := map[string]error{
		"checked late": second(n.CheckJoinToken(t.Context(), made.Text, "e2", "key")),
		"another name": redeem("e2", "key"),
		"another key":  redeem("e1", "kez"),
		"no name":      redeem("", "key"),
		"no key":       redeem("e1", ""),
		"a long name":  redeem(strings.Repeat("e", 254), "key"),
	}
	for name, change := range map[string]func(*config.JoinTokenText){
		"another secret": func(t *config.JoinTokenText) { t.Secret = config.NewSecret(strings.Repeat("a", 26)) },
		"another id":     func(t *config.JoinTokenText) { t.ID = strings.Repeat("a", 12) },
	} {
		other := text
		change(&other)
		_, refused[name] = n.RedeemJoinToken(t.Context(), other.Text(), "e1", "key")
	}
	_, refused["no token"] = n.RedeemJoinToken(t.Context(), config.NewSecret("sp_x"), "e1", "key")
	n.must(n.RevokeJoinToken(n.admin(), made.ID))
	refused["revoked"] = redeem("e1", "key")
	for name, err := range refused {
		wantKind(t, config.Unauthenticated, err)
		if want := refused["revoked"].Error(); err.Error() != want {
			t.Errorf("%s: want %q like the others, got %q", name, want, err)
		}
	}
	wantKind(t, config.NotFound, n.RevokeJoinToken(n.admin(), made.ID))
	if diff := cmp.Diff([]string{"done e1"}, n.acts("cluster.join")); diff != "" {
		t.Errorf("joins, each once (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"done " + made.ID}, n.acts("cluster.create_join_token")); diff != "" {
		t.Errorf("tokens made (-want +got):\n%s", diff)
	}
}

func TestRefusedJoinsAreRecorded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := cluster(t, &fakeNodes{})
	from := auth.WithRequest(ctx, auth.Request{Address: "192.0.2.7"})
	wantKind(t, config.Unauthenticated, second(n.RedeemJoinToken(from, config.NewSecret("spj_"), "n9", "key")))
	rec := awaitRecord(t, n, "cluster.join")
	if rec.Outcome != audit.Failed || rec.Actor.Subject != "n9" || rec.Actor.Address != "192.0.2.7" {
		t.Errorf("want who wanted in, and from where, got %+v", rec)
	}
}

// awaitRecord waits for the first audit record of an action.
func awaitRecord(t *testing.T, n *node, action string) audit.Record {
	t.Helper()
	for revision := n.view.Snapshot().Revision; ; revision++ {
		page, err := n.Audit(n.admin(), center.AuditRequest{Action: action})
		n.must(err)
		if len(page.Items) > 0 {
			return page.Items[0]
		}
		n.must(n.view.WaitFor(t.Context(), revision+1))
	}
}

// Many nodes that show one token at once: one gets in.
func TestJoinTokenIsBoundOnce(t *testing.T) {
	n := cluster(t, &fakeNodes{})
	made, err := n.CreateJoinToken(n.admin(), center.NewJoinToken{TTL: 24 * time.Hour})
	n.must(err)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = n.RedeemJoinToken(t.Context(), made.Text, "n"+string(rune('a'+i)), "key")
		})
	}
	wg.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
			continue
		}
		wantKind(t, config.Unauthenticated, err)
	}
	if in != 1 {
		t.Errorf("want one let in, got %d", in)
	}
}

func TestJoinTokensExpireAndAreBounded(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	n := cluster(t, &fakeNodes{}, func(o *center.Options) {
		o.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	for _, ttl := range []time.Duration{-1, 24*time.Hour + 1} {
		wantKind(t, config.Invalid, second(n.CreateJoinToken(n.admin(), center.NewJoinToken{TTL: ttl})))
	}
	made, err := n.CreateJoinToken(n.admin(), center.NewJoinToken{TTL: time.Minute})
	n.must(err)
	for range 99 {
		n.must(second(n.CreateJoinToken(n.admin(), center.NewJoinToken{})))
	}
	wantKind(t, config.Exhausted, second(n.CreateJoinToken(n.admin(), center.NewJoinToken{})))
	pass(time.Minute)
	wantKind(t, config.Unauthenticated, second(n.RedeemJoinToken(t.Context(), made.Text, "n2", "key")))
	n.must(second(n.CreateJoinToken(n.admin(), center.NewJoinToken{})))
	wantKind(t, config.NotFound, n.RevokeJoinToken(n.admin(), made.ID))

	page, err := n.JoinTokens(n.admin(), center.PageRequest{Limit: 60})
	n.must(err)
	rest, err := n.JoinTokens(n.admin(), center.PageRequest{Limit: 60, After: page.Next})
	n.must(err)
	if len(page.Items) != 60 || len(rest.Items) != 40 || rest.Next != "" {
		t.Errorf("want 60 and 40, got %d and %d", len(page.Items), len(rest.Items))
	}
	pass(time.Hour)
	page, err = n.JoinTokens(n.admin(), pages)
	n.must(err)
	if len(page.Items) != 0 {
		t.Errorf("want none that has expired, got %d", len(page.Items))
	}
}
