package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/config"
)

// The bounds of what a client may show. A chain has seldom more than three.
const (
	mostInChain  = 8
	mostOfChain  = 64 << 10 // bytes
	mostOfFile   = 16 << 20 // bytes
	mostInCAFile = 1000
)

// trust is what the files say. It never changes: when they do, there is another.
type trust struct {
	roots *x509.CertPool
	// lists are nil if certificates cannot be revoked.
	lists []revocations
	// proved remembers the certificates that were verified.
	proved *recent.Map[[sha256.Size]byte, proof]
}

// proof is what a certificate proves, and until when.
type proof struct {
	identity auth.Identity
	until    time.Time
}

// read reads the files.
func (a *Authenticator) read() (*trust, error) {
	s := &a.settings
	seen := a.look() // before they are read: a change during that is noticed later
	content, err := readFile("ca_file", s.CAFile)
	if err != nil {
		return nil, err
	}
	t := &trust{proved: recent.New[[sha256.Size]byte, proof](s.RememberMost, s.Remember, a.now)}
	if t.roots, err = parseAuthorities(content); err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%s: %w", s.CAFile, err)
	}
	if s.CRLFile != "" {
		if content, err = readFile("crl_file", s.CRLFile); err != nil {
			return nil, err
		}
		if t.lists, err = parseRevocations(content); err != nil {
			return nil, config.Errorf(config.Invalid, "open", place+".crl_file", "%s: %w", s.CRLFile, err)
		}
	}
	a.seen = seen
	return t, nil
}

// readFile reads a file, which a setting names, of bounded size.
func readFile(field, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+"."+field, "cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, mostOfFile+1))
	if err == nil && len(content) > mostOfFile {
		err = fmt.Errorf("%s has more than %d bytes", name, mostOfFile)
	}
	if err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+"."+field, "cannot be read: %w", err)
	}
	return content, nil
}

// parseAuthorities reads the authorities of a PEM text. Each must be one: another's
// certificate would vouch for itself.
func parseAuthorities(text []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), 0
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		if found++; found > mostInCAFile {
			return nil, fmt.Errorf("it holds more than %d certificates", mostInCAFile)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it is damaged: %w", found, err)
		}
		if !cert.BasicConstraintsValid || !cert.IsCA {
			return nil, fmt.Errorf("certificate %d in it, %.100q, is not that of an authority", found, cert.Subject)
		}
		pool.AddCert(cert)
	}
	if found == 0 {
		return nil, errors.New("it holds no PEM certificate")
	}
	return pool, nil
}

// verify says until when the authorities vouch for the first certificate of a chain.
// Nothing is taken on trust that happened in the handshake, which may have been
// long ago.
func (t *trust) verify(chain []*x509.Certificate, now time.Time) (until time.Time, err error) {
	size := 0
	for _, cert := range chain {
		size += len(cert.Raw)
	}
	if len(chain) > mostInChain || size > mostOfChain {
		return until, fmt.Errorf("it comes with a chain of %d certificates and %d bytes, where at most %d and %d are read", len(chain), size, mostInChain, mostOfChain)
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	ways, err := chain[0].Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return until, err
	}
	// One way that holds is enough; of several the one that holds longest.
	for _, way := range ways {
		good := lastsUntil(way)
		if t.lists != nil {
			known, checked := checkRevocation(t.lists, way, now)
			if errors.Is(checked, errRevoked) {
				return time.Time{}, checked
			}
			if checked != nil {
				err = checked
				continue
			}
			good = earlier(good, known)
		}
		if good.After(until) {
			until = good
		}
	}
	if until.IsZero() {
		return until, err
	}
	return until, nil
}
