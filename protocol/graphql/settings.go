package graphql

import (
	"errors"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// Settings of the graphql driver.
type Settings struct {
	// Port moves the protocol from the HTTP port to one of its own.
	Port protocol.Port `yaml:"port" doc:"a port of its own, instead of the HTTP port"`
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies" doc:"addresses or networks (CIDR) of reverse proxies whose X-Forwarded-For header tells the client's address; others' is ignored"`

	// BodyTimeout and Timeout bound the parts of a request in time.
	BodyTimeout time.Duration `yaml:"body_timeout" doc:"longest time in which a request's body must arrive"`
	Timeout     time.Duration `yaml:"timeout" doc:"longest time that an operation may take; subscriptions have no end"`
	// MaxBody bounds a request.
	MaxBody plugin.Size `yaml:"max_body" doc:"largest request; 0 takes one and a half times limits.change_set_size, and 1MiB more: contents that are no text are a third longer as base64"`

	// What a document may ask for.
	MaxAnswer     plugin.Size `yaml:"max_answer" doc:"most bytes of contents in one answer, which is put together in memory"`
	MaxDocument   plugin.Size `yaml:"max_document" doc:"largest document (query), without its variables"`
	MaxTokens     int         `yaml:"max_tokens" doc:"most words and signs of a document"`
	MaxDepth      int         `yaml:"max_depth" doc:"most levels of fields within each other"`
	MaxRootFields int         `yaml:"max_root_fields" doc:"most fields of an operation's first level, each alias counted; queries do them at the same time"`
	MaxComplexity int         `yaml:"max_complexity" doc:"most fields that an answer may have, where lists count as long as the page that is asked for, those without pages as 100 items, and those within others as 10"`

	// Documents is the memory for documents that were read and found to be valid.
	Documents plugin.Size `yaml:"document_cache" doc:"memory for documents that were read and found to be valid"`
	// Persisted is the memory for documents that are named by their hash.
	Persisted plugin.Size `yaml:"persisted_cache" doc:"memory for documents that clients name by their SHA-256 once they have sent them (automatic persisted queries); 0 turns that off"`
	// AllowList is a folder of documents beside which none may run.
	AllowList string `yaml:"allow_list" doc:"a folder of .graphql files, each a document; no other documents may run, and clients may name these by their SHA-256. It is read at the start. Empty: any document may run"`

	// Origins, MaxConnections, MaxSubscriptions and MaxMessage bound subscriptions.
	Origins          []string    `yaml:"origins" doc:"web sites whose pages may connect by WebSocket, as https://host or https://host:port, beside pages that the node itself serves; programs that are no browsers do not need to be named"`
	MaxConnections   int         `yaml:"max_connections" doc:"most connections with subscriptions open at a time on this node"`
	MaxSubscriptions int         `yaml:"max_subscriptions" doc:"most subscriptions of one connection"`
	MaxMessage       plugin.Size `yaml:"max_message" doc:"largest message that a client may send over WebSocket; each connection can claim this much memory while one arrives"`
	// InitTimeout bounds how long a connection may stay open without saying whose it is.
	InitTimeout time.Duration `yaml:"init_timeout" doc:"how long a client may take from connecting by WebSocket to its connection_init"`
	// PingInterval is how often each client is asked whether it is there.
	PingInterval time.Duration `yaml:"ping_interval" doc:"how often clients with subscriptions are sent a sign of life; a WebSocket client that is silent for three of these is taken for gone"`
	// WriteTimeout sheds clients that do not read at all.
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"a subscription whose client takes in nothing for this long, although there is something for it, is closed"`
	// Retry is the reconnection time suggested to clients, jittered so that they do
	// not all come back at once.
	Retry time.Duration `yaml:"retry" doc:"how long clients with subscriptions are told to wait before they reconnect; each is told a random time between this and twice this"`
	// Compression offers permessage-deflate, without context takeover.
	Compression bool `yaml:"compression" doc:"compress messages (permessage-deflate) for WebSocket clients that ask for it; each message for itself, so that idle connections hold no state of it"`
	// Fragments is the memory for what is rendered for subscribers, Frames that for
	// whole messages; subscribers share both.
	Fragments plugin.Size `yaml:"fragment_cache" doc:"memory for what is rendered for subscribers"`
	Frames    plugin.Size `yaml:"frame_cache" doc:"memory for messages that many subscribers are sent alike"`

	// Introspection lets clients ask for the schema.
	Introspection bool `yaml:"introspection" doc:"let clients that may log in ask for the schema"`
	// Playground serves the page to try queries.
	Playground bool `yaml:"playground" doc:"serve the page at /graphql, for browsers, that lets one try queries (GraphiQL)"`
}

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{
		Port:          protocol.DefaultPort(),
		BodyTimeout:   time.Minute,
		Timeout:       time.Minute,
		MaxAnswer:     32 * plugin.MiB,
		MaxDocument:   64 * plugin.KiB,
		MaxTokens:     2_500,
		MaxDepth:      20,
		MaxRootFields: 20,
		MaxComplexity: 500_000,
		Documents:     8 * plugin.MiB,
		Persisted:     4 * plugin.MiB,

		MaxConnections:   60_000,
		MaxSubscriptions: 64,
		MaxMessage:       64 * plugin.KiB,
		InitTimeout:      10 * time.Second,
		PingInterval:     30 * time.Second,
		WriteTimeout:     2 * time.Minute,
		Retry:            time.Second,
		Compression:      true,
		Fragments:        32 * plugin.MiB,
		Frames:           32 * plugin.MiB,

		Introspection: true,
		Playground:    true,
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
		key   string
		value time.Duration
	}{
		{"body_timeout", s.BodyTimeout}, {"timeout", s.Timeout},
	} {
		want(span.value >= time.Millisecond, span.key, "must be at least 1ms, is %s", span.value)
	}
	for _, size := range []struct {
		key               string
		value, least, all plugin.Size
	}{
		{"max_document", s.MaxDocument, plugin.KiB, plugin.MiB}, {"max_answer", s.MaxAnswer, plugin.KiB, plugin.GiB},
		{"document_cache", s.Documents, plugin.MiB, plugin.GiB},
	} {
		want(size.value >= size.least && size.value <= size.all, size.key, "must be from %s to %s, is %s", size.least, size.all, size.value)
	}
	want(s.MaxBody == 0 || s.MaxBody >= plugin.KiB && s.MaxBody <= plugin.GiB, "max_body", "must be 0, or from 1KiB to 1GiB, is %s", s.MaxBody)
	want(s.Persisted == 0 || s.Persisted >= s.MaxDocument && s.Persisted <= plugin.GiB, "persisted_cache",
		"must be 0, or from max_document to 1GiB, is %s", s.Persisted)
	for _, count := range []struct {
		key         string
		value, most int
	}{
		// A rule of the language compares all fields of a document with each other.
		{"max_tokens", s.MaxTokens, 10_000}, {"max_depth", s.MaxDepth, 100},
		{"max_root_fields", s.MaxRootFields, 1000}, {"max_complexity", s.MaxComplexity, 1 << 30},
	} {
		want(count.value >= 1 && count.value <= count.most, count.key, "must be from 1 to %d, is %d", count.most, count.value)
	}
	s.validateTransports(want)
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

// maxBody is the largest body of a request, in bytes.
func (s *Settings) maxBody(limits center.Limits) int64 {
	if s.MaxBody > 0 {
		return int64(s.MaxBody)
	}
	return int64(min(limits.ChangeSetSize+limits.ChangeSetSize/2+plugin.MiB, plugin.GiB))
}
