package bench

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/graphql"
	grpcprotocol "github.com/setpointhq/setpoint/protocol/grpc"
	"github.com/setpointhq/setpoint/protocol/rest"
	"github.com/setpointhq/setpoint/protocol/ws"
	"github.com/setpointhq/setpoint/store/memory"
)

// startNode runs a whole server in this process, on the memory store.
func startNode() (node Node, stop func(), err error) {
	log := slog.New(slog.DiscardHandler)
	s := memory.New()
	v := view.New(view.Options{Store: s, Cache: forgetful{}, Log: log})
	directory := center.NewDirectory(log)
	v.Tail(directory.Sections(), directory.Apply)
	ctx, cancel := context.WithCancel(context.Background())
	chain, hasher, err := openAuth(ctx, auth.Env{Directory: directory, Log: log})
	if err != nil {
		cancel()
		return node, nil, err
	}
	password, _, err := center.Bootstrap(ctx, s, hasher, config.Secret{}, time.Now())
	if err != nil {
		cancel()
		return node, nil, err
	}
	var limits center.Limits
	limits.Defaults()
	c := center.New(center.Options{
		Store: s, View: v, Formats: format.NewSet(json.New()), Directory: directory,
		Authorizer: rbac.New(directory), Passwords: hasher, Limits: limits, Log: log,
	})
	var mux protocol.Mux
	opened := make(chan struct{})
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-opened
		mux.ServeHTTP(w, r)
	}))
	listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	draining := make(chan struct{})
	host := protocol.Host{
		Center: c, Auth: chain, Log: log, Observer: protocol.NoObserver{}, Version: "test",
		MediaType: func(f string) string { return "application/" + f }, Draining: draining, HTTP: mux.Handle, TLS: listener.TLS,
	}
	protocols, port, err := openProtocols(ctx, host)
	close(opened)
	if err != nil {
		listener.Close()
		cancel()
		return node, nil, err
	}
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) })
	running.Go(func() { _ = c.Run(ctx) })
	<-v.Ready()
	node = Node{
		URL: listener.URL, Fingerprint: client.Fingerprint(listener.Certificate()),
		Username: center.AdminUser, Password: password.Reveal(), GRPC: port,
	}
	return node, func() {
		close(draining)
		for _, p := range protocols {
			p.Close(context.Background())
		}
		listener.Close()
		cancel()
		running.Wait()
		s.Close()
	}, nil
}

// openProtocols opens all that can be measured, gRPC on a port of its own too.
func openProtocols(ctx context.Context, host protocol.Host) (all []protocol.Protocol, port string, err error) {
	if port, err = freeport.Addr(); err != nil {
		return nil, "", err
	}
	byRPC := new(grpcprotocol.Settings)
	drivers := []protocol.Driver{new(rest.Settings), new(ws.Settings), new(graphql.Settings), byRPC}
	for _, d := range drivers {
		d.Defaults()
	}
	byRPC.Port.Addr = port
	host.Secure = func(string, protocol.TLSFiles) (*tls.Config, error) { return host.TLS, nil }
	host.Listen = func(ctx context.Context, _, addr string) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, "tcp", addr)
	}
	for _, d := range drivers {
		p, err := d.Open(ctx, host)
		if err != nil {
			return all, "", err
		}
		all = append(all, p)
	}
	return all, port, nil
}

func openAuth(ctx context.Context, env auth.Env) (auth.Chain, auth.PasswordHasher, error) {
	var passwords basic.Settings
	passwords.Defaults()
	passwords.Memory, passwords.Time = 7<<20, 5 // the quickest that there is
	byPassword, err := passwords.Open(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	var tokens token.Settings
	tokens.Defaults()
	byToken, err := tokens.Open(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	return auth.Chain{byToken, byPassword}, byPassword.(auth.PasswordHasher), nil
}

// forgetful is a cache that keeps nothing, as a cache may.
type forgetful struct{}

func (forgetful) Get(context.Context, string) ([]byte, bool) { return nil, false }
func (forgetful) Put(string, []byte)                         {}
func (forgetful) Close() error                               { return nil }
