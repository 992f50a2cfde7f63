package bench

import (
	"context"
	"log/slog"
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
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/rest"
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
	var settings rest.Settings
	settings.Defaults()
	draining := make(chan struct{})
	api, err := settings.Open(ctx, protocol.Host{
		Center: c, Auth: chain, Log: log, Observer: protocol.NoObserver{}, Version: "test",
		MediaType: func(f string) string { return "application/" + f }, Draining: draining, HTTP: mux.Handle,
	})
	if err != nil {
		cancel()
		return node, nil, err
	}
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) })
	running.Go(func() { _ = c.Run(ctx) })
	<-v.Ready()
	listener := httptest.NewUnstartedServer(&mux)
	listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	node = Node{
		URL: listener.URL, Fingerprint: client.Fingerprint(listener.Certificate()),
		Username: center.AdminUser, Password: password.Reveal(),
	}
	return node, func() {
		close(draining)
		api.Close(context.Background())
		listener.Close()
		cancel()
		running.Wait()
		s.Close()
	}, nil
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
