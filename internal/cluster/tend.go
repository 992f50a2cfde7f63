package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// tender is the office of who looks after the members.
	tender = "tender"
	// tendPause is between two looks at them.
	tendPause = 2 * time.Second
	// abandonedAfter is when a learner that has never run, and whose node does not
	// answer, is taken for abandoned: while it is there, nobody else can join.
	abandonedAfter = 10 * time.Minute
	// defragmentAgain is how long a member is left alone that was defragmented.
	defragmentAgain = time.Hour
)

// tend looks after all members while this node holds the office.
func (c *Cluster) tend(ctx context.Context, elector store.Elector) {
	for ctx.Err() == nil {
		term, err := elector.Campaign(ctx, tender, c.settings.Name)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("the office of who looks after the members cannot be had", "error", err)
			}
			pause(ctx, tendPause)
			continue
		}
		c.serve(ctx, term)
		resigning, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerPatience)
		if err := term.Resign(resigning); err != nil {
			c.log.Debug("the office was not handed back; it falls vacant by itself", "error", err)
		}
		cancel()
	}
}

// serve looks after the members until the term or ctx ends.
func (c *Cluster) serve(ctx context.Context, term store.Term) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-term.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	care := care{c: c, absent: map[string]time.Time{}, done: map[string]time.Time{}}
	for {
		if v, err := c.look(ctx); err == nil {
			care.tell(v)
			care.take(ctx, v)
		}
		if !pause(ctx, tendPause) {
			break
		}
	}
	<-over
}

// care is what one holder of the office knows.
type care struct {
	c      *Cluster
	absent map[string]time.Time // since when a learner that never ran does not answer, by ID
	done   map[string]time.Time // when a member was defragmented, by ID
	told   []string             // problems that the log knows of
}

// tell has the log know of what is wrong with the cluster, when it comes and when
// it is over: what the status shows to those who ask.
func (k *care) tell(v *view) {
	problems, _ := v.problems()
	for _, p := range problems {
		if !slices.Contains(k.told, p) {
			k.c.log.Warn("the cluster has a problem", "problem", p)
		}
	}
	for _, p := range k.told {
		if !slices.Contains(problems, p) {
			k.c.log.Info("a problem of the cluster is over", "problem", p)
		}
	}
	k.told = problems
}

// take does one thing that needs doing, if any does.
func (k *care) take(ctx context.Context, v *view) {
	if k.promote(ctx, v) || k.clear(ctx, v) {
		return
	}
	k.defragment(ctx, v)
}

// promote lets a learner vote that has caught up. The engine knows whether it
// has.
func (k *care) promote(ctx context.Context, v *view) bool {
	for _, s := range v.members {
		if !s.member.Learner || !s.member.Started || s.err != nil {
			continue
		}
		err := k.c.promote(ctx, s.name())
		if err != nil && config.KindOf(err) != config.Conflict && ctx.Err() == nil {
			k.c.log.Warn("a member that has caught up cannot be promoted", "node", s.name(), "error", err)
		}
		return true
	}
	return false
}

// clear removes a learner that was added and never came.
func (k *care) clear(ctx context.Context, v *view) bool {
	for _, s := range v.members {
		id := s.member.ID
		if !s.member.Learner || s.member.Started || !silent(s.err) {
			delete(k.absent, id)
			continue
		}
		since, known := k.absent[id]
		switch {
		case !known:
			k.absent[id] = time.Now()
		case time.Since(since) > abandonedAfter:
			k.c.log.Warn("a member that was added has never run; it is removed, so that others can join", "peer", s.member.Peer)
			if err := k.c.remove(ctx, s.name()); err != nil && ctx.Err() == nil {
				k.c.log.Warn("the member cannot be removed", "peer", s.member.Peer, "error", err)
			}
			delete(k.absent, id)
			return true
		}
	}
	return false
}

// defragment has one member give unused space back, if all are well: it answers
// nothing meanwhile. The leader hands the leadership over first.
func (k *care) defragment(ctx context.Context, v *view) {
	least := int64(k.c.settings.DefragmentWaste)
	if least == 0 {
		return
	}
	var next *seen
	for i := range v.members {
		s := &v.members[i]
		if !s.alive() || s.member.Learner || len(s.report.Engine.Corrupt) > 0 {
			return
		}
		n := s.report.Node
		waste := n.StoreSize - n.StoreUsed
		if waste <= least || waste <= n.StoreSize/2 || time.Since(k.done[s.member.ID]) < defragmentAgain {
			continue
		}
		if next == nil || next.report.Node.Leader {
			next = s
		}
	}
	switch {
	case next == nil:
		return
	case next.report.Node.Leader && len(v.members) > 1:
		if err := k.c.moveLeader(ctx, "", false); err != nil && ctx.Err() == nil {
			k.c.log.Warn("the leader cannot be defragmented, because nobody takes over", "error", err)
			k.done[next.member.ID] = time.Now()
		}
		return // it is no leader at the next look
	}
	k.done[next.member.ID] = time.Now()
	if err := k.defragmentOne(ctx, next); err != nil && ctx.Err() == nil {
		k.c.log.Warn("a member cannot be defragmented", "node", next.name(), "error", err)
	}
}

func (k *care) defragmentOne(ctx context.Context, s *seen) error {
	ctx, cancel := context.WithTimeout(ctx, defragmentPatience)
	defer cancel()
	k.c.log.Info("a member gives unused space back", "node", s.name(), "size", s.report.Node.StoreSize, "used", s.report.Node.StoreUsed)
	if s.self {
		return k.c.defragment(ctx)
	}
	return k.c.calls.post(ctx, s.member.Peer, "/node/defragment", nil, &nothing{})
}
