package cluster

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// askPatience is how long a node may take to list its instances.
	askPatience = 3 * time.Second
	// movePause is between two looks whether the leadership has moved.
	movePause = 50 * time.Millisecond
)

// Promote implements center.Nodes.
func (c *Cluster) Promote(ctx context.Context, name string) error {
	return c.delegate(ctx, "/node/members/"+url.PathEscape(name)+"/promote", nil, func() error { return c.promote(ctx, name) })
}

// Remove implements center.Nodes. A leader hands the leadership over first. An
// edge is forgotten, and must have stopped: its certificate stays good until it
// ends, so that nothing but that would keep it from coming back.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	return c.delegate(ctx, "/node/members/"+url.PathEscape(name)+"/remove", nil, func() error { return c.remove(ctx, name) })
}

// MoveLeader implements center.Nodes.
func (c *Cluster) MoveLeader(ctx context.Context, to string) error {
	return c.delegate(ctx, "/node/leader", &leaderRequest{To: to}, func() error { return c.moveLeader(ctx, to, false) })
}

// delegate acts here or, on an edge, has a member act.
func (c *Cluster) delegate(ctx context.Context, path string, in any, here func() error) error {
	if !c.settings.Edge {
		return here()
	}
	members, _ := c.memory.members()
	err := error(config.Errorf(config.Unavailable, "", "", "this edge knows no member"))
	for _, m := range members {
		ctx, cancel := context.WithTimeout(ctx, actPatience)
		err = c.calls.call(ctx, http.MethodPost, m.Peer, path, in, &nothing{})
		cancel()
		if !silent(err) || config.KindOf(err) != config.Unavailable {
			return err // it may have been done
		}
	}
	return err
}

// find returns the engine and the member of a name.
func (c *Cluster) find(ctx context.Context, name string) (store.Cluster, store.Member, []store.Member, error) {
	engine, ok := c.engine()
	if !ok {
		return nil, store.Member{}, nil, c.notYet()
	}
	members, err := engine.Members(ctx)
	if err != nil {
		return nil, store.Member{}, nil, err
	}
	for _, m := range members {
		if m.Name == name || m.Name == "" && unnamed+hex(m.ID) == name {
			return engine, m, members, nil
		}
	}
	return engine, store.Member{}, members, config.Errorf(config.NotFound, "", "", "no node is called %s", clip(name))
}

func (c *Cluster) promote(ctx context.Context, name string) error {
	engine, m, _, err := c.find(ctx, name)
	if err != nil {
		return err
	}
	if !m.Learner {
		return nil // it is what was asked for
	}
	if err := engine.Promote(ctx, m.ID); err != nil {
		return err
	}
	c.log.Info("a member votes from now on", "node", name)
	return nil
}

func (c *Cluster) remove(ctx context.Context, name string) error {
	engine, m, members, err := c.find(ctx, name)
	if config.KindOf(err) == config.NotFound {
		return c.removeEdge(name, err)
	}
	if err != nil {
		return err
	}
	voters := 0
	for _, m := range members {
		if !m.Learner {
			voters++
		}
	}
	if !m.Learner && voters == 1 {
		return config.Errorf(config.Conflict, "", "", "%s is the only member that votes; without it there is no cluster", name)
	}
	status, err := engine.EngineStatus(ctx)
	if err != nil {
		return err
	}
	if status.Leader == m.ID {
		if err := c.moveLeader(ctx, "", false); err != nil {
			return err
		}
	}
	if err := engine.Remove(ctx, m.ID); err != nil {
		return err
	}
	c.others.drop(name)
	c.log.Info("a member was removed", "node", name, "peer", m.Peer)
	return nil
}

// removeEdge forgets an edge that has stopped. unknown is the error for a name
// that none has.
func (c *Cluster) removeEdge(name string, unknown error) error {
	e, ok := c.others.get(name)
	if !ok || e.report.Node.Role != config.Edge {
		return unknown
	}
	ends := e.report.Node.CertificateExpires.UTC().Format(time.DateOnly)
	if e.fresh(time.Now()) {
		return config.Errorf(config.Conflict, "", "", "the edge %s is running; stop it, and it is forgotten by itself. Its certificate stays good until %s", name, ends)
	}
	c.others.drop(name)
	c.log.Warn("an edge was forgotten; whoever has its certificate can come back with it until it ends", "node", name, "certificate_expires", ends)
	return nil
}

