package fault

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/check"
	"github.com/setpointhq/setpoint/test/fault/cluster"
	"github.com/setpointhq/setpoint/test/fault/history"
	"github.com/setpointhq/setpoint/test/fault/load"
	"github.com/setpointhq/setpoint/test/program"
)

// few is how many writes must be acknowledged for the load to be going well.
const few = 40

// trial is one run of one scenario: a cluster under load, and what is done to it.
type trial struct {
	*testing.T

	c        *cluster.Cluster
	h        *history.History
	load     *load.Load
	env      config.Path
	launches config.Path // an env of its own
	past     history.Past
	label    string // of changes, where there is more than one load
	initial  map[config.Path]history.Item
	figures  figures
	broken   time.Duration   // since when something is
	well     []*cluster.Node // the nodes whose reads must go on all the same
	revoked  []check.Revocation
	noted    client.AuditSeal // the head of the audit's chain when it began
}

// begin puts a cluster under load, in an env of the trial's own.
func begin(t *testing.T, c *cluster.Cluster, scenario, env string) *trial {
	t.Helper()
	tr := &trial{T: t, c: c, figures: figures{scenario: scenario}}
	tr.env = program.Path(t, "acme/faults/"+env)
	tr.launches = program.Path(t, tr.env.String()+"-launches")
	program.Envs(t, tr.leader().Client(), tr.env.String(), tr.launches.String())
	for _, n := range c.Nodes() {
		tr.await(n.Name+" to know the envs", func() bool {
			_, err := n.Client().Env(t.Context(), tr.launches)
			return err == nil
		})
	}
	var err error
	tr.noted, err = tr.leader().Client().AuditSeal(t.Context())
	tr.must(err)
	tr.start()
	return tr
}

// start sets the load going, with a history of its own.
func (tr *trial) start() {
	tr.Helper()
	var nodes []load.Node
	for _, n := range tr.c.Nodes() {
		nodes = append(nodes, n)
	}
	tr.h = history.New()
	// The load outlives the context of a test that fails, to be stopped in order.
	tr.load = load.Start(context.WithoutCancel(tr.Context()), tr.h, load.Options{
		Env: tr.env, Launches: tr.launches, Nodes: nodes, Label: tr.label, Writers: 4, Pace: 15 * time.Millisecond, Seed: knob(tr, "FAULTS_SEED", 1),
	})
	tr.Cleanup(tr.load.Stop)
	tr.goesOn()
}

func (tr *trial) leader() *cluster.Node {
	tr.Helper()
	n, err := tr.c.Leader(tr.Context())
	tr.must(err)
	return n
}

func (tr *trial) must(err error) {
	tr.Helper()
	if err != nil {
		tr.Fatal(err)
	}
}

func (tr *trial) await(what string, holds func() bool) {
	tr.Helper()
	tr.must(cluster.Await(tr.Context(), what, holds))
}

// breaks notes that something is broken from now on, and on which nodes reads
// cannot go on.
func (tr *trial) breaks(nodes ...*cluster.Node) {
	tr.figures.faults++
	tr.broken, tr.well = tr.h.Now(), tr.c.Others(nodes...)
}

// mended measures what clients saw of the fault that has just ended.
func (tr *trial) mended() {
	ops, now := tr.h.Ops(), tr.h.Now()
	tr.figures.writeGap = max(tr.figures.writeGap, history.Gap(ops, tr.broken, now, func(o history.Op) bool { return o.Kind.Writes() }))
	for _, n := range tr.well {
		gap := history.Gap(ops, tr.broken, now, func(o history.Op) bool {
			return o.Node == n.Name && (o.Kind == history.Read || o.Kind == history.Snapshot)
		})
		tr.figures.readGap = max(tr.figures.readGap, gap)
	}
}

// goesOn waits until writes go on being acknowledged.
func (tr *trial) goesOn() {
	tr.Helper()
	want := tr.load.Acks() + few
	tr.await("writes to be acknowledged", func() bool { return tr.load.Acks() >= want })
}

// lasts lets time pass with things as they are, and writes go on at the end of it.
func (tr *trial) lasts() {
	tr.Helper()
	tr.passes()
	tr.goesOn()
}

// passes lets time pass with things as they are.
func (tr *trial) passes() {
	timer := time.NewTimer(faultLasts(tr))
	defer timer.Stop()
	<-timer.C
}

// finish waits until the cluster has come to rest, and judges all.
func (tr *trial) finish() {
	tr.Helper()
	tr.must(tr.c.Ready(tr.Context()))
	tr.goesOn()
	tr.rest()
	tr.judge()
}

// rest ends the load and reads the past, once nothing changes any more.
func (tr *trial) rest() {
	tr.Helper()
	tr.load.Rest()
	reader := tr.leader().Client()
	settled, late := -1, ""
	err := cluster.Await(tr.Context(), "all watchers to come to what is served", func() bool {
		begun := tr.h.Now()
		if err := tr.past.Read(tr.Context(), reader, tr.env); err != nil {
			late = err.Error()
			return false
		}
		// A write without an answer may still come about.
		before := settled
		settled = len(tr.past.Sets)
		tr.lastReads(begun)
		var all bool
		late, all = tr.load.Caught(tr.past)
		return all && before == settled
	})
	if err != nil {
		tr.Errorf("%v; last: %s", err, late)
	}
	tr.load.Stop()
}

