package clusters

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

// TestStepsHappenOnceAcrossFailovers has the leader and the node that drives
// launches die between the steps of a progressive launch, at another moment each
// time. Every step happens, once, in order.
func TestStepsHappenOnceAcrossFailovers(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	n1 := nodes[0]
	program.Envs(t, n1.root(), shopProd)
	h.begins(nodes...)
	crowd := make([]*pod, 20)
	for i := range crowd {
		crowd[i] = h.pod(fmt.Sprintf("pod-%02d", i), "", slices.Concat(nodes[i%3:], nodes[:i%3])...)
	}

	strategy := config.Strategy{Kind: config.StrategyProgressive}
	for _, share := range []config.Share{3000, 5000, 6500, 8000, config.FullShare} {
		strategy.Steps = append(strategy.Steps, config.Step{Share: share, Hold: 1})
	}
	l := *h.release(n1, client.ReleaseOptions{Rollout: &client.NewRollout{
		Strategy: strategy, Gate: &config.Gate{Applied: config.FullShare},
	}}, 2).Launch
	// A gate does not look at what is reported of a step before it is 3 seconds old.
	const due = 3 * time.Second
	for i, part := range []time.Duration{0, due / 2, due - 300*time.Millisecond, due} {
		l = h.stepped(nodes[i%3], l, i)
		n := h.driver(nodes...)
		drives := true
		if i%2 == 0 {
			leader := h.leader(nodes[i%3], nodes...)
			n, drives = leader, leader == n
		}
		h.await("the moment to kill "+n.name, func() bool { return time.Since(l.StepAt) >= part })
		t.Logf("%s is killed %s after step %d began", n.name, time.Since(l.StepAt), i+1)
		n.kill9()
		if drives {
			// If it came to drive the launch once more, it would let a minute pass: what
			// had been reported of the step to it, it no longer knows.
			h.await("another node to drive launches", func() bool { return h.driver(nodes...) != n })
		}
		n.restart()
	}
	l = h.ended(n1, l)
	if l.State != config.LaunchPromoted {
		t.Errorf("want the launch promoted, it is %s", l.State)
	}
	want := []string{"started 30% by admin"}
	for _, step := range strategy.Steps[1:] {
		want = append(want, "advanced "+step.Share.String()+" by system")
	}
	if diff := cmp.Diff(append(want, "promoted 100% by system"), told(l)); diff != "" {
		t.Errorf("the history of the launch: -want +got\n%s", diff)
	}
	h.stepsAre(nodes[1], l, crowd)
	for _, p := range crowd {
		p.wants(2)
		if diff := cmp.Diff([]int64{1, 2}, p.versions()); diff != "" {
			t.Errorf("what %s was served, one after the other: -want +got\n%s", p.id, diff)
		}
	}
}

// stepsAre wants one audit record of each step, in order, and at its revision
// exactly those to have been served the candidate whom the step claims.
func (h *house) stepsAre(asked *node, l config.Launch, crowd []*pod) {
	h.Helper()
	records, err := program.Collect(asked.root().Audit(h.Context(), l.Tenant, client.AuditFilter{Actor: "system"}))
	if err != nil {
		h.Fatal(err)
	}
	records = slices.DeleteFunc(records, func(r client.AuditRecord) bool { return r.Detail["launch"] != l.ID })
	slices.Reverse(records)
	steps := l.Strategy.Steps
	var want, got []string
	for i := range steps {
		want = append(want, fmt.Sprintf("done: rollout.advance, step %d of %d is over", i+1, len(steps)))
	}
	want[len(steps)-1] = "done: rollout.promote, the last step is over"
	revisions := map[config.Token]bool{}
	for _, r := range records {
		got = append(got, r.Outcome+": "+r.Action+", "+r.Detail["why"])
		revisions[r.Revision] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Fatalf("the audit of the steps: -want +got\n%s", diff)
	}
	if len(revisions) != len(steps) {
		h.Errorf("want %d revisions, one for each step, got %d", len(steps), len(revisions))
	}
	for i, r := range records {
		share := steps[min(i+1, len(steps)-1)].Share
		for _, p := range crowd {
			x, err := asked.root().Explain(h.Context(), client.Explain{Path: program.Path(h, shopProd+"/a.json"), Client: config.Client{ID: p.id, Labels: map[string]string{}}, At: r.Revision})
			if err != nil {
				h.Fatal(err)
			}
			want := int64(1)
			if config.Share(config.Bucket(l.Strategy.Salt, p.id)) < share {
				want = 2
			}
			if x.Release == nil || x.Release.Version != want {
				h.Errorf("at revision %s, with a share of %s, want %s served version %d, got %+v", r.Revision, share, p.id, want, x.Release)
			}
		}
	}
}

