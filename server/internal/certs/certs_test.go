package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/internal/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, from Source) *Keeper {
	t.Helper()
	if from.Log == nil {
		from.Log = slog.New(slog.DiscardHandler)
	}
	k, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSelfMadeCertificateIsKeptAndForThisMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	k := open(t, Source{Dir: dir, Name: "config.example.org"})
	leaf := k.Get().Leaf
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "config.example.org", host} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("want it to be good for %s: %v", name, err)
		}
	}
	if again := open(t, Source{Dir: dir, Name: "config.example.org"}); again.Fingerprint() != k.Fingerprint() {
		t.Error("want the same certificate after a restart")
	}
	info, err := os.Stat(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("want the key readable by its owner only, got %v", info.Mode())
	}
	if got := k.Fingerprint(); len(got) != 64 || strings.ToLower(got) != got {
		t.Errorf("want 64 lower-case hex digits, got %q", got)
	}
}

func TestSelfMadeCertificateFollowsItsNames(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Source{Dir: dir})
	second := open(t, Source{Dir: dir, Name: "192.0.2.1"})
	if first.Fingerprint() == second.Fingerprint() {
		t.Fatal("want a new certificate for a further name")
	}
	if err := second.Get().Leaf.VerifyHostname("192.0.2.1"); err != nil {
		t.Error(err)
	}
}

func TestSelfMadeCertificateIsRenewedBeforeItEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := open(t, Source{Dir: dir})
		before, fingerprint := k.Get().Leaf, k.Fingerprint()

		<-time.After(selfSignedLife - selfSignedRenew - time.Minute)
		k.Look()
		if k.Fingerprint() != fingerprint {
			t.Error("want the certificate to stay while it is good")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() { stopped <- k.Run(ctx) }()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		after := k.Get().Leaf
		if k.Fingerprint() == fingerprint || !after.NotAfter.After(before.NotAfter) {
			t.Error("want a new certificate that lasts longer")
		}
		if !bytes.Equal(before.RawSubjectPublicKeyInfo, after.RawSubjectPublicKeyInfo) {
			t.Error("want the new certificate to have the old key")
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestChangedFilesAreTakenInAndBrokenOnesAreNot(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.key")
	install := func(dir string) {
		copyFile(t, filepath.Join(dir, "cert.pem"), certFile)
		copyFile(t, filepath.Join(dir, "key.pem"), keyFile)
	}
	firstDir, secondDir := t.TempDir(), t.TempDir()
	first, second := open(t, Source{Dir: firstDir}), open(t, Source{Dir: secondDir})
	install(firstDir)

	var log bytes.Buffer
	k := open(t, Source{CertFile: certFile, KeyFile: keyFile, Log: slog.New(slog.NewTextHandler(&log, nil))})
	addr := serve(t, k)
	want := func(from *Keeper) {
		t.Helper()
		if got := shown(t, addr); !bytes.Equal(got.Raw, from.Get().Leaf.Raw) {
			t.Error("the listener shows another certificate")
		}
	}
	want(first)

	if err := os.WriteFile(certFile, []byte("half a certific"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Look()
	want(first)
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "the old one stays") {
		t.Errorf("want the log to say why, got %q", log.String())
	}

	install(secondDir)
	k.Look()
	want(second)

	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	k.Look()
	want(second)
}

func TestUnusableFilesAreRefusedAtTheStart(t *testing.T) {
	good := t.TempDir()
	open(t, Source{Dir: good})
	other := t.TempDir()
	open(t, Source{Dir: other})
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "key.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]Source{
		"missing":           {CertFile: "/nowhere/cert.pem", KeyFile: "/nowhere/key.pem"},
		"key of another":    {CertFile: filepath.Join(good, "cert.pem"), KeyFile: filepath.Join(other, "key.pem")},
		"no certificate":    {CertFile: filepath.Join(good, "key.pem"), KeyFile: filepath.Join(good, "key.pem")},
		"own key is broken": {Dir: broken},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(from); err == nil {
				t.Error("want an error")
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.WriteFile(to, content, pki.SecretMode); err != nil {
		t.Fatal(err)
	}
}

// serve completes TLS handshakes with the keeper's certificate.
func serve(t *testing.T, k *Keeper) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: k.GetCertificate, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if c, ok := conn.(*tls.Conn); ok {
				_ = c.HandshakeContext(t.Context())
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// shown is the certificate that a new connection is shown.
func shown(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	defer conn.Close()
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0]
}
