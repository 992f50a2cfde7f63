package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/store"
)

// sight makes what a look at a member brings.
func sight(name, id string, change ...func(*seen)) seen {
	s := seen{
		member: member{Name: name, ID: id, Peer: name + ":7403", Started: true},
		report: report{
			Node:   config.Node{Name: name, ID: id, Role: config.Voter, Version: "1.0.0", StoreSize: 100, StoreUsed: 100},
			Engine: &engineReport{Cluster: "c1", Leader: "1", Term: 2},
		},
	}
	s.report.Node.Leader = id == "1"
	for _, c := range change {
		c(&s)
	}
	return s
}

func learning(s *seen)   { s.member.Learner = true }
func unstarted(s *seen)  { s.member.Started, s.member.Name, s.report = false, "", report{} }
func leaderless(s *seen) { s.report.Engine.Leader = "" }

func quiet(s *seen) {
	s.err = config.Errorf(config.Timeout, "ask", s.member.Peer, "it does not answer")
	s.report.Engine = nil
}

func wasteful(s *seen) { s.report.Node.StoreSize, s.report.Node.StoreUsed = 1<<30, 1<<20 }

func this(s *seen) { s.self = true }

func TestTenderDoesWhatNeedsDoing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		view view
		want []string // what the engine is told
	}{
		{"nothing", view{members: []seen{sight("n1", "1", this), sight("n2", "2"), sight("n3", "3")}}, nil},
		{"a learner that runs", view{members: []seen{sight("n1", "1", this), sight("n2", "2", learning)}}, []string{"promote 2"}},
		{"a learner that does not answer", view{members: []seen{sight("n1", "1", this, wasteful), sight("n2", "2", learning, quiet)}}, nil},
		{"a learner that has not started", view{members: []seen{sight("n1", "1", this, wasteful), sight("n2", "2", learning, unstarted, quiet)}}, nil},
		{"waste on a member alone", view{members: []seen{sight("n1", "1", this, wasteful)}}, []string{"defragment"}},
		{"waste on the leader", view{members: []seen{sight("n1", "1", this, wasteful), sight("n2", "2")}}, []string{"lead 2"}},
		{"waste while one is away", view{members: []seen{sight("n1", "1"), sight("n2", "2", this, wasteful), sight("n3", "3", quiet)}}, nil},
		{"waste while one follows no leader", view{members: []seen{sight("n1", "1"), sight("n2", "2", this, wasteful), sight("n3", "3", leaderless)}}, nil},
		{"waste on a follower and the leader", view{members: []seen{sight("n1", "1", wasteful), sight("n2", "2", this, wasteful)}}, []string{"defragment"}},
		{"little waste", view{members: []seen{sight("n1", "1", this, func(s *seen) { s.report.Node.StoreSize = 64 << 20 })}}, nil},
		{"waste of less than half", view{members: []seen{sight("n1", "1", this, func(s *seen) {
			s.report.Node.StoreSize, s.report.Node.StoreUsed = 1<<30, 600<<20
		})}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, e := tended(t)
			e.set(func(e *engine) {
				e.members[1].Learner = slices.ContainsFunc(tc.view.members, func(s seen) bool { return s.member.Learner })
			})
			k := care{c: c, absent: map[string]time.Time{}, done: map[string]time.Time{}}
			k.take(t.Context(), &tc.view)
			if diff := cmp.Diff(tc.want, e.done()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// tended is the node n1 on an engine with a second member, n2, that is another
// node of this process.
func tended(t *testing.T) (*Cluster, *engine) {
	t.Helper()
	o := newOffice(t)
	n1 := o.openOnly(o.settings("n1", freeport.For(t)), filepath.Join(o.dir, "n1"))
	s := o.settings("n2", freeport.For(t))
	n2 := o.openOnly(s, filepath.Join(o.dir, "n2"))
	members := []store.Member{
		{ID: 1, Name: "n1", Peer: n1.settings.Advertise, Started: true},
		{ID: 2, Name: "n2", Peer: n2.settings.Advertise, Started: true, Learner: false},
	}
	e2 := o.withEngine(n2, members...)
	e2.set(func(e *engine) { e.status.MemberID, e.status.Applied = 2, 9 })
	e := o.withEngine(n1, members...)
	e.set(func(e *engine) { e.members = slices.Clone(members) })
	// The connection is there from now on: what follows need not wait for it.
	if err := n1.calls.get(t.Context(), n2.settings.Advertise, "/node/identity", &identity{}); err != nil {
		t.Fatal(err)
	}
	return n1, e
}

func TestTenderIsPatientAndThenClearsTheWay(t *testing.T) {
	t.Parallel()
	c, e := tended(t)
	e.set(func(e *engine) { e.members = append(e.members, store.Member{ID: 7, Peer: "n7:7403", Learner: true}) })
	k := care{c: c, absent: map[string]time.Time{}, done: map[string]time.Time{}}
	gone := view{members: []seen{sight("n1", "1", this), sight("", "7", learning, unstarted, quiet)}}
	k.take(t.Context(), &gone)
	if acts := e.done(); len(acts) > 0 {
		t.Fatalf("want patience, got %v", acts)
	}
	back := view{members: []seen{sight("n1", "1", this), sight("", "7", learning, unstarted, func(s *seen) {
		s.err = passing{config.Errorf(config.Unavailable, "", "", "still starting")}
	})}}
	k.take(t.Context(), &back)
	if len(k.absent) > 0 {
		t.Error("want one that answers taken for present")
	}
	k.absent["7"] = time.Now().Add(-abandonedAfter - time.Second)
	k.take(t.Context(), &gone)
	if diff := cmp.Diff([]string{"remove 7"}, e.done()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTenderDefragmentsAMemberOnce(t *testing.T) {
	t.Parallel()
	c, e := tended(t)
	k := care{c: c, absent: map[string]time.Time{}, done: map[string]time.Time{}}
	v := view{members: []seen{sight("n1", "1", this, wasteful)}}
	k.take(t.Context(), &v)
	k.take(t.Context(), &v)
	if diff := cmp.Diff([]string{"defragment"}, e.done()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.settings.DefragmentWaste = 0
	clear(k.done)
	k.take(t.Context(), &v)
	if got := len(e.done()); got != 1 {
		t.Errorf("want it never done by itself, got %d times", got)
	}
}

// terms is an elector that gives the office at once.
type terms struct{ over chan struct{} }

func (t *terms) Campaign(ctx context.Context, _, _ string) (store.Term, error) {
	if t.over == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return t, nil
}
func (t *terms) Fence() store.Cond     { return store.Cond{} }
func (t *terms) Done() <-chan struct{} { return t.over }
func (t *terms) Resign(context.Context) error {
	t.over = nil
	return nil
}

func TestTenderStopsWithItsTerm(t *testing.T) {
	t.Parallel()
	c, e := tended(t)
	e.set(func(e *engine) { e.members[1].Learner = true })
	office := &terms{over: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.tend(ctx, office)
	}()
	await(t, "the learner is promoted", func() bool { return slices.Contains(e.done(), "promote 2") })
	close(office.over)
	cancel()
	<-stopped
}

func TestProblemsOfTheCluster(t *testing.T) {
	t.Parallel()
	noRoom := func(s *seen) { s.report.Engine.NoSpace = []string{"2"} }
	damaged := func(s *seen) { s.report.Engine.Corrupt = []string{"3"} }
	newer := func(s *seen) { s.report.Node.Version = "1.1.0" }
	for _, tc := range []struct {
		name     string
		members  []seen
		writable bool
		leader   string
		want     []string
	}{
		{"none", []seen{sight("n1", "1"), sight("n2", "2"), sight("n3", "3")}, true, "n1", nil},
		{"one alone", []seen{sight("n1", "1")}, true, "n1", nil},
		{"one away", []seen{sight("n1", "1"), sight("n2", "2"), sight("n3", "3", quiet)}, true, "n1",
			[]string{"2 of 3 voting members answer: if one more fails, changes are refused"}},
		{"two away", []seen{sight("n1", "1"), sight("n2", "2", quiet), sight("n3", "3", quiet)}, false, "n1",
			[]string{"only 1 of 3 voting members answer, and changes need 2"}},
		{"no leader", []seen{sight("n1", "1", leaderless), sight("n2", "2", quiet), sight("n3", "3", quiet)}, false, "",
			[]string{"there is no leader: changes are refused until a majority of the members (2 of 3) reach each other"}},
		{"cut off from a leader that others see", []seen{sight("n1", "1", leaderless), sight("n2", "2"), sight("n3", "3")}, true, "n1",
			[]string{"2 of 3 voting members answer: if one more fails, changes are refused"}},
		{"an even number", []seen{sight("n1", "1"), sight("n2", "2")}, true, "n1",
			[]string{"the number of voting members is even (2): one more"}},
		{"a learner does not count", []seen{sight("n1", "1"), sight("n2", "2", learning, quiet)}, true, "n1", nil},
		{"no room", []seen{sight("n1", "1", noRoom), sight("n2", "2", noRoom), sight("n3", "3")}, false, "n1",
			[]string{"there is no room on n2: changes are refused until there is"}},
		{"damaged data", []seen{sight("n1", "1", damaged), sight("n2", "2"), sight("n3", "3")}, false, "n1",
			[]string{"the data of n3 differs from that of the others"}},
		{"an upgrade under way", []seen{sight("n1", "1", newer), sight("n2", "2"), sight("n3", "3")}, true, "n1",
			[]string{"nodes run different versions: 1.0.0, 1.1.0"}},
		{"a leader of a later term", []seen{sight("n1", "1"), sight("n2", "2", func(s *seen) {
			s.report.Engine.Leader, s.report.Engine.Term = "2", 3
		}), sight("n3", "3")}, true, "n2", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := view{members: tc.members}
			got, writable := v.problems()
			if writable != tc.writable || v.leader() != tc.leader {
				t.Errorf("want writable %t under %q, got %t under %q", tc.writable, tc.leader, writable, v.leader())
			}
			if len(got) != len(tc.want) {
				t.Fatalf("want %q, got %q", tc.want, got)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) {
					t.Errorf("want %q, got %q", tc.want[i], got[i])
				}
			}
		})
	}
}

func TestProblemsOfANode(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir := filepath.Join(o.dir, "n1")
	ahead := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(360 * 24 * time.Hour) } }
	s := o.settings("n1", freeport.For(t))
	s.DiskReserve = 1 << 60
	c := o.openOnly(s, dir, ahead)
	e := o.withEngine(c, store.Member{ID: 1, Name: "n1", Peer: s.Advertise, Started: true})
	e.set(func(e *engine) { e.status.Leader = 0 })
	p := *c.parts.Load()
	p.Local = func() config.Node { return config.Node{Stale: 90, Watchers: 5, Problems: []string{"its own"}} }
	c.Attach(p)
	r := c.report(t.Context())
	want := []string{"its own", "it knows no leader", "its disk has only ", "its certificate expires on ", "what it serves has not been confirmed by a majority for 1m30s"}
	if len(r.Node.Problems) != len(want) || r.Node.Healthy {
		t.Fatalf("want %q, got %q", want, r.Node.Problems)
	}
	for i, text := range want {
		if !strings.HasPrefix(r.Node.Problems[i], text) {
			t.Errorf("want %q, got %q", text, r.Node.Problems[i])
		}
	}
	if r.Node.Watchers != 5 || r.Node.ID != "1" || r.Node.Role != config.Voter || !r.Admits {
		t.Errorf("got %+v", r)
	}

	away := seen{member: member{Name: "n2", ID: "2", Peer: "n2:7403"}, report: report{Node: config.Node{Lag: 5, Watchers: 9, Problems: []string{"old"}}}}
	quiet(&away)
	if got := c.node(away, 9, "n1"); got.Watchers != 0 || len(got.Problems) != 1 || !strings.HasPrefix(got.Problems[0], "it has not started yet") {
		t.Errorf("got %+v", got)
	}
	off := sight("n3", "3", func(s *seen) { s.offset, s.report.Revision = 30*time.Second, 4 })
	if got := c.node(off, 9, "n1"); got.Lag != 5 || got.Healthy || got.Problems[0] != "its clock is 30s away from this node's; set it, and keep it with NTP" {
		t.Errorf("got %+v", got)
	}
}

func TestTheLogKnowsOfProblemsOnce(t *testing.T) {
	t.Parallel()
	c, _ := tended(t)
	var log bytes.Buffer
	c.log = slog.New(slog.NewTextHandler(&log, nil))
	k := care{c: c}
	well := view{members: []seen{sight("n1", "1", this), sight("n2", "2"), sight("n3", "3")}}
	ill := view{members: []seen{sight("n1", "1", this), sight("n2", "2"), sight("n3", "3", quiet)}}
	for _, v := range []*view{&well, &ill, &ill, &well, &well} {
		k.tell(v)
	}
	for text, want := range map[string]int{"the cluster has a problem": 1, "a problem of the cluster is over": 1, "2 of 3 voting members answer": 2} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("want %q %d times in the log, got %d:\n%s", text, want, got, log.String())
		}
	}
}
