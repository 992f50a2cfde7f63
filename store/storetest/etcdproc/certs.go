package etcdproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificates makes an authority and what it issues to server and client, as
// files in the process's folder.
func certificates(tb testing.TB, p *Process) {
	tb.Helper()
	caKey := newKey(tb)
	ca := template("setpoint test authority")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	p.CAFile, _ = issue(tb, p.dir, "ca", ca, ca, caKey, caKey)

	server := template("etcd")
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	// etcd's own gateway calls it with this certificate, as a client.
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	issue(tb, p.dir, "server", server, ca, newKey(tb), caKey)

	client := template("setpoint")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	p.CertFile, p.KeyFile = issue(tb, p.dir, "client", client, ca, newKey(tb), caKey)
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// issue signs a certificate and writes it and its key.
func issue(tb testing.TB, dir, name string, cert, ca *x509.Certificate, key, caKey *ecdsa.PrivateKey) (certFile, keyFile string) {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, key.Public(), caKey)
	if err != nil {
		tb.Fatalf("certificate of %s: %v", name, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("key of %s: %v", name, err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatalf("certificate of %s: %v", name, err)
		}
	}
	return certFile, keyFile
}
