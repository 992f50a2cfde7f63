package pki

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
)

// PinError tells that a server's certificate is not one of the pinned authority.
type PinError struct {
	Fingerprint string // the pinned one
	Issuer      string // who issued the certificate that was shown
}

// Error says what was expected and what was shown.
func (e *PinError) Error() string {
	return "the certificate was issued by \"" + e.Issuer + "\", and not by the authority with the fingerprint " + e.Fingerprint
}

// PinnedClientConfig is for connections to one host, a name or an address without
// a port, of a cluster of which only the fingerprint of an authority is known. A
// server is accepted if it shows that authority's certificate with its own, the
// authority did sign it, and it is good for the host, for now and for servers.
// Invalid if the fingerprint is none.
func PinnedClientConfig(fingerprint, host string, protocols ...string) (*tls.Config, error) {
	pin, err := hex.DecodeString(strings.ToLower(strings.TrimSpace(fingerprint)))
	if err != nil || len(pin) != sha256.Size {
		return nil, invalid("", "fingerprint %q: want the 64 hex digits of a SHA-256", clip(fingerprint))
	}
	if host == "" {
		return nil, invalid("", "there is no host to connect to")
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols,
		ServerName:         host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies, with the pinned authority as the only root
		VerifyConnection: func(s tls.ConnectionState) error {
			roots := x509.NewCertPool()
			found := false
			for _, c := range s.PeerCertificates {
				if sha256.Sum256(c.Raw) == [sha256.Size]byte(pin) && c.IsCA {
					roots.AddCert(c)
					found = true
				}
			}
			if !found && len(s.PeerCertificates) > 0 {
				return &PinError{Fingerprint: hex.EncodeToString(pin), Issuer: issuerOf(s.PeerCertificates[0])}
			}
			return verifyServer(s, host, roots, nil)
		},
	}, nil
}
