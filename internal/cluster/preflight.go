package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	// probePatience is how long a node may take to say who it is at start, and
	// probePause is between two rounds of asking.
	probePatience = 2 * time.Second
	probePause    = 500 * time.Millisecond
)

// probe is what asking one address who is there came to.
type probe struct {
	name, addr string // name is whom this node expects there; may be empty
	self       bool   // it is this node's own address
	hint       bool   // only the settings name it, and this node knows its cluster already
	id         identity
	offset     time.Duration // how far its clock is ahead of this one's
	err        error
}

// preflight asks the other nodes who they are, and finds out what would go wrong
// if the engine started now. It waits until enough of them are there.
func (c *Cluster) preflight(ctx context.Context) error {
	var told time.Time
	for {
		round := c.probeAll(ctx, c.targets())
		if err := ctx.Err(); err != nil {
			return gaveUp(ctx, "start", missing(round))
		}
		if err := c.judge(round); err != nil {
			return err
		}
		if c.enough(round) {
			return c.learnFrom(ctx, round)
		}
		if time.Since(told) > tellPause {
			told = time.Now()
			c.log.Info("waiting for other nodes", "reason", missing(round))
		}
		if !pause(ctx, probePause) {
			return gaveUp(ctx, "start", missing(round))
		}
	}
}

// targets are the addresses to ask: all members that this node knows, itself
// among them, and for an edge that knows none, those that it was told to join.
func (c *Cluster) targets() []probe {
	var out []probe
	add := func(name, addr string) {
		if !slices.ContainsFunc(out, func(p probe) bool { return p.addr == addr }) {
			out = append(out, probe{name: name, addr: addr, self: !c.settings.Edge && addr == c.settings.Advertise})
		}
	}
	if !c.settings.Edge {
		add(c.settings.Name, c.settings.Advertise)
	}
	r, _ := c.memory.get()
	if r.Joined || c.settings.Edge || c.options.HasData() {
		for _, m := range r.Members {
			add(m.Name, m.Peer)
		}
	}
	if !c.settings.Edge && len(r.Members) > 0 {
		c.addHints(&out)
	}
	if !r.Joined && !c.settings.Edge && len(r.Members) == 0 {
		founders := c.settings.founders()
		for _, name := range slices.Sorted(maps.Keys(founders)) {
			add(name, founders[name])
		}
	}
	if c.settings.Edge {
		for _, addr := range c.settings.Join {
			add("", addr)
		}
	}
	return out
}

// addHints adds the nodes that the settings name, of which nothing is expected but
// that they are not of another cluster.
func (c *Cluster) addHints(out *[]probe) {
	addrs := slices.Clone(c.settings.Join)
	founders := c.settings.founders()
	for _, name := range slices.Sorted(maps.Keys(founders)) {
		addrs = append(addrs, founders[name])
	}
	for _, addr := range addrs {
		if !slices.ContainsFunc(*out, func(p probe) bool { return p.addr == addr }) {
			*out = append(*out, probe{addr: addr, hint: true})
		}
	}
}

// probeAll asks all of them at the same time.
func (c *Cluster) probeAll(ctx context.Context, targets []probe) []probe {
	var asking sync.WaitGroup
	for i := range targets {
		asking.Go(func() { c.probe(ctx, &targets[i]) })
	}
	asking.Wait()
	return targets
}

func (c *Cluster) probe(ctx context.Context, p *probe) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	asked, before := c.now(), time.Now()
	p.err = c.calls.get(ctx, p.addr, "/node/identity", &p.id)
	p.offset = p.id.Time.Sub(asked.Add(time.Since(before) / 2))
}

// answered are the probes of other nodes that said who they are.
func answered(round []probe) []probe {
	var out []probe
	for _, p := range round {
		if p.err == nil && !p.self && !p.hint {
			out = append(out, p)
		}
	}
	return out
}

// enough reports whether the engine can start: the founders need a majority, an
// edge somebody who has the data, and whoever has run before nobody.
func (c *Cluster) enough(round []probe) bool {
	there := answered(round)
	r, _ := c.memory.get()
	switch {
	case c.settings.Edge:
		return slices.ContainsFunc(there, func(p probe) bool { return p.id.Formed })
	case r.Joined || c.options.HasData():
		return true
	default:
		return len(there)+1 > len(c.settings.founders())/2
	}
}

// missing says which nodes do not answer, and why.
func missing(round []probe) error {
	var texts []string
	for _, p := range round {
		if p.err != nil && !p.self && !p.hint {
			texts = append(texts, fmt.Sprintf("%s: %s", strings.TrimSpace(p.name+" at "+p.addr), cause(p.err)))
		}
	}
	return fmt.Errorf("%d of %d nodes are missing: %s", len(texts), len(round), strings.Join(texts, "; "))
}

