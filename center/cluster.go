package center

import (
	"context"

	"github.com/setpointhq/setpoint/config"
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
	// Instances asks every other node for the instances that it holds a connection
	// of, for the path and what is below it; nodes that did not answer are named.
	Instances(ctx context.Context, path config.Path) (found []config.Instance, silent []string, err error)
}