// TestFallBackAcrossNodes has instances on every node, an edge among them. What
// they report counts wherever it is reported: one refusal calls a launch off, and
// one goes on only when all have applied it.
func TestFallBackAcrossNodes(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	n1 := nodes[0]
	program.Envs(t, n1.root(), shopProd)
	edge := h.joins("e1", n1, "--edge")
	edge.ready()
	h.begins(append(nodes, edge)...)
	driver := h.driver(nodes...)
	followers := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == driver })
	refusing := []*node{edge, followers[0], followers[1]}
	var crowd []*pod
	for _, n := range append(nodes, edge) {
		crowd = append(crowd, h.pod("on-"+n.name, "cannot be taken by on-"+n.name, n))
	}
	everybody := &config.Rule{Share: new(config.FullShare)}
	version := int64(1)
	for _, n := range refusing {
		version++
		l := *h.releaseText(n1, client.ReleaseOptions{Rollout: &client.NewRollout{
			Strategy: config.Strategy{Kind: config.StrategyCanary, Rule: everybody}, Gate: &config.Gate{},
		}}, fmt.Sprintf(`{"n": %d, "fault": "cannot be taken by on-%s"}`, version, n.name)).Launch
		l = h.ended(n1, l)
		if diff := cmp.Diff([]string{"started 100% by admin", "fallen-back 100% by system"}, told(l)); diff != "" {
			t.Errorf("the history of the launch that was refused at %s: -want +got\n%s", n.name, diff)
		}
		why := l.Events[len(l.Events)-1].Why
		for _, word := range []string{"1 of 4 instances refused it", "on-" + n.name, "cannot be taken"} {
			if !strings.Contains(why, word) {
				t.Errorf("want %q in why the launch is over, got %q", word, why)
			}
		}
		for _, p := range crowd {
			p.wants(1)
		}
	}

	version++
	l := *h.release(n1, client.ReleaseOptions{Rollout: &client.NewRollout{
		Strategy: config.Strategy{Kind: config.StrategyProgressive, Steps: []config.Step{{Share: config.FullShare, Hold: 0.1}}},
		Gate:     &config.Gate{Applied: config.FullShare, AtLeast: len(crowd)},
	}}, version).Launch
	if l = h.ended(n1, l); l.State != config.LaunchPromoted {
		t.Errorf("want the launch promoted that all have applied, it is %s: %v", l.State, l.Events)
	}
	for _, p := range crowd {
		p.wants(version)
	}
}

const shopProd = "acme/shop/prod"

// release publishes a.json and b.json as one change set, each with a number.
func (h *house) release(by *node, o client.ReleaseOptions, n int64) config.ChangeSet {
	h.Helper()
	return h.releaseText(by, o, fmt.Sprintf(`{"n": %d}`, n))
}

// begins publishes version 1 for everybody, and waits until all nodes know it.
func (h *house) begins(nodes ...*node) {
	h.Helper()
	set := h.release(nodes[0], client.ReleaseOptions{}, 1)
	for _, n := range nodes {
		n.reads(shopProd+"/b.json", `{"n": 1}`, set.Revision)
	}
}

func (h *house) releaseText(by *node, o client.ReleaseOptions, text string) config.ChangeSet {
	h.Helper()
	p := client.Publish{ReleaseOptions: o}
	for _, name := range []string{"/a.json", "/b.json"} {
		p.Items = append(p.Items, client.PublishItem{Path: program.Path(h, shopProd+name), Content: []byte(text)})
	}
	set, err := by.root().Publish(h.Context(), p)
	if err != nil {
		h.Fatal(err)
	}
	if o.Rollout != nil && set.Launch == nil {
		h.Fatalf("want a launch, got %+v", set)
	}
	return set
}