// judge finds what keeps this node from starting, whoever else may come.
func (c *Cluster) judge(round []probe) error {
	there := answered(round)
	for _, p := range round {
		if p.self && p.err == nil {
			if err := c.judgeSelf(p); err != nil {
				return err
			}
		}
		if p.hint && p.err == nil {
			if err := c.judgeData(p); err != nil {
				return err
			}
		}
	}
	for _, p := range there {
		if err := c.judgeOther(p); err != nil {
			return err
		}
	}
	if len(there) == 0 {
		return judgeTrust(round)
	}
	if err := c.judgeClock(there); err != nil {
		return err
	}
	for _, p := range there {
		if p.id.Formed && !c.settings.Edge {
			return c.judgeMembership(p)
		}
	}
	return nil
}

// judgeSelf looks at who answered at this node's own address.
func (c *Cluster) judgeSelf(p probe) error {
	switch {
	case p.id.Boot == c.boot:
		return nil
	case p.id.Name == c.settings.Name:
		return config.Errorf(config.Exists, "start", "cluster.name", "another node named %s runs at %s, which is this node's own address; stop that one, or give this one a name and an address of its own", p.id.Name, p.addr)
	default:
		return config.Errorf(config.Invalid, "start", "cluster.advertise", "at %s, the address by which others would reach this node, runs the node %s; set cluster.advertise to this node's own", p.addr, p.id.Name)
	}
}

// judgeOther compares this node with another.
func (c *Cluster) judgeOther(p probe) error {
	s := &c.settings
	refuse := func(key, text string, args ...any) error {
		return config.Errorf(config.Invalid, "start", key, text, args...)
	}
	switch {
	case p.id.Boot == c.boot:
		return refuse("cluster.name", "%s, the address of %s, is this node itself, which is called %s; is cluster.name right?", p.addr, p.name, s.Name)
	case p.id.Token != digest(s.Token):
		return refuse("cluster.token", "the node %s at %s is of a cluster with another token than %q; set cluster.token to that cluster's, or mend the address", p.id.Name, p.addr, clip(s.Token))
	case p.id.Name == s.Name:
		return config.Errorf(config.Exists, "start", "cluster.name", "a node named %s runs already, at %s; give this one another name", s.Name, p.addr)
	case !c.calledSo(p):
		return refuse("cluster.members", "at %s runs the node %s, and not %s; mend the addresses", p.addr, p.id.Name, p.name)
	case p.id.Format > DataFormat:
		return refuse("", "the node %s runs Setpoint %s, whose data is in a newer format (%d) than this program knows (%d); start a program at least as new", p.id.Name, clip(p.id.Version), p.id.Format, DataFormat)
	}
	return c.judgeData(p)
}

// judgeData refuses data that is not of the cluster of another node.
func (c *Cluster) judgeData(p probe) error {
	r, _ := c.memory.get()
	if r.Cluster == "" || p.id.Cluster == "" || r.Cluster == p.id.Cluster {
		return nil
	}
	return config.Errorf(config.Invalid, "start", c.options.DataDir, "is the data directory of another cluster (%s) than that of the node %s at %s (%s); mend data_dir or the addresses, or join with an empty data_dir", r.Cluster, p.id.Name, p.addr, p.id.Cluster)
}

// calledSo reports whether the node is the one that was expected at its address.
func (c *Cluster) calledSo(p probe) bool {
	return p.name == "" || p.name == p.id.Name
}

// judgeTrust looks at why nobody answered: if it is because the two ends do not
// accept each other, waiting is in vain.
func judgeTrust(round []probe) error {
	for _, p := range round {
		if p.err != nil && !p.self && !p.hint && untrusted(p.err) {
			return config.Errorf(config.Invalid, "start", p.addr, "this node and %s do not take each other for nodes of one cluster: %w", strings.TrimSpace("the node "+p.name), cause(p.err))
		}
	}
	return nil
}

// judgeClock refuses a clock that is far from those of all others: if it is near
// one of them, that other may be the one that is wrong.
func (c *Cluster) judgeClock(there []probe) error {
	worst := there[0]
	for _, p := range there {
		if p.offset.Abs() <= c.settings.MaxClockOffset {
			return nil
		}
		if p.offset.Abs() > worst.offset.Abs() {
			worst = p
		}
	}
	direction := "behind"
	if worst.offset < 0 {
		direction = "ahead of"
	}
	return config.Errorf(config.Invalid, "start", "", "this machine's clock is %s %s that of the node %s, more than the %s of cluster.max_clock_offset; set it, and keep it with NTP", roundly(worst.offset), direction, worst.id.Name, c.settings.MaxClockOffset)
}

