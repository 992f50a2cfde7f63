package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// enter gives this node a certificate and a place in a cluster: its own files,
// an authority that it makes, or other nodes that let it in.
func (c *Cluster) enter(ctx context.Context) error {
	s := &c.settings
	own := s.CertFile == "" // the files are this package's to make
	missing := own && absent(c.files.Cert)
	if own && missing && len(s.Join) == 0 {
		if err := c.vouchForSelf(); err != nil {
			return err
		}
		missing = false
	}
	err := c.checkCertificate()
	if own && !missing && err != nil && c.mendOwn() {
		err = c.checkCertificate()
	}
	if own && !s.JoinToken.Empty() && (missing || err != nil) {
		return c.joinWithToken(ctx)
	}
	if missing {
		return config.Errorf(config.Invalid, "start", "cluster.join_token", "is missing; this node has no certificate yet: make a token with 'setpoint cluster add' on the cluster, or give it files of the cluster's authority with cluster.cert_file")
	}
	if err != nil {
		return err
	}
	if err := c.openKeeper(); err != nil {
		return err
	}
	return c.joinWithCertificate(ctx)
}

// vouchForSelf makes an authority and this node's certificate.
func (c *Cluster) vouchForSelf() error {
	certFile, keyFile := pki.AuthorityFiles(c.path())
	authority, err := pki.LoadAuthority(certFile, keyFile)
	if config.KindOf(err) == config.NotFound {
		authority, err = pki.CreateAuthority(c.path(), pki.Options{})
		if err == nil {
			c.log.Info("the cluster's authority was made; keep a copy of its key in a safe place, because only nodes that have it can let others join", "key", keyFile)
		}
	}
	if err != nil {
		return err
	}
	return c.issueForSelf(authority)
}

// issueForSelf makes this node's certificate.
func (c *Cluster) issueForSelf(authority *pki.Authority) error {
	cert, key, err := authority.Issue(pki.Request{Name: c.settings.Name, Hosts: hostsOf(c.settings.Advertise)})
	if err != nil {
		return err
	}
	return pki.WriteNode(c.files, pki.Material{Cert: cert, Key: key})
}

// mendOwn makes this node's certificate anew if it has the authority's key: the
// old one may have expired, or the node may have moved to another host.
func (c *Cluster) mendOwn() bool {
	authority, err := c.authority()
	return err == nil && c.issueForSelf(authority) == nil // if not, the old one's error tells more
}

// authorityKey is the file with the authority's key; empty if this node does not
// have it.
func (c *Cluster) authorityKey() string {
	file := c.settings.CAKeyFile
	if file == "" && c.settings.CertFile == "" {
		_, file = pki.AuthorityFiles(c.path())
	}
	if file == "" || absent(file) {
		return ""
	}
	return file
}

// authority is the one by which this node can let others in. Unsupported if it
// does not have the key.
func (c *Cluster) authority() (*pki.Authority, error) {
	keyFile := c.authorityKey()
	if keyFile == "" {
		return nil, config.Errorf(config.Unsupported, "", "", "the node %s does not have the authority's key (cluster.ca_key_file); ask a node that has it", c.settings.Name)
	}
	return pki.LoadAuthority(c.files.CA, keyFile)
}

// checkCertificate finds what would keep other nodes from accepting this one.
func (c *Cluster) checkCertificate() error {
	check := pki.Check{Files: c.files, AllowedNames: c.settings.AllowedNames, Name: c.settings.Name, Now: c.now()}
	if !c.settings.Edge {
		check.Host = hostOnly(c.settings.Advertise)
	}
	return pki.CheckNode(check)
}

func (c *Cluster) openKeeper() error {
	keeper, err := pki.Open(pki.Source{Files: c.files, AllowedNames: c.settings.AllowedNames, Log: c.log})
	if err != nil {
		return err
	}
	c.keeper, c.calls = keeper, newCaller(keeper.Dial)
	return nil
}

// joinWithCertificate has other nodes let this one in that can prove already who
// it is, unless they have, or it is a founder.
func (c *Cluster) joinWithCertificate(ctx context.Context) error {
	s := &c.settings
	r, _ := c.memory.get()
	switch {
	case len(s.Join) == 0:
		return nil
	case s.Edge && r.Joined:
		return nil
	case !s.Edge && c.options.HasData():
		return nil
	}
	answer, err := c.askToJoin(ctx, c.calls, c.joinRequest())
	if err != nil {
		return err
	}
	return c.rememberJoin(answer)
}