// moveLeader hands the leadership over. Only the leader's node can: another one
// passes the request on to it, unless it is final.
func (c *Cluster) moveLeader(ctx context.Context, to string, final bool) error {
	engine, ok := c.engine()
	if !ok {
		return c.notYet()
	}
	status, err := engine.EngineStatus(ctx)
	if err != nil {
		return err
	}
	members, err := engine.Members(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(members, func(m store.Member) bool { return m.ID == status.Leader })
	switch {
	case status.Leader == 0 || at < 0:
		return config.Errorf(config.Unavailable, "", "", "there is no leader at the moment; try again when there is")
	case status.Leader != status.MemberID && final:
		return config.Errorf(config.Conflict, "", "", "the leadership has just moved; look at the status and try again")
	case status.Leader != status.MemberID:
		return c.calls.post(ctx, members[at].Peer, "/node/leader", &leaderRequest{To: to, Final: true}, &nothing{})
	}
	target, err := c.successor(ctx, members, status.MemberID, to)
	if err != nil || target.ID == status.MemberID {
		return err
	}
	if err := engine.MoveLeader(ctx, target.ID); err != nil {
		return err
	}
	c.log.Info("the leadership was handed over", "to", target.Name)
	return c.awaitMove(ctx, engine, status.MemberID)
}

// awaitMove waits until this member follows another.
func (c *Cluster) awaitMove(ctx context.Context, engine store.Cluster, from uint64) error {
	for {
		status, err := engine.EngineStatus(ctx)
		if err != nil || status.Leader != 0 && status.Leader != from {
			return err
		}
		if !pause(ctx, movePause) {
			return config.Errorf(config.Timeout, "", "", "no other member has taken over in time")
		}
	}
}

// successor is the voter that is to lead: the named one or, for an empty name,
// the one that is furthest of those that are well.
func (c *Cluster) successor(ctx context.Context, members []store.Member, from uint64, to string) (store.Member, error) {
	if to != "" {
		for _, m := range members {
			switch {
			case m.Name != to:
			case m.Learner:
				return m, config.Errorf(config.Conflict, "", "", "%s does not vote yet, so that it cannot lead", to)
			default:
				return m, nil
			}
		}
		return store.Member{}, config.Errorf(config.NotFound, "", "", "no member is called %s", clip(to))
	}
	v, err := c.look(ctx)
	if err != nil {
		return store.Member{}, err
	}
	best, applied := store.Member{}, uint64(0)
	for _, s := range v.members {
		at := slices.IndexFunc(members, func(m store.Member) bool { return hex(m.ID) == s.member.ID })
		if at >= 0 && s.voter() && s.alive() && members[at].ID != from && s.report.Engine.Applied > applied {
			best, applied = members[at], s.report.Engine.Applied
		}
	}
	if best.ID == 0 {
		return best, config.Errorf(config.Conflict, "", "", "no other member that votes is well enough to lead")
	}
	return best, nil
}

// Invitation implements center.Nodes.
func (c *Cluster) Invitation() (config.Invitation, error) {
	var out config.Invitation
	if _, err := c.authority(); err != nil {
		return out, err
	}
	out.Fingerprint = c.keeper.Fingerprint()
	if !c.settings.Edge {
		out.Addresses = append(out.Addresses, c.settings.Advertise)
	}
	members, _ := c.memory.members()
	for _, m := range members {
		if e, ok := c.others.get(m.Name); ok && e.report.Admits && !slices.Contains(out.Addresses, m.Peer) {
			out.Addresses = append(out.Addresses, m.Peer)
		}
	}
	return out, nil
}

// nameOr is a member's name, or what it has in the place of one.
func nameOr(m member) string {
	if m.Name != "" {
		return m.Name
	}
	return unnamed + m.ID
}
