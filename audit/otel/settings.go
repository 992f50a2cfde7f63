// Package otel sends audit records to an OpenTelemetry collector: OTLP logs over
// HTTP, in protobuf. The body of a log is the record's line of JSON.
//
// It speaks the protocol itself instead of going through the SDK's exporter:
// that takes settings from the environment, and only prints which records a
// collector has refused, which a sink has to report.
package otel

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/internal/peer"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings.
const Name = "otel"

const place = "audit." + Name

// Settings of the otel driver.
type Settings struct {
	URL         string        `yaml:"url" doc:"the whole address of the collector's log receiver, https://host:4318/v1/logs; http is not encrypted"`
	ServiceName string        `yaml:"service_name" doc:"the resource attribute service.name"`
	Header      string        `yaml:"header" doc:"the name of a header that shows who sends, such as Authorization; empty for none"`
	HeaderValue config.Secret `yaml:"header_value" doc:"the value of that header"`
	Timeout     time.Duration `yaml:"timeout" doc:"the longest that a request may take"`
	TLS         peer.TLS      `yaml:"tls" doc:"how the peer is verified, and what is shown to it"`
}

// Defaults fills every field but the address, which has none.
func (s *Settings) Defaults() { *s = Settings{ServiceName: "setpoint", Timeout: 10 * time.Second} }

const mostTimeout = 5 * time.Minute

// Validate checks the settings.
func (s *Settings) Validate() error {
	u, err := url.Parse(s.URL)
	web := err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
	return errors.Join(
		want(web, "url", "must be an https:// or http:// address without a user name, with its path, which is /v1/logs as a rule"),
		want(s.ServiceName != "", "service_name", "must not be empty"),
		want((s.Header == "") == s.HeaderValue.Empty(), "header", "header and header_value go together; give both or none"),
		want(!strings.ContainsAny(s.Header, " :\t\r\n") && !strings.ContainsAny(s.HeaderValue.Reveal(), "\r\n"), "header", "must be the name and the value of a header"),
		want(s.Header == "" || !web || u.Scheme == "https", "header", "would be shown to everyone on the way; use https"),
		want(s.Timeout > 0 && s.Timeout <= mostTimeout, "timeout", "must be more than 0 and at most %s, is %s", mostTimeout, s.Timeout),
		s.TLS.Validate(place+".tls"),
	)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// Open returns the working sink.
func (s *Settings) Open(_ context.Context, env audit.Env) (audit.Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := s.TLS.Config(place + ".tls")
	if err != nil {
		return nil, err
	}
	env = env.WithDefaults()
	return &Sink{settings: *s, client: peer.NewClient(tlsConfig, nil), now: env.Now, node: env.Node, version: env.Version}, nil
}

var _ audit.Driver = (*Settings)(nil)
