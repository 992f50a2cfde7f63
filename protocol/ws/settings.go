package ws

import (
	"errors"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// Settings of the ws driver.
type Settings struct {
	// Port moves the protocol from the HTTP port to one of its own.
	Port protocol.Port `yaml:"port" doc:"a port of its own, instead of the HTTP port"`
	// Origins are the web sites whose pages may connect, beside the node's own.
	Origins []string `yaml:"origins" doc:"web sites whose pages may connect, as https://host or https://host:port, beside pages that the node itself serves; programs that are no browsers do not need to be named"`
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies" doc:"addresses or networks (CIDR) of reverse proxies whose X-Forwarded-For header tells the client's address; others' is ignored"`

	// MaxConnections, MaxSubscriptions, MaxPatterns and MaxMessage bound what
	// clients may take.
	MaxConnections   int         `yaml:"max_connections" doc:"most connections open at a time on this node"`
	MaxSubscriptions int         `yaml:"max_subscriptions" doc:"most subscriptions of one connection"`
	MaxPatterns      int         `yaml:"max_patterns" doc:"most paths that one subscription may name"`
	MaxMessage       plugin.Size `yaml:"max_message" doc:"largest message that a client may send; each connection can claim this much memory while one arrives"`

	// HelloTimeout bounds how long a connection may stay open without saying whose it is.
	HelloTimeout time.Duration `yaml:"hello_timeout" doc:"how long a client that sent no credentials when it connected may take to send its hello"`
	// PingInterval is how often each client is asked whether it is there.
	PingInterval time.Duration `yaml:"ping_interval" doc:"how often each client is sent a ping; one that is silent for three of these is taken for gone"`
	// WriteTimeout sheds clients that do not read at all.
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"a connection whose client takes in nothing for this long, although there is something for it, is closed"`
	// Retry is the reconnection time suggested to clients, jittered so that they
	// do not all come back at once.
	Retry time.Duration `yaml:"retry" doc:"how long clients are told to wait before they reconnect; each is told a random time between this and twice this"`

	// Compression offers permessage-deflate, without context takeover.
	Compression bool `yaml:"compression" doc:"compress messages (permessage-deflate) for clients that ask for it; each message for itself, so that idle connections hold no state of it"`
	// Fragments is the memory for contents encoded as JSON, Frames that for whole
	// messages; subscribers share both.
	Fragments plugin.Size `yaml:"fragment_cache" doc:"memory for contents encoded for subscribers"`
	Frames    plugin.Size `yaml:"frame_cache" doc:"memory for messages that many subscribers are sent alike"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{
		Port:             protocol.DefaultPort(),
		MaxConnections:   60_000,
		MaxSubscriptions: 64,
		MaxPatterns:      100,
		MaxMessage:       64 * plugin.KiB,
		HelloTimeout:     10 * time.Second,
		PingInterval:     30 * time.Second,
		WriteTimeout:     2 * time.Minute,
		Retry:            time.Second,
		Compression:      true,
		Fragments:        32 * plugin.MiB,
		Frames:           16 * plugin.MiB,
	}
}

const place = "protocols." + Name

// Validate refuses settings under which nothing works, all at once.
func (s *Settings) Validate() error {
	var errs []error
	want := func(holds bool, key, format string, args ...any) {
		if !holds {
			errs = append(errs, config.Errorf(config.Invalid, "settings", place+"."+key, format, args...))
		}
	}
	for _, size := range []struct {
		key         string
		value       plugin.Size
		least, most plugin.Size
	}{
		{"max_message", s.MaxMessage, plugin.KiB, 16 * plugin.MiB},
		{"fragment_cache", s.Fragments, plugin.MiB, plugin.TiB},
		{"frame_cache", s.Frames, plugin.MiB, plugin.TiB},
	} {
		want(size.value >= size.least && size.value <= size.most, size.key, "must be from %s to %s, is %s", size.least, size.most, size.value)
	}
	for _, span := range []struct {
		key   string
		value time.Duration
	}{
		{"hello_timeout", s.HelloTimeout}, {"write_timeout", s.WriteTimeout}, {"retry", s.Retry}, {"ping_interval", s.PingInterval},
	} {
		want(span.value >= time.Millisecond, span.key, "must be at least 1ms, is %s", span.value)
	}
	want(s.MaxConnections >= 1, "max_connections", "must be at least 1, is %d", s.MaxConnections)
	want(s.MaxSubscriptions >= 1, "max_subscriptions", "must be at least 1, is %d", s.MaxSubscriptions)
	want(s.MaxPatterns >= 1 && s.MaxPatterns <= center.MaxPatterns, "max_patterns", "must be from 1 to %d, is %d", center.MaxPatterns, s.MaxPatterns)
	for _, origin := range s.Origins {
		want(socket.IsOrigin(origin), "origins", "%q is no web site; want https://host or https://host:port, without a path", origin)
	}
	if _, err := s.proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.Port.Validate(place+".port"))...)
}

// OwnPort implements protocol.Ported.
func (s *Settings) OwnPort() protocol.Port { return s.Port }

// proxies parses TrustedProxies.
func (s *Settings) proxies() (caller.Proxies, error) {
	return caller.ParseProxies(place+".trusted_proxies", s.TrustedProxies)
}
