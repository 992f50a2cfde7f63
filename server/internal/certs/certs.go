// Package certs provides the certificate that a server shows: one from files,
// followed when they change, or one that it makes for itself and renews.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/internal/pki"
)

// Source says where the certificate comes from.
type Source struct {
	// CertFile and KeyFile are PEM files. If they are empty, the server makes a
	// certificate for itself.
	CertFile, KeyFile string
	// Dir is where a certificate of its own making is kept.
	Dir string
	// Name is a further DNS name or IP address that it is for; may be empty.
	Name string
	// Log is told of changes, and of those that cannot be used.
	Log *slog.Logger
}

// Keeper holds the certificate in use. Its Run follows the files.
type Keeper struct {
	*pki.Followed[*tls.Certificate]
}

// Open reads the certificate, or makes it.
func Open(from Source) (*Keeper, error) {
	reading := pki.Reading[*tls.Certificate]{
		Load:  func() (*tls.Certificate, error) { return readPair(from.CertFile, from.KeyFile) },
		Stamp: func() string { return pki.FileStamp(from.CertFile, from.KeyFile) },
		Equal: func(a, b *tls.Certificate) bool { return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal) },
		Leaf:  func(c *tls.Certificate) *x509.Certificate { return c.Leaf },
		Log:   from.Log,
	}
	if from.CertFile == "" {
		self := selfSigned{dir: from.Dir, name: from.Name}
		reading.Load, reading.Stamp = self.load, self.stamp
	}
	followed, err := pki.Follow(reading)
	if err != nil {
		return nil, err
	}
	return &Keeper{followed}, nil
}

// GetCertificate is for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.Get(), nil }

// Fingerprint is the SHA-256 of the certificate in use, in lower-case hex.
func (k *Keeper) Fingerprint() string { return pki.FingerprintOf(k.Get().Leaf) }

// readPair reads a certificate and its key, and refuses one that clients would.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("certificate %s expired on %s", certFile, cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &cert, nil
}
