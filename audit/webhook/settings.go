// Package webhook posts audit records to an HTTPS address: a batch as a JSON
// document, signed so that the receiver can tell that it is genuine and recent.
// A receiver is reached only where the settings allow it: names that resolve to
// the node's own network are refused.
package webhook

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/internal/peer"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings.
const Name = "webhook"

const place = "audit." + Name

// Settings of the webhook driver.
type Settings struct {
	URL          string        `yaml:"url" doc:"where the records are posted to; https, or http to a network in allow_private"`
	Secret       config.Secret `yaml:"secret" doc:"the secret that the signature is made with, at least 16 characters"`
	SecretFile   string        `yaml:"secret_file" doc:"a file with the secret, instead of secret; space around it does not count"`
	Timeout      time.Duration `yaml:"timeout" doc:"the longest that a request may take"`
	AllowPrivate []string      `yaml:"allow_private" doc:"networks, such as 10.1.0.0/16, that may be reached although they are private, loopback or link-local"`
	TLS          peer.TLS      `yaml:"tls" doc:"how the peer is verified, and what is shown to it"`
}

// Defaults fills every field but the address and the secret, which have none.
func (s *Settings) Defaults() { *s = Settings{Timeout: 10 * time.Second} }

// The bounds of settings.
const (
	leastSecret = 16
	mostTimeout = 5 * time.Minute
)

// Validate checks the settings.
func (s *Settings) Validate() error {
	u, err := url.Parse(s.URL)
	web := err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && len(s.AllowPrivate) > 0)
	_, networks := peer.ParseNetworks(s.AllowPrivate)
	return errors.Join(
		want(web, "url", "must be an https:// address without a user name (http:// needs allow_private)"), // it may hold a secret: not shown
		want(s.Secret.Empty() != (s.SecretFile == ""), "secret", "give secret or secret_file, one of them"),
		want(s.Secret.Empty() || len(s.Secret.Reveal()) >= leastSecret, "secret", "must have at least %d characters", leastSecret),
		want(s.Timeout > 0 && s.Timeout <= mostTimeout, "timeout", "must be more than 0 and at most %s, is %s", mostTimeout, s.Timeout),
		want(networks == nil, "allow_private", "%v", networks),
		s.TLS.Validate(place+".tls"),
	)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// secret returns the secret, from wherever it is.
func (s *Settings) secret() (config.Secret, error) {
	if s.SecretFile == "" {
		return s.Secret, nil
	}
	text, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return config.Secret{}, config.Errorf(config.Invalid, "settings", place+".secret_file", "%w", err)
	}
	secret := strings.TrimSpace(string(text))
	return config.NewSecret(secret), want(len(secret) >= leastSecret, "secret_file", "%s must hold at least %d characters", s.SecretFile, leastSecret)
}

// Open returns the working sink.
func (s *Settings) Open(_ context.Context, env audit.Env) (audit.Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	secret, err := s.secret()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := s.TLS.Config(place + ".tls")
	if err != nil {
		return nil, err
	}
	env = env.WithDefaults()
	allowed, err := peer.ParseNetworks(s.AllowPrivate)
	if err != nil {
		return nil, err
	}
	plain := strings.HasPrefix(s.URL, "http:")
	client := peer.NewClient(tlsConfig, func(ip netip.Addr) error {
		if err := allowed.Check(ip); err != nil {
			return err
		}
		if plain && !allowed.Contains(ip) {
			return errors.New("http without encryption is for the networks of allow_private; " + ip.String() + " is in none")
		}
		return nil
	})
	return &Sink{url: s.URL, secret: secret, timeout: s.Timeout, client: client, now: env.Now, agent: "setpoint/" + env.Version}, nil
}

var _ audit.Driver = (*Settings)(nil)
