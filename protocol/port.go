package protocol

import (
	"errors"
	"net"

	"github.com/setpointhq/setpoint/config"
)

// Ported is a driver whose protocol can have a port of its own.
//
// One that HTTP bears is then served there and no longer on the HTTP port: the
// server opens the port, the protocol registers its routes with the host and does
// not notice. One that is a SelfServer opens the port itself.
type Ported interface {
	Driver
	// OwnPort returns the settings of the port; without an address there is none.
	OwnPort() Port
}

// SelfServer is a driver that serves its own port itself, by Host.Listen and
// Host.Secure, because it has a better server for it than HTTP's.
type SelfServer interface {
	Ported
	ServesItself()
}

// Port is the part of a driver's settings that gives its protocol a port of its own.
type Port struct {
	Addr           string   `yaml:"addr" doc:"the address of a port for this protocol alone, host:port; empty: it is served on the HTTP port"`
	MaxConnections int      `yaml:"max_connections" doc:"how many connections that port holds at a time; more wait to be accepted"`
	TLS            TLSFiles `yaml:"tls" doc:"how that port is secured, where not as the HTTP port is"`
}

// TLSFiles are the PEM files by which a port is secured. What is empty is as the
// HTTP port has it.
type TLSFiles struct {
	CertFile     string `yaml:"cert_file" doc:"the PEM file of the certificate with its intermediates; it is read again when it changes. Empty: that of the HTTP port"`
	KeyFile      string `yaml:"key_file" doc:"the PEM file of the certificate's private key; needed with cert_file"`
	ClientCAFile string `yaml:"client_ca_file" doc:"the PEM file of authorities, one of which must have issued a certificate that every client shows. Empty: as the HTTP port has it"`
}

// DefaultPort is no port of its own, for Defaults of drivers.
func DefaultPort() Port { return Port{MaxConnections: 60_000} }

// Validate reports what is wrong with the settings below the key place,
// "protocols.ws.port".
func (p Port) Validate(place string) error {
	var errs []error
	if p.Addr != "" {
		if _, _, err := net.SplitHostPort(p.Addr); err != nil {
			errs = append(errs, config.Errorf(config.Invalid, "settings", place+".addr", "%q is no address; write host:port or :port", p.Addr))
		}
	}
	if p.MaxConnections < 1 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", place+".max_connections", "must be at least 1, is %d", p.MaxConnections))
	}
	if p.Addr == "" && p.TLS != (TLSFiles{}) {
		errs = append(errs, config.Errorf(config.Invalid, "settings", place+".addr", "is missing; without it there is no port that %s.tls could secure", place))
	}
	return errors.Join(append(errs, p.TLS.Validate(place+".tls"))...)
}

// Validate reports what is wrong with the settings below the key place.
func (f TLSFiles) Validate(place string) error {
	switch {
	case f.CertFile != "" && f.KeyFile == "":
		return config.Errorf(config.Invalid, "settings", place+".key_file", "is missing; cert_file needs it")
	case f.KeyFile != "" && f.CertFile == "":
		return config.Errorf(config.Invalid, "settings", place+".cert_file", "is missing; key_file needs it")
	}
	return nil
}
