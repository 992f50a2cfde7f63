package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// TLS says how a server proves who it is. The zero TLS trusts what the system
// trusts.
type TLS struct {
	// CAFile names a PEM file of the authorities to trust instead of the system's.
	CAFile string
	// Fingerprint pins the server's certificate by its SHA-256, in hex, as the
	// server prints it. Nothing else about the certificate is then asked.
	Fingerprint string
	// Insecure checks nothing, and allows plain http: anyone on the way can read
	// and change everything. For experiments only.
	Insecure bool
}

// UntrustedError is the cause when a server's certificate is not trusted. It
// tells a person what to compare with what the server printed.
type UntrustedError struct {
	Fingerprint string // of the certificate that the server showed
	Pinned      bool   // whether it was compared with a pinned fingerprint
	Err         error  // why it is not trusted
}

// Error says why, and what the certificate's fingerprint is.
func (e *UntrustedError) Error() string {
	if e.Pinned {
		return "the server's certificate has the fingerprint " + e.Fingerprint + ", which is not the one pinned; if the server was not given a new certificate, someone is in between"
	}
	return "the server's certificate is not trusted (fingerprint " + e.Fingerprint + "): " + e.Err.Error()
}

// Unwrap returns why the certificate is not trusted.
func (e *UntrustedError) Unwrap() error { return e.Err }

var errPin = errors.New("fingerprint differs")

// Fingerprint returns the SHA-256 of a certificate as servers print it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// parseFingerprint reads hex with or without colons and "sha256:" before it.
func parseFingerprint(s string) ([]byte, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	text = strings.TrimPrefix(text, "sha256:")
	sum, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(text))
	if err != nil || len(sum) != sha256.Size {
		return nil, config.Errorf(config.Invalid, "", "", "fingerprint %q: want the 64 hex digits of a SHA-256", s)
	}
	return sum, nil
}

// newTransport makes a transport. If there is another endpoint to turn to, one
// that does not answer at all is given up sooner.
func newTransport(t TLS, others bool) (*http.Transport, error) {
	conf, err := t.Config()
	if err != nil {
		return nil, err
	}
	reach := 10 * time.Second
	if others {
		reach = 3 * time.Second // a first packet that was lost is sent again after one
	}
	const perHost = 32 // enough for a busy program over HTTP/1.1; HTTP/2 needs one
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: reach, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     conf,
		TLSHandshakeTimeout: reach,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: perHost,
		IdleConnTimeout:     90 * time.Second,
		// A dead peer must not hold calls until the kernel gives up on it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}, nil
}

// Config returns what a TLS client of one's own needs in order to trust the
// same servers. It names none: set ServerName. Errors are of kind Invalid.
func (t TLS) Config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case t.Fingerprint != "":
		want, err := parseFingerprint(t.Fingerprint)
		if err != nil {
			return nil, err
		}
		// The pin replaces the chain: VerifyConnection runs on every handshake,
		// resumed ones too.
		conf.InsecureSkipVerify = true
		conf.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s, want) }
	case t.CAFile != "":
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "", "", "ca file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errorf(config.Invalid, "", "", "ca file %s holds no PEM certificate", t.CAFile)
		}
	case t.Insecure:
		conf.InsecureSkipVerify = true
	}
	return conf, nil
}

func checkPin(s tls.ConnectionState, want []byte) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	sum := sha256.Sum256(s.PeerCertificates[0].Raw)
	if subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return &UntrustedError{Fingerprint: Fingerprint(s.PeerCertificates[0]), Pinned: true, Err: errPin}
	}
	return nil
}

// untrusted finds in a transport's error that the certificate was refused.
func untrusted(err error) (*UntrustedError, bool) {
	var pin *UntrustedError
	if errors.As(err, &pin) {
		return pin, true
	}
	var chain *tls.CertificateVerificationError
	if errors.As(err, &chain) && len(chain.UnverifiedCertificates) > 0 {
		return &UntrustedError{Fingerprint: Fingerprint(chain.UnverifiedCertificates[0]), Err: chain.Err}, true
	}
	return nil, false
}
