package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestAnAuthorityIsMadeOnceAndLoadedAgain(t *testing.T) {
	dir, a := authority(t)
	certFile, keyFile := AuthorityFiles(dir)
	for file, want := range map[string]os.FileMode{certFile: 0o644, keyFile: 0o600} {
		if got := mode(t, file); got != want {
			t.Errorf("%s: want mode %v, got %v", file, want, got)
		}
	}
	before, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = CreateAuthority(dir, Options{Name: "another"})
	wantKind(t, config.Exists, err)
	wantText(t, err.Error(), "setpoint cert rotate --authority")
	if after, err := os.ReadFile(keyFile); err != nil || !bytes.Equal(before, after) {
		t.Errorf("want the key untouched: %v", err)
	}
	again, err := LoadAuthority(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Fingerprint(), again.Fingerprint()); diff != "" {
		t.Errorf("fingerprint (-want +got):\n%s", diff)
	}
	if got, err := Fingerprint(a.Bundle()); err != nil || got != a.Fingerprint() || strings.ToLower(got) != got || len(got) != 64 {
		t.Errorf("want the bundle's first certificate to be the authority's, got %s, %v", got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("want two files and nothing left over, got %v, %v", entries, err)
	}
}

func TestAnInterruptedStartOfAnAuthorityGoesOn(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := AuthorityFiles(dir)
	_, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(keyFile, keyPEM, SecretMode); err != nil {
		t.Fatal(err)
	}
	a, err := CreateAuthority(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(keyFile); err != nil || !bytes.Equal(keyPEM, got) {
		t.Errorf("want the key that was there: %v", err)
	}
	if again, err := LoadAuthority(certFile, keyFile); err != nil || again.Fingerprint() != a.Fingerprint() {
		t.Errorf("want it loaded: %v", err)
	}
	// A certificate alone is that of an authority whose key is elsewhere.
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	_, err = CreateAuthority(dir, Options{})
	wantKind(t, config.Exists, err)
	if _, err := os.Stat(keyFile); err == nil {
		t.Error("want no key made")
	}
}

func TestWhatAnAuthorityRefuses(t *testing.T) {
	dir, a := authority(t)
	certFile, keyFile := AuthorityFiles(dir)
	otherDir, _ := authority(t)
	otherCert, _ := AuthorityFiles(otherDir)
	node := write(t, dir, a, local("n1"))
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 65)
	issue := func(r Request) error { _, _, err := a.Issue(r); return err }
	load := func(cert, key string) error { _, err := LoadAuthority(cert, key); return err }
	create := func(o Options) error { _, err := CreateAuthority(t.TempDir(), o); return err }
	for name, c := range map[string]struct {
		err  error
		kind config.ErrorKind
	}{
		"no key file":               {load(certFile, filepath.Join(dir, "none.pem")), config.NotFound},
		"no certificate file":       {load(filepath.Join(dir, "none.pem"), keyFile), config.NotFound},
		"a folder":                  {load(dir, keyFile), config.Invalid},
		"another's certificate":     {load(otherCert, keyFile), config.Invalid},
		"no authority":              {load(node.Cert, node.Key), config.Invalid},
		"nothing in the file":       {load(empty, keyFile), config.Invalid},
		"a key for a certificate":   {load(keyFile, keyFile), config.Invalid},
		"a certificate for a key":   {load(certFile, certFile), config.Invalid},
		"no name":                   {issue(Request{}), config.Invalid},
		"a name with a slash":       {issue(Request{Name: "../n1"}), config.Invalid},
		"a long name":               {issue(Request{Name: long}), config.Invalid},
		"a host with a port":        {issue(Request{Name: "n1", Hosts: []string{"h1:7403"}}), config.Invalid},
		"an address with a zone":    {issue(Request{Name: "n1", Hosts: []string{"fe80::1%eth0"}}), config.Invalid},
		"an empty host":             {issue(Request{Name: "n1", Hosts: []string{""}}), config.Invalid},
		"a wildcard in the middle":  {issue(Request{Name: "n1", Hosts: []string{"a.*.org"}}), config.Invalid},
		"many hosts":                {issue(Request{Name: "n1", Hosts: make([]string, 65)}), config.Invalid},
		"a life in the past":        {issue(Request{Name: "n1", Life: -time.Hour}), config.Invalid},
		"a life without end":        {issue(Request{Name: "n1", Life: 101 * year}), config.Invalid},
		"an authority's long name":  {create(Options{Name: long[:41]}), config.Invalid},
		"an authority's odd name":   {create(Options{Name: "a\nb"}), config.Invalid},
		"an authority's short life": {create(Options{Life: -1}), config.Invalid},
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, c.kind, c.err) })
	}
	if err := create(Options{Name: "acme", Life: day}); err != nil {
		t.Error(err)
	}
}

