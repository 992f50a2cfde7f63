package mtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/mtls"
)

// start is when tests begin.
func start() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

// authority signs what it is given.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: start().Add(-time.Hour), NotAfter: start().Add(10_000 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
}

// newAuthority makes one; by is nil for a root.
func newAuthority(tb testing.TB, by *authority, template *x509.Certificate) *authority {
	tb.Helper()
	made := &authority{key: newKey(tb)}
	if by == nil {
		by = &authority{cert: template, key: made.key}
	}
	made.cert = by.sign(tb, template, made.key)
	return made
}

func root(tb testing.TB) *authority {
	tb.Helper()
	return newAuthority(tb, nil, authorityTemplate("clients"))
}

func (a *authority) sign(tb testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	template.SerialNumber = n.Add(n, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// leafTemplate is a client's certificate that nothing is wrong with.
func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"platform", "on-call"}, Organization: []string{"Acme"}},
		NotBefore: start().Add(-time.Hour), NotAfter: start().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
}

// issue makes a client's certificate that differs from the good one, and the chain
// that it shows.
func (a *authority) issue(tb testing.TB, change func(*x509.Certificate), between ...*authority) []*x509.Certificate {
	tb.Helper()
	template := leafTemplate()
	if change != nil {
		change(template)
	}
	chain := []*x509.Certificate{a.sign(tb, template, newKey(tb))}
	for _, b := range between {
		chain = append(chain, b.cert)
	}
	return chain
}

// revoke makes a list of revoked certificates.
func (a *authority) revoke(tb testing.TB, number int64, from, until time.Time, revoked ...*x509.Certificate) []byte {
	tb.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: from, NextUpdate: until}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: from})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func inPEM(authorities ...*authority) []byte {
	var text []byte
	for _, a := range authorities {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	return text
}

// replace puts a file in the place of another, as an operator does.
func replace(tb testing.TB, name string, content []byte) {
	tb.Helper()
	next := name + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(next, name); err != nil {
		tb.Fatal(err)
	}
}

func file(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	name = filepath.Join(tb.TempDir(), name)
	replace(tb, name, content)
	return name
}

// open opens a driver that trusts the authority.
func open(tb testing.TB, by *authority, c *clock, changes ...func(*mtls.Settings)) *mtls.Authenticator {
	tb.Helper()
	var s mtls.Settings
	s.Defaults()
	s.CAFile = file(tb, "ca.pem", inPEM(by))
	for _, change := range changes {
		change(&s)
	}
	a, err := s.Open(tb.Context(), auth.Env{Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return a.(*mtls.Authenticator)
}

func uri(tb testing.TB, texts ...string) func(*x509.Certificate) {
	tb.Helper()
	var all []*url.URL
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			tb.Fatal(err)
		}
		u.Scheme = text[:len(u.Scheme)] // as it is written
		all = append(all, u)
	}
	return func(c *x509.Certificate) { c.URIs = slices.Clone(all) }
}

func shown(chain []*x509.Certificate) auth.Credentials {
	return auth.Credentials{Certificates: chain}
}
