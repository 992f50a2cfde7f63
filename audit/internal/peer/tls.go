// Package peer holds what sinks that speak to another machine share: the
// settings of TLS and the clients of HTTP. It knows no sink.
package peer

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/setpointhq/setpoint/config"
)

// TLS settings of a sink. The peer is verified always.
type TLS struct {
	CAFile     string `yaml:"ca_file" doc:"the PEM file of the authorities that may vouch for the peer; empty means the system's"`
	CertFile   string `yaml:"cert_file" doc:"the PEM file of the certificate to show, with its chain; empty means none. It is read again for each connection"`
	KeyFile    string `yaml:"key_file" doc:"the PEM file of the certificate's private key"`
	ServerName string `yaml:"server_name" doc:"the name that the peer's certificate has to bear; empty means the host of the address"`
}

// Validate checks the settings; place is where they are, "audit.syslog.tls".
func (t *TLS) Validate(place string) error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return config.Errorf(config.Invalid, "settings", place+".cert_file", "cert_file and key_file go together; give both or none")
	}
	return nil
}

// Config reads the files; place is for errors.
func (t *TLS) Config(place string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "settings", place+".ca_file", "%w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errorf(config.Invalid, "settings", place+".ca_file", "%s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &cert, err
	}
	if _, err := load(); err != nil {
		return nil, config.Errorf(config.Invalid, "settings", place+".cert_file", "%w", err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}