// checkEngine does what judgeData does for data of which this node remembers no
// cluster, because it has run alone until now: only the engine knows whose it is.
func (c *Cluster) checkEngine(ctx context.Context) error {
	engine, ok := c.engine()
	if r, _ := c.memory.get(); !ok || r.Cluster != "" {
		return nil
	}
	status, err := engine.EngineStatus(ctx)
	if err != nil {
		return nil //nolint:nilerr // it runs elsewhere, or ends: this is not about that
	}
	for _, p := range answered(c.probeAll(ctx, c.targets())) {
		if p.id.Formed && p.id.Cluster != hex(status.ClusterID) {
			return config.Errorf(config.Invalid, "start", c.options.DataDir, "is the data directory of another cluster (%s) than that of the node %s at %s (%s), which was founded without it. To go on with this data, stop the others and empty their data directories, start this node alone ('--cluster %s=%s'), and let the others join", hex(status.ClusterID), p.id.Name, p.addr, p.id.Cluster, c.settings.Name, c.settings.Advertise)
		}
	}
	return nil
}

// roundly writes a duration without a sign, and no more exactly than is of use.
func roundly(d time.Duration) string {
	d = d.Abs()
	if d > 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// judgeMembership compares this node with what the cluster has entered of it.
func (c *Cluster) judgeMembership(p probe) error {
	s := &c.settings
	hasData := c.options.HasData()
	for _, m := range p.id.Members {
		switch {
		case m.Peer == s.Advertise && m.Name != "" && m.Name != s.Name:
			return config.Errorf(config.Exists, "start", "cluster.name", "the cluster knows the member at %s as %s, and not as %s; set the name back", m.Peer, m.Name, s.Name)
		case m.Peer == s.Advertise && m.Started && !hasData:
			return config.Errorf(config.Conflict, "start", c.options.DataDir, "the cluster knows %s as a member that has run before, but the data directory is empty; a member must not come back empty under its old name. Put the data back or, if it is lost, remove the member ('setpoint cluster remove %s') and let it join anew ('setpoint cluster add')", s.Name, s.Name)
		case m.Peer == s.Advertise:
			return nil
		case m.Name == s.Name && hasData:
			return nil // it moves: the engine tells the others its new address
		case m.Name == s.Name:
			return config.Errorf(config.Exists, "start", "cluster.name", "a member named %s is in the cluster already, at %s; give this node another name", s.Name, m.Peer)
		}
	}
	if hasData {
		return config.Errorf(config.Conflict, "start", c.options.DataDir, "%s is no member of the cluster any more: it was removed. Its data is of no use; let it join anew with an empty data_dir ('setpoint cluster add')", s.Name)
	}
	return config.Errorf(config.Conflict, "start", "cluster.members", "the cluster was founded without %s; let it join: make a token with 'setpoint cluster add' and start it with --join %s --token TOKEN", s.Name, p.addr)
}

// learnFrom remembers what the round brought, and tells what is odd but no
// obstacle.
func (c *Cluster) learnFrom(ctx context.Context, round []probe) error {
	for _, p := range round {
		switch {
		case p.err != nil && p.self:
			c.log.Warn("this node cannot reach itself at the address that it gives to others", "peer", p.addr, "reason", cause(p.err))
		case p.hint:
		case p.err != nil:
			c.log.Warn("a node does not answer", "node", p.name, "peer", p.addr, "reason", cause(p.err))
		case p.offset.Abs() > c.settings.MaxClockOffset:
			c.log.Warn("the clock of a node is far from this one's", "node", p.id.Name, "offset", p.offset.Round(time.Millisecond))
		}
	}
	if !c.settings.Edge {
		return nil
	}
	for _, p := range answered(round) {
		if p.id.Formed {
			if err := c.memory.update(func(r *remembered) { c.describe(r); r.Cluster, r.Members = p.id.Cluster, p.id.Members }); err != nil {
				return err
			}
		}
	}
	return c.checkAlone(ctx)
}

// checkAlone makes sure that no other edge of this name is running: the members
// know. One that was this node's earlier run is forgotten soon.
func (c *Cluster) checkAlone(ctx context.Context) error {
	until := time.Now().Add(silentAfter + helloPause)
	for {
		var taken error
		for _, p := range c.targets() {
			_, err := c.sayHello(ctx, p.addr, hello{Report: c.firstReport()})
			if config.KindOf(err) == config.Exists {
				taken = err
			}
		}
		switch {
		case taken == nil:
			return nil
		case time.Now().After(until):
			return config.Errorf(config.Exists, "start", "cluster.name", "%w", cause(taken))
		case !pause(ctx, probePause):
			return gaveUp(ctx, "start", errors.New("another node has this one's name"))
		}
	}
}
