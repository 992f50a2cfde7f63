package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	certificateBlock = "CERTIFICATE"
	requestBlock     = "CERTIFICATE REQUEST"
	keyBlock         = "PRIVATE KEY"
)

// What is read has bounds, since some of it comes from strangers.
const (
	maxFile         = 1 << 20
	maxRequest      = 64 << 10
	maxCertificates = 64
)

// Fingerprint is the SHA-256 of the first certificate in a PEM text, in
// lower-case hex.
func Fingerprint(certPEM []byte) (string, error) {
	certs, err := ParseCertificates(certPEM)
	if err != nil {
		return "", err
	}
	return FingerprintOf(certs[0]), nil
}

// FingerprintOf is the SHA-256 of a certificate, in lower-case hex.
func FingerprintOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// ParseCertificates reads the certificates of a PEM text, of which there is at
// least one. What else is in it is passed over. Errors are Invalid.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, invalid("", "%w", err)
	}
	return certs, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	other := ""
	for len(certs) < maxCertificates {
		block, rest := pem.Decode(text)
		switch {
		case block == nil && len(certs) > 0:
			return certs, nil
		case block == nil && other != "":
			return nil, fmt.Errorf("holds a %s and no certificate", other)
		case block == nil:
			return nil, errors.New("holds no PEM certificate")
		}
		text = rest
		if block.Type != certificateBlock {
			other = clean(block.Type)
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it is damaged: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	return nil, fmt.Errorf("holds %d certificates or more; that is too many", maxCertificates)
}

// ReadCertificates reads the certificates of a PEM file, as ParseCertificates does.
func ReadCertificates(file string) ([]*x509.Certificate, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, invalid(file, "%w", err)
	}
	return certs, nil
}

// encode writes certificates as PEM.
func encode(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw}))
	}
	return b.Bytes()
}

// NewKey makes a private key on P-256, and its PEM.
func NewKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// ReadKey reads a private key from a PEM file. Invalid if there is none in it,
// NotFound if there is no such file.
func ReadKey(file string) (crypto.Signer, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, invalid(file, "%w", err)
	}
	return key, nil
}

// parseKey reads a private key in any of the forms in which they are written.
func parseKey(text []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("holds no PEM private key")
		}
		text = rest
		var key any
		var err error
		switch block.Type {
		case keyBlock:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key in it is encrypted; it must be plain, in a file that only the node may read")
		default:
			continue
		}
		if err != nil {
			return nil, errors.New("the private key in it is damaged") // its parser may quote from it
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, checkPublic(signer.Public())
		}
		return nil, errors.New("the private key in it cannot sign")
	}
}

// checkPublic refuses keys that are weak or of a sort that TLS cannot use.
func checkPublic(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 8192 {
			return nil
		}
	}
	return errors.New("the key must be ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits")
}

// parseRequest reads a certificate request and proves that whoever made it has
// the key.
func parseRequest(text []byte) (*x509.CertificateRequest, error) {
	if len(text) > maxRequest {
		return nil, fmt.Errorf("the certificate request has %d bytes; %d is the most", len(text), maxRequest)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != requestBlock {
		return nil, errors.New("there is no PEM certificate request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate request is damaged: %w", err)
	}
	if err := checkPublic(request.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed with its key: %w", err)
	}
	return request, nil
}
