package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Options say what authority to make.
type Options struct {
	// Name is what the authority is called; "setpoint" if empty. A part of its
	// key's digest is added, so that two of one name can be told apart.
	Name string
	// Life is how long it lasts; AuthorityLife if zero.
	Life time.Duration
	// Clients makes one that vouches for clients, and never for a node; "clients" if
	// Name is empty.
	Clients bool
}

// complete fills in what was left open, and refuses what cannot be.
func (o *Options) complete() error {
	switch {
	case o.Name == "" && o.Clients:
		o.Name = "clients"
	case o.Name == "":
		o.Name = "setpoint"
	}
	if o.Life == 0 {
		o.Life = AuthorityLife
	}
	const most = 40 // leaves room for what is added
	if len(o.Name) > most {
		return invalid("", "authority name %q: want at most %d characters", clip(o.Name), most)
	}
	if err := CheckName(o.Name); err != nil {
		return err
	}
	return checkLife(o.Life)
}

// Request says what certificate to issue.
type Request struct {
	// Name is the node's: the certificate's common name and, if it can be one, a
	// DNS name of it.
	Name string
	// Hosts are the further DNS names and IP addresses where the node is reached.
	Hosts []string
	// Life is how long it lasts, NodeLife if zero. None outlives its authority.
	Life time.Duration
}

// Authority vouches for the nodes of a cluster: it has the key that the nodes
// trust. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// bundle is what nodes trust: cert and, while one authority takes over from
	// another, the older one and its word for the new one.
	bundle []*x509.Certificate
}

// CreateAuthority makes an authority, ca.pem and ca-key.pem in the folder, which
// it makes as well. Exists if one is there: it is never overwritten.
func CreateAuthority(dir string, o Options) (*Authority, error) {
	certFile, keyFile := AuthorityFiles(dir)
	exists := func(file string) error {
		return config.Errorf(config.Exists, "create authority", file, "an authority is never overwritten; choose another folder, or make the next authority with 'setpoint cert rotate --authority'")
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, config.Errorf(config.Invalid, "create authority", dir, "cannot be made: %w", cause(err))
	}
	if _, err := os.Lstat(certFile); err == nil {
		return nil, exists(certFile)
	}
	made, keyPEM, err := NewKey()
	if err != nil {
		return nil, err
	}
	var key crypto.Signer = made
	err = createFile(keyFile, keyPEM, SecretMode)
	if errors.Is(err, fs.ErrExist) {
		// A key without a certificate has vouched for nobody: whoever made it was
		// interrupted here.
		key, err = ReadKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	a, err := newAuthority(key, o, time.Now())
	if err != nil {
		return nil, err
	}
	err = createFile(certFile, a.Bundle(), PublicMode)
	if errors.Is(err, fs.ErrExist) {
		return nil, exists(certFile)
	}
	return a, err
}

// LoadAuthority reads an authority. The certificate file may hold others as
// well; nodes trust them too. NotFound if a file is not there, Invalid if they
// cannot be used.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	key, err := ReadKey(keyFile)
	if err != nil {
		return nil, err
	}
	bundle, err := ReadCertificates(certFile)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key, bundle: bundle}
	for _, c := range bundle {
		// A successor has two certificates: its own, and its predecessor's word.
		if c.IsCA && samePublic(c.PublicKey, key.Public()) && (a.cert == nil || selfSigned(c)) {
			a.cert = c
		}
	}
	if a.cert == nil {
		return nil, invalid(certFile, "holds no authority whose key is in %s", keyFile)
	}
	return a, nil
}

// newAuthority makes an authority of a key.
func newAuthority(key crypto.Signer, o Options, now time.Time) (*Authority, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(public)
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{Organization}, CommonName: o.Name + tag + hex.EncodeToString(digest[:4])},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(o.Life),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:     true, BasicConstraintsValid: true,
		MaxPathLen:   1, // for its word for a successor
		SubjectKeyId: digest[:20],
	}
	if o.Clients {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		template.MaxPathLen, template.MaxPathLenZero = 0, true
	}
	cert, err := sign(template, nil, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, bundle: []*x509.Certificate{cert}}, nil
}

// tag stands between an authority's name and the digest of its key.
const tag = " authority "

// Certificate is the authority's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Fingerprint is the SHA-256 of the authority's certificate, in lower-case hex.
func (a *Authority) Fingerprint() string { return FingerprintOf(a.cert) }

// Bundle is the PEM text of what the nodes shall trust.
func (a *Authority) Bundle() []byte { return encode(a.bundle...) }

// Issue makes a key and a certificate for it, as PEM. Errors are Invalid.
func (a *Authority) Issue(r Request) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = a.issue(key.Public(), r, time.Now())
	return certPEM, keyPEM, err
}

// Sign makes a certificate for whoever made a certificate request, a PEM text
// that may come from anyone. It must be signed with its key; the names that it
// asks for are not looked at. Errors are Invalid.
func (a *Authority) Sign(csrPEM []byte, r Request) (certPEM []byte, err error) {
	request, err := parseRequest(csrPEM)
	if err != nil {
		return nil, invalid("", "%w", err)
	}
	return a.issue(request.PublicKey, r, time.Now())
}

// NewRequest makes a key and a request for a certificate for it, as PEM. Who
// signs it decides what for.
func NewRequest(name string) (keyPEM, csrPEM []byte, err error) {
	if err := CheckName(name); err != nil {
		return nil, nil, err
	}
	key, keyPEM, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{Organization: []string{Organization}, CommonName: name},
	}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return keyPEM, pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der}), nil
}

func (a *Authority) issue(key crypto.PublicKey, r Request, now time.Time) ([]byte, error) {
	if a.ForClients() {
		return nil, invalid("", "the authority %q vouches for clients, not for nodes; use that of the nodes, or 'setpoint cert client' for a client", a.cert.Subject.CommonName)
	}
	if r.Life == 0 {
		r.Life = NodeLife
	}
	if err := CheckName(r.Name); err != nil {
		return nil, err
	}
	if err := checkLife(r.Life); err != nil {
		return nil, err
	}
	h, err := parseHosts(r.Name, r.Hosts)
	if err != nil {
		return nil, err
	}
	if now.After(a.cert.NotAfter) {
		return nil, invalid("", "the authority %q expired on %s; make the next one with 'setpoint cert rotate --authority'", a.cert.Subject.CommonName, date(a.cert.NotAfter))
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{Organization}, CommonName: r.Name},
		NotBefore: now.Add(-backdate), NotAfter: earlier(now.Add(r.Life), a.cert.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    h.names, BasicConstraintsValid: true,
	}
	for _, addr := range h.addrs {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	cert, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	// What stands between it and a root that a node may trust goes with it.
	between := slices.DeleteFunc(issuers(cert, a.bundle), selfSigned)
	return encode(append([]*x509.Certificate{cert}, between...)...), nil
}

// sign makes a certificate; without a parent it vouches for itself.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1)) // 0 is not allowed
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// issuers are those of the certificates that vouch for one, or for one that
// does, nearest first.
func issuers(of *x509.Certificate, among []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{of}
	for i := 0; i < len(chain); i++ {
		for _, by := range among {
			if bytes.Equal(chain[i].RawIssuer, by.RawSubject) && !slices.ContainsFunc(chain, by.Equal) && chain[i].CheckSignatureFrom(by) == nil {
				chain = append(chain, by)
			}
		}
	}
	return chain[1:]
}

func selfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignatureFrom(cert) == nil
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// date writes a moment for a person.
func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
