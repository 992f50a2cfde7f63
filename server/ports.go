package server

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/server/internal/certs"
)

// apart is a port of one protocol alone, and what it is going to serve.
type apart struct {
	*port
	served protocol.Mux
}

// openApart opens a port for a protocol that is borne by HTTP. Until the node
// serves, it answers as the HTTP port does.
func (n *node) openApart(ctx context.Context, name string, p protocol.Port) (*apart, error) {
	key := "protocols." + name + ".port"
	if err := n.settings.TLS.guardPlain(key+".addr", p.Addr); err != nil {
		return nil, err
	}
	secured, err := n.secure(key+".tls", p.TLS)
	if err != nil {
		return nil, err
	}
	s := n.settings.HTTP
	s.Addr, s.MaxConnections = p.Addr, p.MaxConnections
	opened, err := openHTTP(ctx, key+".addr", s, secured != nil, n.log)
	if err != nil {
		return nil, err
	}
	opened.tls = secured
	opened.handler.set(unready(&n.health))
	n.serve("port of "+name, opened)
	a := &apart{port: opened}
	n.health.register(a.served.Handle)
	n.apart = append(n.apart, a)
	n.log.Info("serving a protocol on a port of its own", "protocol", name, "url", opened.url())
	return a, nil
}

// secure returns how a port is secured that the files are given for, under the
// setting key; nil if ports speak plainly.
func (n *node) secure(key string, files protocol.TLSFiles) (*tls.Config, error) {
	if !n.settings.TLS.Enabled {
		if files != (protocol.TLSFiles{}) {
			return nil, config.Errorf(config.Invalid, "start", key, "names files, but tls.enabled is false, by which no port speaks TLS")
		}
		return nil, nil //nolint:nilnil // it speaks plainly
	}
	if files == (protocol.TLSFiles{}) {
		return n.http.tls, nil
	}
	whole, certificate := n.settings.TLS, n.certificate
	if files.ClientCAFile != "" {
		whole.ClientCAFile = files.ClientCAFile
	}
	if files.CertFile != "" {
		var err error
		if certificate, err = certs.Open(certs.Source{CertFile: files.CertFile, KeyFile: files.KeyFile, Log: n.log}); err != nil {
			return nil, config.Errorf(config.Invalid, "start", key, "%w", err)
		}
		n.background("certificate of "+key, certificate.Run)
	}
	return n.tlsConfig(whole, certificate)
}

// listen binds an address for a protocol that has a port of its own.
func (n *node) listen(ctx context.Context, key, addr string) (net.Listener, error) {
	if err := n.settings.TLS.guardPlain(key, addr); err != nil {
		return nil, err
	}
	return bind(ctx, key, addr)
}
