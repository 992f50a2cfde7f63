package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ClientLife is how long a client's certificate lasts unless it is told otherwise.
const ClientLife = 90 * day

const maxGroups = 64

// ClientRequest says what certificate to issue to a client.
type ClientRequest struct {
	// Name is the client's, the certificate's common name.
	Name string
	// SPIFFE is its SPIFFE id, "spiffe://example.org/web"; empty for none.
	SPIFFE string
	// Groups it is in are the organizational units of its subject.
	Groups []string
	// Life is how long it lasts, ClientLife if zero. None outlives its authority.
	Life time.Duration
}

// ForClients reports whether the authority vouches for clients, and for nothing
// else: it says so in its own certificate, so that whoever verifies a chain refuses a
// server of it. Nodes and clients have different authorities, since either kind of
// certificate would be good for the other's place.
func (a *Authority) ForClients() bool { return forClients(a.cert) }

func forClients(cert *x509.Certificate) bool {
	return len(cert.UnknownExtKeyUsage) == 0 && slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
}

// IssueClient makes a key and a certificate for a client, as PEM. Errors are Invalid.
func (a *Authority) IssueClient(r ClientRequest) (certPEM, keyPEM []byte, err error) {
	template, err := a.client(r, time.Now())
	if err != nil {
		return nil, nil, err
	}
	key, keyPEM, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return encode(cert), keyPEM, nil
}

func (a *Authority) client(r ClientRequest, now time.Time) (*x509.Certificate, error) {
	if !a.ForClients() {
		return nil, invalid("", "the authority %q vouches for nodes, not for clients; make one for clients with 'setpoint cert init --clients'", a.cert.Subject.CommonName)
	}
	if r.Life == 0 {
		r.Life = ClientLife
	}
	if err := CheckName(r.Name); err != nil {
		return nil, err
	}
	if err := checkLife(r.Life); err != nil {
		return nil, err
	}
	if now.After(a.cert.NotAfter) {
		return nil, invalid("", "the authority %q expired on %s; make another in a folder of its own with 'setpoint cert init --clients --dir DIR'", a.cert.Subject.CommonName, date(a.cert.NotAfter))
	}
	if len(r.Groups) > maxGroups {
		return nil, invalid("", "%d groups for %s; %d is the most", len(r.Groups), r.Name, maxGroups)
	}
	for _, group := range r.Groups {
		if CheckName(group) != nil {
			return nil, invalid("", "group %q of %s: want at most %d letters, digits, '.', '-' and '_', a letter or digit first", clip(group), r.Name, maxName)
		}
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{OrganizationalUnit: r.Groups, CommonName: r.Name},
		NotBefore: now.Add(-backdate), NotAfter: earlier(now.Add(r.Life), a.cert.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if r.SPIFFE != "" {
		id, err := parseSPIFFE(r.SPIFFE)
		if err != nil {
			return nil, err
		}
		template.URIs = []*url.URL{id}
	}
	return template, nil
}

// parseSPIFFE refuses what servers would not take for a client's SPIFFE id.
func parseSPIFFE(text string) (*url.URL, error) {
	bad := invalid("", "SPIFFE id %q: want spiffe://, a trust domain in lower case, and a path of letters, digits, '.', '-' and '_'", clip(text))
	rest, ok := strings.CutPrefix(text, "spiffe://")
	domain, path, found := strings.Cut(rest, "/")
	if !ok || !found || len(text) > 2048 || domain == "" || len(domain) > 255 || domain != strings.ToLower(domain) || strings.ContainsFunc(domain, notInName) {
		return nil, bad
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notInName) {
			return nil, bad
		}
	}
	return &url.URL{Scheme: "spiffe", Host: domain, Path: "/" + path}, nil
}
