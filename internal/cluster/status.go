package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// view is what one look at all nodes came to.
type view struct {
	members []seen // self among them, unless it is an edge
	edges   []seen
}

// seen is one node as it was seen.
type seen struct {
	member member // zero for an edge
	report report // what it said, now or earlier
	offset time.Duration
	err    error // why it says nothing; nil if it does
	self   bool
}

// alive says that it answered and follows a leader.
func (s seen) alive() bool {
	return s.err == nil && s.report.Engine != nil && s.report.Engine.Leader != ""
}

func (s seen) voter() bool { return s.member.ID != "" && !s.member.Learner }

// name is the node's, or what it has in the place of one.
func (s seen) name() string {
	switch {
	case s.report.Node.Name != "":
		return s.report.Node.Name
	case s.member.Name != "":
		return s.member.Name
	}
	return unnamed + s.member.ID
}

// look asks every node how it is doing.
func (c *Cluster) look(ctx context.Context) (*view, error) {
	if c.parts.Load() == nil {
		return nil, c.notYet()
	}
	members := c.roster(ctx)
	v := &view{members: make([]seen, len(members))}
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() { v.members[i] = c.lookAt(ctx, m) })
	}
	var self report
	asking.Go(func() { self = c.report(ctx) })
	asking.Wait()
	if c.settings.Edge {
		v.edges = append(v.edges, seen{report: self, self: true})
	}
	for i := range v.members {
		if s := &v.members[i]; s.self {
			s.report = self
		}
	}
	for _, h := range c.others.edges(time.Now()) {
		if h.Report.Node.Name == c.settings.Name {
			continue
		}
		s := seen{report: h.Report}
		if ago := time.Duration(float64(h.Ago) * float64(time.Second)); ago > silentAfter {
			s.err = fmt.Errorf("it has said nothing for %s", ago.Round(time.Second))
		}
		v.edges = append(v.edges, s)
	}
	return v, ctx.Err()
}

// roster lists the members as the majority knows them or, if there is none at
// the moment, as this node last did.
func (c *Cluster) roster(ctx context.Context) []member {
	if engine, ok := c.engine(); ok {
		ctx, cancel := context.WithTimeout(ctx, answerPatience)
		defer cancel()
		if members, err := engine.Members(ctx); err == nil {
			return wireMembers(members)
		}
	}
	members, _ := c.memory.members()
	if len(members) > 0 || c.settings.Edge {
		return members
	}
	return []member{{Name: c.settings.Name, ID: "0", Peer: c.settings.Advertise}}
}