// joinWithToken has other nodes let this one in that know it by its token alone.
func (c *Cluster) joinWithToken(ctx context.Context) error {
	token, err := config.ParseJoinToken(c.settings.JoinToken)
	if err != nil {
		return config.Errorf(config.Invalid, "start", "cluster.join_token", "%w", err)
	}
	key, request, err := c.certificateRequest()
	if err != nil {
		return err
	}
	calls := newCaller(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conf, err := pki.PinnedClientConfig(token.Fingerprint, hostOnly(addr), "http/1.1")
		if err != nil {
			return nil, err
		}
		return dialer(conf)(ctx, network, addr)
	})
	defer calls.close()
	ask := c.joinRequest()
	ask.Token, ask.Request = c.settings.JoinToken.Reveal(), string(request)
	answer, err := c.askToJoin(ctx, calls, ask)
	if err != nil {
		return err
	}
	m := pki.Material{Cert: []byte(answer.Certificate), Key: key, CA: []byte(answer.CA)}
	if err := c.checkVouched(m.CA, token.Fingerprint); err != nil {
		return err
	}
	if err := pki.WriteNode(c.files, m); err != nil {
		return config.Errorf(config.Unavailable, "join", c.path(), "the certificate cannot be kept: %w", err)
	}
	if err := c.checkCertificate(); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(c.path(requestFile)), os.Remove(c.path(requestKeyFile))); err != nil {
		return config.Errorf(config.Unavailable, "join", c.path(), "%w", err)
	}
	if err := c.openKeeper(); err != nil {
		return err
	}
	return c.rememberJoin(answer)
}

// dialer connects with a TLS configuration.
func dialer(conf *tls.Config) dial {
	return (&tls.Dialer{NetDialer: &net.Dialer{}, Config: conf}).DialContext
}

// checkVouched makes sure that what this node shall trust is what its token said.
func (c *Cluster) checkVouched(bundle []byte, fingerprint string) error {
	certs, err := pki.ParseCertificates(bundle)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if pki.FingerprintOf(cert) == fingerprint {
			return nil
		}
	}
	return config.Errorf(config.Denied, "join", "", "the authority of the node that answered is not the one of the token")
}

// The certificate request of a node that is about to join, and its key. They are
// kept until it has: one who asks again after a crash is known by them.
const (
	requestFile    = "node-request.pem"
	requestKeyFile = "node-request-key.pem"
)

// certificateRequest makes this node's key and request, or finds those of an
// earlier attempt.
func (c *Cluster) certificateRequest() (key, request []byte, err error) {
	key, err = os.ReadFile(c.path(requestKeyFile))
	if err == nil {
		request, err = os.ReadFile(c.path(requestFile))
	}
	if err == nil {
		return key, request, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, config.Errorf(config.Unavailable, "join", c.path(), "the certificate request cannot be read: %w", err)
	}
	if key, request, err = pki.NewRequest(c.settings.Name); err != nil {
		return nil, nil, err
	}
	err = errors.Join(pki.WriteFile(c.path(requestKeyFile), key, pki.SecretMode), pki.WriteFile(c.path(requestFile), request, pki.PublicMode))
	if err != nil {
		return nil, nil, config.Errorf(config.Unavailable, "join", c.path(), "the certificate request cannot be kept: %w", err)
	}
	return key, request, nil
}

func (c *Cluster) rememberJoin(a *joinAnswer) error {
	c.settings.Token = a.ClusterToken
	return c.memory.update(func(r *remembered) {
		c.describe(r)
		r.Joined, r.Members = true, a.Members
	})
}

// describe fills in what this node knows of itself.
func (c *Cluster) describe(r *remembered) {
	r.Format, r.Version = DataFormat, c.options.Version
	r.Name, r.Edge, r.Token = c.settings.Name, c.settings.Edge, c.settings.Token
}

// hostsOf lists what a node's certificate must be good for: the hosts of the
// addresses by which others know it, and this machine for those on it.
func hostsOf(addrs ...string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range addrs {
		host, _, _ := strings.Cut(hostOnly(addr), "%") // a zone means nothing elsewhere
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func hostOnly(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}

func absent(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}