// lastReads enters what is served in the end as strong reads: it was one.
func (tr *trial) lastReads(begun time.Duration) {
	for _, item := range tr.past.Served {
		tr.h.Add(history.Op{
			Client: "judge", Node: "leader", Kind: history.ReadStrong, Call: begun, Return: tr.h.Now(),
			Items: []history.Item{item}, Outcome: history.OK, Revision: tr.past.Token,
		})
	}
}

// judge checks everything that is promised.
func (tr *trial) judge() {
	tr.Helper()
	ops, watches := tr.h.Ops(), tr.h.Watches()
	since := tr.past.Since(tr.initial)
	lost := check.Lost(ops, since)
	checks := []struct {
		name  string
		wrong []string
	}{
		{"no acknowledged write is lost", lost},
		{"publishes, rollbacks and strong reads have one order", check.Linear(ops, tr.past, tr.initial)},
		{"every change has one audit record", check.Audited(ops, since)},
		{"launches reach whom they claim, and act once", tr.launched()},
		{"the audit is as it was sealed", tr.verifyAudit()},
		{"reads are true as of their revision, and never go back", check.Reads(ops, tr.past)},
		{"versions rise", check.Rising(watches)},
		{"change sets are seen whole", check.Whole(ops, watches, tr.past)},
		{"watches have no gap", check.Gapless(watches, tr.past)},
		{"watchers converge", check.Converged(watches, tr.past)},
		{"revoked tokens end", check.Revoked(tr.revoked)},
		{"nobody is refused without reason", append(tr.h.Complaints(), internal(ops)...)},
	}
	for _, c := range checks {
		if len(c.wrong) > 0 {
			tr.Errorf("not so: %s\n  %s", c.name, strings.Join(c.wrong, "\n  "))
		}
	}
	tr.figures.count(ops, watches)
	tr.figures.lost += len(lost)
	tr.figures.revoked = longest(tr.revoked)
}

// launched judges the launches by what the cluster tells of them.
func (tr *trial) launched() []string {
	asked := tr.leader().Client()
	told, err := program.Collect(asked.Launches(tr.Context(), client.LaunchFilter{Path: tr.launches, All: true}))
	if err != nil {
		return []string{err.Error()}
	}
	audit, err := program.Collect(asked.Audit(tr.Context(), tr.launches.Tenant, client.AuditFilter{Path: tr.launches}))
	if err != nil {
		return []string{err.Error()}
	}
	followed := tr.h.Launches()
	tr.Logf("%d launches were followed, the cluster tells of %d", len(followed), len(told))
	return check.Launched(followed, told, audit)
}

// verifyAudit has the cluster compare its audit with the chain that seals it, to
// which what was noted at the beginning belongs.
func (tr *trial) verifyAudit() (wrong []string) {
	v, err := tr.leader().Client().VerifyAudit(tr.Context(), tr.noted)
	if err != nil {
		return []string{err.Error()}
	}
	for _, f := range v.Findings {
		wrong = append(wrong, fmt.Sprintf("%s: %s", f.Kind, f.Detail))
	}
	return wrong
}

// internal finds answers that tell of a defect: no trouble explains them.
func internal(ops []history.Op) (found []string) {
	for _, o := range ops {
		if o.Outcome != history.OK && o.Failure == config.Internal {
			found = append(found, fmt.Sprintf("%s of %s at %s: %s", o.Kind, o.Client, o.Node, o.Err))
		}
	}
	return found
}

// revokes ends a token at one of the nodes and measures how soon each of them
// refuses it.
func (tr *trial) revokes(nodes ...*cluster.Node) {
	tr.Helper()
	ctx, root := tr.Context(), nodes[0].Client()
	_, err := root.CreateUser(ctx, client.NewUser{Name: "visitor", Service: true})
	if err != nil && config.KindOf(err) != config.Exists {
		tr.Fatal(err)
	}
	made, err := root.CreateToken(ctx, client.NewToken{User: "visitor"})
	tr.must(err)
	visitors := map[*cluster.Node]*client.Client{}
	for _, n := range nodes {
		visitor, err := n.As(made.Secret)
		tr.must(err)
		defer visitor.Close()
		visitors[n] = visitor
		tr.await("the token to be known to "+n.Name, func() bool {
			_, err := visitor.WhoAmI(ctx)
			return err == nil
		})
	}
	tr.must(root.RevokeToken(ctx, made.ID))
	from := time.Now()
	found := make(chan check.Revocation, len(nodes))
	for n, visitor := range visitors {
		go func() { found <- visits(ctx, n.Name, visitor, from) }()
	}
	for range nodes {
		tr.revoked = append(tr.revoked, <-found)
	}
}

// visits calls until it is refused, and then some more.
func visits(ctx context.Context, node string, visitor *client.Client, from time.Time) check.Revocation {
	ctx, cancel := context.WithTimeout(ctx, cluster.Patience)
	defer cancel()
	r := check.Revocation{Node: node}
	const more = 3 // few enough not to be taken for an attack
	for again := 0; again < more && ctx.Err() == nil; {
		_, err := visitor.WhoAmI(ctx)
		switch refused := config.KindOf(err) == config.Unauthenticated; {
		case err == nil && r.Refused:
			r.Relapsed = true
			return r
		case refused && !r.Refused:
			r.Refused, r.Took = true, time.Since(from)
		case refused:
			again++
		}
	}
	if !r.Refused {
		r.Took = time.Since(from)
	}
	return r
}
