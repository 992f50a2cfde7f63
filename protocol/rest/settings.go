package rest

import (
	"errors"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// Settings of the rest driver.
type Settings struct {
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies" doc:"addresses or networks (CIDR) of reverse proxies whose X-Forwarded-For header tells the client's address; others' is ignored"`
	// BodyTimeout bounds the time in which a request's body must arrive.
	BodyTimeout time.Duration `yaml:"body_timeout" doc:"longest time in which a request's body must arrive"`
	// ChangeSetBody and ArchiveBody bound the bodies that hold many configs; the
	// limit for the others follows from the largest config.
	ChangeSetBody plugin.Size `yaml:"change_set_body" doc:"largest request body of a change set"`
	ArchiveBody   plugin.Size `yaml:"archive_body" doc:"largest archive that an import takes"`

	// Compression is the memory for compressed contents; each is made once.
	Compression plugin.Size `yaml:"compression_cache" doc:"memory for compressed contents; 0 turns compression off"`
	// Fragments is the memory for contents encoded as JSON, which all watchers share.
	Fragments plugin.Size `yaml:"fragment_cache" doc:"memory for contents encoded for watchers"`

	// Events is the memory for whole events; streams share them.
	Events plugin.Size `yaml:"event_cache" doc:"memory for events that many streams are sent alike"`

	// MaxWatchers bounds the watches open at a time.
	MaxWatchers int `yaml:"max_watchers" doc:"most watches (streams and long polls) open at a time on this node"`
	// MaxPatterns bounds what one watch names.
	MaxPatterns int `yaml:"max_patterns" doc:"most paths that one watch may name"`
	// MaxWait bounds a long poll.
	MaxWait time.Duration `yaml:"max_wait" doc:"longest time that a long poll may ask to wait"`
	// Heartbeat is how often an idle stream gets a comment.
	Heartbeat time.Duration `yaml:"heartbeat" doc:"how often an idle stream is sent a comment, so that both ends know it lives"`
	// StreamWriteTimeout sheds clients that do not read at all.
	StreamWriteTimeout time.Duration `yaml:"stream_write_timeout" doc:"a stream whose client takes in nothing for this long is closed"`
	// StreamRetry is the reconnection time suggested to stream clients, jittered
	// so that they do not all come back at once.
	StreamRetry time.Duration `yaml:"stream_retry" doc:"how long stream clients are told to wait before they reconnect; each is told a random time between this and twice this"`

	// Docs serves the page to try the API.
	Docs bool `yaml:"docs" doc:"serve the page at /docs that describes the API and lets one try it"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{
		BodyTimeout:        time.Minute,
		ChangeSetBody:      24 * plugin.MiB,
		ArchiveBody:        64 * plugin.MiB,
		Compression:        32 * plugin.MiB,
		Fragments:          32 * plugin.MiB,
		Events:             16 * plugin.MiB,
		MaxWatchers:        60_000,
		MaxPatterns:        100,
		MaxWait:            10 * time.Minute,
		Heartbeat:          15 * time.Second,
		StreamWriteTimeout: 5 * time.Minute,
		StreamRetry:        time.Second,
		Docs:               true,
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
		key          string
		value, least plugin.Size
	}{
		{"change_set_body", s.ChangeSetBody, plugin.KiB}, {"archive_body", s.ArchiveBody, plugin.KiB},
		{"compression_cache", s.Compression, 0}, {"fragment_cache", s.Fragments, plugin.MiB}, {"event_cache", s.Events, plugin.MiB},
	} {
		want(size.value >= size.least, size.key, "must be at least %s, is %s", size.least, size.value)
	}
	for _, span := range []struct {
		key   string
		value time.Duration
	}{
		{"body_timeout", s.BodyTimeout}, {"max_wait", s.MaxWait}, {"heartbeat", s.Heartbeat},
		{"stream_write_timeout", s.StreamWriteTimeout}, {"stream_retry", s.StreamRetry},
	} {
		want(span.value >= time.Millisecond, span.key, "must be at least 1ms, is %s", span.value)
	}
	want(s.MaxWatchers >= 1, "max_watchers", "must be at least 1, is %d", s.MaxWatchers)
	want(s.MaxPatterns >= 1 && s.MaxPatterns <= center.MaxPatterns, "max_patterns", "must be from 1 to %d, is %d", center.MaxPatterns, s.MaxPatterns)
	if _, err := s.proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// proxies parses TrustedProxies.
func (s *Settings) proxies() (caller.Proxies, error) {
	return caller.ParseProxies(place+".trusted_proxies", s.TrustedProxies)
}
