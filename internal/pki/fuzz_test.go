package pki

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

// samples are a certificate, its key, and a request, as PEM.
func samples(f *testing.F) (a *Authority, cert, key, csr []byte) {
	f.Helper()
	a, err := CreateAuthority(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	if cert, _, err = a.Issue(Request{Name: "n1", Hosts: []string{"h1", "10.0.0.1"}}); err != nil {
		f.Fatal(err)
	}
	if key, csr, err = NewRequest("n1"); err != nil {
		f.Fatal(err)
	}
	return a, cert, key, csr
}

func FuzzCertificates(f *testing.F) {
	_, cert, key, csr := samples(f)
	for _, seed := range [][]byte{cert, key, csr, append(key, cert...), append(cert, cert...), cert[:len(cert)/2], nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		certs, err := ParseCertificates(text)
		if err != nil {
			if config.KindOf(err) != config.Invalid || len(certs) > 0 {
				t.Fatalf("want an error of kind invalid and nothing else, got %d certificates, %v", len(certs), err)
			}
			return
		}
		again, err := ParseCertificates(encode(certs...))
		if err != nil || len(again) != len(certs) || !again[0].Equal(certs[0]) {
			t.Fatalf("want what was read to be written and read again: %v", err)
		}
		if sum, err := Fingerprint(text); err != nil || len(sum) != 64 {
			t.Fatalf("fingerprint %q: %v", sum, err)
		}
		_, _ = goodFor(certs[0]), Explain(x509.HostnameError{Certificate: certs[0], Host: "h1"})
		issuers(certs[0], certs)
	})
}

func FuzzKey(f *testing.F) {
	_, cert, key, csr := samples(f)
	for _, seed := range [][]byte{cert, key, csr, append(cert, key...), key[:len(key)/2], []byte("-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := parseKey(text); err == nil && (key == nil || checkPublic(key.Public()) != nil) {
			t.Fatal("want no key that cannot be used")
		}
	})
}

func FuzzRequest(f *testing.F) {
	a, cert, key, csr := samples(f)
	for _, seed := range [][]byte{csr, cert, key, csr[:len(csr)/2], bytes.ToLower(csr)} {
		f.Add(seed, "n1", "h1")
	}
	f.Add(csr, "n1.example.org", "*.example.org")
	f.Add(csr, "..", "[::1]")
	f.Fuzz(func(t *testing.T, text []byte, name, host string) {
		cert, err := a.Sign(text, Request{Name: name, Hosts: []string{host}})
		if err != nil {
			if config.KindOf(err) != config.Invalid {
				t.Fatalf("want an error of kind invalid, got %v", err)
			}
			return
		}
		certs, err := ParseCertificates(cert)
		if err != nil {
			t.Fatal(err)
		}
		if got := certs[0]; got.IsCA || got.Subject.CommonName != name || !a.Issued(got) {
			t.Fatalf("want a node's certificate for %q, got %s, authority %v", name, got.Subject, got.IsCA)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"h1", "*.example.org", "10.0.0.1", "::1", "[::1]", "::ffff:10.0.0.1", "fe80::1%eth0", "a..b", "-a", "h1:7403", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		h, err := parseHosts("n1", []string{host})
		if err != nil {
			return
		}
		for _, name := range h.names {
			if _, err := netip.ParseAddr(name); err == nil {
				t.Fatalf("want %q taken as an address", name)
			}
			if clean(name) != name {
				t.Fatalf("want no odd characters in %q", name)
			}
		}
	})
}

func FuzzLife(f *testing.F) {
	for _, seed := range []string{"90d", "1y", "10y", "12h30m", "0d", "-1h", "99999y", "1.5d", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		life, err := ParseLife(text)
		if err != nil {
			return
		}
		if life <= 0 || life > maxLife {
			t.Fatalf("want a life within bounds, got %s", life)
		}
		if again, err := ParseLife(FormatLife(life)); err != nil || again != life {
			t.Fatalf("%s: want it read again as it was written, got %s, %v", life, again, err)
		}
	})
}
