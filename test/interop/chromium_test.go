package interop

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"github.com/setpointhq/setpoint/test/program"
)

// browse opens a page in a browser of its own, which runs until the test ends. It
// trusts the certificate of the node and that of the site and no other, and reaches
// nothing but this machine.
func (s *site) browse(page string) {
	s.Helper()
	dir := filepath.Join(s.dir, "browser")
	s.must(os.MkdirAll(filepath.Join(dir, "profile"), 0o700))
	p, err := program.NewProcess(dir)
	s.must(err)
	p.Program, p.Env = tool(s, "chromium"), []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	p.Args = []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-crash-reporter", "--disable-breakpad", "--no-proxy-server",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir=" + filepath.Join(dir, "profile"),
		"--ignore-certificate-errors-spki-list=" + pin(s.server.Certificate()) + "," + pin(s.certificate()),
		s.origin() + "/" + page,
	}
	s.must(p.Launch())
	s.Cleanup(func() {
		if err := p.Stop(patience); err != nil {
			s.Errorf("the browser did not end in order: %v", err)
		}
		if s.Failed() {
			s.Logf("the browser's words:\n%s", p.LogEnd())
		}
		s.must(p.Close())
		s.must(remove(dir))
	})
	s.browser = p
}

// remove removes a folder in which the last of the browser's processes may still
// be writing.
func remove(dir string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		if err := os.RemoveAll(dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// pin is how the browser is told of a certificate: the digest of its public key.
func pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// certificate is that of the node.
func (n *node) certificate() *x509.Certificate {
	n.Helper()
	text, err := os.ReadFile(n.ca)
	n.must(err)
	block, _ := pem.Decode(text)
	if block == nil {
		n.Fatalf("%s holds no certificate", n.ca)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	n.must(err)
	return c
}