func TestWhatACertificateIsFor(t *testing.T) {
	_, a := authority(t)
	cert, key, err := a.Issue(Request{Name: "n1", Hosts: []string{"h1.example.org", "10.0.0.1", "H1.example.org", "[::1]", "*.nodes.example.org", "10.0.0.1", "n1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKey(key); err != nil {
		t.Error(err)
	}
	certs, err := ParseCertificates(cert)
	if err != nil {
		t.Fatal(err)
	}
	got := certs[0]
	want := []string{"n1", "h1.example.org", "*.nodes.example.org", "10.0.0.1", "::1"}
	if diff := cmp.Diff(want, Hosts(got)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got.Subject.CommonName != "n1" || got.IsCA || len(certs) != 1 {
		t.Errorf("want the node's certificate alone, got %s of %d, authority %v", got.Subject, len(certs), got.IsCA)
	}
	if now := time.Now(); !got.NotBefore.Before(now.Add(-30*time.Minute)) || got.NotAfter.Before(now.Add(NodeLife-time.Minute)) {
		t.Errorf("want it valid from a while ago for a year, got %s to %s", got.NotBefore, got.NotAfter)
	}
	if bits := got.SerialNumber.BitLen(); bits < 90 || got.SerialNumber.Sign() != 1 {
		t.Errorf("want a serial number that nobody guesses, got %d bits", bits)
	}
	// A name that is no DNS name is a name all the same.
	cert, _, err = a.Issue(Request{Name: "n_1.", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if certs, err = ParseCertificates(cert); err != nil || len(certs[0].DNSNames) != 0 {
		t.Errorf("want no DNS name, got %v, %v", certs[0].DNSNames, err)
	}
}

func TestNoCertificateOutlivesItsAuthority(t *testing.T) {
	a, err := CreateAuthority(t.TempDir(), Options{Life: day})
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := a.Issue(local("n1"))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ParseCertificates(cert)
	if err != nil || !certs[0].NotAfter.Equal(a.Certificate().NotAfter) {
		t.Errorf("want it to end with its authority: %v", err)
	}
	key, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.issue(key.Public(), local("n1"), time.Now().Add(2*day))
	wantKind(t, config.Invalid, err)
	wantText(t, err.Error(), "expired on", "setpoint cert rotate --authority")
}

// request makes a certificate request as a stranger might.
func request(t *testing.T, template x509.CertificateRequest, key any) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})
}

func TestARequestDecidesNothingButItsKey(t *testing.T) {
	_, a := authority(t)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	greedy := request(t, x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "n1", Organization: []string{"admins"}},
		DNSNames: []string{"n1", "*"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}}, // an authority
	}, key)
	cert, err := a.Sign(greedy, Request{Name: "n4", Hosts: []string{"10.0.0.4"}, Life: day})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ParseCertificates(cert)
	if err != nil {
		t.Fatal(err)
	}
	got := certs[0]
	if diff := cmp.Diff([]string{"n4", "10.0.0.4"}, Hosts(got)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got.IsCA || got.Subject.CommonName != "n4" || !cmp.Equal(got.Subject.Organization, []string{Organization}) || !key.PublicKey.Equal(got.PublicKey) {
		t.Errorf("want n4's certificate for the request's key, got %s, authority %v", got.Subject, got.IsCA)
	}
}

func TestAJoinersRequestBecomesItsCertificate(t *testing.T) {
	dir, a := authority(t)
	key, csr, err := NewRequest("n4")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Sign(csr, local("n4"))
	if err != nil {
		t.Fatal(err)
	}
	joined := FilesIn(filepath.Join(t.TempDir(), "cluster"), "node")
	if err := WriteNode(joined, Material{Cert: cert, Key: key, CA: a.Bundle()}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{joined.Cert: 0o644, joined.Key: 0o600, joined.CA: 0o644} {
		if got := mode(t, file); got != want {
			t.Errorf("%s: want mode %v, got %v", file, want, got)
		}
	}
	n1, n4 := keeper(t, write(t, dir, a, local("n1"))), keeper(t, joined)
	if got, err := listen(t, n1.ServerConfig()).call(t, n4.ClientConfig("127.0.0.1")); err != nil || got.peer != "n4" {
		t.Errorf("want n4 known, got %v and %v", err, got)
	}
	_, _, err = NewRequest("no name")
	wantKind(t, config.Invalid, err)
}

func TestRequestsThatAreNotSigned(t *testing.T) {
	_, a := authority(t)
	_, csr, err := NewRequest("n1")
	if err != nil {
		t.Fatal(err)
	}
	tampered, _ := pem.Decode(csr)
	at := bytes.Index(tampered.Bytes, []byte("n1"))
	tampered.Bytes[at] = 'm'
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"tampered with": pem.EncodeToMemory(tampered),
		"a weak key":    request(t, x509.CertificateRequest{}, weak),
		"an odd key":    request(t, x509.CertificateRequest{}, old),
		"empty":         nil,
		"a key":         keyPEM,
		"cut off":       pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: tampered.Bytes[:40]}),
		"long":          append(bytes.Repeat([]byte("\n"), maxRequest), csr...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Sign(bad, Request{Name: "n1"})
			wantKind(t, config.Invalid, err)
		})
	}
}
