package graphql

import (
	"time"

	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// validateTransports holds the settings of subscriptions against what they may be.
func (s *Settings) validateTransports(want func(holds bool, key, format string, args ...any)) {
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
		{"init_timeout", s.InitTimeout}, {"write_timeout", s.WriteTimeout}, {"retry", s.Retry}, {"ping_interval", s.PingInterval},
	} {
		want(span.value >= time.Millisecond, span.key, "must be at least 1ms, is %s", span.value)
	}
	want(s.MaxConnections >= 1, "max_connections", "must be at least 1, is %d", s.MaxConnections)
	want(s.MaxSubscriptions >= 1, "max_subscriptions", "must be at least 1, is %d", s.MaxSubscriptions)
	for _, origin := range s.Origins {
		want(socket.IsOrigin(origin), "origins", "%q is no web site; want https://host or https://host:port, without a path", origin)
	}
}
