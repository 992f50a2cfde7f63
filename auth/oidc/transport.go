package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	mostAnswer   = 1 << 20 // bytes of one answer of a provider
	mostRequests = 16      // to a provider at the same time; more wait
	idleTime     = 30 * time.Second
)

// newClient makes what the provider is spoken to with: by TLS only, a few
// requests at a time, each answer bounded in size and time, and no redirect
// followed, since a request may carry the client's secret.
func newClient(s Settings) (*http.Client, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:       s.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &guard{
			slots: make(chan struct{}, mostRequests),
			next: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    s.Timeout,
				ResponseHeaderTimeout:  s.Timeout,
				MaxResponseHeaderBytes: 64 << 10,
				MaxIdleConnsPerHost:    mostRequests,
				IdleConnTimeout:        idleTime,
				ForceAttemptHTTP2:      true,
			},
		},
	}, nil
}

// roots returns nil for the system's.
func (s *Settings) roots() (*x509.CertPool, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "settings", place+".ca_file", "%w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, config.Errorf(config.Invalid, "settings", place+".ca_file", "%s holds no PEM certificate", s.CAFile)
	}
	return pool, nil
}

// guard is the transport's bounds.
type guard struct {
	slots chan struct{} // one token for each request under way
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, config.Errorf(config.Invalid, "request", "", "the provider names an address that is not https; nothing was sent there")
	}
	select {
	case g.slots <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	release := sync.OnceFunc(func() { <-g.slots })
	answer, err := g.next.RoundTrip(r)
	if err != nil {
		release()
		return nil, err
	}
	answer.Body = &boundedBody{ReadCloser: http.MaxBytesReader(nil, answer.Body, mostAnswer), release: release}
	return answer, nil
}

// CloseIdleConnections lets http.Client close what it keeps.
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

// boundedBody gives its slot back when it is closed.
type boundedBody struct {
	io.ReadCloser
	release func()
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
