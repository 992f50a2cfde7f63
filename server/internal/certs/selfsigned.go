package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// The life of a certificate that the node makes for itself. A renewed one has
// the old one's key and another fingerprint.
const (
	selfSignedLife  = 398 * 24 * time.Hour // as long as clients accept any
	selfSignedRenew = 30 * 24 * time.Hour  // so long before its end
)

// selfSigned keeps a certificate that the node makes for itself.
type selfSigned struct {
	dir  string
	name string // a further name, may be empty
}

func (s selfSigned) files() (cert, key string) {
	return filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
}

// load returns the kept certificate, or makes it: at the first start, when it
// is about to expire, or when it is for other names than it should be.
func (s selfSigned) load() (*tls.Certificate, error) {
	certFile, keyFile := s.files()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && s.good(cert.Leaf):
		return &cert, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the node's own certificate in %s: %w; remove the folder to have a new one made", s.dir, err)
	}
	if err := s.make(); err != nil {
		return nil, fmt.Errorf("make a certificate in %s: %w", s.dir, err)
	}
	return readPair(certFile, keyFile)
}

// stamp changes with the files, and when the time to renew has come.
func (s selfSigned) stamp() string {
	certFile, keyFile := s.files()
	due := ""
	if cert, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && !s.good(cert.Leaf) {
		due = time.Now().Format(time.DateOnly) // one try a day, should it fail
	}
	return pki.FileStamp(certFile, keyFile) + due
}

func (s selfSigned) good(cert *x509.Certificate) bool {
	names, addrs := s.names()
	for _, name := range names {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range addrs {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	return time.Until(cert.NotAfter) > selfSignedRenew
}

// names are those that the certificate is for.
func (s selfSigned) names() ([]string, []net.IP) {
	names, addrs := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, err := os.Hostname(); err == nil && host != "localhost" && host != "" {
		names = append(names, host)
	}
	switch ip := net.ParseIP(s.name); {
	case ip != nil:
		addrs = append(addrs, ip)
	case s.name != "" && !slices.Contains(names, s.name):
		names = append(names, s.name)
	}
	return names, addrs
}

// make writes a new certificate, with the key that is there or a new one. The
// key is written first: a certificate without its key is of no use.
func (s selfSigned) make() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	certFile, keyFile := s.files()
	key, err := keepKey(keyFile)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	names, addrs := s.names()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Setpoint"}, CommonName: names[len(names)-1]},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  addrs,
		// It is its own authority, so that clients may be given it as theirs.
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return pki.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pki.SecretMode)
}

// keepKey reads the key, or makes it if there is none.
func keepKey(name string) (crypto.Signer, error) {
	key, err := pki.ReadKey(name)
	if config.KindOf(err) != config.NotFound {
		return key, err
	}
	made, text, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	return made, pki.WriteFile(name, text, pki.SecretMode)
}
