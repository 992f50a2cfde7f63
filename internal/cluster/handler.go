package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

const (
	// helloPause is between two hellos, and how long the answer to one who can be
	// asked nothing else is held back.
	helloPause = 2 * time.Second
	// actPatience bounds changes of the cluster, defragmentPatience how long a
	// member may take to write all its data anew.
	actPatience        = 15 * time.Second
	defragmentPatience = 10 * time.Minute
)

// request is one call of another node.
type request struct {
	*http.Request
	cert *x509.Certificate // nil for a stranger
}

// from refuses a node that speaks for another one.
func (r request) from(name string) error {
	if issued, ours := issuedName(r.cert); ours && issued != name {
		return config.Errorf(config.Denied, "", "", "the certificate is that of the node %s, not of %s", issued, name)
	}
	return nil
}

// handler answers under /node/.
func (c *Cluster) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, open bool, answer func(request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { c.answer(w, r, open, answer) })
	}
	// Whoever wants to join may ask these two; all else is for nodes.
	handle("GET /node/authority", true, func(request) (any, error) { return &authority{CA: string(c.keeper.Bundle())}, nil })
	handle("POST /node/join", true, c.serveJoin)

	handle("GET /node/identity", false, func(r request) (any, error) { return c.identity(r.Context()), nil })
	handle("GET /node/status", false, c.serveStatus)
	handle("GET /node/instances", false, c.serveClients(ofInstances))
	handle("GET /node/receipts", false, c.serveClients(ofReceipts))
	handle("POST /node/hello", false, c.serveHello)
	handle("POST /node/answers/{id}", false, c.serveAnswer)
	handle("POST /node/renew", false, c.serveRenew)
	handle("POST /node/members/{name}/promote", false, c.serveAct(func(ctx context.Context, r request) error {
		return c.promote(ctx, r.PathValue("name"))
	}))
	handle("POST /node/members/{name}/remove", false, c.serveAct(func(ctx context.Context, r request) error {
		return c.remove(ctx, r.PathValue("name"))
	}))
	handle("POST /node/leader", false, c.serveLeader)
	handle("POST /node/defragment", false, c.serveDefragment)
	return mux
}

// answer answers a request with what a function makes of it.
func (c *Cluster) answer(w http.ResponseWriter, r *http.Request, open bool, by func(request) (any, error)) {
	in := request{Request: r}
	if _, known := pki.Peer(r.TLS); known {
		in.cert = r.TLS.PeerCertificates[0]
	}
	if in.cert == nil && !open {
		writeError(w, config.Errorf(config.Denied, "", "", "this needs the certificate of a node"))
		return
	}
	out, err := by(in)
	if err != nil {
		if config.KindOf(err) == config.Internal {
			c.log.Error("a request of another node went wrong", "path", r.URL.Path, "caller", r.RemoteAddr, "error", err)
		}
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// identity is who this node is, and whom it knows.
func (c *Cluster) identity(ctx context.Context) *identity {
	r, _ := c.memory.get()
	id := &identity{
		Name: c.settings.Name, Boot: c.boot, Version: c.options.Version, Format: DataFormat,
		Token: digest(c.settings.Token), Cluster: r.Cluster,
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	if engine, ok := c.engine(); ok {
		status, err := engine.EngineStatus(ctx)
		members, errMembers := engine.Members(ctx)
		if err = errors.Join(err, errMembers); err == nil && status.Leader != 0 {
			id.Cluster, id.Formed, id.Members = hex(status.ClusterID), true, wireMembers(members)
		}
	}
	id.Time = c.now()
	return id
}

func (c *Cluster) serveJoin(r request) (any, error) {
	var ask joinRequest
	if err := decode(r.Body, maxBody, &ask); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), joinPatience)
	defer cancel()
	answer, err := c.admit(ctx, &ask, r.cert, r.RemoteAddr)
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, errRetry) {
			level = slog.LevelDebug // it asks again
		}
		c.log.Log(ctx, level, "a node was not let in", "node", ask.Name, "peer", ask.Peer, "caller", r.RemoteAddr, "error", err)
		return nil, err
	}
	return answer, nil
}

func (c *Cluster) serveStatus(r request) (any, error) {
	if c.parts.Load() == nil {
		return nil, c.notYet()
	}
	out := c.report(r.Context())
	return &out, nil
}

func (c *Cluster) notYet() error {
	return passing{config.Errorf(config.Unavailable, "", "", "the node %s is still starting", c.settings.Name)}
}

func (c *Cluster) serveHello(r request) (any, error) {
	var h hello
	if err := decode(r.Body, maxBody, &h); err != nil {
		return nil, err
	}
	name := h.Report.Node.Name
	if err := r.from(name); err != nil {
		return nil, err
	}
	if name == c.settings.Name && h.Report.Boot != c.boot {
		return nil, config.Errorf(config.Exists, "", "", "a node named %s is running already, at %s; give this one another name", name, c.settings.Advertise)
	}
	if h.Leaving {
		c.others.dropBoot(name, h.Report.Boot)
		return &helloAnswer{}, nil
	}
	if err := c.others.put(&h, time.Now()); err != nil {
		return nil, err
	}
	answer := &helloAnswer{}
	answer.Members, _ = c.memory.members()
	if h.Wait {
		ctx, cancel := context.WithTimeout(r.Context(), helloPause)
		defer cancel()
		answer.Questions = c.others.questions(ctx, name)
		answer.Edges = c.others.edges(time.Now())
	}
	return answer, nil
}

func (c *Cluster) serveAct(act func(context.Context, request) error) func(request) (any, error) {
	return func(r request) (any, error) {
		ctx, cancel := context.WithTimeout(r.Context(), actPatience)
		defer cancel()
		return &nothing{}, act(ctx, r)
	}
}

func (c *Cluster) serveLeader(r request) (any, error) {
	var ask leaderRequest
	if err := decode(r.Body, maxBody, &ask); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), actPatience)
	defer cancel()
	return &nothing{}, c.moveLeader(ctx, ask.To, ask.Final)
}

func (c *Cluster) serveDefragment(r request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), defragmentPatience)
	defer cancel()
	return &nothing{}, c.defragment(ctx)
}

// defragment has this node's engine give unused space back.
func (c *Cluster) defragment(ctx context.Context) error {
	parts := c.parts.Load()
	if parts == nil {
		return c.notYet()
	}
	keeper, ok := parts.Store.(store.Keeper)
	if !ok || c.settings.Edge {
		return config.Errorf(config.Unsupported, "", "", "the node %s has no data to defragment", c.settings.Name)
	}
	if !c.upkeep.TryLock() {
		return config.Errorf(config.Conflict, "", "", "the node %s is defragmenting its data already", c.settings.Name)
	}
	defer c.upkeep.Unlock()
	begun := time.Now()
	err := keeper.Defragment(ctx)
	if err == nil {
		c.log.Info("the data was defragmented", "took", time.Since(begun).Round(time.Millisecond))
	}
	return err
}
