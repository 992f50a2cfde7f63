package cluster

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// What is asked of a node's clients.
const (
	ofInstances = "instances"
	ofReceipts  = "receipts"
	// ofEdges asks a member for what edges tell that say hello to it.
	ofEdges = "edges"
)

// Instances implements center.Nodes.
func (c *Cluster) Instances(ctx context.Context, q config.InstanceQuery) (found []config.Instance, silent []string, err error) {
	all, err := c.askAll(ctx, question{Of: ofInstances, Path: q.Path.String(), After: q.After, Limit: q.Limit})
	return all.Instances, all.Silent, err
}

// Receipts implements center.Nodes.
func (c *Cluster) Receipts(ctx context.Context, path config.Path, version int64) (found []config.Receipt, silent []string, err error) {
	all, err := c.askAll(ctx, question{Of: ofReceipts, Path: path.String(), Version: version})
	return all.Receipts, all.Silent, err
}

// askAll asks every other node.
func (c *Cluster) askAll(ctx context.Context, q question) (*clients, error) {
	var gathered gathering
	var asking sync.WaitGroup
	members := c.roster(ctx)
	for _, m := range members {
		if !c.settings.Edge && (m.Peer == c.settings.Advertise || m.Name == c.settings.Name) {
			continue
		}
		asking.Go(func() {
			out, err := c.askMember(ctx, m, q, q.values())
			gathered.add(nameOr(m), out, err)
		})
	}
	asking.Go(func() {
		if !c.settings.Edge {
			gathered.add("", c.askEdges(ctx, q, ""), nil)
			return
		}
		query := q.values()
		query.Set("of", ofEdges)
		query.Set("but", c.settings.Name)
		for _, m := range members { // one of them asks the other edges
			if out, err := c.askMember(ctx, m, q, query); err == nil {
				gathered.add("", out, nil)
				return
			}
		}
	})
	asking.Wait()
	slices.Sort(gathered.all.Silent)
	return &gathered.all, ctx.Err()
}

// gathering puts answers together.
type gathering struct {
	mu  sync.Mutex
	all clients
}

// add takes in the answer of a node, or that there is none.
func (g *gathering) add(name string, more *clients, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.all.Silent = append(g.all.Silent, name)
		return
	}
	g.all.Instances = append(g.all.Instances, more.Instances...)
	g.all.Receipts = append(g.all.Receipts, more.Receipts...)
	g.all.Silent = append(g.all.Silent, more.Silent...)
}

// askMember asks a member a question, by these parameters.
func (c *Cluster) askMember(ctx context.Context, m member, q question, query url.Values) (*clients, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience+answerPatience)
	defer cancel()
	var out clients
	if err := c.calls.get(ctx, m.Peer, "/node/"+q.Of+"?"+query.Encode(), &out); err != nil {
		return nil, err
	}
	return &out, out.translate(q, c.now())
}

// askEdges asks the edges that say hello here, but one.
func (c *Cluster) askEdges(ctx context.Context, q question, but string) *clients {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var gathered gathering
	var asking sync.WaitGroup
	for _, name := range c.others.askable(time.Now()) {
		if name == but {
			continue
		}
		asking.Go(func() {
			out, err := c.others.ask(ctx, name, q)
			if err == nil {
				err = out.translate(q, c.now())
			}
			gathered.add(name, out, err)
		})
	}
	asking.Wait()
	return &gathered.all
}

// translate has times of receipts by this node's clock, so that clocks need not
// agree to tell who was seen within a minute.
func (c *clients) translate(q question, now time.Time) error {
	if q.Of != ofReceipts {
		return nil
	}
	if c.Now == 0 {
		return config.Errorf(config.Unsupported, "ask", "", "the node is of a version that knows no receipts")
	}
	ahead := now.UnixMilli() - c.Now
	for i := range c.Receipts {
		c.Receipts[i].Seen += ahead
	}
	return nil
}

// values are a question as parameters of a GET.
func (q question) values() url.Values {
	v := url.Values{"path": {q.Path}}
	if q.After != "" {
		v.Set("after", q.After)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Version > 0 {
		v.Set("version", strconv.FormatInt(q.Version, 10))
	}
	return v
}

// questionOf reads what values writes.
func questionOf(of string, v url.Values) (question, error) {
	q := question{Of: of, Path: v.Get("path"), After: v.Get("after")}
	var err error
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 0 {
			return q, config.Errorf(config.Invalid, "", "", "limit: want a number")
		}
	}
	if text := v.Get("version"); text != "" {
		if q.Version, err = strconv.ParseInt(text, 10, 64); err != nil || q.Version < 0 {
			return q, config.Errorf(config.Invalid, "", "", "version: want a number")
		}
	}
	return q, nil
}

// ownClients answers a question about this node's clients.
func (c *Cluster) ownClients(q question) (*clients, error) {
	parts := c.parts.Load()
	if parts == nil {
		return nil, c.notYet()
	}
	path, err := config.ParsePath(q.Path)
	if err != nil {
		return nil, err
	}
	out := &clients{Now: c.now().UnixMilli()}
	if q.Of == ofReceipts {
		out.Receipts = parts.Receipts(path, q.Version)
	} else {
		out.Instances = parts.Instances(config.InstanceQuery{Path: path, After: q.After, Limit: q.Limit})
	}
	return out, nil
}

// serveClients answers another node about clients, this node's or those of edges.
func (c *Cluster) serveClients(of string) func(request) (any, error) {
	return func(r request) (any, error) {
		v := r.URL.Query()
		q, err := questionOf(of, v)
		if err != nil {
			return nil, err
		}
		if v.Get("of") == ofEdges {
			out := c.askEdges(r.Context(), q, v.Get("but"))
			out.Now = c.now().UnixMilli()
			return out, nil
		}
		return c.ownClients(q)
	}
}

// answerQuestion answers what a member asked this edge.
func (c *Cluster) answerQuestion(ctx context.Context, addr string, q question) {
	found, err := c.ownClients(q)
	if err != nil {
		return // whoever asked finds this node silent
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err = c.calls.call(ctx, http.MethodPost, addr, "/node/answers/"+url.PathEscape(q.ID)+"?node="+url.QueryEscape(c.settings.Name), found, &nothing{})
	if err != nil {
		c.log.Debug("a question could not be answered", "peer", addr, "reason", err)
	}
}

// serveAnswer takes in what an edge answers.
func (c *Cluster) serveAnswer(r request) (any, error) {
	var a clients
	if err := decode(r.Body, maxClients, &a); err != nil {
		return nil, err
	}
	name := r.URL.Query().Get("node")
	if err := r.from(name); err != nil {
		return nil, err
	}
	c.others.answered(name, r.PathValue("id"), &a)
	return &nothing{}, nil
}
