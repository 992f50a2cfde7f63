package grpc

import (
	"errors"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// Settings of the grpc driver.
type Settings struct {
	// Port is one of its own beside the HTTP port.
	Port protocol.Port `yaml:"port" doc:"a port of its own, beside the HTTP port, which serves gRPC in any case"`
	// TrustedProxies are the peers whose x-forwarded-for is believed.
	TrustedProxies []string `yaml:"trusted_proxies" doc:"addresses or networks (CIDR) of reverse proxies whose x-forwarded-for metadata tells the client's address; others' is ignored"`

	// The bounds of connections to the own port. The HTTP port has its own: those of
	// http, a ping every 30 seconds, and 250 calls and watches at a time.
	MaxStreams       int           `yaml:"max_concurrent_streams" doc:"most calls and watches under way at a time on one connection to the own port; on the HTTP port it is 250"`
	MaxHeader        plugin.Size   `yaml:"max_header" doc:"largest size of a call's metadata, on the own port; on the HTTP port it is http.max_header"`
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" doc:"how long a connection to the own port may take to be set up, TLS included"`
	KeepaliveTime    time.Duration `yaml:"keepalive_time" doc:"a connection to the own port on which nothing happens for this long is asked whether it lives"`
	KeepaliveTimeout time.Duration `yaml:"keepalive_timeout" doc:"how long the answer to that may take before the connection is closed"`
	KeepaliveMin     time.Duration `yaml:"keepalive_min" doc:"clients that ask more often than this whether the own port lives are disconnected"`
	MaxIdle          time.Duration `yaml:"max_connection_idle" doc:"a connection to the own port without calls is closed after this; 0 keeps it"`
	MaxAge           time.Duration `yaml:"max_connection_age" doc:"clients of the own port are asked to connect anew after about this, and watches on either port to come again, so that load spreads over nodes; 0 never"`
	MaxAgeGrace      time.Duration `yaml:"max_connection_age_grace" doc:"how long calls on the own port may then go on before they are cut"`

	// MaxMessage bounds one message of a client.
	MaxMessage plugin.Size `yaml:"max_message" doc:"largest message of a client; 0 takes limits.change_set_size and 1MiB more"`
	// RequestTimeout bounds how long a call's only message takes to arrive.
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"how long the message of a call may take to arrive, on both ports; watches and uploads have limits of their own"`
	// Fragments is the memory for encoded configs, which all watchers share.
	Fragments plugin.Size `yaml:"fragment_cache" doc:"memory for configs encoded for watchers"`
	// Messages is the memory for messages that many watchers are sent alike.
	Messages plugin.Size `yaml:"message_cache" doc:"memory for messages that many watchers are sent alike"`

	// MaxWatchers and MaxSubscriptions bound watches.
	MaxWatchers      int `yaml:"max_watchers" doc:"most watches open at a time on this node"`
	MaxSubscriptions int `yaml:"max_subscriptions" doc:"most subscriptions that one watch carries"`
	// Recheck is how often credentials of open watches are proved anew.
	Recheck time.Duration `yaml:"recheck" doc:"how often it is looked whether the token that a watch was opened with is still good"`
	// StreamWriteTimeout sheds clients that do not read at all.
	StreamWriteTimeout time.Duration `yaml:"stream_write_timeout" doc:"a watch whose client takes in nothing for this long is closed"`
	// StreamRetry is the reconnection time suggested to watchers, jittered so that
	// they do not all come back at once.
	StreamRetry time.Duration `yaml:"stream_retry" doc:"how long watchers are told to wait before they reconnect; each is told a random time between this and twice this"`

	// Reflection lets tools list the services.
	Reflection bool `yaml:"reflection" doc:"let tools such as grpcurl list the services and their messages"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{
		Port:               protocol.DefaultPort(),
		MaxStreams:         1000,
		MaxHeader:          16 * plugin.KiB,
		HandshakeTimeout:   10 * time.Second,
		KeepaliveTime:      30 * time.Second,
		KeepaliveTimeout:   15 * time.Second,
		KeepaliveMin:       10 * time.Second,
		MaxIdle:            15 * time.Minute,
		MaxAgeGrace:        time.Minute,
		RequestTimeout:     30 * time.Second,
		Fragments:          32 * plugin.MiB,
		Messages:           16 * plugin.MiB,
		MaxWatchers:        60_000,
		MaxSubscriptions:   100,
		Recheck:            15 * time.Second,
		StreamWriteTimeout: 5 * time.Minute,
		StreamRetry:        time.Second,
		Reflection:         true,
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
	for _, span := range []struct {
		key          string
		value, least time.Duration
	}{
		{"handshake_timeout", s.HandshakeTimeout, 100 * time.Millisecond}, {"keepalive_time", s.KeepaliveTime, time.Second},
		{"keepalive_timeout", s.KeepaliveTimeout, time.Second}, {"keepalive_min", s.KeepaliveMin, 0},
		{"max_connection_idle", s.MaxIdle, 0}, {"max_connection_age", s.MaxAge, 0}, {"max_connection_age_grace", s.MaxAgeGrace, 0},
		{"request_timeout", s.RequestTimeout, 10 * time.Millisecond}, {"recheck", s.Recheck, time.Millisecond}, {"stream_write_timeout", s.StreamWriteTimeout, time.Millisecond},
		{"stream_retry", s.StreamRetry, time.Millisecond},
	} {
		want(span.value >= span.least, span.key, "must be at least %s, is %s", span.least, span.value)
	}
	for _, count := range []struct {
		key   string
		value int
		most  int
	}{
		{"max_concurrent_streams", s.MaxStreams, 1 << 30},
		{"max_watchers", s.MaxWatchers, 1 << 30}, {"max_subscriptions", s.MaxSubscriptions, 10_000},
	} {
		want(count.value >= 1 && count.value <= count.most, count.key, "must be from 1 to %d, is %d", count.most, count.value)
	}
	want(s.MaxHeader >= 4*plugin.KiB && s.MaxHeader <= plugin.MiB, "max_header", "must be from 4KiB to 1MiB, is %s", s.MaxHeader)
	want(s.MaxMessage == 0 || s.MaxMessage >= plugin.KiB && s.MaxMessage <= plugin.GiB, "max_message", "must be 0, or from 1KiB to 1GiB, is %s", s.MaxMessage)
	want(s.Fragments >= plugin.MiB, "fragment_cache", "must be at least 1MiB, is %s", s.Fragments)
	want(s.Messages >= plugin.MiB, "message_cache", "must be at least 1MiB, is %s", s.Messages)
	if _, err := s.proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.Port.Validate(place+".port"))...)
}

// OwnPort implements protocol.Ported.
func (s *Settings) OwnPort() protocol.Port { return s.Port }

// ServesItself implements protocol.SelfServer: the library's server costs less than
// HTTP's.
func (*Settings) ServesItself() {}

// proxies parses TrustedProxies.
func (s *Settings) proxies() (caller.Proxies, error) {
	return caller.ParseProxies(place+".trusted_proxies", s.TrustedProxies)
}

// maxMessage is the largest message of a client, in bytes.
func (s *Settings) maxMessage(limits center.Limits) int {
	if s.MaxMessage > 0 {
		return int(s.MaxMessage)
	}
	return int(min(limits.ChangeSetSize+plugin.MiB, plugin.GiB))
}

// tick is how often it is looked which streams are due for something.
func (s *Settings) tick() time.Duration {
	return max(min(time.Second, s.Recheck/4), time.Millisecond)
}
