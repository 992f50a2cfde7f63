package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
)

// target is the server that is measured, with a tenant in it for the purpose.
type target struct {
	server        server
	grpc          server // its own port for gRPC; nothing where that is not known
	reach         address
	client        *client.Client
	version       string
	authorization string // the header's value: a bearer token of the tenant's own
	env           config.Path
	pids          []int  // none where the server is not a child of ours
	admin         string // base URL of the admin port; "" for none
	undo          []func(context.Context) error
}

const (
	// undoPatience bounds the time for cleaning up, which a ctx that has ended
	// does not keep from being done.
	undoPatience = time.Minute
	// batch is how many configs are published at a time while setting up.
	batch = 50
)

// open connects to the server that is to be measured, or starts one, and makes
// a tenant in it.
func (r *run) open(ctx context.Context) (*target, error) {
	if r.Server == nil {
		return r.openOwn(ctx, "server")
	}
	t := &target{admin: r.Admin, grpc: server{addr: r.GRPC}}
	if err := t.connect(ctx, *r.Server); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// openOwn starts a server, with its data in a folder that begins with that name,
// which ends when the target is closed.
func (r *run) openOwn(ctx context.Context, name string) (*target, error) {
	port, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.dir, name+"-") // a scenario may start several
	if err != nil {
		return nil, err
	}
	return r.openWith(ctx, Setup{Dir: dir, Protocols: []string{"ws", "grpc", "graphql"}, GRPC: port})
}

// openWith starts a server that is set up in a certain way, which ends when the
// target is closed.
func (r *run) openWith(ctx context.Context, setup Setup) (*target, error) {
	own, err := r.startServer(ctx, setup)
	if err != nil {
		return nil, err
	}
	t := &target{admin: own.node.Admin, pids: own.pids(), grpc: server{addr: own.node.GRPC}}
	t.undo = append(t.undo, func(context.Context) error { return own.stop() })
	if err := t.connect(ctx, *own.node.options()); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// fresh returns the run on a server of its own, in which no scenario before has
// left anything, and how to end that. A server that runs already is taken as it is.
func (r *run) fresh(ctx context.Context, name string) (_ *run, end func() error, err error) {
	if r.Server != nil {
		return r, func() error { return nil }, nil
	}
	t, err := r.openOwn(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return &run{Options: r.Options, dir: r.dir, target: t}, t.close, nil
}

// connect makes a tenant in a server that runs.
func (t *target) connect(ctx context.Context, o client.Options) error {
	var err error
	t.reach = address{o.Endpoints[0], o.TLS}
	if t.client, err = client.New(o); err != nil {
		return err
	}
	t.undo = append(t.undo, func(context.Context) error { t.client.Close(); return nil })
	if t.server, err = serverOf(o); err != nil {
		return err
	}
	if t.grpc.addr != "" { // with the certificate of the HTTP port
		t.grpc.host, t.grpc.tls = t.grpc.addr, t.server.tls
	}
	version, err := t.client.Version(ctx)
	if err != nil {
		return err
	}
	t.version = version.Version
	return t.prepare(ctx)
}

// serverOf returns where raw requests go, and how that server proves itself.
func serverOf(o client.Options) (server, error) {
	u, err := client.ParseEndpoint(o.Endpoints[0])
	if err != nil {
		return server{}, err
	}
	if u.Scheme != "https" {
		return server{}, fmt.Errorf("%s: what is measured is TLS; give an https endpoint", u)
	}
	conf, err := o.TLS.Config()
	if err != nil {
		return server{}, err
	}
	conf.ServerName = u.Hostname()
	addr := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
	return server{addr: addr, host: u.Host, base: u.Path, tls: conf}, nil
}

// prepare makes the tenant, and a token that is good for it alone.
func (t *target) prepare(ctx context.Context) error {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	name := "bench-" + hex.EncodeToString(random[:])
	t.env = config.Path{Tenant: name, App: "load", Env: "prod"}
	if _, err := t.client.CreateTenant(ctx, config.Tenant{Name: name, Description: "made by setpoint bench, which removes it"}); err != nil {
		return err
	}
	t.undo = append(t.undo, t.removeTenant)
	if _, err := t.client.CreateApp(ctx, config.App{Tenant: name, Name: t.env.App}); err != nil {
		return err
	}
	if _, err := t.client.CreateEnv(ctx, config.Env{Tenant: name, App: t.env.App, Name: t.env.Env}); err != nil {
		return err
	}
	token, err := t.client.CreateToken(ctx, client.NewToken{
		Description: "of setpoint bench, which revokes it", TTL: 12 * time.Hour,
		Grants: []client.Grant{{Role: "publisher", Scope: config.Path{Tenant: name}}},
	})
	if err != nil {
		return err
	}
	t.undo = append(t.undo, func(ctx context.Context) error { return t.client.RevokeToken(ctx, token.ID) })
	t.authorization = "Bearer " + token.Secret.Reveal()
	return nil
}

// close undoes everything that was done to the server, last things first.
func (t *target) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoPatience)
	defer cancel()
	var errs []error
	for i := len(t.undo) - 1; i >= 0; i-- {
		errs = append(errs, t.undo[i](ctx))
	}
	t.undo = nil
	return errors.Join(errs...)
}

// removeTenant removes the tenant with all that is in it.
func (t *target) removeTenant(ctx context.Context) error {
	if t.pids != nil {
		return nil // its data is about to be thrown away
	}
	for state, err := range t.client.Configs(ctx, t.env, client.ConfigFilter{}) {
		if err != nil {
			return err
		}
		if err := t.client.DeleteConfig(ctx, client.DeleteConfig{Path: state.Path, Purge: true, Comment: "bench is over"}); err != nil {
			return err
		}
	}
	for scope := t.env; scope.Level() != config.LevelRoot; scope = scope.Parent() {
		if err := t.client.DeleteScope(ctx, scope, ""); err != nil && config.KindOf(err) != config.NotFound {
			return err
		}
	}
	return nil
}

// seed publishes n configs named prefix-0.json and so on, and returns their paths.
func (t *target) seed(ctx context.Context, prefix string, n int) ([]config.Path, error) {
	var paths []config.Path
	for len(paths) < n {
		set := client.Publish{Comment: "seed"}
		for range min(batch, n-len(paths)) {
			path := t.env.Join(prefix + "-" + strconv.Itoa(len(paths)) + ".json")
			set.Items = append(set.Items, client.PublishItem{Path: path, Content: document(0)})
			paths = append(paths, path)
		}
		if _, err := t.client.Publish(ctx, set); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// profile writes a CPU profile of the server, taken over d.
func (t *target) profile(ctx context.Context, dir, name string, d time.Duration) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	seconds := max(1, int(d.Seconds()))
	address := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", t.admin, seconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{ResponseHeaderTimeout: d + patience}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s answered %s", address, answer.Status)
	}
	f, err := os.Create(filepath.Join(dir, filepath.Base(name)+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer.Body)
	return errors.Join(err, f.Close())
}
