package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server/internal/certs"
	"github.com/setpointhq/setpoint/store"
)

// TLSSettings say how the HTTP port is secured.
type TLSSettings struct {
	Enabled        bool   `yaml:"enabled" doc:"whether the HTTP port speaks TLS; false only on loopback, or with plain_remote"`
	CertFile       string `yaml:"cert_file" doc:"the PEM file of the certificate with its intermediates; it is read again when it changes. Empty: the node makes one for itself and renews it"`
	KeyFile        string `yaml:"key_file" doc:"the PEM file of the certificate's private key; needed with cert_file"`
	ClientCAFile   string `yaml:"client_ca_file" doc:"the PEM file of authorities; if given, every client must show a certificate that one of them issued, or is not connected; who it is that has one, a driver like mtls says"`
	PlainRemote    bool   `yaml:"plain_remote" doc:"with enabled: false, listen on addresses that other machines reach all the same: only for a proxy in front that ends TLS, on a network that is trusted"`
	SelfSignedName string `yaml:"self_signed_name" doc:"a further DNS name or IP address that the certificate that the node makes for itself is for"`
}

func (s TLSSettings) validate(addr string) error {
	var errs []error
	bad := func(key, text string, args ...any) {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "tls."+key, text, args...))
	}
	switch {
	case s.CertFile != "" && s.KeyFile == "":
		bad("key_file", "is missing; cert_file needs it")
	case s.KeyFile != "" && s.CertFile == "":
		bad("cert_file", "is missing; key_file needs it")
	}
	return errors.Join(append(errs, s.guardPlain("http.addr", addr))...)
}

// guardPlain refuses an address, which the setting key holds, where others could
// listen in.
func (s TLSSettings) guardPlain(key, addr string) error {
	if s.Enabled || s.PlainRemote || Loopback(addr) {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", "tls.enabled", "is false, but %s %q can be reached from other machines, who could read passwords on the way; listen on 127.0.0.1, or set tls.plain_remote if a proxy in front ends TLS", key, addr)
}

// openCertificate reads the configured certificate, or else the one that the
// node shows to other nodes, so that who trusts the cluster's authority trusts
// them all. A lone node makes one.
func openCertificate(s *Settings, peering *store.Peering, log *slog.Logger) (*certs.Keeper, error) {
	from := certs.Source{CertFile: s.TLS.CertFile, KeyFile: s.TLS.KeyFile, Dir: s.path("tls"), Name: s.TLS.SelfSignedName, Log: log}
	if from.CertFile == "" && peering != nil {
		from.CertFile, from.KeyFile = peering.CertFile, peering.KeyFile
	}
	k, err := certs.Open(from)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "start", "tls", "%w", err)
	}
	return k, nil
}

// tlsConfig is the TLS configuration of a listener, but for what drivers ask.
func tlsConfig(s TLSSettings, certificate *certs.Keeper) (*tls.Config, error) {
	conf := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: certificate.GetCertificate,
	}
	if s.ClientCAFile != "" {
		pem, err := os.ReadFile(s.ClientCAFile)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "start", "tls.client_ca_file", "%w", err)
		}
		conf.ClientCAs, conf.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !conf.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errorf(config.Invalid, "start", "tls.client_ca_file", "%s holds no PEM certificate", s.ClientCAFile)
		}
	}
	return conf, nil
}
