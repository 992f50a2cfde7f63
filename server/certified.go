package server

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server/internal/certs"
)

// certified are the drivers that prove certificates of clients, once they are open.
type certified struct {
	open atomic.Pointer[[]auth.Certified]
}

// add takes in a driver that was opened, if it is one of them.
func (c *certified) add(name string, a auth.Authenticator, secure bool) error {
	proves, ok := a.(auth.Certified)
	if !ok {
		return nil
	}
	if !secure {
		return config.Errorf(config.Invalid, "start", "auth."+name, "proves the certificates that clients show in the TLS handshake, of which there is none while tls.enabled is false")
	}
	all := []auth.Certified{proves}
	if before := c.open.Load(); before != nil {
		all = append(all, *before...)
	}
	c.open.Store(&all)
	return nil
}

// authorities are those that clients are told of. Several drivers have no pool in
// common, and clients then show what they like.
func (c *certified) authorities() *x509.CertPool {
	if all := c.open.Load(); all != nil && len(*all) == 1 {
		return (*all)[0].ClientCAs()
	}
	return nil
}

// tlsConfig is the TLS configuration of a listener. It asks clients for a
// certificate if a driver proves such, and takes what they show, or that they show
// none: who is known by it the driver decides, request by request.
//
// With client_ca_file it asks for one whether or not a driver does, and whoever has
// none of those authorities is not connected. What the driver makes of the rest is
// its own affair: by certificate alone is known who satisfies both.
func (n *node) tlsConfig(s TLSSettings, certificate *certs.Keeper) (*tls.Config, error) {
	conf, err := tlsConfig(s, certificate)
	if err != nil || conf.ClientAuth != tls.NoClientCert || !n.provesCertificates() {
		return conf, err
	}
	conf.ClientAuth = tls.RequestClientCert
	// Made anew only when the authorities change: there are many handshakes.
	var told atomic.Pointer[tls.Config]
	base := conf.Clone()
	told.Store(base)
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current, pool := told.Load(), n.certified.authorities()
		if current.ClientCAs != pool {
			current = base.Clone()
			current.ClientCAs = pool
			told.Store(current)
		}
		return current, nil
	}
	return conf, nil
}

// provesCertificates reports whether the settings name a driver that does. It may
// not be open yet.
func (n *node) provesCertificates() bool {
	for _, chosen := range n.settings.Auth.Chosen() {
		if _, ok := chosen.Settings.(auth.CertifiedDriver); ok {
			return true
		}
	}
	return false
}
