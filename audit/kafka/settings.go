// Package kafka produces audit records to a topic of Kafka: a record's line of
// JSON under the key of its tenant, so that the records of a tenant stay in
// order. All replicas in sync have them before a Write returns.
package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/internal/peer"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// Name of the driver, in settings.
const Name = "kafka"

const place = "audit." + Name

// Settings of the kafka driver.
type Settings struct {
	Brokers    []string      `yaml:"brokers" doc:"host:port of some brokers; the others are learned from them"`
	Topic      string        `yaml:"topic" doc:"the topic, which must be there"`
	Network    string        `yaml:"network" doc:"how to connect: tls, or tcp for no encryption at all"`
	Timeout    time.Duration `yaml:"timeout" doc:"the longest that a batch may take"`
	MaxMessage plugin.Size   `yaml:"max_message" doc:"the largest request to a partition, as the brokers' message.max.bytes; a larger record can never be taken"`
	SASL       SASL          `yaml:"sasl" doc:"how to log in"`
	TLS        peer.TLS      `yaml:"tls" doc:"how the peer is verified, and what is shown to it"`
}

// SASL is how to log in.
type SASL struct {
	Mechanism    string        `yaml:"mechanism" doc:"the way: plain (with tls only), scram-sha-256 or scram-sha-512; empty for no login"`
	Username     string        `yaml:"username" doc:"the user to log in as"`
	Password     config.Secret `yaml:"password" doc:"the user's password"`
	PasswordFile string        `yaml:"password_file" doc:"a file with the password, instead of password; line ends around it do not count"`
}

// Defaults fills every field but the brokers, which have none.
func (s *Settings) Defaults() {
	*s = Settings{Topic: "setpoint-audit", Network: "tls", Timeout: 15 * time.Second, MaxMessage: 1_000_000}
}

// The bounds of settings.
const (
	mostTimeout  = 5 * time.Minute
	leastMessage = 64 * plugin.KiB
	mostMessage  = 64 * plugin.MiB
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// Validate checks the settings.
func (s *Settings) Validate() error {
	errs := []error{
		want(len(s.Brokers) > 0, "brokers", "name at least one, as host:port"),
		want(topicName.MatchString(s.Topic), "topic", "must be 1 to 249 letters, digits, dots, underscores and hyphens, is %q", s.Topic),
		want(s.Network == "tls" || s.Network == "tcp", "network", "must be tls or tcp, is %q", s.Network),
		want(s.Timeout > 0 && s.Timeout <= mostTimeout, "timeout", "must be more than 0 and at most %s, is %s", mostTimeout, s.Timeout),
		want(s.MaxMessage >= leastMessage && s.MaxMessage <= mostMessage, "max_message", "must be from %s to %s, is %s", leastMessage, mostMessage, s.MaxMessage),
		s.SASL.validate(s.Network),
		s.TLS.Validate(place + ".tls"),
	}
	for _, broker := range s.Brokers {
		_, _, err := net.SplitHostPort(broker)
		errs = append(errs, want(err == nil, "brokers", "must be host:port, is %q", broker))
	}
	return errors.Join(errs...)
}

func (s *SASL) validate(network string) error {
	switch s.Mechanism {
	case "":
		return want(s.Username == "" && s.Password.Empty() && s.PasswordFile == "", "sasl.mechanism", "a user needs a mechanism: plain, scram-sha-256 or scram-sha-512")
	case "plain", "scram-sha-256", "scram-sha-512":
		return errors.Join(
			want(s.Mechanism != "plain" || network == "tls", "sasl.mechanism", "plain shows the password to everyone on the way without tls"),
			want(s.Username != "", "sasl.username", "must not be empty"),
			want(s.Password.Empty() != (s.PasswordFile == ""), "sasl.password", "give password or password_file, one of them"),
		)
	default:
		return want(false, "sasl.mechanism", "must be plain, scram-sha-256, scram-sha-512 or empty, is %q", s.Mechanism)
	}
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

// login returns the mechanism, nil for none. The file is read for each login, so
// that the password in it may change.
func (s *SASL) login() (sasl.Mechanism, error) {
	password := func() (string, error) {
		if s.PasswordFile == "" {
			return s.Password.Reveal(), nil
		}
		text, err := os.ReadFile(s.PasswordFile)
		return strings.Trim(string(text), "\r\n"), err
	}
	if s.Mechanism == "" {
		return nil, nil //nolint:nilnil // no login is one of the settings
	}
	if _, err := password(); err != nil {
		return nil, config.Errorf(config.Invalid, "settings", place+".sasl.password_file", "%w", err)
	}
	hashed := func(context.Context) (scram.Auth, error) {
		text, err := password()
		return scram.Auth{User: s.Username, Pass: text}, err
	}
	switch s.Mechanism {
	case "scram-sha-256":
		return scram.Sha256(hashed), nil
	case "scram-sha-512":
		return scram.Sha512(hashed), nil
	default:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			text, err := password()
			return plain.Auth{User: s.Username, Pass: text}, err
		}), nil
	}
}

// Open returns the working sink, which connects with its first Write.
func (s *Settings) Open(context.Context, audit.Env) (audit.Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	kept := *s
	options := []kgo.Opt{
		kgo.SeedBrokers(s.Brokers...), kgo.ClientID("setpoint"), kgo.DefaultProduceTopic(s.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), // and idempotent, which is the library's default
		kgo.ProducerBatchMaxBytes(int32(s.MaxMessage)), kgo.ProducerLinger(0), kgo.DialTimeout(s.Timeout),
	}
	if s.Network == "tls" {
		c, err := s.TLS.Config(place + ".tls")
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(c))
	}
	mechanism, err := kept.SASL.login()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return &Sink{options: options, timeout: s.Timeout}, nil
}

var _ audit.Driver = (*Settings)(nil)
