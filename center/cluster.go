package center

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Nodes is what the center asks of the cluster that its node belongs to. Its
// methods act for whoever calls them: rights are the center's affair.
type Nodes interface {
	// Status asks every node how it is doing. A node that does not answer is
	// listed with what is known of it and a problem.
	Status(ctx context.Context) (config.ClusterStatus, error)
	// Promote lets a learner vote, Remove takes a member out, MoveLeader hands the
	// leadership to a voter, or to the most suitable one if the name is empty.
	// NotFound for an unknown name.
	Promote(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
	MoveLeader(ctx context.Context, to string) error
	// Invitation returns what a new node must know beside its token's secret: where
	// nodes are reached, and the fingerprint of their authority. Unsupported on a
	// node that cannot be joined.
	Invitation() (config.Invitation, error)
	// Instances asks every other node for its instances; nodes that did not answer
	// are named.
	Instances(ctx context.Context, q config.InstanceQuery) (found []config.Instance, silent []string, err error)
	// Receipts asks every other node for what it knows of the instances that are
	// served a version of a config, with times by this node's clock; nodes that did
	// not answer are named.
	Receipts(ctx context.Context, path config.Path, version int64) (found []config.Receipt, silent []string, err error)
}

// Self describes this node, as it knows itself. It acts for the node and asks no
// rights.
func (c *Center) Self(ctx context.Context) config.Node {
	node := config.Node{Role: config.Voter}
	if c.self != nil {
		node = c.self(ctx)
	}
	node.Name, node.Self = c.node, true
	if node.StartedAt.IsZero() {
		node.StartedAt = c.started
	}
	if revision := c.view.Snapshot().Revision; revision > 0 {
		node.Revision = encodeToken(revision, c.view.Snapshot().Cluster)
	}
	node.Stale = config.Seconds(c.Staleness().Round(time.Millisecond).Seconds())
	node.Watchers = c.instances.size()
	node.Healthy = len(node.Problems) == 0
	return node
}

// ClusterStatus tells how the installation and each of its nodes are doing.
func (c *Center) ClusterStatus(ctx context.Context) (config.ClusterStatus, error) {
	const op = "cluster.status"
	if _, err := c.authorize(ctx, op, auth.Operate, config.Path{}); err != nil {
		return config.ClusterStatus{}, err
	}
	if c.nodes == nil {
		return c.aloneStatus(ctx), nil
	}
	status, err := c.nodes.Status(ctx)
	if err != nil {
		return config.ClusterStatus{}, located(op, "", err)
	}
	if status.ID == "" {
		status.ID = c.view.Snapshot().Cluster
	}
	status.Nodes = withLag(status.Nodes)
	return status, nil
}

// aloneStatus is the status of an installation of one node.
func (c *Center) aloneStatus(ctx context.Context) config.ClusterStatus {
	self := c.Self(ctx)
	self.Role, self.Problems = config.Voter, slices.Clone(self.Problems)
	problems := []string{}
	if err := c.probe(ctx); err != nil {
		problems = append(problems, "nothing can be written: the store does not answer: "+config.AsError(err).Detail())
	}
	if c.engine != nil {
		engine, err := c.engine.EngineStatus(ctx)
		self.StoreSize, self.StoreUsed = engine.Total, engine.InUse
		switch {
		case err != nil:
			self.Problems = append(self.Problems, "the engine does not say how it is doing: "+config.AsError(err).Detail())
		case len(engine.NoSpace) > 0:
			problems = append(problems, "nothing can be written: the engine has no room left")
		}
		if len(engine.Corrupt) > 0 {
			self.Problems = append(self.Problems, "the engine's data is damaged: restore a backup")
		}
	}
	status := config.ClusterStatus{ID: c.view.Snapshot().Cluster, Writable: len(problems) == 0, Problems: problems}
	if self.Leader = status.Writable; self.Leader {
		status.Leader = self.Name
	}
	self.Healthy = len(problems) == 0 && len(self.Problems) == 0
	status.Nodes = []config.Node{self}
	return status
}

// withLag completes nodes with how far each is behind the furthest: only the
// center can tell from their tokens.
func withLag(nodes []config.Node) []config.Node {
	nodes = slices.Clone(nodes)
	revisions := make([]int64, len(nodes))
	for i, node := range nodes {
		if revision, _, err := decodeToken(node.Revision); err == nil {
			revisions[i] = revision
		}
	}
	if len(nodes) == 0 {
		return nodes
	}
	furthest := slices.Max(revisions)
	for i := range nodes {
		if nodes[i].Lag == 0 && revisions[i] > 0 {
			nodes[i].Lag = furthest - revisions[i]
		}
	}
	return nodes
}

// Members lists the nodes that hold the data.
func (c *Center) Members(ctx context.Context) ([]config.Node, error) {
	status, err := c.ClusterStatus(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(status.Nodes, func(n config.Node) bool { return n.Role == config.Edge }), nil
}

// PromoteMember lets a member vote that has been learning. The cluster does so
// by itself once it has caught up.
func (c *Center) PromoteMember(ctx context.Context, name string) error {
	return c.operate(ctx, "cluster.promote", name, Nodes.Promote)
}

// RemoveMember takes a member out of the cluster for good: it must not be
// started again with its data.
func (c *Center) RemoveMember(ctx context.Context, name string) error {
	return c.operate(ctx, "cluster.remove", name, Nodes.Remove)
}

// opMoveLeader is the one act for which no member need be named.
const opMoveLeader = "cluster.move_leader"

// MoveLeader hands the leadership to a member, or to the most suitable one if
// the name is empty.
func (c *Center) MoveLeader(ctx context.Context, to string) error {
	return c.operate(ctx, opMoveLeader, to, Nodes.MoveLeader)
}

// operate does something to the cluster, and records it. The record is written
// first, since it could not be afterwards by a node that was taken out, and what
// cannot be recorded is not done. If the act then comes to nothing, a second
// record says so.
func (c *Center) operate(ctx context.Context, op, subject string, act func(Nodes, context.Context, string) error) error {
	if _, err := c.authorize(ctx, op, auth.Operate, config.Path{}); err != nil {
		return err
	}
	if c.nodes == nil {
		return errAlone(op)
	}
	if subject == "" && op != opMoveLeader || len(subject) > maxNodeName {
		return config.Errorf(config.Invalid, op, "", "name the member, in at most %d bytes", maxNodeName)
	}
	if err := c.record(ctx, op, audit.Record{Action: op, Subject: subject}); err != nil {
		return err
	}
	err := act(c.nodes, ctx, subject)
	if err == nil {
		return nil
	}
	err = located(op, subject, err)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), pulseTimeout)
	defer cancel()
	failed := audit.Record{Action: op, Subject: subject, Outcome: audit.Failed, Detail: detail(map[string]string{"error": config.AsError(err).Detail()})}
	if unrecorded := c.record(late, op, failed); unrecorded != nil {
		c.log.WarnContext(ctx, "an act that failed was not recorded as such", "action", op, "subject", subject, "error", unrecorded)
	}
	return err
}

// maxNodeName bounds the name of a node, in bytes.
const maxNodeName = 253

// record commits an audit record that belongs to no change of the store's.
func (c *Center) record(ctx context.Context, op string, r audit.Record) error {
	_, err := c.store.Commit(ctx, once(store.Txn{Writes: []store.Write{c.audited(ctx, r)}}))
	return located(op, r.Subject, err)
}

func errAlone(op string) error {
	return config.Errorf(config.Unsupported, op, "", "this node is alone and belongs to no cluster: start it with --name NAME --cluster NAME=HOST:7403 (setting cluster.addr), and others can join it")
}
