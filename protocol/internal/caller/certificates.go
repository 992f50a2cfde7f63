package caller

import (
	"crypto/x509"
	"net/http"
)

// Certificates are those that the peer of the connection has shown. What a header
// says of certificates is never believed: anybody could have written it.
func Certificates(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}
