package pki

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"
)

// Source says what a Keeper works with.
type Source struct {
	Files
	// AllowedNames are patterns, one of which a DNS name or the common name of
	// another node's certificate must match: exact names, or "*." and a name.
	// Without any, the authorities' word is enough.
	AllowedNames []string
	// Log is told of changes, and of those that cannot be used.
	Log *slog.Logger
}

// Keeper holds what a node shows to other nodes and what it trusts, and follows
// the files of both. It is safe for concurrent use.
type Keeper struct {
	from     Source
	followed *Followed[*identity]
}

// identity is what one reading of the files came to.
type identity struct {
	*material
	server *tls.Config
}

// Open reads the files. Errors are those of CheckNode.
func Open(from Source) (*Keeper, error) {
	k := &Keeper{from: from}
	f, err := Follow(Reading[*identity]{
		Load:  k.load,
		Stamp: func() string { return FileStamp(from.Cert, from.Key, from.CA) },
		Equal: sameIdentity,
		Leaf:  func(id *identity) *x509.Certificate { return id.pair.Leaf },
		Log:   from.Log,
	})
	if err != nil {
		return nil, err
	}
	k.followed = f
	return k, nil
}

// Run follows the files until ctx ends. What cannot be used is logged, and what
// was there before stays in use.
func (k *Keeper) Run(ctx context.Context) error { return k.followed.Run(ctx) }

// Look takes a change of the files in at once.
func (k *Keeper) Look() { k.followed.Look() }

// Certificate is the one that the node shows.
func (k *Keeper) Certificate() *x509.Certificate { return k.followed.Get().pair.Leaf }

// Authorities are those that may vouch for other nodes.
func (k *Keeper) Authorities() []*x509.Certificate {
	return slices.Clone(k.followed.Get().authorities)
}

// Bundle is the PEM text of the Authorities.
func (k *Keeper) Bundle() []byte { return encode(k.followed.Get().authorities...) }

// Fingerprint is that of the authority by which a stranger can know this node:
// the last one of the chain that it shows. While one authority takes over from
// another it is the older one, which the other nodes show as well.
func (k *Keeper) Fingerprint() string {
	shown, err := parseChain(k.followed.Get().pair)
	if err != nil { // they were parsed when they were read
		return ""
	}
	return FingerprintOf(shown[len(shown)-1])
}

// ServerConfig is for a listener of other nodes. A client may show no
// certificate: whether it did stands in the connection's state, see Peer. One
// that it does show must be good.
func (k *Keeper) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return k.followed.Get().server, nil
		},
	}
}

// ClientConfig is for connections to one host, a name or an address without a
// port: it must not be used for another. Certificates are those of the moment.
func (k *Keeper) ClientConfig(host string, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &k.followed.Get().pair, nil
		},
		// The authorities may change, and the host is not in the connection's
		// state if it is an address: the check is done here, in full.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies, resumed connections too
		VerifyConnection: func(s tls.ConnectionState) error {
			return verifyServer(s, host, k.followed.Get().pool, k.from.AllowedNames)
		},
	}
}

// Dial connects to another node for HTTP/1.1, what nodes say to each other; it
// is for http.Transport.DialTLSContext. Explain says what an error means.
func (k *Keeper) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 15 * time.Second}, Config: k.ClientConfig(host, "http/1.1")}
	return d.DialContext(ctx, network, addr)
}

// Peer is the name in the certificate that the other end showed a listener with
// a ServerConfig; false if it showed none.
func Peer(s *tls.ConnectionState) (name string, ok bool) {
	if s == nil || len(s.VerifiedChains) == 0 {
		return "", false
	}
	return s.VerifiedChains[0][0].Subject.CommonName, true
}

func (k *Keeper) load() (*identity, error) {
	m, err := Check{Files: k.from.Files, AllowedNames: k.from.AllowedNames, Now: time.Now()}.read()
	if err != nil {
		return nil, err
	}
	return &identity{material: m, server: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{m.pair},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    m.pool,
		// A resumed connection would rest on the authorities of an earlier one.
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			return checkAllowed(s.PeerCertificates[0], k.from.AllowedNames)
		},
	}}, nil
}

func sameIdentity(a, b *identity) bool {
	return slices.EqualFunc(a.pair.Certificate, b.pair.Certificate, bytes.Equal) &&
		slices.EqualFunc(a.authorities, b.authorities, (*x509.Certificate).Equal)
}

// NotAllowedError tells of a certificate that an authority vouches for, and
// whose names are none of those that nodes may have.
type NotAllowedError struct {
	Certificate *x509.Certificate
	Allowed     []string
}

// Error says what the certificate is for and what it should be.
func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("the certificate of %q, for %s, is not one of a node: none of its names matches the allowed names %q", nameOf(e.Certificate), goodFor(e.Certificate), e.Allowed)
}

func checkAllowed(cert *x509.Certificate, patterns []string) error {
	if allowed(cert, patterns) {
		return nil
	}
	return &NotAllowedError{Certificate: cert, Allowed: patterns}
}

// verifyServer does what crypto/tls would do, with the authorities of now.
func verifyServer(s tls.ConnectionState, host string, roots *x509.CertPool, patterns []string) error {
	switch {
	case host == "":
		return errors.New("no host was named that the certificate must be good for")
	case len(s.PeerCertificates) == 0:
		return errors.New("the other end showed no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	leaf := s.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return checkAllowed(leaf, patterns)
}
