package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// follow keeps up with who the members are, and remembers it.
func (c *Cluster) follow(ctx context.Context) {
	for {
		if engine, ok := c.engine(); ok {
			c.note(ctx, engine)
		}
		if !pause(ctx, helloPause) {
			return
		}
	}
}

// note asks this node's engine for the members.
func (c *Cluster) note(ctx context.Context, engine store.Cluster) {
	ctx, cancel := context.WithTimeout(ctx, helloPause)
	defer cancel()
	status, err := engine.EngineStatus(ctx)
	if err != nil || status.ClusterID == 0 {
		return // it shows in the status
	}
	members, err := engine.Members(ctx)
	c.remember(func(r *remembered) {
		c.describe(r)
		r.Cluster = hex(status.ClusterID)
		if err == nil {
			r.Members = wireMembers(members)
		}
	})
}

func (c *Cluster) remember(change func(*remembered)) {
	if err := c.memory.update(change); err != nil {
		c.log.Warn("what this node knows of its cluster cannot be kept", "error", err)
	}
}

// greet says hello to every member but this one, for as long as it is one.
func (c *Cluster) greet(ctx context.Context) {
	var greeting sync.WaitGroup
	defer c.leave(ctx)
	defer greeting.Wait()
	under := map[string]context.CancelFunc{} // by address
	defer func() {
		for _, cancel := range under {
			cancel()
		}
	}()
	for {
		members, changed := c.memory.members()
		wanted := map[string]bool{}
		for _, m := range members {
			if m.Peer != c.settings.Advertise && m.Name != c.settings.Name {
				wanted[m.Peer] = true
			}
		}
		maps.DeleteFunc(under, func(addr string, cancel context.CancelFunc) bool {
			if !wanted[addr] {
				cancel()
			}
			return !wanted[addr]
		})
		for _, addr := range slices.Sorted(maps.Keys(wanted)) {
			if under[addr] == nil {
				one, cancel := context.WithCancel(ctx)
				under[addr] = cancel
				greeting.Go(func() { c.greetOne(one, addr) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// leave tells the members that an edge stops, so that nobody waits for it. A
// member that stops is missed.
func (c *Cluster) leave(ctx context.Context) {
	if !c.settings.Edge {
		return
	}
	var telling sync.WaitGroup
	members, _ := c.memory.members()
	for _, m := range members {
		telling.Go(func() {
			_, err := c.sayHello(context.WithoutCancel(ctx), m.Peer, hello{Report: c.firstReport(), Leaving: true})
			if err != nil {
				c.log.Debug("a node does not hear that this one stops", "peer", m.Peer, "reason", err)
			}
		})
	}
	telling.Wait()
}

// greetOne says hello to one member until ctx ends. An edge is at its disposal
// meanwhile.
func (c *Cluster) greetOne(ctx context.Context, addr string) {
	var told time.Time
	for {
		begun := time.Now()
		answer, err := c.sayHello(ctx, addr, hello{Report: c.report(ctx), Wait: c.settings.Edge})
		busy := false
		switch {
		case err == nil:
			busy = c.hear(ctx, addr, answer)
		case ctx.Err() != nil:
			return
		case config.KindOf(err) == config.Exists && time.Since(told) > tellPause:
			told = time.Now()
			c.log.Error("another node has this one's name", "name", c.settings.Name, "peer", addr, "error", err)
		default:
			c.log.Debug("a node does not answer", "peer", addr, "reason", err)
		}
		if wait := helloPause - time.Since(begun); !busy && wait > 0 && !pause(ctx, wait) || ctx.Err() != nil {
			return
		}
	}
}

func (c *Cluster) sayHello(ctx context.Context, addr string, h hello) (*helloAnswer, error) {
	patience := answerPatience
	if h.Wait {
		patience += helloPause
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var answer helloAnswer
	return &answer, c.calls.post(ctx, addr, "/node/hello", &h, &answer)
}

// hear takes in what a member answered; true if it asked something.
func (c *Cluster) hear(ctx context.Context, addr string, answer *helloAnswer) bool {
	if !c.settings.Edge {
		return false // its own engine knows better
	}
	c.others.learn(answer.Edges, time.Now())
	if len(answer.Members) > 0 {
		c.remember(func(r *remembered) { c.describe(r); r.Members = answer.Members })
	}
	for _, q := range answer.Questions {
		c.answerQuestion(ctx, addr, q)
	}
	return len(answer.Questions) > 0
}