// lookAt asks one member.
func (c *Cluster) lookAt(ctx context.Context, m member) seen {
	s := seen{member: m}
	if !c.settings.Edge && (m.Peer == c.settings.Advertise || m.Name == c.settings.Name) {
		s.self = true
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	asked, before := c.now(), time.Now()
	s.err = c.calls.get(ctx, m.Peer, "/node/status", &s.report)
	if s.err == nil {
		s.offset = s.report.Time.Sub(asked.Add(time.Since(before) / 2))
		return s
	}
	s.report = report{}
	if e, ok := c.others.get(m.Name); ok && m.Name != "" {
		s.report = e.report // what it said last tells its version and address
		s.report.Engine = nil
	}
	return s
}

// Status implements center.Nodes.
func (c *Cluster) Status(ctx context.Context) (config.ClusterStatus, error) {
	v, err := c.look(ctx)
	if err != nil {
		return config.ClusterStatus{}, err
	}
	out := config.ClusterStatus{ID: c.parts.Load().ID(), Leader: v.leader()}
	furthest := int64(0)
	for _, s := range slices.Concat(v.members, v.edges) {
		if s.err == nil {
			furthest = max(furthest, s.report.Revision)
		}
	}
	for _, s := range slices.Concat(v.members, v.edges) {
		out.Nodes = append(out.Nodes, c.node(s, furthest, out.Leader))
	}
	out.Problems, out.Writable = v.problems()
	return out, nil
}

// node describes one node as it was seen.
func (c *Cluster) node(s seen, furthest int64, leader string) config.Node {
	n := s.report.Node
	n.Name, n.Self = s.name(), s.self
	n.Problems = slices.Clone(n.Problems)
	if s.member.ID != "" {
		n.Peer, n.Role = s.member.Peer, config.Voter
		if n.ID == "" && s.member.ID != "0" {
			n.ID = s.member.ID
		}
		if s.member.Learner {
			n.Role = config.Learner
		}
	}
	n.Leader = n.Name == leader
	if s.err != nil {
		// Of what it said earlier, only what does not change is still true.
		n.Revision, n.Lag, n.Stale, n.Watchers, n.Problems = "", 0, 0, 0, nil
		text := "it does not answer: " + cause(s.err).Error()
		switch {
		case n.Role == config.Edge:
			text = s.err.Error()
		case !s.member.Started:
			text = "it has not started yet: " + cause(s.err).Error()
		case errors.Is(s.err, context.DeadlineExceeded):
			text = "it does not answer"
		}
		n.Problems = append(n.Problems, text)
		n.Healthy = false
		return n
	}
	n.Lag = max(0, furthest-s.report.Revision)
	n.ClockOffset = config.Seconds(s.offset.Seconds())
	if s.offset.Abs() > c.settings.MaxClockOffset {
		n.Problems = append(n.Problems, fmt.Sprintf("its clock is %s away from this node's; set it, and keep it with NTP", roundly(s.offset)))
	}
	n.Healthy = len(n.Problems) == 0
	return n
}

// leader is the name of the member that most lately was made leader, as far as
// those know that answered; empty if none of them follows one.
func (v *view) leader() string {
	id, term := "", uint64(0)
	for _, s := range v.members {
		if s.alive() && (id == "" || s.report.Engine.Term > term) {
			id, term = s.report.Engine.Leader, s.report.Engine.Term
		}
	}
	return v.nameOf(id)
}

// nameOf is the name of the member with an ID.
func (v *view) nameOf(id string) string {
	if id == "" {
		return ""
	}
	for _, s := range v.members {
		if s.member.ID == id || s.report.Node.ID == id {
			return s.name()
		}
	}
	return unnamed + id
}

// problems are those of the cluster as a whole, and whether it takes changes.
func (v *view) problems() (texts []string, writable bool) {
	add := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	leader := v.leader()
	voters, alive := 0, 0
	for _, s := range v.members {
		if s.voter() {
			voters++
			if s.alive() {
				alive++
			}
		}
	}
	majority := voters/2 + 1
	switch {
	case leader == "":
		add("there is no leader: changes are refused until a majority of the members (%d of %d) reach each other", majority, voters)
	case alive < majority:
		add("only %d of %d voting members answer, and changes need %d", alive, voters, majority)
	case voters > 2 && alive == majority:
		add("%d of %d voting members answer: if one more fails, changes are refused", alive, voters)
	}
	if voters > 1 && voters%2 == 0 {
		add("the number of voting members is even (%d): one more would make the cluster stand one more failure, one fewer would not make it stand less", voters)
	}
	noSpace, corrupt := v.alarms()
	if len(noSpace) > 0 {
		add("there is no room on %s: changes are refused until there is", strings.Join(noSpace, ", "))
	}
	if len(corrupt) > 0 {
		add("the data of %s differs from that of the others: remove it, and let it join anew with an empty data_dir", strings.Join(corrupt, ", "))
	}
	if versions := v.versions(); len(versions) > 1 {
		add("nodes run different versions: %s", strings.Join(versions, ", "))
	}
	return texts, leader != "" && alive >= majority && len(noSpace) == 0 && len(corrupt) == 0
}

// alarms lists the members that have no room, and those whose data is damaged.
func (v *view) alarms() (noSpace, corrupt []string) {
	for _, s := range v.members {
		if s.err != nil || s.report.Engine == nil {
			continue
		}
		for _, id := range s.report.Engine.NoSpace {
			noSpace = append(noSpace, v.nameOf(id))
		}
		for _, id := range s.report.Engine.Corrupt {
			corrupt = append(corrupt, v.nameOf(id))
		}
	}
	slices.Sort(noSpace)
	slices.Sort(corrupt)
	return slices.Compact(noSpace), slices.Compact(corrupt)
}

// versions lists those that run, each once.
func (v *view) versions() []string {
	var out []string
	for _, s := range slices.Concat(v.members, v.edges) {
		if s.err == nil && s.report.Node.Version != "" {
			out = append(out, s.report.Node.Version)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
