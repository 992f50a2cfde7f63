package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// RotateAuthority makes the next authority of a folder. ca.pem then holds the
// new one, the old one's word for it, and the old one; ca-key.pem the new key.
//
// Certificates that the new one issues carry the old one's word, so that nodes
// that trust only the old one take them too: neither the order in which nodes
// get the new files nor the time it takes can cut the cluster in two. Conflict
// while an older authority is still in ca.pem: RetireAuthority ends that.
func RotateAuthority(dir string, o Options) (*Authority, error) {
	certFile, keyFile := AuthorityFiles(dir)
	old, err := LoadAuthority(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	if old.ForClients() {
		return nil, invalid(certFile, "is an authority for clients, which no other takes over from; make another in a folder of its own with 'setpoint cert init --clients --dir DIR', and put both their ca.pem into the server's ca_file")
	}
	if len(old.bundle) > 1 {
		return nil, config.Errorf(config.Conflict, "rotate authority", certFile, "holds more than the one authority; end the change from the older one first: 'setpoint cert rotate --retire'")
	}
	if o.Name == "" {
		o.Name, _, _ = strings.Cut(old.cert.Subject.CommonName, tag)
	}
	key, keyPEM, err := NewKey()
	if err != nil {
		return nil, err
	}
	next, err := old.successor(key, o, time.Now())
	if err != nil {
		return nil, err
	}
	// In this order: with the old key, the new bundle is still the old authority.
	if err := WriteFile(certFile, next.Bundle(), PublicMode); err != nil {
		return nil, err
	}
	return next, WriteFile(keyFile, keyPEM, SecretMode)
}

// successor is a new authority that an older one vouches for.
func (a *Authority) successor(key crypto.Signer, o Options, now time.Time) (*Authority, error) {
	next, err := newAuthority(key, o, now)
	if err != nil {
		return nil, err
	}
	word, err := sign(&x509.Certificate{
		Subject:   next.cert.Subject,
		NotBefore: next.cert.NotBefore, NotAfter: earlier(next.cert.NotAfter, a.cert.NotAfter),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
		SubjectKeyId: next.cert.SubjectKeyId,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	next.bundle = append([]*x509.Certificate{next.cert, word}, a.bundle...)
	return next, nil
}

// RetireAuthority ends a rotation: ca.pem holds the folder's current authority
// alone. Conflict if one of the node certificates given is another's: its node
// would be cut off. It changes nothing if there is no older one.
func RetireAuthority(dir string, nodes ...*x509.Certificate) (*Authority, error) {
	certFile, keyFile := AuthorityFiles(dir)
	a, err := LoadAuthority(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		if !a.Issued(node) {
			return nil, config.Errorf(config.Conflict, "retire authority", certFile, "the certificate of %s is still that of %q; replace it first with 'setpoint cert rotate %[1]s'", node.Subject.CommonName, node.Issuer.CommonName)
		}
	}
	if len(a.bundle) == 1 {
		return a, nil
	}
	a.bundle = []*x509.Certificate{a.cert}
	return a, WriteFile(certFile, a.Bundle(), PublicMode)
}

// Issued says whether the authority vouches for a certificate with its key.
func (a *Authority) Issued(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, a.cert.RawSubject) && cert.CheckSignatureFrom(a.cert) == nil
}

// Older are the authorities that the current one takes over from.
func (a *Authority) Older() []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(a.bundle), func(c *x509.Certificate) bool {
		return samePublic(c.PublicKey, a.cert.PublicKey)
	})
}
