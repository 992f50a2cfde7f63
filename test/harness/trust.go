package harness

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// trusting makes a transport that trusts the certificate that a node made for
// itself, as its users can.
func trusting(dataDir string) (*http.Transport, error) {
	pem, err := os.ReadFile(filepath.Join(dataDir, "tls", "cert.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the node's certificate file holds none")
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}, nil
}

// guarded is a log that a test may read while the node still writes.
type guarded struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(b)
}

func (g *guarded) text(from interface{ String() string }) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return from.String()
}
