// Package ws is the WebSocket protocol: JSON messages at /v1/ws, by which an
// application reads configs, watches them with several subscriptions on one
// connection, and reports what it applied. api/asyncapi.yaml describes the
// messages.
//
// The package turns messages into calls of package center and back. It decides
// nothing: not who may do what, and not what exists.
package ws

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// Name of the driver, in settings and measurements.
const Name = "ws"

// gateway is the open protocol.
type gateway struct {
	settings Settings
	center   *center.Center
	auth     auth.Chain
	log      *slog.Logger
	observer protocol.Observer
	version  string
	proxies  caller.Proxies

	hub       *socket.Hub
	fragments *fragment.Cache
	frames    *fragment.Shared[*socket.Frame] // messages that many subscribers are sent alike
}

// Open makes the protocol ready and registers its routes with the host.
func (s *Settings) Open(ctx context.Context, host protocol.Host) (protocol.Protocol, error) {
	g, err := newGateway(*s, host)
	if err != nil {
		return nil, err
	}
	if err := g.mountDescription(host.HTTP); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	host.HTTP(path, g)
	return g, nil
}

func newGateway(s Settings, host protocol.Host) (*gateway, error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	g := &gateway{
		settings: s, center: host.Center, auth: host.Auth, log: host.Log, observer: host.Observer,
		version: host.Version, proxies: proxies,
	}
	if g.fragments, err = fragment.NewCache(int64(s.Fragments)); err != nil {
		return nil, err
	}
	if g.frames, err = fragment.NewShared(int64(s.Frames), (*socket.Frame).Weight); err != nil {
		return nil, err
	}
	g.hub = socket.NewHub(socket.Settings{
		Protocol: Name, Subprotocols: []string{subprotocol}, Origins: s.Origins,
		MaxConnections: s.MaxConnections, MaxMessage: int(s.MaxMessage),
		PingInterval: s.PingInterval, WriteTimeout: s.WriteTimeout, Retry: s.Retry, Compression: s.Compression,
	}, host)
	return g, nil
}

// Name implements protocol.Protocol.
func (g *gateway) Name() string { return Name }

// Close says good-bye on every connection and waits until all of them are closed.
// Those that are open when ctx ends are cut.
func (g *gateway) Close(ctx context.Context) error { return g.hub.Close(ctx) }

func (g *gateway) observe(op string, err error, started time.Time) {
	code := "ok"
	if err != nil {
		code = config.KindOf(err).String()
	}
	g.observer.ObserveRequest(Name, op, code, time.Since(started))
}

var (
	_ protocol.Ported   = (*Settings)(nil)
	_ protocol.Protocol = (*gateway)(nil)
)
