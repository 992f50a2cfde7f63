package auth

import "crypto/x509"

// Certified is implemented by an Authenticator that proves certificates which
// clients show in the TLS handshake.
type Certified interface {
	// ClientCAs are the authorities whose certificates it takes, as they are now:
	// clients are told of them, so that they know which certificate to show. It is
	// asked at every handshake, is quick, and returns the same pool until the
	// authorities change. It must not be modified. nil tells clients of none.
	ClientCAs() *x509.CertPool
}

// CertifiedDriver is the Driver of an Authenticator that is Certified. Listeners
// answer before drivers are open, and ask clients for a certificate if there is
// such a driver, from the first connection on.
type CertifiedDriver interface {
	Driver
	ProvesCertificates()
}