// driver is the node that drives launches: that which said so last.
func (h *house) driver(nodes ...*node) (holder *node) {
	h.Helper()
	var since time.Time
	h.await("a node to drive launches", func() bool {
		for _, n := range nodes {
			for line := range strings.Lines(n.process.Log()) {
				if !strings.Contains(line, "this node holds an office") || !strings.Contains(line, "office=launches") {
					continue
				}
				text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
				if at, err := time.Parse(time.RFC3339Nano, text); err == nil && at.After(since) {
					holder, since = n, at
				}
			}
		}
		return holder != nil
	})
	return holder
}

// stepped waits until a launch has come to a step, or past it.
func (h *house) stepped(asked *node, l config.Launch, step int) config.Launch {
	h.Helper()
	return h.look(asked, l, fmt.Sprintf("step %d", step+1), func(l config.Launch) bool { return l.Strategy.Step >= step || l.State.Ended() })
}

// ended waits until a launch has ended.
func (h *house) ended(asked *node, l config.Launch) config.Launch {
	h.Helper()
	return h.look(asked, l, "the end", func(l config.Launch) bool { return l.State.Ended() })
}

// look waits for something of a launch. A node that does not answer, for whatever
// reason, may hold it up for a minute.
func (h *house) look(asked *node, l config.Launch, what string, holds func(config.Launch) bool) config.Launch {
	h.Helper()
	h.awaitFor(2*patience, fmt.Sprintf("%s of launch %s", what, l.ID), func() bool {
		now, err := asked.root().Launch(h.Context(), l.Tenant, l.ID)
		if err != nil {
			return false
		}
		l = now
		return holds(l)
	})
	return l
}

// told is the history of a launch, "what share by".
func told(l config.Launch) (all []string) {
	for _, e := range l.Events {
		text := e.What
		if e.Share != 0 {
			text += " " + e.Share.String()
		}
		all = append(all, text+" by "+e.By)
	}
	return all
}

// pod is an instance with the SDK, which reports by itself. It holds a.json and
// b.json, which always have the same number.
type pod struct {
	*house
	id   string
	set  *client.Set
	feed chan int64 // the versions that came, one after the other
}

// content is what pods read of a config.
type content struct {
	N     int64
	Fault string
}

// pod starts an instance that prefers the first of the nodes, and refuses what
// has a certain fault.
func (h *house) pod(id, fault string, at ...*node) *pod {
	h.Helper()
	o := client.Options{Token: h.token, TLS: at[0].trust(), Timeout: patience, Instance: config.Client{ID: id}}
	for _, n := range at {
		o.Endpoints = append(o.Endpoints, "https://"+n.http)
	}
	c, err := client.New(o)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(c.Close)
	p := &pod{house: h, id: id, feed: make(chan int64, 100)} // far more than there are changes
	p.set, err = c.Open(h.Context(), client.SetOptions{
		Patterns: []string{shopProd}, StartWithin: patience, OnChange: func(_, now *client.State) { p.feed <- p.version(now) },
	})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(p.set.Close)
	p.feed <- p.version(p.set.State())
	for _, name := range []string{"/a.json", "/b.json"} {
		_, err := client.Bind(p.set, program.Path(h, shopProd+name), client.BindOptions[content]{Validate: func(c *content) error {
			if fault != "" && c.Fault == fault {
				return errors.New(fault)
			}
			return nil
		}})
		if err != nil {
			h.Fatal(err)
		}
	}
	return p
}

// version is that of both configs, which move together.
func (p *pod) version(s *client.State) int64 {
	a, _ := s.Get(program.Path(p, shopProd+"/a.json"))
	b, _ := s.Get(program.Path(p, shopProd+"/b.json"))
	if a.Version != b.Version {
		p.Errorf("%s holds version %d of a.json and version %d of b.json", p.id, a.Version, b.Version)
	}
	return a.Version
}

// wants waits until the pod holds a version.
func (p *pod) wants(version int64) {
	p.Helper()
	p.await(fmt.Sprintf("%s to hold version %d", p.id, version), func() bool { return p.version(p.set.State()) == version })
}

// versions are those that the pod has held so far.
func (p *pod) versions() (all []int64) {
	p.set.Close() // what is in force is told before that returns
	for {
		select {
		case v := <-p.feed:
			all = append(all, v)
		default:
			return all
		}
	}
}
