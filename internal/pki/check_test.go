package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// company issues a certificate as another program might.
func company(t *testing.T, template x509.Certificate) Files {
	t.Helper()
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Acme"}}, NotAfter: time.Now().Add(10 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if ca, err = sign(ca, nil, root.Public(), root); err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(day)
	}
	cert, err := sign(&template, ca, key.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	f := FilesIn(t.TempDir(), "node")
	if err := WriteNode(f, Material{Cert: encode(cert), Key: keyPEM, CA: encode(ca)}); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatKeepsANodeFromStarting(t *testing.T) {
	dir, a := authority(t)
	otherDir, other := authority(t)
	certFile, keyFile := AuthorityFiles(otherDir)
	now := time.Now()
	n1, n2 := write(t, dir, a, Request{Name: "n1", Hosts: []string{"h1", "10.0.0.1"}}), write(t, dir, a, local("n2"))
	server, client := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	short, err := CreateAuthority(t.TempDir(), Options{Life: day})
	if err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.pem")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		check Check
		texts []string
	}{
		"no certificate": {
			Check{Files: FilesIn(dir, "n9"), Name: "n9", Host: "h9"},
			[]string{"n9.pem: invalid: cannot be read: no such file", "'setpoint cert issue n9 --host h9'"},
		},
		"no key":                {Check{Files: Files{n1.Cert, dir + "/none.pem", n1.CA}}, []string{"none.pem", "cannot be read"}},
		"no authority":          {Check{Files: Files{n1.Cert, n1.Key, dir + "/none.pem"}}, []string{"none.pem", "cannot be read"}},
		"a large file":          {Check{Files: Files{large, n1.Key, n1.CA}}, []string{"it has more than 1048576 bytes"}},
		"a key for a cert":      {Check{Files: Files{n1.Key, n1.Key, n1.CA}}, []string{"holds a PRIVATE KEY and no certificate"}},
		"another node's key":    {Check{Files: Files{n1.Cert, n2.Key, n1.CA}, Name: "n1"}, []string{n2.Key, "does not match the certificate " + n1.Cert}},
		"expired":               {Check{Files: n1, Now: now.Add(2 * NodeLife)}, []string{"expired on ", "setpoint cert issue NAME"}},
		"not yet valid":         {Check{Files: n1, Now: now.Add(-2 * day)}, []string{"is not valid before ", "this machine's clock says"}},
		"an expired authority":  {Check{Files: expiredAuthority(t, short), Now: now.Add(2 * day)}, []string{"the authority", "setpoint cert rotate --authority"}},
		"another authority":     {Check{Files: Files{n1.Cert, n1.Key, certFile}}, []string{"was issued by \"" + a.Certificate().Subject.CommonName, other.Certificate().Subject.CommonName, certFile}},
		"another host":          {Check{Files: n1, Name: "n1", Host: "h7"}, []string{`is not good for "h7"`, "it is good for n1, h1, 10.0.0.1", "setpoint cert issue n1 --host h7"}},
		"another address":       {Check{Files: n1, Host: "10.0.0.7"}, []string{`is not good for "10.0.0.7"`}},
		"another node's":        {Check{Files: n2, Name: "n1", Host: "127.0.0.1"}, []string{`is that of the node "n2", and this is "n1"`, "'setpoint cert issue n1'"}},
		"for servers only":      {Check{Files: company(t, x509.Certificate{ExtKeyUsage: server})}, []string{"serverAuth and clientAuth"}},
		"for clients only":      {Check{Files: company(t, x509.Certificate{ExtKeyUsage: client})}, []string{"serverAuth and clientAuth"}},
		"not an allowed name":   {Check{Files: n1, AllowedNames: []string{"*.example.org", "n2"}}, []string{"is for n1, h1, 10.0.0.1", "*.example.org, n2"}},
		"an impossible pattern": {Check{Files: n1, AllowedNames: []string{"n*"}}, []string{`pattern "n*"`}},
		"good for no host":      {Check{Files: company(t, x509.Certificate{}), Host: "h1"}, []string{"it is good for no host at all"}},
		"an authority's":        {Check{Files: Files{certFile, keyFile, certFile}, Host: "h1"}, []string{"no host at all"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.check.Now.IsZero() {
				c.check.Now = now
			}
			err := CheckNode(c.check)
			wantKind(t, config.Invalid, err)
			wantText(t, err.Error(), c.texts...)
		})
	}
	for name, c := range map[string]Check{
		"a node's own":             {Files: n1, Name: "n1", Host: "10.0.0.1", AllowedNames: []string{"n1"}},
		"on one machine":           {Files: n2, Name: "n2", Host: "localhost"},
		"of a company":             {Files: company(t, x509.Certificate{DNSNames: []string{"h1"}}), Name: "n1", Host: "h1"},
		"of a company, with usage": {Files: company(t, x509.Certificate{ExtKeyUsage: append(server, client...)})},
		"with a wildcard":          {Files: company(t, x509.Certificate{DNSNames: []string{"*.nodes"}}), Host: "n1.nodes", AllowedNames: nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.Now = now
			if err := CheckNode(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// expiredAuthority is a certificate that claims to outlive its authority.
func expiredAuthority(t *testing.T, a *Authority) Files {
	t.Helper()
	key, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "n1"}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(10 * day),
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	f := FilesIn(t.TempDir(), "n1")
	if err := WriteNode(f, Material{Cert: encode(cert), Key: keyPEM, CA: a.Bundle()}); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPatternsOfNames(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		want          bool
	}{
		{"n1", "n1", true},
		{"N1", "n1", true},
		{"n1", "n2", false},
		{"n1.example.org", "*.example.org", true},
		{"n1.EXAMPLE.org", "*.example.ORG", true},
		{"a.n1.example.org", "*.example.org", false},
		{"example.org", "*.example.org", false},
		{".example.org", "*.example.org", false},
		{"*.example.org", "*.example.org", false},
		{"n1.example.org.evil.com", "*.example.org", false},
		{"evilexample.org", "*.example.org", false},
		{"", "n1", false},
	} {
		if got := matches(c.name, c.pattern); got != c.want {
			t.Errorf("%q against %q: want %v, got %v", c.name, c.pattern, c.want, got)
		}
	}
	if err := CheckPatterns([]string{"n1", "*.example.org"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "*", "*.", "n*", "a.*.org", "*.*.org"} {
		if CheckPatterns([]string{bad}) == nil {
			t.Errorf("want the pattern %q refused", bad)
		}
	}
}
