package load

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// launcher brings out one release after another by launches, and looks who is
// served what. Its configs are in an env of their own, where nobody else changes
// anything: so it knows what is right. Whenever it no longer knows, because a call
// had no answer, it goes to another node, and begins with another config.
type launcher struct {
	load  *Load
	rand  *rand.Rand
	at    int // the index of its node
	count int

	path   config.Path // zero for none
	stable int64
}

func (l *launcher) run(ctx context.Context) {
	for l.load.pause(ctx, l.rand) {
		l.count++
		node := l.load.o.Nodes[l.at%len(l.load.o.Nodes)]
		if err := l.next(context.WithoutCancel(ctx), node); err != nil {
			l.path = config.Path{}
			l.at++
		}
	}
}

// next makes a config if there is none, and else takes a launch from its beginning
// to its end.
func (l *launcher) next(ctx context.Context, node Node) error {
	if l.path == (config.Path{}) {
		path := l.load.o.Launches.Join(fmt.Sprintf("launched-%016x.yaml", l.rand.Uint64()))
		set, err := l.publish(ctx, node, path, client.ReleaseOptions{})
		if err != nil {
			return err
		}
		l.path, l.stable = path, set.Items[0].Version
		return nil
	}
	set, err := l.publish(ctx, node, l.path, client.ReleaseOptions{Rollout: &client.NewRollout{
		Strategy: config.Strategy{Kind: config.StrategyTargets, Targets: config.NewInstanceSet(history.Chosen)},
	}})
	if err != nil {
		return err
	}
	made := history.Launch{
		Path: l.path, ID: set.ID, Stable: l.stable, Version: set.Items[0].Version,
		Wanted: []config.LaunchState{config.LaunchPromoted, config.LaunchAborted}[l.rand.IntN(2)],
	}
	err = l.follow(ctx, node, &made)
	l.load.h.AddLaunch(made)
	return err
}

// follow looks at a launch, ends it, and looks again.
func (l *launcher) follow(ctx context.Context, node Node, made *history.Launch) error {
	if err := l.look(ctx, made); err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	act := client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: made.Path.Tenant, ID: made.ID}}
	end := node.Client().AbortLaunch
	if made.Wanted == config.LaunchPromoted {
		end = node.Client().PromoteLaunch
	}
	if _, err := end(ending, act); err != nil {
		made.Ended = outcome(config.KindOf(err))
		return err
	}
	made.Ended = history.OK
	if made.Wanted == config.LaunchPromoted {
		l.stable = made.Version
	}
	return l.look(ctx, made)
}

// look reads as the one that is chosen and as somebody else, each at some node.
func (l *launcher) look(ctx context.Context, made *history.Launch) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for _, chosen := range []bool{true, false} {
		node := l.load.o.Nodes[l.rand.IntN(len(l.load.o.Nodes))]
		c := node.Client()
		if chosen {
			c = node.Chosen()
		}
		got, err := c.Get(ctx, made.Path, client.ReadOptions{Strong: true})
		if err != nil {
			return err
		}
		made.Looks = append(made.Looks, history.Look{Node: node.String(), Chosen: chosen, After: made.Ended == history.OK, Version: got.Version})
	}
	return nil
}

func (l *launcher) publish(ctx context.Context, node Node, path config.Path, o client.ReleaseOptions) (config.ChangeSet, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return node.Client().Publish(ctx, client.Publish{
		Items: []client.PublishItem{{Path: path, Content: fmt.Appendf(nil, "n: %d\n", l.count)}}, ReleaseOptions: o,
	})
}
