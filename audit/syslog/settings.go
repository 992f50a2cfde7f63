// Package syslog sends audit records to a syslog server: RFC 5424 messages with
// structured data, counted (RFC 5425, RFC 6587), over TLS or TCP. The message
// itself is the record's line of JSON.
//
// Syslog acknowledges nothing. The sink makes the best of that: it looks whether
// the connection still stands before each batch, and sends the batch before the
// last failure once more over a new one. What an earlier batch lost between the
// two machines is lost; the file and webhook sinks have no such gap.
package syslog

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/internal/peer"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings.
const Name = "syslog"

const place = "audit." + Name

// Settings of the syslog driver.
type Settings struct {
	Address  string        `yaml:"address" doc:"host:port of the syslog server; 6514 is the usual port over TLS"`
	Network  string        `yaml:"network" doc:"how to connect: tls, or tcp for no encryption at all"`
	Facility string        `yaml:"facility" doc:"the facility: audit, auth, authpriv, daemon, user, local0 to local7 and so on"`
	AppName  string        `yaml:"app_name" doc:"the name of the application in messages, at most 48 printable ASCII characters"`
	DataID   string        `yaml:"data_id" doc:"the name of the structured data, name@number with your private enterprise number; 32473 is the one reserved for examples"`
	Timeout  time.Duration `yaml:"timeout" doc:"the longest that connecting or sending a batch may take"`
	TLS      peer.TLS      `yaml:"tls" doc:"how the peer is verified, and what is shown to it"`
}

// Defaults fills every field but the address, which has none.
func (s *Settings) Defaults() {
	*s = Settings{Network: "tls", Facility: "audit", AppName: "setpoint", DataID: "setpoint@32473", Timeout: 10 * time.Second}
}

var facilityCodes = map[string]int{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
	"authpriv": 10, "ftp": 11, "ntp": 12, "audit": 13, "alert": 14, "clock": 15,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// The bounds of settings. The lengths are those of RFC 5424.
const (
	mostAppName = 48
	mostDataID  = 32
	mostTimeout = 5 * time.Minute
)

// Validate checks the settings.
func (s *Settings) Validate() error {
	_, port, err := net.SplitHostPort(s.Address)
	_, known := facilityCodes[s.Facility]
	return errors.Join(
		want(err == nil && port != "", "address", "must be host:port, is %q", s.Address),
		want(s.Network == "tls" || s.Network == "tcp", "network", "must be tls or tcp, is %q", s.Network),
		want(known, "facility", "must be one of %s; is %q", strings.Join(slices.Sorted(maps.Keys(facilityCodes)), ", "), s.Facility),
		want(s.AppName != "" && s.AppName == header(s.AppName, mostAppName), "app_name", "must be 1 to %d printable ASCII characters without spaces, is %q", mostAppName, s.AppName),
		want(s.DataID == header(s.DataID, mostDataID) && strings.Count(s.DataID, "@") == 1 && !strings.ContainsAny(s.DataID, `="]`), "data_id",
			`must be name@number, at most %d printable ASCII characters without spaces, =, ] and "; is %q`, mostDataID, s.DataID),
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

// Open returns the working sink, which connects with its first Write.
func (s *Settings) Open(_ context.Context, env audit.Env) (audit.Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	sink := &Sink{settings: *s, format: s.format(env.Node)}
	if s.Network == "tls" {
		c, err := s.TLS.Config(place + ".tls")
		if err != nil {
			return nil, err
		}
		sink.tls = c
	}
	return sink, nil
}

var _ audit.Driver = (*Settings)(nil)
